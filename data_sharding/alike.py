"""Are these two pictures copies of one? Align them, then correlate them patch by patch.

    from data_sharding.alike import View, compare
    found = compare(View.of(a), View.of(b))
    found.score     # 0.95 for a copy, under 0.5 for two people

A copy may be flipped, cropped, resized, recompressed, given another grey scale or turned by a few
degrees. `cv2.findTransformECC` (Evangelidis and Psarakis 2008) aligns the two at 64, 128 and 256
pixels, on pictures of which the local mean and contrast are taken away. Every rib cage resembles
every other in most places, but a copy agrees in all of them: the score is the correlation that nine
of ten patches reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.fingerprint import WINDOWS, Floats, Window, flattened, grey

COARSE, MIDDLE, FINE = 64, 128, 256  # pixels
#: A pair is dropped where, in this order, ECC's coefficient at 64 pixels, the correlation at 128 of
#: what that aligned, or the correlation after alignment at 128 is below. Measured: the lowest of
#: planted copies 0.86, 0.38, 0.67; the median of other patients' likest pictures 0.86, 0.35, 0.43.
GATE_COARSE, GATE_START, GATE_MIDDLE = 0.8, 0.33, 0.62
PATCH = 32  # of the 256
LEAST_OVERLAP = 0.3  # of the frame

_QUICK = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
_EXACT = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-5)


@dataclass(frozen=True)
class View:
    """A picture made ready to be compared: `small` is uint8 [256, 256]."""

    coarse: Floats
    middle: Floats
    small: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, image: npt.NDArray[np.uint8], mirror: bool = False) -> View:
        """From uint8 [S, S] or [S, S, 3], flipped left to right if `mirror`."""
        small = _shrink(grey(image), FINE)
        small = np.ascontiguousarray(small[:, ::-1]) if mirror else small
        coarse = cv2.GaussianBlur(flattened(_shrink(small, COARSE), 8, 8, 0.25), (0, 0), 0.8)
        middle = cv2.GaussianBlur(flattened(_shrink(small, MIDDLE), 4, 8, 0.3), (0, 0), 0.7)
        return cls(np.asarray(coarse, np.float32), np.asarray(middle, np.float32), small)

    @property
    def fine(self) -> Floats:
        """float32 [256, 256], to be aligned."""
        flat = flattened(self.small, 6, 12, 0.3)
        return np.asarray(cv2.GaussianBlur(flat, (0, 0), 1.0), np.float32)

    @property
    def detail(self) -> Floats:
        """float32 [256, 256], to be judged: nothing wider than vessels and rib edges is left."""
        flat = flattened(self.small, 3, 12, 0.3)
        return np.asarray(cv2.GaussianBlur(flat, (0, 0), 0.7), np.float32)


@dataclass(frozen=True)
class Likeness:
    """How alike two pictures are.

    `score`: correlation that 9 of 10 patches reach; `middle`: correlation of the whole at 128
    pixels; `matrix`: [2, 3], from pixels of the first, as 256 x 256, to those of the second.
    """

    score: float
    middle: float
    matrix: npt.NDArray[np.float64]

    @property
    def overlap(self) -> float:
        """Part of the second picture's area that the first one shows."""
        corners = np.array([[0, 0, 1], [FINE, 0, 1], [FINE, FINE, 1], [0, FINE, 1]]) @ self.matrix.T
        frame = np.array([[0, 0], [FINE, 0], [FINE, FINE], [0, FINE]], np.float32)
        area, _ = cv2.intersectConvexConvex(corners.astype(np.float32), frame)
        return float(area) / FINE**2

    @property
    def how(self) -> str:
        """What was done besides new pixels: '', 'cropped', 'turned' or both."""
        corners = np.array([[0, 0, 1], [FINE, 0, 1], [FINE, FINE, 1], [0, FINE, 1]]) @ self.matrix.T
        frame = np.array([[0, 0], [FINE, 0], [FINE, FINE], [0, FINE]])
        turn = abs(float(np.degrees(np.arctan2(self.matrix[1, 0], self.matrix[0, 0]))))
        moved = float(np.abs(corners - frame).max()) / FINE
        said = ["turned"] if turn > 0.5 else []
        if moved > 0.01 + np.sin(np.radians(turn)):
            said.append("cropped")
        return " and ".join(said)


