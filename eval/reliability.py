"""How far the probabilities of a cohort's model can be taken at their word, for metrics.json."""

from __future__ import annotations

from data_sharding.schema import Strict
from eval.calibration import bin_of, calibration_line, ece
from eval.estimate import Estimate, undefined
from eval.performance import Cases, share

BINS = 10


class Bin(Strict):
    """Rows with ``low < probability <= high``."""

    low: float
    high: float
    n: int
    mean_predicted: float | None
    observed: Estimate


class Calibration(Strict):
    """How far the probabilities can be taken at their word."""

    mean_predicted: float | None
    bins: tuple[Bin, ...]
    ece_positive_class: Estimate
    in_the_large: Estimate
    slope: Estimate


def calibration(cases: Cases) -> Calibration:
    """Compute all of it for labelled rows; one class only leaves the regressions undefined."""
    bins = reliability(cases)
    n = cases.label.size
    mean = float(cases.probability.mean()) if n else None
    empty = undefined("nobody with a reference label in this group")
    line = calibration_line(cases.label, cases.probability, cases.patient, cases.confidence)
    why = undefined(cases.one_class) if cases.one_class else None
    return Calibration(
        mean_predicted=mean,
        bins=bins,
        ece_positive_class=ece(cases.label, cases.probability, BINS) if n else empty,
        in_the_large=why or line.in_the_large,
        slope=why or line.slope,
    )


def reliability(cases: Cases, bins: int = BINS) -> tuple[Bin, ...]:
    """Mean prediction and observed share in `bins` equal bins (lo, hi] of probability."""
    place = bin_of(cases.probability, bins)
    found = []
    for i in range(bins):
        rows = place == i
        n = int(rows.sum())
        found.append(
            Bin(
                low=i / bins,
                high=(i + 1) / bins,
                n=n,
                mean_predicted=float(cases.probability[rows].mean()) if n else None,
                observed=share(cases, cases.label == 1, rows, "no prediction in this bin"),
            )
        )
    return tuple(found)
