"""How far the probabilities of a cohort's model can be taken at their word, for metrics.json."""

from __future__ import annotations

from data_sharding.schema import Strict
from eval.calibration import bin_of, calibration_line, ece, hosmer_lemeshow, ici
from eval.estimate import Estimate, undefined
from eval.performance import Cases, share

BINS = 10
GROUPS = 10


class Bin(Strict):
    """Rows with ``low < probability <= high``."""

    low: float
    high: float
    n: int
    mean_predicted: float | None
    observed: Estimate


class Goodness(Strict):
    """Hosmer & Lemeshow's test; None where `undefined` says why. `groups` are those that came out.

    Rows count as independent, and in thousands of rows it finds the slightest misfit: read ICI.
    """

    chi2: float | None = None
    df: int | None = None
    p: float | None = None
    groups: int
    undefined: str | None = None


class Calibration(Strict):
    """How far the probabilities can be taken at their word.

    - slope, intercept, in_the_large: of the logistic line (`eval.calibration.calibration_line`).
    - external: not the cohort that temperature was chosen on; Hosmer-Lemeshow's df depend on it.
    - ici, e50, e90, emax: mean, median, 90th percentile and largest distance between a smooth
      curve of outcomes and the probabilities.
    """

    mean_predicted: float | None
    bins: tuple[Bin, ...]
    ece_positive_class: Estimate
    in_the_large: Estimate
    slope: Estimate
    intercept: Estimate
    external: bool
    hosmer_lemeshow: Goodness
    ici: Estimate
    e50: Estimate
    e90: Estimate
    emax: Estimate


def calibration(cases: Cases, external: bool = True) -> Calibration:
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
        intercept=why or line.intercept,
        external=external,
        hosmer_lemeshow=_goodness(cases, external),
        **_distances(cases),
    )


def _goodness(cases: Cases, external: bool) -> Goodness:
    if reason := cases.one_class:
        return Goodness(groups=0, undefined=reason)
    t = hosmer_lemeshow(cases.label, cases.probability, GROUPS, external)
    return Goodness(chi2=t.chi2, df=t.df, p=t.p, groups=len(t.table), undefined=t.undefined)


def _distances(cases: Cases) -> dict[str, Estimate]:
    names = ("ici", "e50", "e90", "emax")
    if reason := cases.one_class:
        return dict.fromkeys(names, undefined(reason))
    found = ici(cases.label, cases.probability)
    if found.undefined:
        return dict.fromkeys(names, undefined(found.undefined))
    method = "loess, no interval"
    return {name: Estimate(value=getattr(found, name), method=method) for name in names}


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
