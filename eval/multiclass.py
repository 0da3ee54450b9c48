"""Three classes or more: accuracy, averages over classes, AUROC one against others, kappa.

An average over classes needs every class: where one was never seen, or never predicted, it is
undefined and says which, rather than 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from eval.bootstrap import PatientDraws, of_sums, percentile
from eval.decisions import POINT
from eval.estimate import Estimate, undefined
from eval.inputs import check_level, patient_codes
from eval.intervals import Method, proportion
from eval.ranking import Ranking


@dataclass(frozen=True)
class MulticlassMetrics:
    """`confusion` int [k, k], rows are truth; `*_of_class` [k] in the order of columns of P."""

    n: int
    confusion: NDArray[np.int64]
    accuracy: Estimate
    precision_of_class: tuple[Estimate, ...]
    recall_of_class: tuple[Estimate, ...]
    f1_of_class: tuple[Estimate, ...]
    auroc_of_class: tuple[Estimate, ...]
    precision_macro: Estimate
    recall_macro: Estimate
    f1_macro: Estimate
    precision_weighted: Estimate
    recall_weighted: Estimate
    f1_weighted: Estimate
    auroc_ovr: Estimate
    auroc_ovo: Estimate
    kappa: Estimate
    kappa_quadratic: Estimate


def multiclass_metrics(
    y: ArrayLike,
    P: ArrayLike,
    patients: ArrayLike | None = None,
    method: Method = "wilson",
    level: float = 0.95,
    said: ArrayLike | None = None,
    names: Sequence[str] = (),
) -> MulticlassMetrics:
    """Judge probabilities of k classes, and the answers drawn from them.

    `kappa_quadratic` takes the columns as ordered: being one class off costs a quarter of being
    two off.

    Args:
        y: class of each row, 0 to k - 1, [n].
        P: probability of each class, [n, k], rows sum to 1.
        patients: [n], who each row is of; without it every row is a patient.
        method: kind of binomial interval.
        level: two-sided confidence level.
        said: the class answered, [n]; by default the most probable one, the first of ties.
        names: of the classes, to say which is missing.

    Raises:
        ValueError: `y`, `P`, `said` or `names` is not that.
    """
    truth, p = classes(y, P)
    check_level(level)
    code = patient_codes(patients, truth.size)
    k = p.shape[1]
    answer = _most_probable(p) if said is None else classes(said, p)[0]
    table = np.bincount(truth * k + answer, minlength=k * k).reshape(k, k)
    seen, given, right = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    names = list(names) or [f"class {i}" for i in range(k)]
    if len(names) != k:
        raise ValueError(f"{len(names)} names for {k} classes")
    precision = [_ratio(right[i], given[i], f"{names[i]} was never predicted") for i in range(k)]
    recall = [_ratio(right[i], seen[i], f"{names[i]} has no rows") for i in range(k)]
    f1 = [_ratio(2 * right[i], seen[i] + given[i], f"no {names[i]} at all") for i in range(k)]
    one = [_against_rest(truth == i, p[:, i], names[i]) for i in range(k)]
    return MulticlassMetrics(
        n=truth.size,
        confusion=table,
        accuracy=proportion(truth == answer, code, "no rows", method, level),
        precision_of_class=tuple(precision),
        recall_of_class=tuple(recall),
        f1_of_class=tuple(f1),
        auroc_of_class=tuple(one),
        precision_macro=_mean(precision, np.ones(k)),
        recall_macro=_mean(recall, np.ones(k)),
        f1_macro=_mean(f1, np.ones(k)),
        precision_weighted=_mean(precision, seen),
        recall_weighted=_mean(recall, seen),
        f1_weighted=_mean(f1, seen),
        auroc_ovr=_mean(one, np.ones(k)),
        auroc_ovo=_mean([_pair(truth, p, i, j, names) for i, j in combinations(range(k), 2)], None),
        kappa=_kappa(truth, answer, np.eye(k), code, level),
        kappa_quadratic=_kappa(truth, answer, quadratic(k), code, level),
    )


def classes(y: ArrayLike, P: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Classes int [n] and probabilities [n, k], checked.

    Raises:
        ValueError: shapes that do not fit, probabilities that are none, a class without a column.
    """
    truth, p = np.asarray(y), np.asarray(P, dtype=np.float64)
    if truth.ndim != 1 or p.ndim != 2 or p.shape[0] != truth.size or p.shape[1] < 2:
        raise ValueError(f"classes {truth.shape} and probabilities {p.shape}: need [n] and [n, k]")
    if not np.isfinite(p).all() or (p < 0).any() or (p > 1).any():
        raise ValueError("probabilities are NaN or outside [0, 1]: logits need a softmax first")
    if p.size and np.abs(p.sum(axis=1) - 1).max() > 1e-4:
        raise ValueError("the probabilities of some rows do not sum to 1")
    if truth.size and not np.isin(truth, np.arange(p.shape[1])).all():
        raise ValueError(f"classes must be 0 to {p.shape[1] - 1}, the columns of the probabilities")
    return truth.astype(np.int64), p


