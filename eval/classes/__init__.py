"""Normal, low bone mass or osteoporosis: two stages against one model, end to end.

    python -m eval classes --first RUN --second RUN --unified RUN [--unified RUN ...]

A first stage finds osteoporosis, and a second one, such as OsPenScreen, low bone mass among the
rest; a model of three classes answers at once. All are
judged on the same rows, each error goes to the stage that made it, and the systems are tested
against each other, paired.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from eval.classes.contrasts import contrasts, corrected
from eval.classes.judged import judged, statistics
from eval.classes.rows import common_rows, shared_cohorts
from eval.classes.shapes import Cohort, Contrast, System, ThreeClasses
from eval.classes.sources import Source
from eval.classes.statistics import Cases
from eval.classes.systems import AnySystem, systems
from eval.inputs import check_level
from eval.runs import is_tuning

#: Enough that the smallest p there can be survives the correction of a hundred tests.
DRAWS = 5000

__all__ = ["Source", "ThreeClasses", "three_classes"]


def three_classes(
    first: str | None,
    second: str | None,
    unified: Sequence[str] = (),
    cohorts: Sequence[str] = (),
    tuned: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> ThreeClasses:
    """Judge two stages and models of three classes on the same rows.

    Args:
        first: RUN or RUN:MODEL that learnt osteoporosis.
        second: RUN or RUN:MODEL that learnt low bone mass from those without osteoporosis.
        unified: RUN or RUN:MODEL that learnt three classes, any number.
        cohorts: judge these only; by default all, and then all runs must have the same.
        tuned: judge each unified model with thresholds chosen on its tuning cohorts as well.
        draws: resamples of patients.
        seed: same seed, same resamples.
        level: two-sided confidence level.

    Raises:
        ValueError: runs that cannot be read, that learnt something else, or that did not judge the
            same pictures; nothing to judge.
    """
    check_level(level)
    if draws < 1:
        raise ValueError(f"{draws} resamples: ask for at least one, better {DRAWS}")
    stages, others = _opened(first, second, unified)
    sources = [*(stages or ()), *others]
    names, unlabelled = shared_cohorts(sources, cohorts)
    names = sorted(names, key=lambda c: (chose(c), c))
    found = systems(stages, others, names, tuned)
    lettered = {_letter(i): s for i, s in enumerate(found)}
    facts = {letter: s.facts(letter) for letter, s in lettered.items()}
    made = [_cohort(c, sources, lettered, facts, draws, seed, level) for c in names]
    tests = corrected([t for _, each in made for t in each])
    return ThreeClasses(
        confidence=level,
        draws=draws,
        seed=seed,
        systems=tuple(facts.values()),
        cohorts=tuple(c for c, _ in made),
        contrasts=tests,
        comparisons=sum(t.p is not None for t in tests),
        notes=(*_notes(facts.values(), sources, unlabelled), *_too_few(tests, draws, level)),
    )


def chose(cohort: str) -> bool:
    """Whether thresholds may have come from this cohort: tuning, and out-of-fold training rows."""
    return is_tuning(cohort) or cohort.endswith("-train")


def _opened(
    first: str | None, second: str | None, unified: Sequence[str]
) -> tuple[tuple[Source, Source] | None, list[Source]]:
    """The stages, if asked for, and the others; each with a name of its own."""
    if (first is None) != (second is None):
        raise ValueError("two stages are two runs: give --first and --second")
    if first is None and not unified:
        raise ValueError("nothing to judge: give --first and --second, --unified, or all three")
    opened: list[Source] = []
    tasks = [(first, "osteoporosis"), (second, "low bone mass")]
    for named, task in [*tasks, *((u, "three classes") for u in unified)]:
        if named is None:
            continue
        source = Source.at(named, task, [s.name for s in opened])
        again = (source.run.folder.resolve(), source.model)
        if again in [(s.run.folder.resolve(), s.model) for s in opened]:
            raise ValueError(f"{named}: named twice")
        opened.append(source)
    stages = None if first is None else (opened[0], opened[1])
    return stages, opened[2:] if stages else opened


def _letter(i: int) -> str:
    return f"{chr(65 + i % 26)}{i // 26 + 1 if i > 25 else ''}"


def _cohort(
    name: str,
    sources: Sequence[Source],
    lettered: dict[str, AnySystem],
    facts: dict[str, System],
    draws: int,
    seed: int,
    level: float,
) -> tuple[Cohort, list[Contrast]]:
    rows = common_rows(name, sources)
    cases = Cases.of(rows.truth, rows.patient, draws, seed, level)
    answers = {letter: s.answers(rows) for letter, s in lettered.items()}
    found = {letter: statistics(cases, a) for letter, a in answers.items()}
    each = [
        judged(letter, cases, answers[letter], found[letter], lettered[letter].thresholds)
        for letter in lettered
    ]
    made = Cohort(
        cohort=name,
        chose=chose(name),
        n=rows.truth.size,
        patients=int(cases.patient.max()) + 1,
        left_out=rows.left_out,
        systems=tuple(each),
    )
    if made.chose:
        return made, []
    return made, contrasts(name, cases, found, facts, {k: a.P for k, a in answers.items()})


def _notes(
    facts: Collection[System], sources: Sequence[Source], unlabelled: Sequence[str]
) -> list[str]:
    notes = [f"{c}: left out, no picture has a category." for c in unlabelled]
    notes += [
        f"{s.name}: run.json does not say what it learnt; it is taken as a model of {s.task}."
        for s in sources
        if not s.run.facts.get("target")
    ]
    rules = {s.rule for s in facts}
    if "most probable class" in rules and len(rules) > 1:
        note = (
            "Some systems answer at thresholds, others with the most probable class: what depends "
            "on answers differs by the rule too. The ranked probability score and AUROC do not "
            "depend on it."
        )
        also = " --tuned judges single models by the stages' rule as well."
        notes.append(note if "thresholds chosen on tuning data" in rules else note + also)
    return notes


def _too_few(tests: Sequence[Contrast], draws: int, level: float) -> list[str]:
    """Whether so many tests on so few draws could not have come out, whatever the truth."""
    made = sum(t.p is not None for t in tests)
    if not made or made * 2 / (draws + 1) < 1 - level:
        return []
    enough = math.ceil(2 * made / (1 - level))
    return [
        f"{draws:,} draws cannot tell a difference that survives the correction for {made} tests: "
        f"ask for --draws {enough} or more."
    ]
