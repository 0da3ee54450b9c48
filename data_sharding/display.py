"""Stored pixel values to grey levels as a person sees them: one lookup table for the whole chain.

A radiograph has at most 16 bits, so masking, sign, modality LUT, VOI LUT or window and inversion
are one table of 256 or 65,536 entries, computed exactly, and the picture is one pass of indexing.
Source: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), C.11.6 (presentation LUT shape).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lut:
    """A DICOM lookup table: value `first` maps to entries[0]; values outside take the end ones."""

    first: int
    entries: npt.NDArray[np.uint16]

    def __call__(self, x: Floats) -> Floats:
        """Look up (PS3.3 C.11.1.1)."""
        at = np.clip(np.floor(x) - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return self.entries[at].astype(np.float64)


@dataclass(frozen=True)
class Window:
    """A VOI window: centre, width and function (LINEAR, LINEAR_EXACT or SIGMOID)."""

    centre: float
    width: float
    function: str = "LINEAR"

    @property
    def valid(self) -> bool:
        """PS3.3 C.11.2.1.2: a width of at least 1 for LINEAR, above 0 for the others."""
        smallest = self.width >= 1 if self.function == "LINEAR" else self.width > 0
        return smallest and math.isfinite(self.centre) and math.isfinite(self.width)

    def __call__(self, x: Floats) -> Floats:
        """To 0..1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2)."""
        c, w = self.centre, self.width
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (x - c) / w, -700, 700)))
        if self.function == "LINEAR_EXACT":
            return np.clip((x - c) / w + 0.5, 0, 1)
        if w == 1:
            return (x > c - 0.5).astype(np.float64)
        return np.clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1)


@dataclass(frozen=True)
class Chain:
    """What a header says is to be done to stored values, in this order."""

    bits_allocated: int  # 8 or 16
    bits_stored: int
    high_bit: int
    signed: bool
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    voi_lut: Lut | None = None
    window: Window | None = None
    invert: bool = False


def stored_values(chain: Chain) -> npt.NDArray[np.int64]:
    """The stored value of each bit pattern 0 .. 2**bits_allocated - 1: overlay bits masked."""
    codes = np.arange(1 << chain.bits_allocated, dtype=np.int64)
    values = (codes >> (chain.high_bit + 1 - chain.bits_stored)) & ((1 << chain.bits_stored) - 1)
    if chain.signed:
        sign = 1 << (chain.bits_stored - 1)
        values = (values ^ sign) - sign
    return values


def table(chain: Chain) -> npt.NDArray[np.uint16]:
    """Bit pattern -> grey level 0..65535, brighter is larger; uint16 [2**bits_allocated]."""
    x = stored_values(chain).astype(np.float64)
    x = chain.modality_lut(x) if chain.modality_lut else x * chain.slope + chain.intercept
    if chain.voi_lut:
        y = chain.voi_lut(x)
        y = y / max(float(chain.voi_lut.entries.max()), 1.0)
    elif chain.window and chain.window.valid:
        y = chain.window(x)
    else:  # no usable VOI: the whole range of values there can be
        low, high = float(x.min()), float(x.max())
        y = (x - low) / (high - low) if high > low else np.zeros_like(x)
    levels = np.rint(y * 65535).astype(np.uint16)
    return np.uint16(65535) - levels if chain.invert else levels


def show(stored: npt.NDArray[np.uint16 | np.uint8], chain: Chain) -> npt.NDArray[np.uint16]:
    """Bit patterns [H, W] (unsigned) to grey levels, uint16 [H, W]."""
    return table(chain)[stored]
