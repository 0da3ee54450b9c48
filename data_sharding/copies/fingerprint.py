"""Compact fingerprints of pictures, and a search for those that may show the same one.

    from data_sharding.copies.fingerprint import describe
    describe(image).small   # int8 [64, 64]: 4 KiB that say which picture this is

Two copies of one radiograph may differ in size, compression, grey scale, frame and handedness. The
fingerprint is a thumbnail of which the grey scale is taken away: in every neighbourhood the mean is
0 and the deviation 1. Its edges, by four directions and pooled over 12 x 12 cells, are a vector;
`Whitener` suppresses what the pictures at hand have in common (a rib cage), so that what is left is
what tells them apart. Crops and flips are hypotheses tried on one of the two sides: `WINDOWS` x 2.

`search` only proposes: `data_sharding.copies.alike` compares the pictures themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.copies.masked import unmasked
from data_sharding.pictures.shown import Picture, shown

SIDE = 64  # pixels of the thumbnail
CELLS = 12  # of the pooling grid, each way
RAW = 4 * CELLS * CELLS  # numbers in a vector before whitening
DIMENSIONS = 256  # after
FEW = 30  # pictures: with fewer, whitening does little
CHUNK = 8  # pictures under all hypotheses at a time: 3 MiB, that stay in the processor's cache
BLOCK = 4096  # rows of the store compared at a time
_STEP = 32.0  # int8 levels per standard deviation

Floats = npt.NDArray[np.float32]
#: Parts of a picture cut off at (left, right, top, bottom), as fractions; negative: added there.
Window = tuple[float, float, float, float]


def _windows() -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    """Cuts along one axis, and which of them go together for x and y; the whole comes first."""
    inner = [(a, b) for a in (0.02, 0.10) for b in (0.02, 0.10)]  # each catches a cut 4% off
    outer = [(-a / (1 - a - b), -b / (1 - a - b)) for a, b in inner]
    pairs = [(0, 0)]
    for several in (range(1, 5), range(5, 9)):
        pairs += [(x, y) for x in several for y in several]
    return [(0.0, 0.0), *inner, *outer], pairs


_CUTS, _PAIRS = _windows()
#: 33 hypotheses: the whole picture, 16 crops of it, and 16 pictures of which it is the crop.
WINDOWS: tuple[Window, ...] = tuple((*_CUTS[x], *_CUTS[y]) for x, y in _PAIRS)


@dataclass(frozen=True)
class Fingerprint:
    """`small`: int8 [64, 64], the locally normalised thumbnail, 32 levels a deviation."""

    small: npt.NDArray[np.int8]


def grey(image: Picture) -> npt.NDArray[np.uint8]:
    """uint8 [H, W] of a grey [H, W] or a colour [H, W, 3] picture (RGB; Rec. 601 weights).

    A picture of 16 bits is taken as it is shown, a colour picture `unmasked`.

    Raises:
        ValueError: anything else.
    """
    return levels(image)[0]


def levels(image: Picture) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]:
    """`grey`, and bool [H, W] what of it is no mask around the picture; None is everything."""
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or not image.size:
        raise ValueError(f"{image.dtype} {image.shape}: not a uint8 picture [H, W] or [H, W, 3]")
    image = shown(image)
    if image.ndim == 2:
        return image, None
    if image.shape[2] != 3:
        raise ValueError(f"{image.shape[2]} channels: a picture has none or 3")
    return unmasked(image)


def flattened(small: npt.NDArray[np.number], sigma: float, wide: float, floor: float) -> Floats:
    """Take away the local mean (Gaussian `sigma`, pixels) and divide by the local deviation.

    `wide` is the sigma of the deviation's neighbourhood; `floor`, a fraction of the whole's
    deviation, keeps empty regions empty. An affine change of the grey scale changes nothing.
    """
    x = small.astype(np.float32)
    x -= cv2.GaussianBlur(x, (0, 0), sigma)
    power = cv2.GaussianBlur(x * x, (0, 0), wide)
    return np.asarray(x / np.sqrt(power + (floor * float(x.std())) ** 2 + 1e-3), np.float32)


def describe(image: Picture) -> Fingerprint:
    """The fingerprint of a picture, uint8 or uint16 [S, S], or uint8 [S, S, 3].

    Pure; a blank picture gives zeros.

    Raises:
        ValueError: not such a picture.
    """
    small = cv2.resize(grey(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    flat = cv2.GaussianBlur(flattened(small, 4, 4, 0.25), (0, 0), 0.7)
    return Fingerprint(np.clip(np.rint(flat * _STEP), -127, 127).astype(np.int8))


def _pooling() -> Floats:
    """Rows that pool 64 pixels into 12 cells, for each of the cuts: [cuts * 12, 64]."""
    pixels = np.arange(SIDE) + 0.5
    rows = []
    for low, high in _CUTS:
        cell = SIDE * (1 - low - high) / CELLS
        centre = SIDE * low + cell * (np.arange(CELLS) + 0.5)
        weight = np.exp(-0.5 * ((pixels - centre[:, None]) / (0.45 * cell)) ** 2)
        rows.append(weight / cell)
    return np.concatenate(rows).astype(np.float32)


_POOL = _pooling()
_TAPER = np.sqrt(np.outer(*[np.hanning(CELLS + 2)[1:-1]] * 2)).astype(np.float32)


def vectors(small: npt.NDArray[np.int8], windows: bool = False) -> Floats:
    """Pooled edges of fingerprints, each vector of length 1 (or 0 for a blank picture).

    Args:
        small: int8 [B, 64, 64].
        windows: for each of `WINDOWS`; otherwise for the whole only.

    Returns:
        float32 [B, len(WINDOWS) or 1, 576].
    """
    x = small.astype(np.float32)
    across, down = np.zeros_like(x), np.zeros_like(x)
    across[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
    down[:, 1:-1] = x[:, 2:] - x[:, :-2]
    # edges: (direction, picture, y, x), each brightness step in one of four directions
    edges = np.stack([across, -across, down, -down]).clip(min=0)
    pool = _POOL if windows else _POOL[:CELLS]
    cuts, n = len(pool) // CELLS, len(small)
    # pooled: (direction, picture, cut_y * cell_y, cut_x * cell_x)
    pooled = pool @ (edges @ pool.T)
    pooled = pooled.reshape(4, n, cuts, CELLS, cuts, CELLS) * _TAPER[:, None, :]
    pairs = _PAIRS if windows else _PAIRS[:1]
    # out: (picture, window, direction, cell_y, cell_x)
    out = np.stack([pooled[:, :, y, :, x] for x, y in pairs], axis=0).transpose(2, 0, 1, 3, 4)
    return unit(out.reshape(n, len(pairs), RAW))


def unit(x: Floats) -> Floats:
    """Vectors (last axis) of length 1; zeros stay."""
    length = np.sqrt((x * x).sum(-1, keepdims=True))
    return np.asarray(x / np.maximum(length, 1e-12), np.float32)


def mirrored(small: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Fingerprints [..., 64, 64] of the pictures flipped left to right."""
    return np.ascontiguousarray(small[..., ::-1])


