"""Arrays of a fixed size that lie beside a sample's picture, such as the landmarks of a face.

    manifest.extras        # (Extra("crop", (160, 160, 3), "uint8"), Extra("landmarks", ...))
    data.extra(0, "crop")  # uint8 [160, 160, 3], read-only

The manifest declares them, in the order in which they lie in a tar: KEY.npy, KEY.crop.npy,
KEY.landmarks.npy, KEY.json. Every size is known beforehand, so the place of each follows from where
the picture lies, and the index needs no columns for them. A dataset without extras has none in its
manifest either: its bytes and its hash are what they were before there were any.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

#: Bytes of a block of a tar: a member's data begin one block behind its header, at a whole block.
BLOCK = 512
#: Arrays beside one picture, and bytes of one of them. A face's take 83 kB together.
MOST, MOST_BYTES = 8, 1 << 27


class Extra(BaseModel):
    """One array a sample: its tar member is ``KEY.name.npy``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    shape: tuple[int, ...] = Field(min_length=1, max_length=4)
    dtype: Literal["uint8", "uint16", "float32"]

    @field_validator("shape")
    @classmethod
    def _possible(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if min(shape) < 1 or 4 * math.prod(shape) > MOST_BYTES:
            raise ValueError(f"arrays of {shape} are none, or larger than {MOST_BYTES} bytes")
        return shape

    @property
    def kind(self) -> str:
        """What follows the key in the name of its tar member."""
        return f"{self.name}.npy"

    @property
    def header(self) -> bytes:
        """The first bytes of its member."""
        return npy_header(self.shape, self.dtype)

    @property
    def size(self) -> int:
        """Bytes of its member."""
        return len(self.header) + math.prod(self.shape) * np.dtype(self.dtype).itemsize


def npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """The first bytes of an ``.npy`` of this shape and dtype: C order, low byte first."""
    out = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype).newbyteorder("<"))
    np.lib.format.write_array_header_1_0(
        out, {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    )
    return out.getvalue()


def distinct(extras: Sequence[Extra]) -> None:
    """See that extras may lie beside one picture.

    Raises:
        ValueError: there are too many, or two have one name.
    """
    names = [extra.name for extra in extras]
    if len(names) > MOST or len(set(names)) < len(names):
        raise ValueError(f"extras {', '.join(names[:20])}: at most {MOST}, each with its own name")


def places(npy_offset: int, npy_size: int, extras: Sequence[Extra]) -> Iterator[tuple[Extra, int]]:
    """Each extra with the offset of its data, given where the data of the picture lie."""
    at = npy_offset + npy_size
    for extra in extras:
        at += -at % BLOCK + BLOCK
        yield extra, at
        at += extra.size


def check(arrays: Mapping[str, npt.NDArray[Any]], extras: Sequence[Extra]) -> None:
    """Assert that `arrays` are what `extras` declare, in their order."""
    found = [(name, array.shape, array.dtype.name) for name, array in arrays.items()]
    assert found == [(e.name, e.shape, e.dtype) for e in extras], (found, extras)
