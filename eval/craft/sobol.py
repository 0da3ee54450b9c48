"""Total Sobol indices: how much of an answer's variance hangs on one input, alone or with others.

    S_Ti = E[V(Y | all inputs but i)] / V(Y)

by Jansen's estimator (Comput Phys Commun 117, 1999): two designs A and B of n points each in the
unit cube of r inputs, and for each input i the design C_i, which is A with B's column i. Then

    S_Ti = sum_j (Y(A_j) - Y(C_ij))^2 / (2 n V(Y)).

    points = design(1024, 3, seed=0)                   # [5, 1024, 3]: A, B, C_1, C_2, C_3
    total_indices(ishigami(points))                    # [3]

The designs are a scrambled Sobol sequence of 2 r dimensions, of which A takes the first r. V(Y) is
taken of A and B together, since both were paid for. At 32 points, the default of CRAFT's authors,
the estimate is visibly off; fewer than 256 are refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

#: Fewer points than this give no number that one would print.
LEAST = 256
#: Rounding errors, in units of the last place of the largest answer, that are no effect.
ROUNDING = 32


def design(n: int, inputs: int, seed: int = 0) -> NDArray[np.float64]:
    """A, B and C_1 to C_r, float64 [r + 2, n, r] in [0, 1).

    Args:
        n: points of each; a power of two, without which the sequence is not balanced.
        inputs: r.
        seed: of the scrambling.

    Raises:
        ValueError: n is below `LEAST` or no power of two; no inputs.
    """
    if n < LEAST or n & (n - 1):
        raise ValueError(f"{n} points: give a power of two of at least {LEAST}")
    if inputs < 1:
        raise ValueError(f"{inputs} inputs: there is nothing to vary")
    drawn = qmc.Sobol(2 * inputs, scramble=True, rng=np.random.default_rng(seed)).random(n)
    a, b = drawn[:, :inputs], drawn[:, inputs:]
    every = np.repeat(a[None], inputs + 2, axis=0)
    every[1] = b
    for i in range(inputs):
        every[i + 2, :, i] = b[:, i]
    return every


def total_indices(answers: NDArray[np.floating]) -> NDArray[np.float64]:
    """The total index of each input, [..., r]; NaN where the answer does not vary at all.

    What two answers differ by in their last places is the order of additions, and counts as
    nothing: an input that the function ignores has exactly 0.

    Args:
        answers: Y of `design`'s points, [..., r + 2, n]; their dtype says how they were rounded.

    Raises:
        ValueError: an answer is not finite.
    """
    if not np.isfinite(answers).all():
        raise ValueError("an answer is not finite: the weights or the picture are damaged")
    precision = np.finfo(answers.dtype).eps if answers.dtype.kind == "f" else 0.0
    y = answers.astype(np.float64)
    least = ROUNDING * precision * np.abs(y).max(axis=(-2, -1))
    apart = y[..., 2:, :] - y[..., :1, :]
    apart[np.abs(apart) <= least[..., None, None]] = 0.0
    # both: (..., 2, n) -> (..., 2 n)
    both = y[..., :2, :].reshape(*y.shape[:-2], -1)
    spread = np.ptp(both, axis=-1)
    variance = np.where(spread > least, both.var(axis=-1, ddof=1), np.nan)
    return (apart**2).mean(axis=-1) / (2 * variance[..., None])
