"""What covariates alone say of a label or of a score, out of fold: regression on splines.

Restricted cubic splines for numbers (Harrell, Regression Modeling Strategies, 2.4.5: five knots at
the 5th to 95th percentiles, linear beyond), an indicator for every level but the most frequent, and
age by sex.
Ridge-penalised (1 on standardised columns, not on the intercept) so that a level that only one
class has, or a handful of rows, gives finite numbers. Everything that is fitted, knots included,
is fitted on the other folds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

KNOTS = (0.05, 0.275, 0.5, 0.725, 0.95)
RIDGE = 1.0
#: Levels of a category that fewer training rows have are not given a column of their own, nor are
#: those after the `MOST` most frequent: all these are taken as the most frequent one.
RARE, MOST = 10, 30

#: name -> numbers float [n], or levels as text [n]; nothing missing.
Covariates = dict[str, NDArray]


def out_of_fold(
    covariates: Covariates,
    target: NDArray[np.float64],
    fold: NDArray[np.int64],
    fit: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """The linear predictor [n] of each row, from a fit to the rows of the other folds.

    Args:
        covariates: name -> values [n].
        target: what to predict, [n].
        fold: int [n].
        fit: `logistic` or `linear`: (columns [m, k], target [m]) -> coefficients [k + 1].
    """
    out = np.empty(target.size)
    for f in np.unique(fold):
        here = fold == f
        design, columns = Design.of({name: v[~here] for name, v in covariates.items()})
        b = fit(columns, target[~here])
        out[here] = b[0] + design.columns({n: v[here] for n, v in covariates.items()}) @ b[1:]
    return out


@dataclass(frozen=True)
class Design:
    """Knots, levels, means and deviations, learnt from training rows."""

    knots: dict[str, NDArray[np.float64]]
    levels: dict[str, NDArray]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, training: Covariates) -> tuple[Design, NDArray[np.float64]]:
        """What the training rows teach, and their columns [m, k]."""
        knots, levels = {}, {}
        for name, values in training.items():
            if values.dtype.kind == "f":
                knots[name] = np.unique(np.quantile(values, KNOTS))
            else:
                found, counts = np.unique(values, return_counts=True)
                frequent = np.argsort(-counts, kind="stable")[1 : MOST + 1]
                levels[name] = found[frequent[counts[frequent] >= RARE]]
        raw = cls(knots, levels, np.zeros(1), np.ones(1)).columns(training)
        mean, deviation = raw.mean(axis=0), raw.std(axis=0)
        deviation[deviation < 1e-12] = 1.0
        return cls(knots, levels, mean, deviation), (raw - mean) / deviation

    def columns(self, covariates: Covariates) -> NDArray[np.float64]:
        """Standardised columns [n, k]."""
        parts = []
        for name, values in covariates.items():
            if name in self.knots:
                parts.append(restricted_cubic(values, self.knots[name]))
            else:
                parts.append((values[:, None] == self.levels[name]).astype(np.float64))
        if {"age", "sex"} <= set(covariates):
            women = (covariates["sex"] == "F").astype(np.float64)
            parts.append((covariates["age"] * women)[:, None])
        return (np.concatenate(parts, axis=1) - self.mean) / self.deviation


def restricted_cubic(x: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """x itself and k - 2 cubic terms, [n, k - 1], linear beyond the first and last knot.

    With fewer than three knots x alone, [n, 1]. Harrell's basis, divided by the knots' span
    squared so that the terms are of the size of x.
    """
    if knots.size < 3:
        return x[:, None]
    last, before = knots[-1], knots[-2]

    def cube(at: float) -> NDArray[np.float64]:
        above = np.maximum(x - at, 0.0)
        return above * above * above

    ends = cube(before), cube(last)
    terms = [
        cube(t)
        - ends[0] * ((last - t) / (last - before))
        + ends[1] * ((before - t) / (last - before))
        for t in knots[:-2]
    ]
    return np.stack([x, *(t / (last - knots[0]) ** 2 for t in terms)], axis=1)


def linear(columns: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ridge coefficients [k + 1], the intercept first."""
    x, penalty = _with_intercept(columns)
    return np.asarray(np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ target), np.float64)


def logistic(columns: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ridge-penalised logistic coefficients [k + 1], the intercept first, by Newton's method.

    The penalised likelihood is strictly concave, so that there is one answer; steps are halved
    while they overshoot.
    """
    x, penalty = _with_intercept(columns)
    share = float(np.clip(target.mean(), 1e-6, 1 - 1e-6))
    b = np.zeros(x.shape[1])
    b[0] = np.log(share / (1 - share))

    def loss(at: NDArray[np.float64]) -> float:
        eta = x @ at
        return float(np.logaddexp(0.0, eta).sum() - target @ eta + penalty @ (at * at) / 2)

    value = loss(b)
    for _ in range(50):
        p = expit(x @ b)
        gradient = x.T @ (p - target) + penalty * b
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian + 1e-9 * np.eye(b.size), gradient)
        size = 1.0
        while (new := loss(b - size * step)) > value + 1e-12 * abs(value) and size > 1e-6:
            size /= 2
        b, gained, value = b - size * step, value - new, new
        if gained <= 1e-10 * (1 + abs(value)):
            break
    return b


def _with_intercept(columns: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    penalty = np.full(columns.shape[1] + 1, RIDGE)
    penalty[0] = 0.0
    return np.concatenate([np.ones((len(columns), 1)), columns], axis=1), penalty