def _shrink(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def compare(a: View, b: View, window: Window = WINDOWS[0]) -> Likeness | None:
    """Align `a` with `b`, starting from the part `window` of `b` being `a`; None if it fails.

    None too for pairs that the coarse gates turn away.
    """
    left, right, top, bottom = window
    matrix = np.array([[1 - left - right, 0, 0], [0, 1 - top - bottom, 0]], np.float32)
    matrix[:, 2] = COARSE * np.array([left, top]) + (np.diag(matrix) - 1) / 2
    try:
        quality, matrix = _align(a.coarse, b.coarse, matrix, _QUICK, 5)
        if quality < GATE_COARSE:
            return None
        matrix = _enlarged(matrix, 2)
        if _correlation(a.middle, b.middle, matrix) < GATE_START:
            return None
        _, matrix = _align(a.middle, b.middle, matrix, _QUICK, 3)
        middle = _correlation(a.middle, b.middle, matrix)
        if middle < GATE_MIDDLE:
            return None
        _, matrix = _align(a.fine, b.fine, _enlarged(matrix, 2), _EXACT, 3)
    except cv2.error:  # no texture, or nothing in common to converge on
        return None
    return Likeness(_patches(a.detail, b.detail, matrix), middle, np.asarray(matrix, np.float64))


def _align(
    first: Floats, second: Floats, start: Floats, until: tuple[int, int, float], blur: int
) -> tuple[float, Floats]:
    """ECC's coefficient and the affine map from `first` to `second`. Raises cv2.error."""
    mask = np.full(second.shape, 255, np.uint8)
    quality, matrix = cv2.findTransformECC(
        first, second, start, cv2.MOTION_AFFINE, until, mask, blur
    )
    return quality, np.asarray(matrix, np.float32)


def _enlarged(matrix: npt.NDArray[np.floating], factor: int) -> Floats:
    """The same map between pictures `factor` times as large; pixel centres are at + 0.5."""
    out = np.array(matrix, np.float32)
    half = np.array([0.5, 0.5])
    out[:, 2] = factor * (out[:, :2] @ (half / factor - half) + out[:, 2] + half) - half
    return out


def _aligned(
    second: Floats, matrix: npt.NDArray[np.floating], margin: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """`second` seen in the frame of the first, and where it has pixels, less a margin."""
    flags, size = cv2.WARP_INVERSE_MAP, second.shape[::-1]
    there = cv2.warpAffine(
        np.ones(second.shape, np.uint8), matrix, size, flags=cv2.INTER_NEAREST | flags
    )
    if margin:
        kernel = np.ones((2 * margin + 1,) * 2, np.uint8)
        there = cv2.erode(there, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    moved = cv2.warpAffine(second, matrix, size, flags=cv2.INTER_LINEAR | flags)
    return np.asarray(moved, np.float32), np.asarray(there) > 0


def _correlation(first: Floats, second: Floats, matrix: npt.NDArray[np.floating]) -> float:
    """Pearson's over the overlap; -1 where that is too small."""
    moved, there = _aligned(second, matrix, 0)
    if there.mean() < LEAST_OVERLAP:
        return -1.0
    x, y = first[there], moved[there]
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-9))


def _patches(first: Floats, second: Floats, matrix: npt.NDArray[np.floating]) -> float:
    """10th percentile of the correlation over patches of 32 pixels, every 16, that have texture."""
    moved, there = _aligned(second, matrix, 4)
    if there.mean() < LEAST_OVERLAP:
        return -1.0
    views = (
        np.lib.stride_tricks.sliding_window_view(x, (PATCH, PATCH))[:: PATCH // 2, :: PATCH // 2]
        for x in (first, moved, there)
    )
    # x, y: (patch, pixel) of the patches that lie in the overlap
    x, y, inside = (v.reshape(-1, PATCH * PATCH) for v in views)
    whole = inside.mean(axis=1) > 0.9
    x, y, w = x[whole], y[whole], inside[whole]
    x, y = x * w, y * w
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    xx, yy = (x * x).mean(axis=1), (y * y).mean(axis=1)
    texture = np.minimum(xx, yy)
    if len(texture) < 10:
        return -1.0
    use = texture > 0.5 * np.median(texture)
    each = (x * y).mean(axis=1)[use] / np.sqrt(xx * yy + 1e-9)[use]
    return float(np.quantile(each, 0.1))
