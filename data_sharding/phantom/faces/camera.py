"""The camera: exposure, white balance, blur, noise; and the file it writes.

    pixels = expose(scene, sitting)              # uint8 [H, W, 3], upright
    data = jpeg(pixels, sitting)                 # bytes, with EXIF as phones write it

The file may be turned (EXIF orientation), and its EXIF has a day, a maker and a place, none of
which may be found in a shard.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from data_sharding.phantom.faces.portrait import Field
from data_sharding.phantom.faces.visage import Sitting

MAKER = "Phantom Optics"
PLACE = ((37.0, 31.0, 36.0), (127.0, 6.0, 12.0))  # degrees, minutes, seconds
_TURNS = {1: 0, 3: 2, 6: 1, 8: 3}  # EXIF orientation -> quarter turns against the clock, of pixels


def expose(scene: Field, sitting: Sitting) -> NDArray[np.uint8]:
    """What the sensor makes of a scene, float32 [H, W, 3] about 0 to 1."""
    gain = np.array(sitting.white, np.float32) * np.float32(sitting.exposure)
    light = 0.5 + (scene * gain - 0.5) * np.float32(sitting.contrast)
    if sitting.fate == "face_exposure":
        dark = sitting.grain % 2 == 0
        light = light * np.float32(0.10) if dark else light * np.float32(2.6) + np.float32(0.2)
    sigma = 6.0 if sitting.fate == "blurred_face" else sitting.blur
    if sigma > 0.3:
        light = cv2.GaussianBlur(light, (0, 0), sigma)
    noise = 0.3 * sitting.noise if sitting.fate == "blurred_face" else sitting.noise
    rng = np.random.default_rng([sitting.grain, 1])
    light = light + np.float32(noise) * rng.standard_normal(light.shape, np.float32)
    return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)


def jpeg(pixels: NDArray[np.uint8], sitting: Sitting) -> bytes:
    """A JPEG file of upright pixels; a spoilt one where that is the sitting's fate."""
    turned = np.rot90(pixels, _TURNS[sitting.orientation])
    options: dict[str, Any] = {"quality": sitting.quality}
    if sitting.exif or sitting.orientation != 1:
        options["exif"] = _exif(sitting)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(turned)).save(out, "JPEG", **options)
    data = out.getvalue()
    if sitting.fate == "truncated":
        return data[: len(data) * 2 // 5]
    return b"this is no photograph\n" if sitting.fate == "not_photo" else data


def _exif(sitting: Sitting) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = sitting.orientation
    if not sitting.exif:
        return exif
    exif[ExifTags.Base.Make] = MAKER
    exif[ExifTags.Base.Model] = f"Lens {sitting.grain % 9}"
    day = f"{sitting.day:%Y:%m:%d} 10:{sitting.grain % 60:02d}:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = day
    north, east = PLACE
    gps = {1: "N", 2: north, 3: "E", 4: east}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    return exif