def _most_probable(p: NDArray[np.float64]) -> NDArray[np.int64]:
    return p.argmax(axis=1) if p.size else np.zeros(0, np.int64)


def _ratio(above: int, below: int, empty: str) -> Estimate:
    return Estimate(value=float(above / below), method=POINT) if below else undefined(empty)


def _mean(parts: list[Estimate], weights: NDArray | None) -> Estimate:
    """Weighted mean; parts of weight 0 are not asked for."""
    weights = np.ones(len(parts)) if weights is None else weights
    used = [(e, w) for e, w in zip(parts, weights, strict=True) if w]
    if missing := next((e.undefined for e, _ in used if e.value is None), None):
        return undefined(missing)
    if not used:
        return undefined("no rows")
    values, w = np.array([float(e) for e, _ in used]), np.array([w for _, w in used])
    return Estimate(value=float(values @ w / w.sum()), method=POINT)


def _against_rest(positive: NDArray[np.bool_], score: NDArray, name: str) -> Estimate:
    if not positive.any() or positive.all():
        return undefined(
            f"{name} has {'all the' if positive.size and positive.all() else 'no'} rows"
        )
    return Estimate(value=Ranking.of(positive, score).once()[0], method=POINT)


def _pair(truth: NDArray, p: NDArray, i: int, j: int, names: list[str]) -> Estimate:
    """Mean of the two AUROCs that tell class i from class j (Hand & Till, Mach Learn 2001)."""
    rows = (truth == i) | (truth == j)
    both = [_against_rest(truth[rows] == c, p[rows, c], names[c]) for c in (i, j)]
    missing = next((c for c in (i, j) if not (truth == c).any()), None)
    if missing is not None:
        return undefined(f"{names[missing]} has no rows")
    return _mean(both, None)


def quadratic(k: int) -> NDArray[np.float64]:
    """Agreement of each pair of k ordered classes, [k, k]: 1 if equal, 0 from end to end."""
    place = np.arange(k)
    return 1 - ((place[:, None] - place[None]) / (k - 1)) ** 2


def _kappa(
    truth: NDArray, said: NDArray, agreement: NDArray[np.float64], code: NDArray, level: float
) -> Estimate:
    """Cohen's kappa, weighted by `agreement` [k, k] (Cohen, Psychol Bull 1968).

    Interval by Fleiss, Cohen & Everitt (Psychol Bull 1969), or by patients.
    """
    k = len(agreement)
    cells = np.zeros((truth.size, k * k))
    cells[np.arange(truth.size), truth * k + said] = 1
    value = float(kappas(cells.sum(axis=0)[None], agreement)[0])
    if np.isnan(value):
        return undefined("truth and answers are all of one class" if truth.size else "no rows")
    people = int(code.max()) + 1
    if people < truth.size:
        counts = PatientDraws.of(people).counts
        draws = of_sums(counts, code, cells, lambda s: kappas(s, agreement))
        return percentile(value, draws[~np.isnan(draws)], 0, level)
    p = cells.mean(axis=0).reshape(k, k)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    # mean agreement of each row's answers, and of each answer's rows, were they independent
    of_row, of_column = agreement @ columns, agreement.T @ rows
    chance = float(rows @ of_row)
    weight = agreement - (of_row[:, None] + of_column[None]) * (1 - value)
    spread = float((p * weight**2).sum()) - (value - chance * (1 - value)) ** 2
    error = np.sqrt(max(0.0, spread) / truth.size) / (1 - chance)
    half = float(norm.ppf(0.5 + level / 2) * error)
    if half == 0:
        return Estimate(value=value, undefined="no variance in this sample")
    return Estimate(value=value, low=max(-1.0, value - half), high=min(1.0, value + half),
                    method="Fleiss, Cohen & Everitt")  # fmt: skip


def kappas(cells: NDArray[np.float64], agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kappa of each flattened table [tables, k * k]; NaN where chance agrees always.

    Args:
        cells: counts, rows are truth.
        agreement: of each pair of classes, [k, k]; the identity for Cohen's unweighted kappa.
    """
    k = len(agreement)
    tables = cells.reshape(-1, k, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = tables / tables.sum(axis=(1, 2), keepdims=True)
        agree = (p * agreement).sum(axis=(1, 2))
        chance = np.einsum("ti,ij,tj->t", p.sum(axis=2), agreement, p.sum(axis=1))
        return np.where(chance < 1, (agree - chance) / (1 - chance), np.nan)
