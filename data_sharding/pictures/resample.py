"""The two passes over a radiograph's bit patterns: count those of the centre, average areas.

Both are compiled, look grey levels up on the way, make no copy of the picture, and count in whole
numbers, so that every machine gives the same bytes. Lengths are counted in parts: each source pixel
is `size` parts long and each target pixel as many parts as the source has pixels, so the shares of
a pixel cut by a border are exact.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

ONE = 256  # the table's unit: 255 grey levels are 65,280


def _compiled(function: Any) -> Any:
    """Compile, and keep the result for other processes where there is a place to write."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return numba.njit(nogil=True)(function)


@_compiled
def count(codes: Any, entries: int, top: int, bottom: int, left: int, right: int) -> Any:
    """How often each bit pattern occurs in rows top..bottom and columns left..right, uint32 [n]."""
    out = np.zeros(entries, np.uint32)
    for y in range(top, bottom):
        for x in range(left, right):
            out[codes[y, x]] += np.uint32(1)
    return out


@_compiled
def _average(codes: Any, table: Any, size: int, out: Any) -> None:
    height, width = codes.shape
    sums = np.empty(width, np.uint32)  # at most 65,280 times the height: below 2**32
    before = np.zeros(width + 1, np.uint64)  # sums of all columns to the left
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
        area = np.float64(height) * np.float64(width) * 256.0  # ONE
        for x in range(width):
            before[x + 1] = before[x] + sums[x]
        over = np.uint64(0)  # the part of column `left` that the target pixels so far took
        for j in range(size):
            left, right = j * width // size, (j + 1) * width // size
            rest = np.uint64((j + 1) * width - right * size)
            total = (before[right] - before[left]) * np.uint64(size) - over
            over = rest * np.uint64(sums[right]) if rest else np.uint64(0)
            total += over
            if left == right:  # within one column
                total = np.uint64(width) * np.uint64(sums[left])
            # whole numbers below 2**53, so the quotient is IEEE 754's on every machine
            out[i, j] = np.uint8(np.floor(np.float64(total) / area + 0.5))


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
    _average(plain(codes), plain(table), size, out)
    return out


def plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as the one kind that kernels are compiled for: contiguous and writable."""
    return np.require(array, requirements=("C", "W"))
