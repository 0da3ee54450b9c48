"""Spearman's rank correlation with an interval that holds under ties and repeated patients.

The variance is that of the statistic's influence function: ranks are themselves estimated from
every row, so that a row counts by its own product of ranks and by the ranks it gives to others.
Values are summed within patients. The interval is made on Fisher's z and turned back.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from eval.estimate import Estimate, undefined
from eval.inputs import check_level, patient_codes, scores

FEWEST = 10


def spearman(
    x: ArrayLike, y: ArrayLike, patients: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """Pearson's correlation of the midranks of `x` and `y`, finite [n].

    Undefined where a variable has one value or fewer than 10 patients are there; without an
    interval where no patient deviates from the others' line.

    Raises:
        ValueError: NaN, infinite, or arrays of different lengths.
    """
    a = scores(x, np.size(x), "values")
    b = scores(y, a.size, "values")
    code = patient_codes(patients, a.size)
    check_level(level)
    people = int(code.max(initial=-1)) + 1
    if people < FEWEST:
        return undefined(f"{people} patients are too few for a correlation")
    first, second = _Ranks(a), _Ranks(b)
    df, dg = first.centred, second.centred
    spread = float(df @ df), float(dg @ dg)
    if min(spread) <= 0:
        return undefined("one value only: nothing to correlate")
    rho = float(np.clip((df @ dg) / math.sqrt(spread[0] * spread[1]), -1, 1))
    # influence of each row on the covariance and on the two variances of the ranks: [n]
    both = df * dg + first.given(dg) + second.given(df)
    own = df * df + 2 * first.given(df), dg * dg + 2 * second.given(dg)
    n = a.size
    scale = math.sqrt(spread[0] * spread[1]) / n
    influence = both / scale - rho / 2 * (own[0] * n / spread[0] + own[1] * n / spread[1])
    influence -= influence.mean()
    by_patient = np.bincount(code, weights=influence, minlength=people)
    variance = float(by_patient @ by_patient) / n**2 * people / (people - 1)
    if 1 - abs(rho) < 1e-12 or variance <= 1e-18:
        return Estimate(value=rho, undefined="no row deviates: the interval would have no width")
    half = float(norm.ppf(0.5 + level / 2)) * math.sqrt(variance) / (1 - rho * rho)
    z = math.atanh(rho)
    method = "Fisher's z, influence summed within patients"
    return Estimate(value=rho, low=math.tanh(z - half), high=math.tanh(z + half), method=method)


class _Ranks:
    """The ranks of values [n], sorted once."""

    def __init__(self, x: NDArray[np.float64]):
        self.order = np.argsort(x, kind="stable")
        s = x[self.order]
        new = np.append(True, np.diff(s) != 0)
        start = np.flatnonzero(new)
        stop = np.append(start[1:], x.size)
        group = np.empty(x.size, np.int64)
        group[self.order] = np.cumsum(new) - 1
        self.first, self.last = start[group], stop[group]
        # midranks as shares in (0, 1), less their mean of 1/2
        self.centred = (self.first + self.last) / (2 * x.size) - 0.5

    def given(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """What row i adds to the ranks of others, weighted: mean over j of H(x_i, x_j) w_j, [n].

        H is 1 where x_i < x_j, one half where they are equal, 0 otherwise.
        """
        upto = np.append(0.0, np.cumsum(weight[self.order]))
        return (upto[-1] - (upto[self.last] + upto[self.first]) / 2) / weight.size
