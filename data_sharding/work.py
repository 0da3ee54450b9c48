"""What the worker processes do: scan one header, or make one picture of 512x512."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.cxr import centre, to_model
from data_sharding.decode import MAX_BYTES, check_size
from data_sharding.dicom import Facts, read_facts, read_pixels
from data_sharding.display import grey
from data_sharding.ledger import Refused


@dataclass(frozen=True)
class Scan:
    """One file whose header is wanted."""

    path: str
    assume_view: str


@dataclass(frozen=True)
class Job:
    """Files to be tried in this order until one gives a picture."""

    paths: tuple[str, ...]
    kind: str  # dicom or png
    size: int
    assume_view: str
    screen: bool = False  # by image statistics, too


@dataclass(frozen=True)
class Done:
    """`used`: number of the file that was read, None if none; `failed`: those before it.

    `shown`: uint16 [h, w], no side above 512: every k-th grey level of the whole picture as a
    person sees it, before truncation, over 0..65535; black is also where the header says padding.
    """

    used: int | None
    pixels: npt.NDArray[np.uint8] | None
    applied: tuple[str, ...]
    failed: tuple[Refused, ...]
    shown: npt.NDArray[np.uint16] | None = None


def scan(job: Scan) -> Facts | Refused:
    """The facts of a file, or why it is no use."""
    if not Path(job.path).is_file():
        return Refused("unreadable", "not a regular file")
    try:
        return read_facts(Path(job.path), job.assume_view)
    except Refused as e:
        return e


def make(job: Job) -> Done:
    """The picture of the first file of `job` that can be read."""
    failed: list[Refused] = []
    for n, path in enumerate(job.paths):
        try:
            if job.kind == "dicom":
                picture = read_pixels(Path(path), job.assume_view).display
            else:
                levels, steps = read_png(Path(path))
                picture = replace(grey(levels), applied=steps)
            middle = centre(picture)
            if middle.blank:
                raise Refused("blank", middle.blank)
            pixels, shown = to_model(picture, middle, job.size), picture.shown()
            # what the picture itself says against its use is to be asked here, of both
        except Refused as e:
            failed.append(e)
            continue
        steps = (
            *picture.applied,
            "truncated to the central 50%",
            f"area-averaged to {job.size}",
        )
        return Done(n, pixels, steps, tuple(failed), shown)
    return Done(None, None, (), tuple(failed))


def read_png(path: Path) -> tuple[npt.NDArray[np.uint8 | np.uint16], tuple[str, ...]]:
    """A grey PNG [H, W]; one saved with equal colour channels (and no transparency) is grey too.

    Raises:
        Refused: unreadable, too_large, undecodable, colour.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise Refused("unreadable", type(e).__name__, str(e)[:200]) from e
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise Refused("undecodable", "not a PNG file")
    rows, columns = int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    check_size(rows, columns)
    if rows * columns * (1 if data[25:26] == b"\0" else 4) * data[24] // 8 > 2 * MAX_BYTES:
        raise Refused("too_large", f"{columns}x{rows} pixels of colour and {data[24]} bits")
    if b"IEND" not in data[-16:]:
        raise Refused("truncated", "the PNG has no end")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise Refused("undecodable", "damaged PNG")
    image: npt.NDArray[Any] = np.asarray(decoded)
    if image.ndim == 2:
        return image, ("decoded PNG",)
    same = all(np.array_equal(image[..., 0], image[..., c]) for c in (1, 2))
    opaque = image.shape[2] < 4 or bool(
        (image[..., 3] == (255 if image.itemsize == 1 else 65535)).all()
    )
    if not (same and opaque):
        raise Refused("colour", f"{image.shape[2]} channels that differ")
    return np.ascontiguousarray(image[..., 0]), ("decoded PNG", "equal colour channels as grey")