def moment(small: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Sum of the second moments of fingerprints [B, 64, 64] under every hypothesis, [576, 576].

    It is taken about zero, not about the mean: a whitener is linear, so equal vectors stay equal
    however few pictures there are.
    """
    out = np.zeros((RAW, RAW))
    for start in range(0, len(small), CHUNK):
        for side in (part := small[start : start + CHUNK], mirrored(part)):
            flat = vectors(side, windows=True).reshape(-1, RAW)
            out += flat.T @ flat
    return out


@dataclass(frozen=True)
class Whitener:
    """`matrix`, float32 [576, 256]: what many pictures share weighs little after it."""

    matrix: Floats

    @classmethod
    def of(cls, summed: npt.NDArray[np.float64], pictures: int) -> Whitener:
        """From the sum of the `moment` of the pictures at hand, float64 [576, 576]."""
        values, axes = np.linalg.eigh(summed / max(1, 2 * pictures * len(WINDOWS)))
        values, axes = values[::-1][:DIMENSIONS].clip(0), axes[:, ::-1][:, :DIMENSIONS]
        # The mean eigenvalue is 1 / RAW at most. 0.3 of it keeps directions of noise small; what
        # a handful of pictures have in common is no rule, and is left almost as it is.
        scale = 1 / np.sqrt(values + (0.3 + (FEW / max(1, pictures)) ** 2) / RAW)
        return cls((axes * scale).astype(np.float32))

    def whole(self, small: npt.NDArray[np.int8]) -> Floats:
        """Vectors of the whole pictures, float32 [B, 256]."""
        return unit(vectors(small)[:, 0] @ self.matrix)

    def hypotheses(self, small: npt.NDArray[np.int8]) -> Floats:
        """Vectors of every window, as it is and then mirrored: float32 [B, 66, 256]."""
        out = np.zeros((len(small), 2 * len(WINDOWS), DIMENSIONS), np.float32)
        for start in range(0, len(small), CHUNK):
            part = small[start : start + CHUNK]
            both = [vectors(side, windows=True) for side in (part, mirrored(part))]
            out[start : start + CHUNK] = unit(np.concatenate(both, axis=1) @ self.matrix)
        return out


@dataclass(frozen=True)
class Found:
    """What `search` proposes for each query, best first; `score` is -inf where there is no more.

    `row` int64 [Q, k] of the store, `score` float32 [Q, k], `hypothesis` int64 [Q, k] of the 66.
    """

    row: npt.NDArray[np.int64]
    score: Floats
    hypothesis: npt.NDArray[np.int64]


def search(
    queries: Floats,
    store: npt.NDArray[np.float16],
    barred: Callable[[slice], npt.NDArray[np.bool_]],
    most: int,
) -> Found:
    """The rows of a store most like each query under any hypothesis, by blocked matrix products.

    Args:
        queries: float32 [Q, 66, 256] of `Whitener.hypotheses`.
        store: float16 [N, 256] of `Whitener.whole`.
        barred: for a slice of rows, bool [Q, rows]: pairs that are not looked for.
        most: rows kept a query.
    """
    count, hypotheses, _ = queries.shape
    flat = queries.reshape(count * hypotheses, -1)
    row = np.zeros((count, most), np.int64)
    score = np.full((count, most), -np.inf, np.float32)
    for start in range(0, len(store), BLOCK):
        rows = slice(start, min(start + BLOCK, len(store)))
        cosines = flat @ store[rows].astype(np.float32).T
        best = cosines.reshape(count, hypotheses, -1).max(axis=1)
        best[barred(rows)] = -np.inf
        every = np.concatenate([score, best], axis=1)
        of_row = np.concatenate(
            [row, np.broadcast_to(np.arange(rows.start, rows.stop), best.shape)], axis=1
        )
        top = np.argsort(-every, axis=1, kind="stable")[:, :most]
        score = np.take_along_axis(every, top, axis=1)
        row = np.take_along_axis(of_row, top, axis=1)
    # which hypothesis it was: only for the few that are left
    kept = store[row].astype(np.float32)
    hypothesis = np.einsum("qhd,qkd->qkh", queries, kept, optimize=True).argmax(axis=2)
    return Found(row, score, hypothesis)
