"""The two passes over a radiograph's bit patterns: count those of the centre, average areas.

Both are compiled, look grey levels up on the way, make no copy of the picture, and count in whole
numbers, so that every machine gives the same bytes. Lengths are counted in parts: each source pixel
is `size` parts long and each target pixel as many parts as the source has pixels, so the shares of
a pixel cut by a border are exact.

Looking up cannot be done for many pixels at a time, clipping can. Most tables are a straight line,
clipped, but for rounding, so clipped codes are averaged and put on the line. Where the table's
distance from it could change the rounded result, one pixel in a hundred, that pixel is looked up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from data_sharding.compiled import compiled

ONE = 256  # the table's unit: 255 grey levels are 65,280


@compiled
def count(codes: Any, entries: int, top: int, bottom: int, left: int, right: int) -> Any:
    """How often each bit pattern occurs in rows top..bottom and columns left..right, uint32 [n]."""
    # Neighbours are alike, and a count cannot be added to before the last addition is written: two
    # rows at a time, each with counts of its own.
    out, more = np.zeros(entries, np.uint32), np.zeros(entries, np.uint32)
    for y in range(top, bottom - 1, 2):
        a, b = codes[y], codes[y + 1]
        for x in range(left, right):
            out[a[x]] += np.uint32(1)
            more[b[x]] += np.uint32(1)
    if (bottom - top) % 2:
        a = codes[bottom - 1]
        for x in range(left, right):
            out[a[x]] += np.uint32(1)
    return out + more


@compiled
def _borders(width: int, size: int) -> Any:
    """For each target column the source column that its right border cuts and how many parts of it
    belong to the target column, uint32 [2, size].
    """
    out = np.empty((2, size), np.uint32)
    for j in range(size):
        right = (j + 1) * width // size
        out[0, j], out[1, j] = right, (j + 1) * width - right * size
    return out


@compiled
def _columns(sums: Any, borders: Any, before: Any, totals: Any) -> None:
    """Totals of the target pixels of a row; `before` is room for sums of those to the left."""
    size, parts = np.uint64(len(totals)), np.uint64(len(sums))
    sofar = np.uint64(0)
    for x in range(len(sums)):
        sofar += np.uint64(sums[x])
        before[x + 1] = sofar
    over = np.uint64(0)  # the part of column `left` that the target pixels so far took
    left = np.uint32(0)
    for j in range(len(totals)):
        right, rest = borders[0, j], np.uint64(borders[1, j])
        total = (before[right] - before[left]) * size - over
        over = rest * np.uint64(sums[right]) if rest else np.uint64(0)
        total += over
        if left == right:  # within one column
            total = parts * np.uint64(sums[left])
        totals[j] = total
        left = right


@compiled
def _average(codes: Any, table: Any, size: int, unit: float, out: Any) -> None:
    height, width = codes.shape
    sums = np.empty(width, np.uint32)  # at most 65,535 times the height: below 2**32
    before, totals = np.zeros(width + 1, np.uint64), np.empty(size, np.uint64)
    borders = _borders(width, size)
    cut = np.zeros(width, np.uint32)  # levels of the row that the border above cuts
    whole = np.uint32(size)
    for i in range(size):
        first = -(-(i * height) // size)  # rows first..last - 1 are whole
        last = (i + 1) * height // size
        head = np.uint32(first * size - i * height)  # parts of the row before them
        tail = np.uint32((i + 1) * height - last * size)  # parts of the row after them
        if last < first:  # the target row lies within one source row
            for x in range(width):
                sums[x] = np.uint32(height) * np.uint32(table[codes[last, x]])
        else:
            for x in range(width):
                sums[x] = head * cut[x]
            y = first
            while y + 4 <= last:
                a, b, c, d = codes[y], codes[y + 1], codes[y + 2], codes[y + 3]
                for x in range(width):
                    sums[x] += whole * np.uint32(
                        np.uint32(table[a[x]])
                        + np.uint32(table[b[x]])
                        + np.uint32(table[c[x]])
                        + np.uint32(table[d[x]])
                    )
                y += 4
            while y < last:
                a = codes[y]
                for x in range(width):
                    sums[x] += whole * np.uint32(table[a[x]])
                y += 1
            if tail:
                a = codes[last]
                for x in range(width):
                    level = np.uint32(table[a[x]])
                    cut[x] = level
                    sums[x] += tail * level
        _columns(sums, borders, before, totals)
        area = np.float64(height) * np.float64(width) * unit
        for j in range(size):
            # whole numbers below 2**53, so the quotient is IEEE 754's on every machine
            out[i, j] = np.floor(np.float64(totals[j]) / area + 0.5)


@compiled
def _total(codes: Any, table: Any, size: int, i: int, j: int) -> Any:
    """The total of target pixel (i, j), looked up."""
    height, width = codes.shape
    total = np.uint64(0)
    for y in range(i * height // size, -(-((i + 1) * height) // size)):
        high = min((y + 1) * size, (i + 1) * height) - max(y * size, i * height)
        for x in range(j * width // size, -(-((j + 1) * width) // size)):
            wide = min((x + 1) * size, (j + 1) * width) - max(x * size, j * width)
            total += np.uint64(high * wide) * np.uint64(table[codes[y, x]])
    return total


@compiled
def _average_line(
    codes: Any, table: Any, size: int, ends: Any, first: float, slope: float, slack: float, out: Any
) -> None:
    """As `_average`; the table lies within `slack` of ``first + slope * (clipped - ends[0])``."""
    height, width = codes.shape
    low, high = ends
    sums = np.empty(width, np.uint32)  # at most 65,535 times the height: below 2**32
    before, totals = np.zeros(width + 1, np.uint64), np.empty(size, np.uint64)
    borders = _borders(width, size)
    whole, pixels = np.uint32(size), np.float64(height) * np.float64(width)
    scale = slope / (256.0 * pixels)
    offset = (first - slope * np.float64(low)) / 256.0 + 0.5
    near = slack / 256.0 + 1e-6  # far above what floats of this size are rounded by
    for i in range(size):
        top, last = -(-(i * height) // size), (i + 1) * height // size  # as in `_average`
        head = np.uint32(top * size - i * height)
        tail = np.uint32((i + 1) * height - last * size)
        if last < top:
            head, tail = np.uint32(height), np.uint32(0)
        sums[:] = 0
        y = top
        while y + 4 <= last:
            a, b, c, d = codes[y], codes[y + 1], codes[y + 2], codes[y + 3]
            for x in range(width):
                sums[x] += (
                    np.uint32(min(max(a[x], low), high))
                    + np.uint32(min(max(b[x], low), high))
                    + np.uint32(min(max(c[x], low), high))
                    + np.uint32(min(max(d[x], low), high))
                )
            y += 4
        while y < last:
            a = codes[y]
            for x in range(width):
                sums[x] += np.uint32(min(max(a[x], low), high))
            y += 1
        for x in range(width):
            sums[x] *= whole
        if head:
            a = codes[top - 1]
            for x in range(width):
                sums[x] += head * np.uint32(min(max(a[x], low), high))
        if tail:
            a = codes[last]
            for x in range(width):
                sums[x] += tail * np.uint32(min(max(a[x], low), high))
        _columns(sums, borders, before, totals)
        for j in range(size):
            level = scale * np.float64(totals[j]) + offset
            least = np.floor(level - near)
            if least != np.floor(level + near):
                total = np.float64(_total(codes, table, size, i, j))
                least = np.floor(total / (pixels * 256.0) + 0.5)
            out[i, j] = np.uint8(least)


#: The most that a table may be off its line, in its units. Twice it of every 256 target pixels are
#: looked up after all.
OFF = 4.0


def line(table: npt.NDArray[np.uint16], top: int) -> tuple[int, int, float, float, float] | None:
    """The clipped straight line that a table follows for the codes 0..`top`; None if it does not.

    Returns:
        the codes between which it rises or falls, its level at the first, its slope, and the most
        that the table is off it.
    """
    levels = table[: top + 1].astype(np.float64)
    changes = np.flatnonzero(np.diff(levels))
    if not len(changes):
        return None
    low, high = int(changes[0]), int(changes[-1]) + 1
    first, slope = float(levels[low]), float((levels[high] - levels[low]) / (high - low))
    drawn = first + slope * (np.clip(np.arange(top + 1), low, high) - low)
    off = float(np.abs(levels - drawn).max())
    return (low, high, first, slope, off) if off <= OFF else None


def area_average(
    codes: npt.NDArray[np.uint8 | np.uint16], table: npt.NDArray[np.uint16], size: int
) -> npt.NDArray[np.uint8]:
    """Average areas of a picture that is looked up on the way.

    Args:
        codes: bit patterns [H, W], at most 65,535 either way.
        table: level of each pattern in 1/256 of a grey level, 0..65,280, uint16 [256 or 65,536].
        size: side of the result; a smaller picture is enlarged, each pixel to its own area.

    Returns:
        uint8 [size, size], rounded to the nearest.
    """
    assert codes.ndim == 2
    assert max(codes.shape) <= 65_535
    assert len(table) == 1 << 8 * codes.itemsize
    out = np.empty((size, size), np.uint8)
    codes, table = plain(codes), plain(table)
    found = line(table, int(codes.max()))
    if found is None:
        _average(codes, table, size, float(ONE), out)
    else:
        low, high, *drawn = found
        _average_line(codes, table, size, np.array([low, high], codes.dtype), *drawn, out)
    return out


def area_average_16(
    codes: npt.NDArray[np.uint8 | np.uint16], levels: npt.NDArray[np.uint16], size: int
) -> npt.NDArray[np.uint16]:
    """As `area_average`, of levels 0..65535 themselves: uint16 [size, size], rounded once.

    Every pixel is looked up: where a grey level is one in 65,535, a straight line is never near
    enough to the table.
    """
    assert codes.ndim == 2
    assert max(codes.shape) <= 65_535
    assert len(levels) == 1 << 8 * codes.itemsize
    out = np.empty((size, size), np.uint16)
    _average(plain(codes), plain(levels), size, 1.0, out)
    return out


def plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as the one kind that kernels are compiled for: contiguous and writable."""
    return np.require(array, requirements=("C", "W"))
