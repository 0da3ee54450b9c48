"""What one system is worth on one cohort."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.calibration import top_label_ece
from eval.classes.errors import attribute, first_perfect, second_perfect
from eval.classes.shapes import NAMES, Judged, OfClass, Oracle
from eval.classes.statistics import Cases, Statistic, decided, ranked
from eval.classes.systems import Answers
from eval.estimate import Estimate
from eval.multiclass import MulticlassMetrics, multiclass_metrics

#: Of these the interval is `multiclass_metrics`' own; the others are resampled.
OWN = ("accuracy", "kappa", "kappa_quadratic")


def statistics(cases: Cases, answers: Answers) -> dict[str, Statistic]:
    """Every statistic of a system with its resampled values."""
    return decided(cases, answers.P, answers.said) | ranked(cases, answers.P)


def judged(
    letter: str,
    cases: Cases,
    answers: Answers,
    found: dict[str, Statistic],
    thresholds: tuple[float, float] | None,
) -> Judged:
    """One system.

    Args:
        letter: of the system.
        cases: rows and draws of the cohort.
        answers: the system's.
        found: its `statistics`.
        thresholds: of its stages.
    """
    truth, (P, said) = cases.truth, (answers.P, answers.said)
    m = multiclass_metrics(truth, P, cases.patient, level=cases.level, said=said, names=NAMES)
    whys = {"balanced_accuracy": m.recall_macro, "c_ordinal": m.auroc_ovo, "rps": m.accuracy}
    resampled = {
        name: found[name].estimate(cases, (whys.get(name) or getattr(m, name)).undefined or "")
        for name in ("balanced_accuracy", "precision_macro", "f1_macro", "precision_weighted",
                     "f1_weighted", "auroc_ovr", "c_ordinal", "rps")
    }  # fmt: skip
    return Judged(
        system=letter,
        confusion=tuple((int(a), int(b), int(c)) for a, b, c in m.confusion),
        **{name: getattr(m, name) for name in OWN},
        **resampled,
        ece_top_label=top_label_ece(truth, P),
        classes=tuple(_of_class(c, m, cases, P, found) for c in range(len(NAMES))),
        errors=attribute(truth, said, _below(answers, thresholds)),
        oracles=_oracles(cases, answers, thresholds),
    )


def _of_class(
    c: int,
    m: MulticlassMetrics,
    cases: Cases,
    P: NDArray[np.float64],
    found: dict[str, Statistic],
) -> OfClass:
    return OfClass(
        name=NAMES[c],
        n=int(m.confusion[c].sum()),
        answered=int(m.confusion[:, c].sum()),
        mean_predicted=float(P[:, c].mean()) if len(P) else None,
        precision=found[f"precision_{c}"].estimate(cases, m.precision_of_class[c].undefined or ""),
        recall=found[f"recall_{c}"].estimate(cases, m.recall_of_class[c].undefined or ""),
        f1=found[f"f1_{c}"].estimate(cases, m.f1_of_class[c].undefined or ""),
        auroc=found[f"auroc_{c}"].estimate(cases, m.auroc_of_class[c].undefined or ""),
    )


def _below(answers: Answers, thresholds: tuple[float, float] | None) -> NDArray[np.int64] | None:
    """What the second stage says of everybody, 0 or 1 [n]; None of one model."""
    if answers.stages is None or thresholds is None:
        return None
    return (answers.stages[1] >= thresholds[1]).astype(np.int64)


def _oracles(
    cases: Cases, answers: Answers, thresholds: tuple[float, float] | None
) -> tuple[Oracle, ...]:
    if answers.stages is None or thresholds is None:
        return ()
    (p1, p2), (t1, t2) = answers.stages, thresholds
    first = decided(cases, *first_perfect(cases.truth, p2, t2))
    second = decided(cases, *second_perfect(cases.truth, p1, p2, t1, t2))
    return (
        Oracle(perfect="first", **_values(cases, first)),
        Oracle(perfect="second", **_values(cases, second)),
    )


def _values(cases: Cases, found: dict[str, Statistic]) -> dict[str, Estimate]:
    names = ("accuracy", "balanced_accuracy", "f1_macro", "kappa_quadratic", "rps")
    missing = [c for c in range(len(NAMES)) if not (cases.truth == c).any()]
    why = (
        f"{NAMES[missing[0]]} has no rows" if missing else "truth and answers are all of one class"
    )
    return {name: found[name].estimate(cases, why) for name in names}
