"""Stored pixel values to grey levels as a person sees them: one lookup table for the whole chain.

A radiograph has at most 16 bits, so masking, sign, modality LUT, VOI LUT or window and inversion
are one table of 256 or 65,536 entries, computed exactly and once per kind of header. The picture is
the bit patterns and that table; a picture of its own, one pass of indexing, is made on demand.
Source: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), C.11.6 (presentation LUT shape),
C.7.5.1.1.2 (padding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from data_sharding.pictures.resample import count, plain

WHITE = 65535
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8 | np.uint16]


@dataclass(frozen=True)
class Lut:
    """A DICOM lookup table: value `first` maps to entry 0; values outside take the end ones.

    `data` holds the entries as native uint16; `bits` is the depth that its header states.
    """

    first: int
    data: bytes
    bits: int = 16

    @cached_property
    def entries(self) -> npt.NDArray[np.uint16]:
        """The entries, uint16 [n]."""
        return np.frombuffer(self.data, np.uint16)

    @property
    def top(self) -> float:
        """The value shown white: the largest of the stated depth, if the entries keep to it."""
        largest = int(self.entries.max())
        stated = self.bits if 1 <= self.bits <= 16 else 16
        return float(2 ** max(stated, largest.bit_length()) - 1)

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

    bits_allocated: int  # 1, 8, 16 or 32
    bits_stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None = None  # stored values, both ends included: not of the patient
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    voi_lut: Lut | None = None
    window: Window | None = None
    invert: bool = False

    @property
    def windowed(self) -> bool:
        """Whether the header says which values are black and white."""
        return self.voi_lut is not None or (self.window is not None and self.window.valid)


@dataclass(frozen=True)
class Display:
    """A picture before its grey levels are looked up.

    codes:   bit patterns, uint8 or uint16 [H, W].
    levels:  the grey level of each bit pattern, uint16 [256 or 65,536], brighter is larger.
    padding: bool like `levels`: patterns that are no part of the picture (black); None if none are.
    """

    codes: Codes
    levels: npt.NDArray[np.uint16]
    padding: npt.NDArray[np.bool_] | None
    applied: tuple[str, ...] = ()

    @property
    def pixels(self) -> npt.NDArray[np.uint16]:
        """Grey levels as a person sees them, uint16 [H, W]."""
        return self.levels[self.codes]

    def shown(self, longest: int = 512) -> npt.NDArray[np.uint16]:
        """Every k-th pixel of `pixels` each way, so that no side is above `longest`."""
        k = -(-max(self.codes.shape) // longest)
        return self.levels[self.codes[::k, ::k]]


def grey(codes: npt.NDArray[np.uint8 | np.uint16]) -> Display:
    """A picture whose numbers are grey levels already, over the whole range of their type."""
    levels = np.arange(1 << (8 * codes.itemsize)) * (257 if codes.itemsize == 1 else 1)
    return Display(codes, levels.astype(np.uint16), None)


def show(codes: npt.NDArray[np.unsignedinteger], chain: Chain) -> Display:
    """The picture of bit patterns [H, W]: unsigned, of 8, 16 or 32 bits."""
    if codes.itemsize > 2:  # no table has that many entries: the levels are the patterns
        values, blank = stored_values(codes, chain), is_padding(codes, chain)
        x = _modality(values, chain)
        seen = x[~blank] if blank.any() else x
        levels = _levels(x, chain, (float(seen.min()), float(seen.max())) if seen.size else (0, 0))
        levels[blank] = 0
        return Display(levels, np.arange(1 << 16).astype(np.uint16), None)
    entries = 1 << (8 * codes.itemsize)
    span = None if chain.windowed else _span(codes, chain)
    levels, padding = table(chain, span)
    if len(levels) < entries:  # what lies above the highest bit is no part of the value
        copies = entries // len(levels)
        levels, padding = np.tile(levels, copies), np.tile(padding, copies)
    return Display(codes, levels.copy(), padding if padding.any() else None)


@lru_cache(maxsize=32)
def table(
    chain: Chain, span: tuple[float, float] | None = None
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.bool_]]:
    """Grey level 0..65535 of each bit pattern, brighter is larger; which patterns are padding.

    Args:
        chain: of at most 16 bits allocated.
        span: smallest and largest value (after the modality step) to be shown black and white,
            for a chain that names no window.

    Returns:
        uint16 and bool, [2**(high bit + 1)], or one for each pattern where padding lies outside.
    """
    outside = chain.padding is not None and not _fits(chain)
    bits = chain.bits_allocated if outside else chain.high_bit + 1
    codes = np.arange(1 << bits)
    levels = _levels(_modality(stored_values(codes, chain), chain), chain, span)
    padding = is_padding(codes, chain)
    levels[padding] = 0
    return levels, padding


def stored_values(codes: npt.NDArray[np.integer], chain: Chain) -> npt.NDArray[np.int64]:
    """The stored values of bit patterns: overlay bits masked, sign extended (PS3.5 8.1.1)."""
    shifted = codes.astype(np.int64) >> (chain.high_bit + 1 - chain.bits_stored)
    values = shifted & ((1 << chain.bits_stored) - 1)
    if chain.signed:
        sign = 1 << (chain.bits_stored - 1)
        values = (values ^ sign) - sign
    return values


def is_padding(codes: npt.NDArray[np.integer], chain: Chain) -> npt.NDArray[np.bool_]:
    """Which bit patterns stand for no part of the picture.

    Some writers pad with a number outside of the bits stored, such as -2000 of 12 unsigned bits:
    it is then looked for in all the bits allocated.
    """
    if chain.padding is None:
        return np.zeros(codes.shape, np.bool_)
    low, high = min(chain.padding), max(chain.padding)
    if _fits(chain):
        values = stored_values(codes, chain)
    else:
        values, whole = codes.astype(np.int64), 1 << chain.bits_allocated
        low, high = (low, high) if low >= 0 else (low % whole, high % whole)
    return (values >= low) & (values <= high)


def _fits(chain: Chain) -> bool:
    assert chain.padding is not None
    half = 1 << (chain.bits_stored - 1)
    low, high = (-half, half - 1) if chain.signed else (0, 2 * half - 1)
    return all(low <= value <= high for value in chain.padding)


def _modality(values: npt.NDArray[np.int64], chain: Chain) -> Floats:
    x = values.astype(np.float64)
    return chain.modality_lut(x) if chain.modality_lut else x * chain.slope + chain.intercept


def _levels(x: Floats, chain: Chain, span: tuple[float, float] | None) -> npt.NDArray[np.uint16]:
    if chain.voi_lut:
        y = chain.voi_lut(x) / chain.voi_lut.top
    elif chain.windowed and chain.window:
        y = chain.window(x)
    else:
        assert span is not None, "a chain without a window needs the range of its picture"
        low, high = span
        y = np.clip((x - low) / (high - low), 0, 1) if high > low else np.zeros_like(x)
    levels = np.rint(y * WHITE).astype(np.uint16)
    return np.uint16(WHITE) - levels if chain.invert else levels


def _span(codes: Codes, chain: Chain) -> tuple[float, float]:
    """The smallest and largest value of a picture after the modality step, without its padding."""
    full = 8 * codes.itemsize == chain.bits_stored
    if chain.padding is None and not chain.modality_lut and not (chain.signed and not full):
        view = codes.view(f"i{codes.itemsize}") if chain.signed else codes
        ends = np.array([view.min(), view.max()], np.int64)
        if full or (chain.high_bit == chain.bits_stored - 1 and ends[1] < 1 << chain.bits_stored):
            x = ends * chain.slope + chain.intercept
            return float(x.min()), float(x.max())
    counts = count(plain(codes), 1 << (8 * codes.itemsize), 0, codes.shape[0], 0, codes.shape[1])
    present = np.flatnonzero(counts)
    kept = present[~is_padding(present, chain)]
    if not len(kept):
        return 0.0, 0.0
    x = _modality(stored_values(kept, chain), chain)
    return float(x.min()), float(x.max())
