"""What age, sex and BMI alone say of the three classes: the number to set beside every result.

Bone is lost with age, more so by women and by the thin, and a face or a chest shows all three. A
multinomial logistic model on splines of age and BMI, sex, and age by sex (`eval.clinical.splines`)
is fitted to the people that the picture's model learnt from and was tuned on, one row a person, and
answers for people whom neither has seen. What it reaches needs no picture.

A value that is not known is taken as the middle of those fitted to, with a column that says so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from eval.classes.shapes import NAMES
from eval.clinical.confounding import CovariateName
from eval.clinical.covariates import KNOWN, covariates
from eval.clinical.rows import FEWEST
from eval.clinical.splines import RIDGE, Covariates, Design
from eval.clinical.split import packed_rows
from eval.frames import Frame
from eval.places import without_path, without_places
from eval.runs import Run, is_tuning

#: Packed classes as categories, where their name says which.
CATEGORY = {"normal": 0, "low bone mass": 1, "osteopenia": 1, "osteoporosis": 2}
ASKED: tuple[CovariateName, ...] = ("age", "sex", "BMI")
#: What the covariates are read from.
FACTS = ("patient", "category", "age", "sex", "height_cm", "weight_kg", "source", "vendor")


@dataclass(frozen=True)
class Body:
    """The fitted model.

    - used, left_out: of age, sex and BMI those that it reads, and why not the others.
    - who, where: whom it was fitted to, and what they are called.
    - middle: name -> what stands for an unknown number. coefficients: [k + 1, 3], intercept first.
    """

    used: tuple[CovariateName, ...]
    left_out: dict[str, str]
    who: frozenset[str]
    where: str
    middle: dict[str, float]
    design: Design
    coefficients: NDArray[np.float64]

    def predict(self, frame: Frame) -> NDArray[np.float64]:
        """Probabilities of the three classes [n, 3] of rows with age, sex, height and weight.

        Raises:
            ValueError: a patient is among those fitted to.
        """
        if both := sorted(self.who.intersection(frame["patient"].astype(str))):
            raise ValueError(
                f"{len(both)} patients are among those that age, sex and BMI were fitted to "
                f"({self.where}), such as {both[0]}: split by patient"
            )
        x = self.design.columns(_filled(frame, self.used, self.middle))
        return np.asarray(softmax(self.coefficients[0] + x @ self.coefficients[1:], axis=1))


def body_of(run: Run, judged: Collection[str]) -> Body:
    """Fit to the training and tuning people of a run's internal dataset.

    Where the dataset is not at hand, to those of its tuning cohorts alone, who are fewer.

    Args:
        run: that learnt three classes.
        judged: patients who are to be judged, and may not be fitted to.

    Raises:
        ValueError: nobody to fit to, too few of a class, nothing known of them, or somebody is to
            be judged too.
    """
    frame, where = learners(run)
    found = fit(frame, where)
    if both := sorted(found.who.intersection(judged)):
        raise ValueError(
            f"{len(both)} of the patients judged are in {where}, such as {both[0]}: split by "
            "patient"
        )
    return found


def learners(run: Run, splits: Collection[str] = ("train", "tune")) -> tuple[Frame, str]:
    """People with a class whom the run may have learnt from, and what they are called.

    Args:
        run: its packed dataset says who they are, else its tuning cohorts do.
        splits: of the packed dataset.

    Raises:
        ValueError: neither is there; or `splits` are without tune, and there is no dataset.
    """
    try:
        manifest, _, index = packed_rows(run)
        rows = index.loc[index["split"].isin(list(splits))]
        if set(manifest.classes) <= set(CATEGORY) and len(set(manifest.classes)) == len(NAMES):
            numbers = {n: CATEGORY[c] for n, c in enumerate(manifest.classes)}
            category = rows["label"].astype("Int64").map(numbers).astype("Int64")
            return rows.assign(category=category), f"{manifest.name} {' and '.join(splits)}"
        why = f"{manifest.name} is labelled {' / '.join(manifest.classes)}"
    except ValueError as e:
        why = without_places(without_path(str(e), run))
    names = [c for c in run.cohorts if is_tuning(c)] if "tune" in splits else []
    if not names:
        raise ValueError(f"nobody to fit age, sex and BMI to: {why}")
    tuned = pd.concat([run.predictions(c) for c in names], ignore_index=True)
    return tuned, " and ".join(names)


def fit(frame: Frame, where: str) -> Body:
    """Fit to the rows with a category, one a patient.

    Args:
        frame: columns patient, category, age, sex, height_cm, weight_kg.
        where: what the people are called.

    Raises:
        ValueError: fewer than `FEWEST` patients of a class, or nothing is known of them.
    """
    people = frame[frame["category"].notna()].sort_values(["patient", "key"])
    people = people.drop_duplicates("patient")
    truth = people["category"].to_numpy(np.int64)
    counts = np.bincount(truth, minlength=len(NAMES))
    if counts.min() < FEWEST:
        c = int(counts.argmin())
        raise ValueError(
            f"{where}: {counts[c]} patients with {NAMES[c]} to fit age, sex and BMI to, fewer than "
            f"{FEWEST}"
        )
    known = covariates(_with_columns(people))
    left_out: dict[str, str] = {}
    for name in ASKED:
        there = known[name].there
        if why := known[name].lacking():
            left_out[name] = why
        elif there.mean() < KNOWN:
            left_out[name] = f"known of {int(there.sum())} of {there.size} people"
    used: tuple[CovariateName, ...] = tuple(n for n in ASKED if n not in left_out)
    if not used:
        raise ValueError(f"{where}: {'; '.join(left_out.values())}")
    middle = {
        n: float(np.median(known[n].values[known[n].there])) for n in used if known[n].numeric
    }
    design, x = Design.of(_filled(people, used, middle))
    model = LogisticRegression(C=1 / RIDGE, tol=1e-8, max_iter=10_000).fit(x, truth)
    who = frozenset(people["patient"].astype(str))
    found = np.vstack([model.intercept_, model.coef_.T])
    return Body(used, left_out, who, where, middle, design, found)


def _filled(frame: Frame, used: Collection[CovariateName], middle: dict[str, float]) -> Covariates:
    """The covariates with nothing missing, and whether each was."""
    known = covariates(_with_columns(frame))
    out: Covariates = {}
    for name in used:
        covariate = known[name]
        if covariate.numeric:
            out[name] = np.where(covariate.there, covariate.values, middle[name])
            out[f"{name} is known"] = np.where(covariate.there, "yes", "no")
        else:
            out[name] = covariate.values
    return out


def _with_columns(frame: Frame) -> Frame:
    lacking = {c: pd.NA for c in FACTS if c not in frame}
    return frame.assign(**lacking) if lacking else frame
