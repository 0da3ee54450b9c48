"""A DICOM file of 2500x2500 and 12 bits to the model's 512x512 picture.

    python -m tests.bench dicom

Ours against what one finds in tutorials: `pixel_array`, everything in float64, truncation, then
`skimage.transform.resize` with anti-aliasing. A second peer does the same but resizes by OpenCV's
area averaging, which gives our picture and shows that it is right. pydicom decodes RLE by itself
and JPEG 2000 by Pillow; for JPEG-lossless it needs a plugin (python-gdcm, or pylibjpeg with its GPL
codec), so where none is installed the tutorial's line is `imagecodecs.ljpeg_decode`, a faster one.
The floors are decoding alone, header included: with the decoders we chose, and with pydicom's.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders import JPEGLosslessSV1Decoder
from pydicom.pixels.encoders.native import _encode_row
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)
from skimage.transform import resize

from data_sharding.pictures.decode import decode
from data_sharding.pictures.dicom import ALLOWED
from data_sharding.pictures.elements import opened
from data_sharding.pictures.work import Job, Made, make
from tests.bench.harness import Row, alternate, clock, ms

SIDE, SIZE = 2500, 512
TAGS = [Tag(name) for name in ALLOWED]


def ours(path: Path) -> np.ndarray:
    made = make(Job("dicom", str(path), SIZE))
    assert isinstance(made, Made), made
    return made.pixels


def tutorial(path: Path, smooth: bool = True) -> np.ndarray:
    ds = pydicom.dcmread(path)
    x = stored(ds).astype(np.float64) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        x = x.max() - x
    height, width = x.shape
    middle = x[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    x = np.clip(x, middle.min(), middle.max())
    x = (x - middle.min()) / (middle.max() - middle.min()) * 255
    if smooth:
        x = resize(x, (SIZE, SIZE), anti_aliasing=True, preserve_range=True)
    else:
        x = cv2.resize(x, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def stored(ds: pydicom.Dataset) -> np.ndarray:
    """The pixels as a tutorial gets them."""
    if ds.file_meta.TransferSyntaxUID == JPEGLosslessSV1 and not plugins():
        return imagecodecs.ljpeg_decode(get_frame(ds.PixelData, 0, number_of_frames=1))
    return ds.pixel_array


def plugins() -> tuple[str, ...]:
    """What pydicom has here for JPEG-lossless."""
    return JPEGLosslessSV1Decoder.available_plugins


def floor(path: Path) -> np.ndarray:
    with opened(path, TAGS) as file:
        return decode(file)[0]


def picture() -> np.ndarray:
    """Uint16 [2500, 2500] of 12 bits: lungs, ribs and spine in outline, with quantum noise."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    grey = 2600 - 1500 * np.exp(-(((np.abs(x) - 0.45) / 0.25) ** 4) - (y / 0.65) ** 4)
    grey += 250 * np.cos(22 * y + 5 * x**2) * (np.abs(x) < 0.8) + 700 * np.exp(-((x / 0.1) ** 2))
    noise = np.random.default_rng(0).normal(0, 12, grey.shape)
    return (grey + noise).clip(0, 4095).astype(np.uint16)


def run_lengths(pixels: np.ndarray) -> bytes:
    """A frame of DICOM's RLE (PS3.5 G): high bytes, then low bytes, each row by itself."""
    planes = [(pixels >> 8).astype(np.uint8), (pixels & 255).astype(np.uint8)]
    packed = [b"".join(bytes(_encode_row(row)) for row in plane) for plane in planes]
    packed = [segment + b"\0" * (len(segment) % 2) for segment in packed]
    return struct.pack("<16L", 2, 64, 64 + len(packed[0]), *[0] * 13) + b"".join(packed)


def encoded(syntax: UID, pixels: np.ndarray) -> bytes:
    """The pixel element's bytes."""
    if syntax == ExplicitVRLittleEndian:
        return pixels.tobytes()
    if syntax == JPEGLosslessSV1:
        stream = imagecodecs.ljpeg_encode(pixels, bitspersample=12)
    elif syntax == JPEG2000Lossless:
        stream = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)
    else:
        stream = run_lengths(pixels)
    return encapsulate([stream])


def write(path: Path, pixels: np.ndarray, syntax: UID) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["bench"])
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", "PA"
    ds.PatientID, ds.PhotometricInterpretation, ds.SamplesPerPixel = "1", "MONOCHROME1", 1
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    ds.PixelData = encoded(syntax, pixels)
    ds["PixelData"].VR = "OB" if syntax.is_compressed else "OW"
    ds.save_as(path, enforce_file_format=True)


def run(folder: Path) -> list[Row]:
    rows, pixels = [], picture()
    for syntax, name, rounds in (
        (ExplicitVRLittleEndian, "uncompressed", 7),
        (JPEGLosslessSV1, "JPEG-lossless", 5),
        (JPEG2000Lossless, "JPEG 2000", 3),
        (RLELossless, "RLE", 5),
    ):
        path = folder / f"{name}.dcm"
        write(path, pixels, syntax)
        assert np.array_equal(floor(path), pixels)
        apart = np.abs(ours(path).astype(int) - tutorial(path, smooth=False))
        assert apart.max() <= 1, f"{name}: {apart.max()} grey levels apart"
        times = alternate(
            {
                "ours": clock(lambda p=path: ours(p)),
                "smooth": clock(lambda p=path: tutorial(p)),
                "area": clock(lambda p=path: tutorial(p, smooth=False)),
                "floor": clock(lambda p=path: floor(p)),
                "theirs": clock(lambda p=path: stored(pydicom.dcmread(p))),
            },
            rounds=rounds,
        )
        what, mine = f"DICOM to 512x512, {name}", ms(times.median("ours"))
        by_hand = syntax == JPEGLosslessSV1 and not plugins()
        reader = "imagecodecs" if by_hand else "pixel_array"
        if syntax == JPEGLosslessSV1 and plugins():
            reader += f" by {plugins()[0]}"
        for side, said in (
            ("smooth", f"{reader}, float64, skimage"),
            ("area", f"{reader}, float64, cv2 area"),
        ):
            rows.append(
                Row(what, mine, f"{said} {ms(times.median(side))}", times.ratio(side, "ours"))
            )
        for side, said in (("floor", "decode alone"), ("theirs", f"{reader} alone")):
            ratio = f"{times.ratio('ours', side)} x floor"
            rows.append(
                Row(f"{what}: against the floor", mine, f"{said} {ms(times.median(side))}", ratio)
            )
    return rows
