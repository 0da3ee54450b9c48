"""A model's numbers on a cohort under their keys: `MEASURES` with intervals, `PLAIN` without."""

from __future__ import annotations

from eval.cohort import ModelMetrics
from eval.estimate import Estimate

#: Those that need labels, and the two that do not.
LABELLED = (
    *("auroc", "ap", "sensitivity", "specificity", "ppv", "npv", "prevalence"),
    *("brier", "ece", "slope", "in_the_large"),
)
MEASURES = (*LABELLED, "called_positive", "harrell_c")
#: Key -> share of the pictures below it, and its place in `scores.QUANTILES`.
QUARTILES = {"score_p25": (0.25, 1), "score_median": (0.5, 2), "score_p75": (0.75, 3)}
PLAIN = ("patients", "threshold", *QUARTILES)


def measures(x: ModelMetrics, labels: bool, least: int) -> dict[str, Estimate]:
    """By key.

    Args:
        x: of one model.
        labels: whether those that need labels may leave.
        least: patients who had a fracture, without whom C is not told.
    """
    o, c = x.overall, x.calibration
    found = {"called_positive": x.scores.called_positive}
    if x.fracture is not None and x.fracture.fractures >= least:
        found["harrell_c"] = x.fracture.harrell_c
    if not labels:
        return found
    of_labels = (
        *(o.auroc, o.average_precision, o.sensitivity, o.specificity, o.ppv, o.npv, o.prevalence),
        *(o.brier_binary, c.ece_positive_class, c.slope, c.in_the_large),
    )
    return dict(zip(LABELLED, of_labels, strict=True)) | found


def plain(x: ModelMetrics, least: int) -> dict[str, float]:
    """By key; a quartile only where `least` patients are on either side of it."""
    found: dict[str, float] = {"patients": x.scores.patients}
    if x.threshold is not None:
        found["threshold"] = x.threshold
    for name, (share, place) in QUARTILES.items():
        if x.scores.quantiles and min(share, 1 - share) * x.scores.patients >= least:
            found[name] = x.scores.quantiles[place]
    return found
