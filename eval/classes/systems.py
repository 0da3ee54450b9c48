"""What is compared: two stages with their frozen thresholds, and single models of three classes.

A single model answers with its most probable class. It may also be judged by thresholds chosen on
its own tuning cohorts, in the order and by the rule that the stages use: Youden's for osteoporosis
against the rest, then Youden's for low bone mass among those without osteoporosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.classes.compose import LOW, OSTEOPOROSIS, compose, decide, parts
from eval.classes.rows import Rows, common_rows
from eval.classes.shapes import Rule, System
from eval.classes.sources import Source
from eval.runs import is_tuning
from eval.thresholds import youden_threshold


@dataclass(frozen=True)
class Answers:
    """Probabilities `P` [n, 3] and answers `said` [n]; of two stages theirs as well: p1, p2 [n]."""

    P: NDArray[np.float64]
    said: NDArray[np.int64]
    stages: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class TwoStages:
    """`first` says who has osteoporosis, `second` who of the rest has low bone mass."""

    first: Source
    second: Source
    thresholds: tuple[float, float]

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it is made of."""
        return self.first, self.second

    def answers(self, rows: Rows) -> Answers:
        """On the rows of a cohort that have a category."""
        p1, p2 = (
            s.frames[rows.cohort]["probability"].to_numpy(np.float64)[rows.known]
            for s in self.sources
        )
        return Answers(compose(p1, p2), decide(p1, p2, *self.thresholds), (p1, p2))

    def facts(self, letter: str) -> System:
        """Itself in three_classes.json."""
        return System(
            letter=letter,
            name=f"{self.first.name}, then {self.second.name}",
            kind="two stages",
            rule="frozen thresholds",
            thresholds=self.thresholds,
            chosen_on=(),
            parts=(self.first.part, self.second.part),
        )


@dataclass(frozen=True)
class OneModel:
    """A model of three classes; without `thresholds` the most probable class is its answer."""

    source: Source
    thresholds: tuple[float, float] | None = None
    chosen_on: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it is made of."""
        return (self.source,)

    def answers(self, rows: Rows) -> Answers:
        """On the rows of a cohort that have a category."""
        p = self.source.three(rows.cohort)[rows.known]
        if self.thresholds is None:
            return Answers(p, p.argmax(axis=1) if len(p) else np.zeros(0, np.int64))
        return Answers(p, decide(*parts(p), *self.thresholds))

    def facts(self, letter: str) -> System:
        """Itself in three_classes.json."""
        rule: Rule = (
            "thresholds chosen on tuning data" if self.thresholds else "most probable class"
        )
        return System(
            letter=letter,
            name=self.source.name,
            kind="one model",
            rule=rule,
            thresholds=self.thresholds,
            chosen_on=self.chosen_on,
            parts=(self.source.part,),
        )

    def tuned(self) -> OneModel:
        """The same model with thresholds chosen on its own tuning cohorts.

        Raises:
            ValueError: there is none with a category, or it lacks a class.
        """
        cohorts = [c for c in self.source.frames if is_tuning(c)]
        each = [common_rows(c, [self.source]) for c in cohorts]
        used = [r for r in each if r.truth.size]
        if not used:
            raise ValueError(
                f"{self.source.name}: no tuning cohort with categories to choose thresholds on; "
                "leave out --tuned"
            )
        truth = np.concatenate([r.truth for r in used])
        p1, p2 = parts(np.concatenate([self.source.three(r.cohort)[r.known] for r in used]))
        rest = truth != OSTEOPOROSIS
        first = youden_threshold(truth == OSTEOPOROSIS, p1)
        second = youden_threshold(truth[rest] == LOW, p2[rest])
        for name, t in (("osteoporosis", first), ("low bone mass", second)):
            if t.value is None:
                raise ValueError(
                    f"{self.source.name}: no threshold for {name} can be chosen on "
                    f"{', '.join(r.cohort for r in used)}: {t.undefined}"
                )
        assert first.value is not None
        assert second.value is not None
        names = tuple(r.cohort for r in used)
        return OneModel(self.source, (first.value, second.value), names)


AnySystem = TwoStages | OneModel


def systems(
    stages: tuple[Source, Source] | None,
    unified: Sequence[Source],
    cohorts: Sequence[str],
    tuned: bool,
) -> list[AnySystem]:
    """Everything that is to be judged, the two stages first.

    Raises:
        ValueError: a threshold of a stage is missing, or none can be chosen.
    """
    found: list[AnySystem] = []
    if stages is not None:
        first, second = stages
        frozen = first.threshold(cohorts), second.threshold(cohorts)
        found.append(TwoStages(first, second, frozen))
    for source in unified:
        model = OneModel(source)
        found += [model, model.tuned()] if tuned else [model]
    return found
