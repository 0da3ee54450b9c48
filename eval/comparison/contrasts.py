"""Which models may be tested against each other, and how.

Two models that judged one cohort are tested on the pictures that both judged (DeLong, paired,
components summed within patients), if both name the same patient and label for each. The same
model on two cohorts is tested unpaired, if nobody is in both. Where runs share no cohort at all,
all their models are tested unpaired. Whatever may not be tested is listed with the reason.

Every test makes the correction of the others sterner, so between runs only models of one name are
tested against each other, or all where the runs share no name; `every_pair` asks for all anyway.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from eval.comparison.entries import Entry
from eval.comparison.multiple import bonferroni, holm
from eval.comparison.shapes import Contrast, Side
from eval.decision import Reclassification, idi, nri
from eval.delong import Test, delong_test, delong_unpaired
from eval.estimate import Estimate, undefined

ROWS = "normal, rows as independent"


def contrasts(
    found: list[Entry], confidence: float, every_pair: bool = False
) -> tuple[Contrast, ...]:
    """Every test there is to make, corrected for all that have a p."""
    alike = _with_common_model(found)
    made = [
        paired(a, b, confidence)
        for a, b in combinations(found, 2)
        if a.cohort == b.cohort
        and (
            every_pair
            or a.run == b.run
            or a.model == b.model
            or frozenset((a.run, b.run)) not in alike
        )
    ]
    apart = _without_common_cohort(found)
    made += [
        unpaired(a, b, confidence)
        for a, b in combinations(found, 2)
        if a.cohort != b.cohort
        and ((a.run, a.model) == (b.run, b.model) or frozenset((a.run, b.run)) in apart)
    ]
    with_p = [c.p for c in made if c.p is not None]
    corrected = iter(zip(holm(with_p), bonferroni(with_p), strict=True))
    return tuple(
        c
        if c.p is None
        else c.model_copy(
            update=dict(zip(("p_holm", "p_bonferroni"), next(corrected), strict=True))
        )
        for c in made
    )


def paired(first: Entry, second: Entry, confidence: float) -> Contrast:
    """Two models on the pictures of one cohort that both judged."""
    a, b = _common(first.key, second.key)
    sides = _side(first, a), _side(second, b)
    refused = _not_the_same(first, second, a, b)
    if refused is not None:
        none = undefined(refused)
        return Contrast(kind="paired", first=sides[0], second=sides[1], difference=none)
    label, patient = first.label[a], first.patient[a]
    before, after = first.probability[a], second.probability[b]
    test = delong_test(label, after, before, confidence, patient)
    return Contrast(
        kind="paired",
        first=sides[0],
        second=sides[1],
        difference=_difference(test, "DeLong, paired, components summed within patients"),
        z=test.z,
        p=test.p,
        nri=_improvement(nri(label, before, after, level=confidence)),
        nri_at_threshold=_flagged(first, second, label, before, after, confidence),
        idi=_improvement(idi(label, before, after, confidence)),
        note=_remark(first, second, a.size),
    )


def unpaired(first: Entry, second: Entry, confidence: float) -> Contrast:
    """A model on one cohort against a model on another."""
    every = slice(None)
    sides = _side(first, every), _side(second, every)
    both = np.intersect1d(first.patient, second.patient).size
    if both:
        none = undefined(f"{both:,} patients are in both cohorts: neither test holds")
        return Contrast(kind="unpaired", first=sides[0], second=sides[1], difference=none)
    test = delong_unpaired(
        second.label,
        second.probability,
        first.label,
        first.probability,
        confidence,
        second.patient,
        first.patient,
    )
    return Contrast(
        kind="unpaired",
        first=sides[0],
        second=sides[1],
        difference=_difference(test, "DeLong, unpaired"),
        D=test.D,
        df=test.df,
        p=test.p,
        note="other people: prevalence and severity differ too",
    )


def _with_common_model(found: list[Entry]) -> set[frozenset[str]]:
    """Pairs of runs that have a model of the same name."""
    models: dict[str, set[str]] = {}
    for e in found:
        models.setdefault(e.run, set()).add(e.model)
    return {frozenset((a, b)) for a, b in combinations(models, 2) if models[a] & models[b]}


def _without_common_cohort(found: list[Entry]) -> set[frozenset[str]]:
    """Pairs of runs that were judged on no cohort of the same name."""
    cohorts: dict[str, set[str]] = {}
    for e in found:
        cohorts.setdefault(e.run, set()).add(e.cohort)
    return {frozenset((a, b)) for a, b in combinations(cohorts, 2) if not cohorts[a] & cohorts[b]}


def _common(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
    """Places of the keys that both have."""
    if np.array_equal(a, b):
        every = np.arange(a.size)
        return every, every
    return np.intersect1d(a, b, assume_unique=True, return_indices=True)[1:]


def _not_the_same(first: Entry, second: Entry, a: NDArray, b: NDArray) -> str | None:
    """Why the rows cannot be paired, if so."""
    if not a.size:
        return "no picture with a reference is in both"
    if moved := int((first.patient[a] != second.patient[b]).sum()):
        return f"{moved:,} of {a.size:,} common pictures are of another patient in the other run"
    if other := int((first.label[a] != second.label[b]).sum()):
        return f"{other:,} of {a.size:,} common pictures have another label in the other run"
    return None


def _remark(first: Entry, second: Entry, common: int) -> str | None:
    if common == first.key.size == second.key.size:
        same = np.array_equal(first.probability, second.probability)
        return "the same probabilities for every picture" if same else None
    return f"on {common:,} pictures that both judged, of {first.key.size:,} and {second.key.size:,}"


def _flagged(
    first: Entry,
    second: Entry,
    label: NDArray[np.int64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    confidence: float,
) -> Estimate:
    """Reclassification where each model flags at its own frozen threshold."""
    if first.threshold is None or second.threshold is None:
        return undefined("no threshold was frozen for one of the models")
    flags = (before >= first.threshold).astype(float), (after >= second.threshold).astype(float)
    return _improvement(nri(label, *flags, thresholds=[0.5], level=confidence))


def _improvement(r: Reclassification) -> Estimate:
    return Estimate(value=r.value, low=r.low, high=r.high, method=ROWS, undefined=r.undefined)


def _difference(test: Test, method: str) -> Estimate:
    if test.difference is None:
        return undefined(test.undefined or "")
    return Estimate(
        value=test.difference,
        low=test.low,
        high=test.high,
        method=method,
        undefined=test.undefined,
    )


def _side(e: Entry, rows: NDArray | slice) -> Side:
    patients = np.unique(e.patient[rows]).size
    n = e.label[rows].size
    return Side(run=e.run, cohort=e.cohort, model=e.model, n=n, patients=patients)
