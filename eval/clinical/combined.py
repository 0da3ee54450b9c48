"""The combined model: the clinical features and an image model's score (Li et al. 2026, 1.4).

    proof = OutOfSample.one_model("student", patients_it_was_trained_on, len(tune))
    model = fit_combined(tune, tune["probability"], proof)

An image model's score of a picture it was trained on is better than it will ever be again. Trees
fitted to such scores learn to trust them and ignore the rest. So nothing is fitted here without
proof that each row's score came from a model that saw no picture of that row's patient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.clinical.crossfit import FOLDS, OutOfFold, out_of_fold
from eval.clinical.features import CLINICAL, IMAGE, image_logit
from eval.clinical.model import Model, fit
from eval.frames import Frame
from eval.inputs import probabilities


@dataclass(frozen=True)
class OutOfSample:
    """Which model scored each row, `by` [n], and the patients each model was trained on, `seen`."""

    by: NDArray[np.str_]
    seen: Mapping[str, frozenset[str]]

    @classmethod
    def one_model(cls, name: str, patients: Collection[str], rows: int) -> OutOfSample:
        """All `rows` were scored by one model, trained on `patients`."""
        return cls(np.full(rows, name), {name: frozenset(map(str, patients))})

    @classmethod
    def of_folds(cls, fold: ArrayLike, patient: ArrayLike) -> OutOfSample:
        """Scores of a cross-validation: fold k was scored by the model trained on all others.

        Args:
            fold: [n], the fold that each row was held out in.
            patient: [n]. A patient with rows in two folds was seen by the model of both.
        """
        by, who = np.asarray(fold).astype(str), np.asarray(patient).astype(str)
        if by.shape != who.shape:
            raise ValueError(f"{by.size} folds for {who.size} patients: one for each row")
        return cls(by, {str(f): frozenset(who[by != f].tolist()) for f in np.unique(by)})

    def where(self, rows: NDArray[np.bool_]) -> OutOfSample:
        """The proof for the rows where the mask [n] is true."""
        return OutOfSample(self.by[rows], self.seen)

    def check(self, patient: ArrayLike) -> dict[str, str]:
        """Model -> hash of the patients it saw, if no row's patient [n] is among its own model's.

        Raises:
            ValueError: a patient is; or the proof is not about these rows; or it names nobody.
        """
        who = np.asarray(patient).astype(str)
        if self.by.shape != who.shape:
            raise ValueError(f"proof for {self.by.size} rows where there are {who.size}")
        said = {}
        for name in np.unique(self.by).tolist():
            if not self.seen.get(name):
                raise ValueError(
                    f"nobody is named whom {name!r} was trained on: give the patients of its "
                    "training rows, or the fold that each row was held out in"
                )
            if both := sorted(self.seen[name].intersection(who[self.by == name].tolist())):
                raise ValueError(
                    f"{len(both)} patients were scored by {name!r}, which was trained on them, "
                    f"such as {both[0]}: give out-of-fold scores, or rows it has never seen"
                )
            text = "\n".join(sorted(self.seen[name]))
            said[name] = hashlib.sha256(text.encode()).hexdigest()
        return said


def fit_combined(
    frame: Frame,
    probability: ArrayLike,
    proof: OutOfSample,
    features: tuple[str, ...] = CLINICAL,
    monotone: dict[str, int] | None = None,
    seed: int = 0,
    where: str = "rows with an image score",
) -> Model:
    """Fit trees to the clinical features and the log odds of the image model's probability.

    Args:
        frame: as `fit_clinical`.
        probability: the image model's, [n].
        proof: that it is out of sample for every row.
        features: clinical ones to have beside the score.
        monotone: as `fit_clinical`; the score may be named as `image_logit`.
        seed: decides the folds inside.
        where: what the rows are, for messages.

    Raises:
        ValueError: the proof fails, or as `fit_clinical`.
    """
    said = proof.check(frame["patient"])
    scored = with_score(frame, probability)
    return fit(scored, (*features, IMAGE), monotone or {}, seed, where, said)


def combined_out_of_fold(
    frame: Frame,
    probability: ArrayLike,
    proof: OutOfSample,
    features: tuple[str, ...] = CLINICAL,
    monotone: dict[str, int] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> OutOfFold:
    """`fit_combined`, cross-fitted: no row's combined score saw its patient, in either model.

    Raises:
        ValueError: as `fit_combined` and `out_of_fold`.
    """
    said = proof.check(frame["patient"])
    scored = with_score(frame, probability)
    chosen = (*features, IMAGE)
    return out_of_fold(
        scored,
        lambda rows: fit(rows, chosen, monotone or {}, seed, "rows of the other folds", said),
        folds,
        seed,
    )


def with_score(frame: Frame, probability: ArrayLike) -> Frame:
    """The frame with the image model's probabilities [n] as the column that trees read."""
    p = probabilities(probability, len(frame), "probabilities of the image model")
    return frame.assign(**{IMAGE: image_logit(p)})
