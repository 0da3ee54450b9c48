"""Bootstrap any statistic of parallel arrays, drawing patients; AUROC by a fast path.

    bootstrap(lambda y, p: np.mean((p - y) ** 2), (y, p), patients=who)

A resample on which the statistic does not exist, as AUROC where one class is all that was drawn, is
drawn again and counted. Both functions draw the same patients for the same seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.bootstrap import NOT_RESAMPLED, PatientDraws, percentile
from eval.inputs import check_level, labels, lacking, patient_codes
from eval.ranking import Ranking


@dataclass(frozen=True)
class Bootstrap:
    """A statistic, its percentile interval and every resampled value.

    `n` resamples counted, `redrawn` that had to be drawn again. None where undefined, and why.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    redrawn: int = 0
    seed: int = 0
    draws: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    undefined: str | None = None

    @property
    def error(self) -> float | None:
        """Standard deviation of the resampled values."""
        return float(self.draws.std(ddof=1)) if self.draws.size > 1 else None


def bootstrap(
    statistic: Callable[..., Any],
    data: ArrayLike | tuple[ArrayLike, ...],
    patients: ArrayLike | None = None,
    stratify: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Bootstrap:
    """Percentile interval of `statistic` by resampling patients with replacement.

    Args:
        statistic: takes the arrays of `data`, resampled; returns a number, or something with a
            `value` that is one. NaN, None and ValueError mean undefined: on the data themselves
            the ValueError is passed on, on a resample it is drawn again.
        data: an array, or a tuple of arrays, [n, ...] each.
        patients: [n], who each row is of; without it every row is a patient.
        stratify: [n], one value a patient; every resample keeps each stratum's patients in number.
        n: resamples.
        seed: same seed, same resamples.
        level: two-sided confidence level.

    Raises:
        ValueError: arrays of different lengths, a patient in two strata, no resamples asked for.
    """
    arrays = [np.asarray(a) for a in (data if isinstance(data, tuple) else (data,))]
    rows = _rows(arrays)
    check_level(level)
    if rows == 0:
        return Bootstrap(seed=seed, undefined="no rows")
    code, draws = _drawn(rows, patients, stratify, n, seed)
    value = _number(statistic(*arrays))
    if np.isnan(value):
        return Bootstrap(seed=seed, undefined="the statistic does not exist on the data themselves")
    if draws.counts.shape[1] < 2:
        return Bootstrap(value, seed=seed, undefined="one patient cannot be resampled")

    def evaluate(counts: NDArray[np.int16]) -> NDArray[np.float64]:
        return np.array([_on_rows(statistic, arrays, np.repeat(np.arange(rows), c[code]))
                         for c in counts])  # fmt: skip

    found = draws.until(evaluate)
    if found is None:
        return Bootstrap(value, seed=seed, undefined="the statistic hardly exists on resamples")
    return _result(value, found[1], found[2], seed, level)


def bootstrap_auc(
    y: ArrayLike,
    score: ArrayLike,
    patients: ArrayLike | None = None,
    stratify: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Bootstrap:
    """`bootstrap` of the AUROC, from one sort and integer counts; the same numbers.

    Args:
        y: 0 or 1, [n].
        score: finite float [n], higher for class 1.
        patients: as `bootstrap`.
        stratify: as `bootstrap`.
        n: resamples.
        seed: same seed, same resamples.
        level: two-sided confidence level.

    Raises:
        ValueError: as `bootstrap`; labels or scores are not what they should be.
    """
    label = labels(y)
    order = Ranking.of(label, score)
    check_level(level)
    if reason := lacking(label):
        return Bootstrap(seed=seed, undefined=reason)
    code, draws = _drawn(label.size, patients, stratify, n, seed)
    value = order.once()[0]
    if min(np.unique(code[label == 1]).size, np.unique(code[label == 0]).size) < 2:
        return Bootstrap(value, seed=seed, undefined=NOT_RESAMPLED)
    found = draws.until(lambda counts: order.statistics(counts, code, with_precision=False)[0])
    if found is None:
        return Bootstrap(value, seed=seed, undefined=NOT_RESAMPLED)
    return _result(value, found[1], found[2], seed, level)


def _result(
    value: float, draws: NDArray[np.float64], redrawn: int, seed: int, level: float
) -> Bootstrap:
    e = percentile(value, draws, redrawn, level)
    return Bootstrap(value, e.low, e.high, draws.size, redrawn, seed, draws, e.undefined)


def _rows(arrays: Sequence[NDArray]) -> int:
    lengths = {a.shape[0] if a.ndim else -1 for a in arrays}
    if len(lengths) != 1 or -1 in lengths:
        raise ValueError(
            f"arrays of shapes {[a.shape for a in arrays]} are not parallel: one row each per case"
        )
    return lengths.pop()


def _drawn(
    rows: int, patients: ArrayLike | None, stratify: ArrayLike | None, n: int, seed: int
) -> tuple[NDArray[np.int64], PatientDraws]:
    """The patient of each row [rows], and the draws."""
    if n < 1:
        raise ValueError(f"{n} resamples: ask for at least one, better 1000")
    code = patient_codes(patients, rows)
    people = int(code.max()) + 1
    strata = None
    if stratify is not None:
        of_row = patient_codes(stratify, rows)
        strata = np.zeros(people, np.int64)
        strata[code] = of_row
        if (strata[code] != of_row).any():
            raise ValueError("a patient is in two strata: stratify by what a patient has one of")
    return code, PatientDraws.of(people, n, seed, strata)


def _number(value: Any) -> float:
    value = getattr(value, "value", value)
    return np.nan if value is None else float(value)


def _on_rows(statistic: Callable[..., Any], arrays: list[NDArray], rows: NDArray) -> float:
    """The statistic on some rows; NaN where it does not exist, which a library may warn of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _number(statistic(*(a[rows] for a in arrays)))
    except ValueError:
        return np.nan
