"""How alike two maps are: rank correlation and structural similarity.

Whoever asks whether an explanation depends on the model compares it with that of another model; a
map is alike where it ranks places alike (Spearman) or looks alike (Wang et al., IEEE TIP 2004).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

#: Of the Gaussian window in pixels, and of the luminance and contrast constants (Wang et al.).
SIGMA, K1, K2 = 1.5, 0.01, 0.03


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's correlation of two maps [H, W], midranks for ties; NaN where one is constant.

    Raises:
        ValueError: shapes that differ, an empty map, values that are not finite.
    """
    one, other = _pair(a, b)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    x, y = (rankdata(m.ravel()) for m in (one, other))
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def ssim(a: ArrayLike, b: ArrayLike) -> float:
    """Mean structural similarity of two maps [H, W] with values in [0, 1]; 1 if they are equal.

    Where both are flat they look alike, whatever the weights: look at `rank_correlation` too.

    Raises:
        ValueError: as `rank_correlation`; values outside of [0, 1].
    """
    x, y = _pair(a, b)
    if min(x.min(), y.min()) < 0 or max(x.max(), y.max()) > 1:
        raise ValueError("maps to compare must lie in [0, 1]")
    # the window of 11 x 11 that the paper uses; half of it is left out at each edge
    mx, my, xx, yy, xy = (
        gaussian_filter(m, SIGMA, truncate=3.5) for m in (x, y, x * x, y * y, x * y)
    )
    c1, c2 = K1**2, K2**2
    of_means = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    of_spread = (2 * (xy - mx * my) + c2) / (xx - mx * mx + yy - my * my + c2)
    edge = int(3.5 * SIGMA + 0.5)
    if min(x.shape) > 2 * edge:
        of_means, of_spread = (m[edge:-edge, edge:-edge] for m in (of_means, of_spread))
    return float((of_means * of_spread).mean())


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or x.ndim != 2 or not x.size:
        raise ValueError(f"maps of {x.shape} and {y.shape}: both must be [H, W], of one size")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a map holds values that are not finite")
    return x, y
