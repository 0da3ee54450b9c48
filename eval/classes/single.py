"""One run of three classes as Face2Bone's paper judges its own, with what the paper left out.

    python -m eval report RUN         the section "Three classes", and RUN/report/classes.json

Averages over classes, kappa and calibration, overall and by sex; on pictures and on people, each
with what age, sex and BMI alone reach on the same rows. Intervals resample patients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.classes.body import Body
from eval.classes.calibrated import brier_of, calibrated
from eval.classes.judged import judged, statistics
from eval.classes.reading import Reading, readings
from eval.classes.single_shapes import BodyFacts, Group, OneCohort, OneRun, Sides, Unit
from eval.classes.sources import Source
from eval.classes.statistics import Cases, Statistic
from eval.classes.systems import Answers
from eval.estimate import Estimate
from eval.inputs import check_level
from eval.subgroups.suppression import hidden

#: What stands beside what the body alone reaches.
HEADLINE = (
    *("accuracy", "balanced_accuracy", "precision_macro", "f1_macro", "precision_weighted"),
    *("f1_weighted", "kappa", "kappa_quadratic", "auroc_ovr", "rps"),
)
SEXES = ("women", "men", "unknown")


def one_run(
    source: Source,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    least: int = 5,
    read: tuple[list[Reading], Body | None] | None = None,
) -> OneRun:
    """Judge a model of three classes on every cohort that chose nothing.

    Args:
        source: the model.
        draws, seed: of the resampled patients.
        level: two-sided confidence level.
        least: a sex of fewer patients is kept back, and with it one that it could be had from.
        read: the source's `readings`, if they are at hand.

    Raises:
        ValueError: no such cohort, or rows that cannot be judged.
    """
    check_level(level)
    found, body = read or readings(source)
    judge = _Judge(draws, seed, level, least)
    return OneRun(
        confidence=level,
        draws=draws,
        seed=seed,
        part=source.part,
        body=None if body is None else facts(body),
        no_body=found[0].no_body,
        cohorts=tuple(judge.cohort(r) for r in found),
    )


def facts(body: Body) -> BodyFacts:
    """The model of age, sex and BMI in classes.json."""
    return BodyFacts(used=body.used, left_out=body.left_out, people=len(body.who), where=body.where)


def most_probable(P: NDArray[np.float64]) -> Answers:
    """Answers with the most probable class, of probabilities [n, 3]."""
    return Answers(P, P.argmax(axis=1) if len(P) else np.zeros(0, np.int64))


class _Judge:
    """The settings that all rows are judged with."""

    def __init__(self, draws: int, seed: int, level: float, least: int) -> None:
        self.draws, self.seed, self.level, self.least = draws, seed, level, least

    def cohort(self, whole: Reading) -> OneCohort:
        """Everybody and the sexes."""
        everybody = self.group("everybody", whole)
        sex_of = _by_patient(whole)
        sizes = {s: int((sex_of == s).sum()) for s in SEXES}
        away = hidden(sizes, self.least)
        groups = [everybody]
        for name in [s for s in SEXES if sizes[s] and s != "unknown"]:
            if name in away:
                groups.append(Group(name=name, kept_back=True, pictures_n=None, people_n=None,
                                    main=None, pictures=None, calibration=None))  # fmt: skip
            else:
                groups.append(self.group(name, whole.where(whole.sex == name)))
        return OneCohort(
            cohort=whole.cohort,
            left_out=whole.left_out,
            groups=tuple(groups),
            not_by_people=whole.conflict,
        )

    def group(self, name: str, rows: Reading) -> Group:
        """One group, on pictures and, where that is something else, on people."""
        main = judged_on(rows)
        by_people = main is not rows
        cases = self.cases(main)
        return Group(
            name=name,
            kept_back=False,
            pictures_n=rows.truth.size,
            people_n=np.unique(rows.patient).size,
            main=self.sides(main, cases, "people" if by_people else "pictures"),
            pictures=self.sides(rows, self.cases(rows), "pictures") if by_people else None,
            calibration=calibrated(cases, main.P, self.seed),
        )

    def cases(self, rows: Reading) -> Cases:
        return Cases.of(rows.truth, rows.patient, self.draws, self.seed, self.level)

    def sides(self, rows: Reading, cases: Cases, unit: Unit) -> Sides:
        picture = most_probable(rows.P)
        seen = statistics(cases, picture) | {"brier": brier_of(cases, rows.P)}
        whole = judged("picture", cases, picture, seen, None)
        brier = seen["brier"].estimate(cases)
        if rows.body is None:
            return Sides(unit=unit, picture=whole, brier=brier, body=None, body_brier=None,
                         difference={})  # fmt: skip
        alone = most_probable(rows.body)
        known = statistics(cases, alone) | {"brier": brier_of(cases, rows.body)}
        return Sides(
            unit=unit,
            picture=whole,
            brier=brier,
            body=judged("body", cases, alone, known, None),
            body_brier=known["brier"].estimate(cases),
            difference={n: less(seen[n], known[n], cases) for n in (*HEADLINE, "brier")},
        )


def less(a: Statistic, b: Statistic, cases: Cases) -> Estimate:
    """a - b on the same resamples."""
    drawn = None if a.draws is None or b.draws is None else a.draws - b.draws
    gap = Statistic(a.value - b.value, drawn)
    return gap.estimate(cases, "undefined for one of the two in these rows")


def _by_patient(rows: Reading) -> NDArray[np.str_]:
    """Sex of each patient, by their first row."""
    return rows.sex[np.unique(rows.patient, return_index=True)[1]]


def judged_on(rows: Reading) -> Reading:
    """The rows that the main numbers are of: one a person where they can be, else pictures."""
    return rows.people() if rows.several and not rows.conflict else rows
