"""What one run says of the people of a cohort, and what age, sex and BMI say of them.

Rows are pictures until `people` makes one row of each person's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eval.classes.body import Body, body_of
from eval.classes.patients import conflict, mean_of, several
from eval.classes.rows import common_rows, shared_cohorts
from eval.classes.sources import Source
from eval.frames import Frame
from eval.runs import is_tuning


@dataclass(frozen=True)
class Reading:
    """Rows with a category: `truth`, `patient`, `sex` ("women", "men", "unknown") [n], `P` [n, 3].

    `body` [n, 3] is what age, sex and BMI say, None where `no_body` says why. `left_out` rows of
    the cohort have no category.
    """

    cohort: str
    left_out: int
    truth: NDArray[np.int64]
    patient: NDArray[np.str_]
    sex: NDArray[np.str_]
    P: NDArray[np.float64]
    body: NDArray[np.float64] | None
    no_body: str

    @property
    def several(self) -> bool:
        """Whether somebody has more than one row."""
        return several(self.patient)

    @property
    def conflict(self) -> str:
        """Why the rows of a person cannot be one; '' where they can."""
        return conflict(self.truth, self.patient)

    def people(self) -> Reading:
        """One row a person: the mean of their probabilities, and of what their body says.

        Raises:
            ValueError: somebody's pictures are of two classes.
        """
        if self.conflict:
            raise ValueError(self.conflict)
        names, first = np.unique(self.patient, return_index=True)
        return replace(
            self,
            truth=self.truth[first],
            patient=names,
            sex=self.sex[first],
            P=mean_of(self.P, self.patient),
            body=None if self.body is None else mean_of(self.body, self.patient),
        )

    def where(self, rows: NDArray[np.bool_]) -> Reading:
        """Of the rows where the mask [n] is true."""
        return replace(
            self,
            truth=self.truth[rows],
            patient=self.patient[rows],
            sex=self.sex[rows],
            P=self.P[rows],
            body=None if self.body is None else self.body[rows],
        )


def readings(
    source: Source, asked: Sequence[str] = (), with_body: bool = True
) -> tuple[list[Reading], Body | None]:
    """The labelled cohorts that chose nothing, and the model of age, sex and BMI.

    Args:
        source: a model of three classes.
        asked: cohorts to keep to.
        with_body: fit that model too.

    Raises:
        ValueError: there is none; rows that cannot be judged.
    """
    names, _ = shared_cohorts([source], asked)
    judged = [c for c in names if not is_tuning(c)]
    if not judged:
        raise ValueError(f"{source.name}: only tuning cohorts have categories: nobody to judge")
    rows = {c: common_rows(c, [source]) for c in judged}
    body, why = None, ""
    people = {p for r in rows.values() for p in r.patient.tolist()}
    try:
        body = body_of(source.run, people) if with_body else None
    except ValueError as e:
        why = str(e)
    found = []
    for cohort, r in rows.items():
        frame = source.frames[cohort][r.known]
        found.append(
            Reading(
                cohort,
                r.left_out,
                r.truth,
                r.patient,
                sexes(frame),
                source.three(cohort)[r.known],
                None if body is None else body.predict(frame),
                why,
            )
        )
    return found, body


def sexes(frame: Frame) -> NDArray[np.str_]:
    """women, men or unknown, [n]."""
    text = frame["sex"].astype(object).where(frame["sex"].notna(), "").to_numpy(str)
    return np.select([text == "F", text == "M"], ["women", "men"], "unknown")
