"""A DICOM file of 2500x2500 and 12 bits to the model's 512x512 picture.

    python -m tests.bench dicom

Ours against what one finds in tutorials: everything in float64, then truncation and resizing. The
tutorial is timed with two ways to resize: OpenCV's area averaging, which gives our picture, and
the Gaussian filter with interpolation that `skimage.transform.resize` does (here by scipy, the
same arithmetic). pydicom has no JPEG-lossless decoder of its own, so both sides use imagecodecs
there and the ratio shows only the rest. The floor is our decoding alone, header included.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1, generate_uid
from scipy import ndimage

from data_sharding.decode import decode
from data_sharding.work import Job, make
from tests.bench.harness import Row, alternate, clock, ms

SIDE, SIZE = 2500, 512


def ours(path: Path) -> np.ndarray:
    done = make(Job((str(path),), "dicom", SIZE, ""))
    assert done.pixels is not None, done.failed
    return done.pixels


def tutorial(path: Path, smooth: bool = False) -> np.ndarray:
    ds = pydicom.dcmread(path)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        stored = imagecodecs.ljpeg_decode(get_frame(ds.PixelData, 0, number_of_frames=1))
    else:
        stored = ds.pixel_array
    x = stored.astype(np.float64) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        x = x.max() - x
    height, width = x.shape
    middle = x[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    x = np.clip(x, middle.min(), middle.max())
    x = (x - middle.min()) / (middle.max() - middle.min()) * 255
    if smooth:
        factor = height / SIZE
        x = ndimage.gaussian_filter(x, (factor - 1) / 2, mode="mirror")
        x = ndimage.zoom(x, 1 / factor, order=1, mode="mirror", grid_mode=True)
    else:
        x = cv2.resize(x, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def floor(path: Path) -> np.ndarray:
    ds = pydicom.dcmread(path)
    return decode(ds, str(ds.file_meta.TransferSyntaxUID))[0]


def picture() -> np.ndarray:
    """Uint16 [2500, 2500] of 12 bits: lungs, ribs and spine in outline, with quantum noise."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    grey = 2600 - 1500 * np.exp(-(((np.abs(x) - 0.45) / 0.25) ** 4) - (y / 0.65) ** 4)
    grey += 250 * np.cos(22 * y + 5 * x**2) * (np.abs(x) < 0.8) + 700 * np.exp(-((x / 0.1) ** 2))
    noise = np.random.default_rng(0).normal(0, 12, grey.shape)
    return (grey + noise).clip(0, 4095).astype(np.uint16)


def write(path: Path, pixels: np.ndarray, lossless: bool) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEGLosslessSV1 if lossless else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["bench"])
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", "PA"
    ds.PatientID, ds.PhotometricInterpretation, ds.SamplesPerPixel = "1", "MONOCHROME1", 1
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    if lossless:
        ds.PixelData = encapsulate([imagecodecs.ljpeg_encode(pixels, bitspersample=12)])
        ds["PixelData"].VR = "OB"
    else:
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OW"
    ds.save_as(path, enforce_file_format=True)


def run(folder: Path) -> list[Row]:
    rows, pixels = [], picture()
    for lossless, name in ((False, "uncompressed"), (True, "JPEG-lossless")):
        path = folder / f"{name}.dcm"
        write(path, pixels, lossless)
        assert np.array_equal(floor(path), pixels)
        apart = np.abs(ours(path).astype(int) - tutorial(path))
        assert apart.max() <= 1, f"{name}: {apart.max()} grey levels apart"
        times = alternate(
            {
                "ours": clock(lambda p=path: ours(p)),
                "area": clock(lambda p=path: tutorial(p)),
                "smooth": clock(lambda p=path: tutorial(p, smooth=True)),
                "floor": clock(lambda p=path: floor(p)),
            },
            rounds=5,
        )
        what, mine = f"DICOM to 512x512, {name}", ms(times.median("ours"))
        for side, said in (
            ("area", "float64, then cv2 area"),
            ("smooth", "float64, then Gaussian and interpolation"),
        ):
            rows.append(
                Row(what, mine, f"{said} {ms(times.median(side))}", times.ratio(side, "ours"))
            )
        rows.append(
            Row(
                f"{what}: against the floor",
                mine,
                f"decode alone {ms(times.median('floor'))}",
                f"{times.ratio('ours', 'floor')} x floor",
            )
        )
    return rows
