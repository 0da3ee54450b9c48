"""What is done to one file: its header is read, or the model's picture is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data_sharding.extras import Extra
from data_sharding.ledger import Refused
from data_sharding.pictures import screen
from data_sharding.pictures.cxr import PIXELS, PIXELS_16, centre, to_model, to_model_16
from data_sharding.pictures.dicom import Facts, read_facts, read_pixels
from data_sharding.pictures.display import grey
from data_sharding.pictures.grey import read_grey
from data_sharding.pictures.photos import FITTED, Header, Photo, read_header, read_photo, to_square

#: How a photograph may be kept, the default first, and the dtype of its pixels: the one face in
#: it, aligned and black outside of it, or the whole picture as it is.
FACE_PIXELS, PHOTO_PIXELS = "face/1", "photo/1"
PHOTOS: dict[str, Literal["uint8"]] = {FACE_PIXELS: "uint8", PHOTO_PIXELS: "uint8"}
#: What lies beside a picture that is kept so: of a face its crop with what surrounds it, for a
#: network of identities, and the landmarks in pixels of the picture: x right, y down, z.
EXTRAS: dict[str, tuple[Extra, ...]] = {
    FACE_PIXELS: (
        Extra(name="crop", shape=(160, 160, 3), dtype="uint8"),
        Extra(name="landmarks", shape=(468, 3), dtype="float32"),
    )
}
#: Most pixels a side of the picture that is looked at for its content where it is kept in 16 bits.
SCREENED = 512


@dataclass(frozen=True)
class Scan:
    """One file whose header is wanted."""

    kind: Literal["dicom", "photo"]
    path: str
    assume_view: str = ""


@dataclass(frozen=True)
class Job:
    """One file of which a picture is wanted; `grey` is a PNG or JPEG of a radiograph."""

    kind: Literal["dicom", "grey", "photo"]
    path: str
    size: int
    assume_view: str = ""
    screen: bool = False  # by image statistics, too
    pixels: str = PIXELS  # of a radiograph, one of `cxr.DTYPES`; of a photograph, of `PHOTOS`


@dataclass(frozen=True)
class Made:
    """`pixels`: uint8 or uint16 [size, size], of a photograph uint8 [size, size, 3].

    `applied`: what was done. `extras`: what `EXTRAS` says of such pixels. `pose`: of a face, its
    yaw, pitch and roll in degrees, to a tenth.
    """

    pixels: npt.NDArray[np.uint8 | np.uint16]
    applied: tuple[str, ...]
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    pose: tuple[float, float, float] | None = None


def scan(job: Scan) -> Facts | Header | Refused:
    """The facts of a file, or why it is no use."""
    path = Path(job.path)
    try:
        if not path.is_file():  # which raises too, in a folder that may not be entered
            return Refused("unreadable", "not a regular file")
        return read_header(path) if job.kind == "photo" else read_facts(path, job.assume_view)
    except Refused as e:
        return e
    except OSError as e:
        return _unreadable(e)


def make(job: Job) -> Made | Refused:
    """The picture of a file, or why it is no use."""
    try:
        return _photo(job) if job.kind == "photo" else _radiograph(job)
    except Refused as e:
        return e
    except OSError as e:
        return _unreadable(e)


def _unreadable(e: OSError) -> Refused:
    """Without the message, which quotes a path."""
    return Refused("unreadable", type(e).__name__, str(e)[:200])


def _photo(job: Job) -> Made:
    photo = read_photo(Path(job.path))
    if job.pixels == FACE_PIXELS:
        return _face(photo, job.size)
    assert job.pixels == PHOTO_PIXELS, job.pixels
    return Made(to_square(photo.pixels, job.size), (*photo.applied, FITTED))


def _face(photo: Photo, size: int) -> Made:
    # mediapipe comes with it, which takes seconds: not for those who pack radiographs
    from data_sharding.faces.face import make_face

    face = make_face(photo.pixels, size)
    yaw, pitch, roll = (round(float(angle), 1) + 0.0 for angle in face.pose)  # no -0.0
    return Made(
        face.picture,
        (*photo.applied, *face.applied),
        {"crop": face.crop, "landmarks": face.landmarks},
        (yaw, pitch, roll),
    )


def _radiograph(job: Job) -> Made:
    if job.kind == "dicom":
        picture = read_pixels(Path(job.path), job.assume_view).display
    else:
        levels, steps = read_grey(Path(job.path))
        if job.pixels == PIXELS_16 and levels.itemsize == 1:
            steps = (*steps, "widened from 8 to 16 bits (x257)")
        picture = replace(grey(levels), applied=steps)
    middle = centre(picture)
    if middle.blank:
        raise Refused("blank", middle.blank)
    deep = job.pixels == PIXELS_16
    # what is refused does not depend on how a picture is kept
    looked_at = to_model(picture, middle, min(job.size, SCREENED) if deep else job.size)
    if job.screen and (refused := screen.check(looked_at, picture.shown())):
        raise refused
    return Made(
        to_model_16(picture, job.size) if deep else looked_at,
        (
            *picture.applied,
            "grey scale kept in 16 bits" if deep else "truncated to the central 50%",
            f"area-averaged to {job.size}",
        ),
    )
