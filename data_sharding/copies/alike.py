"""Are these two pictures copies of one? Align them, then correlate them patch by patch.

    from data_sharding.copies.alike import View, compare
    found = compare(View.of(a), View.of(b))
    found.score     # 0.95 for a copy, under 0.5 for two people

A copy may be flipped, cropped, resized, recompressed, given another grey scale or turned by a few
degrees. `cv2.findTransformECC` (Evangelidis and Psarakis 2008) aligns the two at 64, 128 and 256
pixels, on pictures of which the local mean and contrast are taken away. Every rib cage resembles
every other in most places, but a copy agrees in all of them: the score is the correlation that nine
of ten patches reach.

The cost lies in the larger sizes (ECC takes 0.5, 2 and 11 ms), so pairs are turned away as early as
copies allow. `start` aligns at 64 pixels, and says how alike two pictures look there; who has many
candidates `settle`s the likest first. `Views` keeps pictures that are candidates again and again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from data_sharding.copies.fingerprint import WINDOWS, Floats, Window, flattened, levels
from data_sharding.pictures.shown import Picture

COARSE, MIDDLE, FINE = 64, 128, 256  # pixels
#: A pair is dropped where, in this order, ECC's coefficient at 64 pixels, the correlation of what
#: that aligned, or after alignment at 128 the correlation of the whole or the one that 9 of 10
#: patches reach is below. Measured on 174 radiographs of NIH under ten edits: the lowest of copies
#: 0.86, 0.55, 0.57, 0.53 (but for one crop, misaligned at 128, which is lost); the median of other
#: patients' likest pictures 0.86, 0.58, 0.23, -0.12, and of phantoms' 0.97, 0.85, 0.58, 0.22.
GATE_COARSE, GATE_START, GATE_TEXTURE, GATE_PATCHES = 0.8, 0.5, 0.55, 0.5
PATCH = 32  # of the 256
LEAST_OVERLAP = 0.3  # of what the first picture has to be judged

Mask = npt.NDArray[np.uint8]  # 1 where there is something to judge

_COARSE = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
_QUICK = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
_EXACT = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)


class View:
    """A picture made ready to be compared: `small` is uint8 [256, 256]; the rest follows from it.

    float32: `coarse` and `features` [64, 64], `middle` and `texture` [128, 128], `fine` and
    `detail` [256, 256]; the first of each is to be aligned, the second, without what is wide, to be
    judged. Those at 128 are kept once they were needed, those at 256 would take too much memory.
    `within`, bool [256, 256], is where there is something to judge; None is everywhere.
    """

    def __init__(
        self, small: npt.NDArray[np.uint8], within: npt.NDArray[np.bool_] | None = None
    ) -> None:
        self.within = None if within is None else within.astype(np.uint8)
        tiny = _shrink(small, COARSE)
        self.small = small
        self.coarse = _smooth(flattened(tiny, 8, 8, 0.25), 0.8)
        self.features = _smooth(flattened(tiny, 3, 6, 0.3), 0.5)
        self._kept: tuple[Floats, Floats] | None = None

    @classmethod
    def of(cls, image: Picture, mirror: bool = False) -> View:
        """From uint8 or uint16 [S, S], or uint8 [S, S, 3], flipped left to right if `mirror`."""
        level, within = levels(image)
        if within is not None:
            within = _nearest(within.astype(np.uint8), FINE) > 0
        view = cls(_shrink(level, FINE), within)
        return view.mirrored() if mirror else view

    def mirrored(self) -> View:
        """The same, flipped left to right."""
        within = None if self.within is None else self.within[:, ::-1] > 0
        return View(np.ascontiguousarray(self.small[:, ::-1]), within)

    def mask(self, side: int) -> npt.NDArray[np.uint8]:
        """uint8 [side, side]: 1 where there is something to judge."""
        if self.within is None:
            return np.ones((side, side), np.uint8)
        return _nearest(self.within, side)

    def at_middle(self) -> tuple[Floats, Floats]:
        """`middle` and `texture`."""
        if self._kept is None:
            half = _shrink(self.small, MIDDLE)
            self._kept = (
                _smooth(flattened(half, 4, 8, 0.3), 0.7),
                _smooth(flattened(half, 2, 8, 0.3), 0.6),
            )
        return self._kept

    @property
    def fine(self) -> Floats:
        """What is aligned at last: rib edges and wider."""
        return _smooth(flattened(self.small, 6, 12, 0.3), 1.0)

    @property
    def detail(self) -> Floats:
        """Nothing wider than vessels and rib edges is left."""
        return _smooth(flattened(self.small, 3, 12, 0.3), 0.7)


class Views:
    """The views used last, at most `most` of them (up to 224 KiB each).

    `image(i)` gives picture `i`.
    """

    def __init__(self, image: Callable[[int], Picture], most: int = 512) -> None:
        self._image, self._most = image, most
        self._views: OrderedDict[int, View] = OrderedDict()

    def __getitem__(self, i: int) -> View:
        if i in self._views:
            self._views.move_to_end(i)
            return self._views[i]
        view = self._views[i] = View.of(self._image(i))
        while len(self._views) > self._most:
            self._views.popitem(last=False)
        return view


@dataclass(frozen=True)
class Likeness:
    """How alike two pictures are.

    `score`: correlation that 9 of 10 patches reach; `matrix`: [2, 3], from pixels of the first, as
    256 x 256, to those of the second.
    """

    score: float
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


def _smooth(flat: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(flat, (0, 0), sigma), np.float32)


def _nearest(mask: Mask, side: int) -> Mask:
    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)


def _shrink(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class Start:
    """Two pictures aligned at 64 pixels: their correlation there, and the map."""

    likeness: float
    matrix: Floats


def start(a: View, b: View, window: Window = WINDOWS[0]) -> Start | None:
    """Align at 64 pixels, from the part `window` of `b` being `a`; None if they are no copies."""
    left, right, top, bottom = window
    matrix = np.array([[1 - left - right, 0, 0], [0, 1 - top - bottom, 0]], np.float32)
    matrix[:, 2] = COARSE * np.array([left, top]) + (np.diag(matrix) - 1) / 2
    try:
        quality, matrix = _align(a.coarse, b.coarse, matrix, _COARSE, 5)
    except cv2.error:  # no texture, or nothing in common to converge on
        return None
    if quality < GATE_COARSE:
        return None
    likeness = _correlation(a.features, b.features, matrix, a.mask(COARSE), b.mask(COARSE))
    return Start(likeness, matrix) if likeness >= GATE_START else None


def settle(a: View, b: View, begun: Start) -> Likeness | None:
    """Align at 128 and 256 pixels, and judge; None if they are no copies."""
    (first, texture), (second, other) = a.at_middle(), b.at_middle()
    try:
        _, matrix = _align(first, second, _enlarged(begun.matrix, 2), _QUICK, 3)
        masks = a.mask(MIDDLE), b.mask(MIDDLE)
        if _correlation(texture, other, matrix, *masks) < GATE_TEXTURE:
            return None
        if _patches(texture, other, matrix, PATCH // 2, *masks) < GATE_PATCHES:
            return None
        _, matrix = _align(a.fine, b.fine, _enlarged(matrix, 2), _EXACT, 3)
    except cv2.error:
        return None
    score = _patches(a.detail, b.detail, matrix, PATCH, a.mask(FINE), b.mask(FINE))
    return Likeness(score, np.asarray(matrix, np.float64))


def compare(a: View, b: View, window: Window = WINDOWS[0]) -> Likeness | None:
    """`start`, then `settle`; None for pairs that either turns away."""
    begun = start(a, b, window)
    return begun and settle(a, b, begun)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """For one of several that compare: OpenCV and BLAS (OpenCV's too) start no threads meanwhile.

    Those wait for each other in loops: two who compare took twice the processor time.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)


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
    second: Floats, matrix: npt.NDArray[np.floating], margin: int, mine: Mask, theirs: Mask
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """`second` seen in the frame of the first, and where both can be judged, less a margin."""
    flags, size = cv2.WARP_INVERSE_MAP, second.shape[::-1]
    moved = cv2.warpAffine(theirs, matrix, size, flags=cv2.INTER_NEAREST | flags)
    there = np.asarray(moved, np.uint8) & mine
    if margin:
        kernel = np.ones((2 * margin + 1,) * 2, np.uint8)
        there = cv2.erode(there, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    moved = cv2.warpAffine(second, matrix, size, flags=cv2.INTER_LINEAR | flags)
    return np.asarray(moved, np.float32), np.asarray(there) > 0


def _correlation(
    first: Floats, second: Floats, matrix: npt.NDArray[np.floating], mine: Mask, theirs: Mask
) -> float:
    """Pearson's over the overlap; -1 where that is too small."""
    moved, there = _aligned(second, matrix, 0, mine, theirs)
    if there.mean() < LEAST_OVERLAP * mine.mean():
        return -1.0
    x, y = first[there], moved[there]
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-9))


def _patches(
    first: Floats,
    second: Floats,
    matrix: npt.NDArray[np.floating],
    patch: int,
    mine: Mask,
    theirs: Mask,
) -> float:
    """10th percentile of the correlation over patches, half overlapping, that have texture."""
    moved, there = _aligned(second, matrix, patch // 8, mine, theirs)
    if there.mean() < LEAST_OVERLAP * mine.mean():
        return -1.0
    views = (
        np.lib.stride_tricks.sliding_window_view(x, (patch, patch))[:: patch // 2, :: patch // 2]
        for x in (first, moved, there)
    )
    # x, y: (patch, pixel) of the patches that lie in the overlap
    x, y, inside = (v.reshape(-1, patch * patch) for v in views)
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
