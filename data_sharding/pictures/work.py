"""What is done to one file: its header is read, or the model's picture is made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from data_sharding.ledger import Refused
from data_sharding.pictures import screen
from data_sharding.pictures.cxr import PIXELS, PIXELS_16, centre, to_model, to_model_16
from data_sharding.pictures.dicom import Facts, read_facts, read_pixels
from data_sharding.pictures.display import grey
from data_sharding.pictures.grey import read_grey
from data_sharding.pictures.photos import FITTED, Header, read_header, read_photo, to_square

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
    pixels: str = PIXELS  # of a radiograph, one of `cxr.DTYPES`


@dataclass(frozen=True)
class Made:
    """`pixels`: uint8 or uint16 [size, size], of a photograph uint8 [size, size, 3].

    `applied`: what was done.
    """

    pixels: npt.NDArray[np.uint8 | np.uint16]
    applied: tuple[str, ...]


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
    return Made(to_square(photo.pixels, job.size), (*photo.applied, FITTED))


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
