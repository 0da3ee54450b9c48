"""Is one model better than another on the same pictures? Paired, and counted for Bonferroni."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from data_sharding.schema import Strict
from eval.bootstrap import NOT_RESAMPLED, percentile
from eval.delong import delong_test
from eval.estimate import Estimate, undefined
from eval.performance import Cases
from eval.ranking import Ranking


class Difference(Strict):
    """AUROC of `second` minus AUROC of `first`, on the rows that both predicted."""

    first: str
    second: str
    n: int
    patients: int
    delong: Estimate
    z: float | None
    p: float | None
    p_bonferroni: float | None
    comparisons: int
    bootstrap: Estimate


def differences(models: dict[str, tuple[list[str], Cases]]) -> tuple[Difference, ...]:
    """Every pair of models, in the order given; each pair's keys are matched first.

    Args:
        models: name -> (keys [n], cases [n]).
    """
    pairs = list(combinations(models, 2))
    return tuple(_difference(a, b, models, len(pairs)) for a, b in pairs)


def _difference(
    first: str, second: str, models: dict[str, tuple[list[str], Cases]], comparisons: int
) -> Difference:
    keys, a = models[first]
    others, b = models[second]
    _, rows, other_rows = np.intersect1d(keys, others, return_indices=True)
    label, patient = a.label[rows], a.patient[rows]
    scores = a.probability[rows], b.probability[other_rows]
    common = Cases(patient, label, scores[0], None, a.draws)
    facts = {"first": first, "second": second, "n": rows.size, "comparisons": comparisons}
    facts["patients"] = np.unique(patient).size
    test = delong_test(label, scores[1], scores[0], a.confidence, patient)
    if test.error is None:
        none = undefined(common.one_class or test.undefined or "")
        return Difference(**facts, delong=none, z=None, p=None, p_bonferroni=None, bootstrap=none)
    assert test.difference is not None
    return Difference(
        **facts,
        delong=Estimate(
            value=test.difference,
            low=test.low,
            high=test.high,
            method="DeLong, components summed within patients",
            undefined=test.undefined,
        ),
        z=test.z,
        p=test.p,
        p_bonferroni=None if test.p is None else min(1.0, test.p * comparisons),
        bootstrap=_resampled(test.difference, common, scores, a.confidence),
    )


def _resampled(
    value: float, cases: Cases, scores: tuple[np.ndarray, np.ndarray], confidence: float
) -> Estimate:
    """Percentile interval of the difference; both models meet the same draws."""
    classes = cases.patient[cases.label == 1], cases.patient[cases.label == 0]
    resampled = cases.draws.both_classes(*classes)
    if resampled is None:
        return Estimate(value=value, undefined=NOT_RESAMPLED)
    counts, redrawn = resampled
    first, second = (
        Ranking.of(cases.label, s).statistics(counts, cases.patient, with_precision=False)[0]
        for s in scores
    )
    return percentile(value, second - first, redrawn, confidence)
