"""How far a model's cohorts are from home: ranking, calibration, what is flagged, how scores lie.

Home is the test split of the hospital that the model learnt from; each other cohort that nothing
was tuned on is set against it, everything as "there minus home". Drift is no test of a reason:
people elsewhere may be sicker, which `prevalence` says, or imaged otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from eval.clinical.beside import judged
from eval.cohort import Metrics, ModelMetrics
from eval.comparison.shapes import Contrast, Drift
from eval.delong import delong_auc
from eval.estimate import Estimate, undefined
from eval.frames import Frame
from eval.runs import Run, is_tuning

NO_INTERVAL = "difference, no interval"


def drifts(
    runs: Mapping[str, Run],
    metrics: Mapping[str, Sequence[Metrics]],
    contrasts: Sequence[Contrast],
    confidence: float = 0.95,
) -> tuple[Drift, ...]:
    """Every model of every run on each cohort away from home; none where a run has no home.

    Args:
        runs: by their names in the comparison.
        metrics: of each run.
        contrasts: the tests made between them, whose AUROC differences are used again.
        confidence: two-sided level of the intervals.
    """
    tested = {
        (c.first.run, c.first.model, c.first.cohort, c.second.cohort): c
        for c in contrasts
        if c.kind == "unpaired" and (c.first.run, c.first.model) == (c.second.run, c.second.model)
    }
    found = []
    for name, run in runs.items():
        by_cohort = {m.cohort: m for m in metrics[name]}
        home = home_of(run, list(by_cohort))
        if home is None:
            continue
        at_home = judged(run, home).frame
        for cohort in away_from(home, list(by_cohort)):
            there = judged(run, cohort).frame
            both = np.intersect1d(at_home["patient"].to_numpy(str), there["patient"].to_numpy(str))
            for a in by_cohort[home].models:
                b = next((x for x in by_cohort[cohort].models if x.model == a.model), None)
                if b is None:
                    continue
                place = name, home, cohort
                if both.size:
                    why = f"{both.size:,} patients are in both cohorts: they are not apart"
                    found.append(_unknown(place, a, b, why))
                    continue
                auroc = _auroc(tested, name, a.model, home, cohort)
                least = by_cohort[home].settings.smallest_group
                found.append(_drift(place, a, b, auroc, at_home, there, least, confidence))
    return tuple(found)


def home_of(run: Run, cohorts: Sequence[str]) -> str | None:
    """The test split of the run's internal dataset; of a run without datasets the first ``-test``.

    None where there is no such cohort.
    """
    manifests = run.facts.get("manifests")
    named = manifests.items() if isinstance(manifests, dict) else ()
    roles = {str(n): e.get("role") for n, e in named if isinstance(e, dict)}
    tests = [c for c in sorted(cohorts) if c.endswith("-test")]
    own = [c for c in tests if roles.get(c.removesuffix("-test")) == "internal"]
    return next(iter(own or tests), None)


def away_from(home: str, cohorts: Sequence[str]) -> list[str]:
    """Cohorts that nothing was tuned on, other than parts of the home dataset."""
    own = home.removesuffix("test")
    return [c for c in sorted(cohorts) if not is_tuning(c) and not c.startswith(own)]


def apart(home: Estimate, there: Estimate) -> Estimate:
    """`there` minus `home`, of two cohorts that share nobody.

    The interval is put together from the two (MOVER: Zou & Donner, Stat Med 2008).
    """
    if home.value is None or there.value is None:
        side, e = ("at home", home) if home.value is None else ("there", there)
        return undefined(f"{side}: {e.undefined}")
    value = there.value - home.value
    if None in (home.low, home.high, there.low, there.high):
        return Estimate(value=value, method=NO_INTERVAL)
    half = (
        _length(there.value - _number(there.low), _number(home.high) - home.value),
        _length(_number(there.high) - there.value, home.value - _number(home.low)),
    )
    low, high = value - half[0], value + half[1]
    return Estimate(value=value, low=low, high=high, method="MOVER of the two intervals")


def score_shift(
    home: NDArray[np.float64],
    there: NDArray[np.float64],
    patients: tuple[NDArray, NDArray],
    confidence: float = 0.95,
) -> Estimate:
    """The chance that a picture from there has a higher score than one from home, ties half.

    0.5 where the scores lie alike in the middle; the interval is DeLong's, by patient.

    Args:
        home: scores [n].
        there: scores [m].
        patients: who each is of, [n] and [m]; nobody is in both.
        confidence: two-sided.
    """
    where = np.repeat([0, 1], [home.size, there.size])
    who = np.unique(np.concatenate(patients).astype(str), return_inverse=True)[1]
    a = delong_auc(where, np.concatenate([home, there]), confidence, who)
    if a.auc is None:
        return undefined(a.undefined or "")
    return Estimate(value=a.auc, low=a.low, high=a.high, method="Mann-Whitney, DeLong, by patient")


def _drift(
    place: tuple[str, str, str],
    a: ModelMetrics,
    b: ModelMetrics,
    auroc: Estimate,
    home: Frame,
    there: Frame,
    least: int,
    confidence: float,
) -> Drift:
    few = [m.scores.patients for m in (a, b) if m.scores.patients < least]
    if few:
        return _unknown(place, a, b, f"kept back: fewer than {least} patients")
    home, there = home[home["model"] == a.model], there[there["model"] == a.model]
    here, away = (f["probability"].to_numpy(np.float64) for f in (home, there))
    who = home["patient"].to_numpy(str), there["patient"].to_numpy(str)
    distance = float(ks_2samp(here, away, method="asymp").statistic)  # type: ignore[union-attr]
    return _of(
        place,
        a,
        b,
        auroc=auroc,
        prevalence=apart(a.overall.prevalence, b.overall.prevalence),
        sensitivity=apart(a.overall.sensitivity, b.overall.sensitivity),
        specificity=apart(a.overall.specificity, b.overall.specificity),
        called_positive=apart(a.scores.called_positive, b.scores.called_positive),
        in_the_large=apart(a.calibration.in_the_large, b.calibration.in_the_large),
        slope=apart(a.calibration.slope, b.calibration.slope),
        ece=apart(a.calibration.ece_positive_class, b.calibration.ece_positive_class),
        scores=score_shift(here, away, who, confidence),
        distance=Estimate(value=distance, method="Kolmogorov-Smirnov, no interval"),
    )


#: The quantities of a `Drift`.
QUANTITIES = (
    "auroc",
    "prevalence",
    "called_positive",
    "sensitivity",
    "specificity",
    "in_the_large",
    "slope",
    "ece",
    "scores",
    "distance",
)


def _unknown(place: tuple[str, str, str], a: ModelMetrics, b: ModelMetrics, why: str) -> Drift:
    return _of(place, a, b, **dict.fromkeys(QUANTITIES, undefined(why)))


def _of(place: tuple[str, str, str], a: ModelMetrics, b: ModelMetrics, **found: Estimate) -> Drift:
    run, home, cohort = place
    return Drift(
        run=run,
        model=a.model,
        home=home,
        cohort=cohort,
        patients_home=a.scores.patients,
        patients=b.scores.patients,
        **found,
    )


def _auroc(
    tested: Mapping[tuple[str, str, str, str], Contrast],
    run: str,
    model: str,
    home: str,
    there: str,
) -> Estimate:
    """From the test between the two, whichever way round it was made."""
    if c := tested.get((run, model, home, there)):
        return c.difference
    c = tested.get((run, model, there, home))
    if c is None:
        return undefined("no picture with a reference in one of the two")
    e = c.difference
    if e.value is None:
        return e
    low, high = (None if v is None else -v for v in (e.high, e.low))
    return Estimate(value=-e.value, low=low, high=high, method=e.method, undefined=e.undefined)


def _length(x: float, y: float) -> float:
    return float(np.hypot(x, y))


def _number(value: float | None) -> float:
    assert value is not None
    return value
