"""From values of single pictures to tables of groups: Tables 6 and 7 of Face2Bone, for this run.

Means and SDs are over patients, whose pictures are averaged first; intervals resample patients.
Groups of too few are kept back by the rule of `eval.subgroups.suppression`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from eval.bootstrap import PatientDraws, of_sums, percentile
from eval.estimate import Estimate, undefined
from eval.faces.region_shap import PLAYERS, REGIONS
from eval.faces.shapes import (
    EXACT,
    GROUPS,
    MEAN,
    OWN,
    SUM,
    Alikeness,
    First,
    Group,
    Leading,
    Measure,
    OfClass,
    Sanity,
    Settings,
    Table,
    Value,
)
from eval.faces.similarity import by_patient, similarity
from eval.faces.values import Values
from eval.intervals import proportion
from eval.pictures.explained import LIMIT
from eval.subgroups.suppression import hidden, hidden_cells

SEX = {"women": "F", "men": "M"}
NOT_ENOUGH = "kept back: too few patients, or such a group could be told from it"


def tables(v: Values, classes: tuple[str, ...], settings: Settings) -> tuple[Table, ...]:
    """Every measure of the own class, and of the last class of everybody, by group."""
    found = []
    for explained, measure, values in _measures(v, classes):
        for group in GROUPS:
            of = [
                _of_class(values[rows], v.patient[rows], name, shown, settings)
                for name, rows, shown in _cells(v, classes, group, settings)
            ]
            found.append(
                Table(explained=explained, measure=measure, group=group, classes=tuple(of))
            )
    return tuple(found)


def _measures(
    v: Values, classes: tuple[str, ...]
) -> Iterator[tuple[str, Measure, NDArray[np.float64]]]:
    """What is explained, how, and its values [n, players]."""
    last = classes[-1]
    yield OWN, EXACT, v.own
    yield last, EXACT, v.regions[:, :, -1]
    if v.pixels:
        for k, explained in enumerate((OWN, last)):
            yield explained, SUM, v.pixels.total[:, k]
            yield explained, MEAN, v.pixels.per_pixel[:, k]


def _cells(
    v: Values, classes: tuple[str, ...], group: Group, settings: Settings
) -> Iterator[tuple[str, NDArray[np.bool_], bool]]:
    """Name, rows [n] and whether it may be shown of each class of a group."""
    away = kept_back(v, len(classes), settings.smallest_group)
    inside = np.ones(len(v.truth), bool) if group == "everybody" else v.sex == SEX[group]
    for k, name in enumerate(classes):
        yield name, inside & (v.truth == k), (str(k), group) not in away


def kept_back(v: Values, classes: int, least: int) -> Collection[tuple[str, str]]:
    """(class, group) pairs that are not shown; of sexes, so that nobody can subtract."""
    of_sex = [next((g for g, s in SEX.items() if s == x), "unknown") for x in v.sex]
    sizes: dict[tuple[str, str], set] = {}
    for k, group, patient in zip(v.truth, of_sex, v.patient, strict=True):
        sizes.setdefault((str(k), group), set()).add(patient)
    counts = {cell: len(people) for cell, people in sizes.items()}
    by_class = {
        str(k): len({p for p, t in zip(v.patient, v.truth, strict=True) if t == k})
        for k in range(classes)
    }
    small = hidden({k: n for k, n in by_class.items() if n}, least)
    margins = ({k: by_class[k] for k in small}, {})
    cells = hidden_cells(counts, least, margins)
    return {*cells, *((k, "everybody") for k in small)}


def _of_class(
    values: NDArray[np.float64], patient: NDArray, name: str, shown: bool, settings: Settings
) -> OfClass:
    if not shown:
        return OfClass(name=name, pictures=None, patients=None, values=())
    mean, who = by_patient(values, patient)
    told = tuple(
        Value(player=player, mean=_mean(mean[:, p], settings), sd=_sd(mean[:, p]))
        for p, player in enumerate(PLAYERS)
    )
    return OfClass(
        name=name, pictures=len(values), patients=len(who), values=told if len(who) else ()
    )


def _mean(values: NDArray[np.float64], settings: Settings) -> Estimate:
    known = values[~np.isnan(values)]
    if not known.size:
        return undefined("the region is in none of the pictures")
    value = float(known.mean())
    if known.size < 2:
        return Estimate(value=value, undefined="one patient cannot be resampled")
    draws = PatientDraws.of(known.size, settings.draws, settings.seed)
    sums = np.stack([known, np.ones(known.size)], axis=1)
    drawn = of_sums(draws.counts, np.arange(known.size), sums, lambda s: s[:, 0] / s[:, 1])
    return percentile(value, drawn)


def _sd(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if known.size > 1 else None


def leading(v: Values, classes: tuple[str, ...], settings: Settings) -> tuple[Leading, ...]:
    """Which region speaks most for the class that DXA says, where the model says it too."""
    found = []
    for k, (name, rows, shown) in enumerate(_cells(v, classes, "everybody", settings)):
        rows = rows & v.right
        mean, who = by_patient(v.regions[rows][:, : len(REGIONS), k], v.patient[rows])
        if not shown or 0 < len(who) < settings.smallest_group:
            found.append(Leading(name=name, patients=None, none=None, regions=()))
            continue
        first = first_region(mean)
        shares = tuple(
            First(
                region=region,
                share=proportion(first == r, np.arange(len(who)), "nobody was answered rightly"),
            )
            for r, region in enumerate(REGIONS)
        )
        none = int((first < 0).sum())
        found.append(Leading(name=name, patients=len(who), none=none, regions=shares))
    return tuple(found)


def first_region(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The region of the largest of values [n, regions]; -1 where none is positive."""
    return np.where(values.max(axis=1) > 0, values.argmax(axis=1), -1)


