"""Ablations and baselines in one table: models of three classes on the same people.

    python -m eval variants RUN RUN ... [--names Face2Bone,-FSA,...] --out DIR

The first run is the yardstick. Each other one has its difference from it, with an interval by
resampling patients, and a permutation test of one statistic, chosen beforehand; p is corrected for
the rows of the table (Holm). What age, sex and BMI alone reach is a row of its own. Runs that did
not judge the same patients with the same labels are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from eval.classes.reading import Reading, readings
from eval.classes.rows import common_rows, shared_cohorts
from eval.classes.shapes import NAMES
from eval.classes.single import facts, judged_on, less, most_probable
from eval.classes.single_shapes import Unit
from eval.classes.sources import Source
from eval.classes.statistics import Cases, Statistic, decided, ranked
from eval.classes.systems import Answers
from eval.comparison.multiple import holm
from eval.inputs import check_level
from eval.multiclass import multiclass_metrics
from eval.runs import is_tuning
from eval.variants.changed import changed, data
from eval.variants.permutation import permutation_p
from eval.variants.shapes import Row, Scores, Table, Tested, Variant, Variants

__all__ = ["DRAWS", "TESTS", "Variants", "variants"]

#: Resamples, and swaps of the permutation test.
DRAWS = 2000
TESTS: tuple[Tested, ...] = get_args(Tested)
SHOWN = tuple(Scores.model_fields)


def variants(
    runs: Sequence[str],
    names: Sequence[str] = (),
    cohorts: Sequence[str] = (),
    tested: str = "auroc_ovr",
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> Variants:
    """Judge several runs of three classes on the same rows.

    Args:
        runs: RUN or RUN:MODEL each, the yardstick first.
        names: what to call them, one each; by default what run.json calls them.
        cohorts: judge these only; by default all that chose nothing.
        tested: the statistic that p is of, one of `TESTS`.
        draws: resamples of patients, and swaps of the permutation test.
        seed: same seed, same draws.
        level: two-sided confidence level.

    Raises:
        ValueError: runs that cannot be read, learnt something else, or judged other patients.
    """
    check_level(level)
    if tested not in TESTS:
        raise ValueError(f"{tested}: no statistic to test; there are {', '.join(TESTS)}")
    if draws < 1:
        raise ValueError(f"{draws} resamples: ask for at least one, better {DRAWS}")
    sources = _opened(runs)
    called = _called(names, sources)
    told, _ = shared_cohorts(sources, cohorts)
    judged = [c for c in told if not is_tuning(c)]
    if not judged:
        raise ValueError(f"{', '.join(told)}: models were chosen there; name a cohort that is not")
    for c in judged:
        common_rows(c, sources)  # refuses what is not the same
    first, body = readings(sources[0], judged)
    others = [readings(s, judged, with_body=False)[0] for s in sources[1:]]
    each = [{r.cohort: r for r in found} for found in (first, *others)]
    listed = [_variant(n, s, sources[0]) for n, s in zip(called, sources, strict=True)]
    if body is not None:
        alone = f"{', '.join(body.used)} alone"
        listed.append(Variant(name=alone, part=None, changed=(), data=""))
    tables = [
        _table(unit, rows, [v.name for v in listed], tested, draws, seed, level)
        for c in judged
        for unit, rows in _units([found[c] for found in each])
    ]
    return Variants(
        confidence=level,
        draws=draws,
        seed=seed,
        tested=next(t for t in TESTS if t == tested),
        variants=tuple(listed),
        body=None if body is None else facts(body),
        no_body=first[0].no_body,
        tables=tuple(tables),
        notes=tuple(_notes(listed, draws, level)),
    )


def _opened(runs: Sequence[str]) -> list[Source]:
    if len(runs) < 2:
        raise ValueError(
            "one run is no table: give at least two, the yardstick first; `python -m eval report` "
            "judges one"
        )
    found: list[Source] = []
    for named in runs:
        source = Source.at(named, "three classes", [s.name for s in found])
        again = source.run.folder.resolve(), source.model
        if again in [(s.run.folder.resolve(), s.model) for s in found]:
            raise ValueError(f"{named}: named twice")
        found.append(source)
    return found


def _called(names: Sequence[str], sources: Sequence[Source]) -> list[str]:
    if not names:
        return [s.name for s in sources]
    called = [" ".join(n.split()) for n in names]
    if len(called) != len(sources):
        raise ValueError(f"{len(called)} names for {len(sources)} runs: one each, in their order")
    if not all(called) or len(set(called)) < len(called):
        raise ValueError(f"names must differ, and none be empty: {', '.join(called)}")
    return called


def _variant(name: str, source: Source, first: Source) -> Variant:
    return Variant(
        name=name,
        part=source.part,
        changed=changed(first.run, source.run),
        data=data(first.run, source.run),
    )


def _units(pictures: list[Reading]) -> list[tuple[Unit, list[Reading]]]:
    """The rows of all variants on people, where somebody has several pictures, and on pictures."""
    people = [judged_on(r) for r in pictures]
    alike = people[0] is pictures[0]
    return [("pictures", pictures)] if alike else [("people", people), ("pictures", pictures)]


def _table(
    unit: Unit,
    rows: list[Reading],
    names: list[str],
    tested: str,
    draws: int,
    seed: int,
    level: float,
) -> Table:
    """All variants, and the body last if there is one, on the rows that all share."""
    first = rows[0]
    cases = Cases.of(first.truth, first.patient, draws, seed, level)
    every = [most_probable(r.P) for r in rows]
    every += [most_probable(first.body)] if first.body is not None else []
    found = [decided(cases, a.P, a.said) | ranked(cases, a.P) for a in every]
    made = [_row(cases, n, a, f, found[0]) for n, a, f in zip(names, every, found, strict=True)]
    for i in range(1, len(made)):
        made[i] = _tested(made[i], cases, every[0], every[i], tested, draws, seed)
    adjusted = iter(holm([r.p for r in made if r.p is not None]))
    made = [r if r.p is None else r.model_copy(update={"p_holm": next(adjusted)}) for r in made]
    counts = np.bincount(first.truth, minlength=len(NAMES))
    return Table(
        cohort=first.cohort,
        unit=unit,
        n=first.truth.size,
        patients=np.unique(first.patient).size,
        of_class=(int(counts[0]), int(counts[1]), int(counts[2])),
        left_out=first.left_out,
        rows=tuple(made),
    )


def _row(
    cases: Cases,
    name: str,
    answers: Answers,
    found: dict[str, Statistic],
    yardstick: dict[str, Statistic],
) -> Row:
    m = multiclass_metrics(cases.truth, answers.P, names=NAMES)
    whys = {"balanced_accuracy": m.recall_macro}
    scores = {
        n: found[n].estimate(cases, (whys.get(n) or getattr(m, n)).undefined or "") for n in SHOWN
    }
    first = found is yardstick
    gaps = {} if first else {n: less(found[n], yardstick[n], cases) for n in SHOWN}
    return Row(name=name, scores=Scores(**scores), difference=gaps)


def _tested(
    row: Row, cases: Cases, first: Answers, here: Answers, tested: str, swaps: int, seed: int
) -> Row:
    if np.array_equal(first.P, here.P):
        return row.model_copy(update={"no_test": "says the same of everybody"})
    gap = row.difference[tested]
    if gap.value is None:
        return row.model_copy(update={"no_test": gap.undefined or "undefined"})
    p = permutation_p(cases.truth, cases.patient, first, here, tested, swaps, seed)
    return row.model_copy(update={"p": p})


def _notes(listed: Sequence[Variant], draws: int, level: float) -> list[str]:
    notes = [f"{v.name}: {v.data}." for v in listed if v.data]
    for v in listed:
        if beyond := [n for n, _, _ in v.changed if not n.startswith("model.")]:
            more = f" and {len(beyond) - 4} more" if len(beyond) > 4 else ""
            notes.append(
                f"{v.name} differs from {listed[0].name} in more than its model: "
                f"{', '.join(beyond[:4])}{more}. Its row shows their effect too."
            )
    tests = len(listed) - 1
    if tests / (draws + 1) >= 1 - level:
        notes.append(
            f"{draws:,} draws cannot tell a difference that survives the correction for {tests} "
            f"rows: ask for --draws {int(2 * tests / (1 - level))} or more."
        )
    return notes