def sanity(v: Values) -> Sanity:
    """Do the values depend on what the model has learnt?"""
    some, truth = v.checked, v.truth[v.checked]
    at = np.arange(len(some))
    own = v.regions[some][at, : len(REGIONS), truth]
    random = v.random[:, at, : len(REGIONS), truth]
    # numpy puts the axis of an index array first where a slice stands between: (m, networks, R)
    random = random.reshape(len(some), -1, len(REGIONS)) if len(some) else random.reshape(0, 0, 5)
    networks = v.random.shape[0]
    if not len(some):
        none = undefined("the model answers nobody rightly")
        return Sanity(
            pictures=0, networks=networks, same=none, cosine=none, limit=LIMIT, passed=None
        )
    first, theirs = first_region(own), np.array([first_region(r) for r in random])
    people = np.unique(v.patient[some], return_inverse=True)[1]
    same = proportion((theirs == first[:, None]).ravel(), np.repeat(people, networks), "nobody")
    norms = np.linalg.norm(random, axis=2) * np.linalg.norm(own, axis=1)[:, None]
    cosines = np.einsum("nkr,nr->nk", random, own) / np.where(norms > 0, norms, np.inf)
    by_person, _ = by_patient(np.abs(cosines).mean(axis=1), people)
    return Sanity(
        pictures=len(some),
        networks=networks,
        same=same,
        cosine=_mean(by_person, Settings()),
        limit=LIMIT,
        passed=_judged(same),
    )


def _judged(same: Estimate) -> bool | None:
    """Passed below the limit with all of the interval, failed above it; None in between."""
    if same.value is None or same.high is None:
        return None
    return True if same.high < LIMIT else False if same.value >= LIMIT else None


def alikeness(v: Values, classes: tuple[str, ...], settings: Settings) -> tuple[Alikeness, ...]:
    """Similarity of five-region vectors, of the own class and of the last, by group."""
    found = []
    of_last = np.repeat(v.regions[:, : len(REGIONS), -1][:, None], len(classes), axis=1)
    of_own = v.regions[:, : len(REGIONS)].transpose(0, 2, 1)
    for explained, vectors in ((OWN, of_own), (classes[-1], of_last)):
        for group in GROUPS:
            cells = list(_cells(v, classes, group, settings))
            rows = np.zeros(len(v.truth), bool)
            for _, of, shown in cells:
                rows |= of & shown
            told, why = None, NOT_ENOUGH
            if sum(bool(of.any() and shown) for _, of, shown in cells) >= 2:
                told = similarity(
                    vectors[rows], v.truth[rows], v.patient[rows],
                    permutations=settings.permutations, draws=settings.draws, seed=settings.seed,
                )  # fmt: skip
                why = None
            found.append(Alikeness(explained=explained, group=group, found=told, undefined=why))
    return tuple(found)
