"""Class thresholds: given, or chosen so that enough of what they keep is right.

To choose, the tune split (DXA-labelled) is sorted by the class's score, and the sets of its surest
n are tested from strict to loose, for sizes n fixed beforehand (`bounds.sizes`). A set passes when
the Clopper-Pearson lower bound of its precision reaches the target; the first that fails ends it,
and the loosest that passed gives the threshold. To take the loosest that passes of *all* would be
to select among many tests: its bound would not hold. In a fixed sequence each test has the whole
1 - confidence (Angelopoulos et al. 2021, "Learn then Test"); Bonferroni over the same sizes keeps
40% to 90% as much. tests/training/pseudo/test_cohorts.py has the simulations.

Two things make the bound exact. Given the first score left out, those above it are independent
draws from the population above it; so a threshold lies just above a score that is left out, never
on one that is kept. And sizes, unlike grid points on p, do not move with the temperature, which was
fitted on the same split. Where a higher score is not a likelier class (a teacher that is surest of
its artefacts) the sequence is no longer exact, and the simulation there is what we have.

What the bound does not know: how common low bone mass is in public (`prevalence`), and that the
teacher's best epoch was chosen on the tune split too (``teacher.select=last`` avoids it). Of ten
equally good epochs whose errors correlate at .8 the target was still reached in 97 of 100 simulated
cohorts; of a hundred at .5, in 90. It holds for each class by itself.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from data_sharding.schema import CLASSES, Strict
from training.config import Pseudo
from training.pseudo import bounds
from training.pseudo.prevalence import moved

#: Of the doubt allowed, the part spent on the tune split's own prevalence where it is weighed.
PREVALENCE_SHARE = 0.2
#: A score of both classes at once is not: thresholds are above it.
FLOOR = 0.5


class Look(Strict):
    """One test of the sequence: of the surest `n` of the tune split, `right` were of the class."""

    n: int
    right: int
    lower: float


class ClassThreshold(Strict):
    """The least score at which a picture gets this proxy label; None keeps nobody."""

    name: Literal["normal", "low bone mass"]
    threshold: float | None = Field(gt=FLOOR, le=1)
    rule: Literal["given", "precision"]
    n: int = Field(ge=0, description="of the tune split at this score or above")
    right: int = Field(ge=0)
    lower: float = Field(description="one-sided Clopper-Pearson bound of right / n")
    target: float | None = Field(default=None, description="precision asked for, in public")
    target_on_tune: float | None = Field(default=None, description="the same at its prevalence")
    looks: tuple[Look, ...] = Field(default=(), description="the sequence of tests, strict first")
    reason: str = Field(default="", description="why nobody is kept")


class Thresholds(Strict):
    """Both classes, what they were chosen on, and what to bear in mind."""

    normal: ClassThreshold
    low_bone_mass: ClassThreshold
    confidence: float
    tune_patients: int
    tune_prevalence: float | None
    public_prevalence: float | None = Field(description="stated by whoever asked; None: the same")
    warnings: tuple[str, ...]

    @property
    def p_normal(self) -> float | None:
        """Least P(normal) of a proxy normal."""
        return self.normal.threshold

    @property
    def p_lbm(self) -> float | None:
        """Least P(low bone mass) of a proxy positive."""
        return self.low_bone_mass.threshold


def choose(
    settings: Pseudo,
    label: np.ndarray,
    probability: np.ndarray,
    patient: np.ndarray,
    key: np.ndarray,
    public_prevalence: float | None = None,
) -> Thresholds:
    """Thresholds as `settings` ask for them, with what the tune split says of each.

    Args:
        settings: thresholds given, or target precisions.
        label: [N] 0 or 1, by DXA.
        probability: [N] P(low bone mass), calibrated.
        patient: [N]; of several pictures of a patient the one with the first key counts.
        key: [N].
        public_prevalence: of low bone mass where the labels will be used, if it is known.

    Raises:
        ValueError: a probability or prevalence that is none, or labels other than 0 and 1.
    """
    y, p = np.asarray(label), np.asarray(probability, np.float64)
    if not np.isin(y, (0, 1)).all():
        raise ValueError("thresholds are chosen on labels 0 and 1 only")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("a probability is not in [0, 1]")
    if public_prevalence is not None and not 0 < public_prevalence < 1:
        raise ValueError(f"a prevalence of {public_prevalence}: give one between 0 and 1")
    once = one_each(np.asarray(patient), np.asarray(key))
    y, p = y[once].astype(np.int64), p[once]
    targets = settings.target_precision_normal, settings.target_precision_lbm
    given = settings.p_normal, settings.p_lbm
    found = [
        _chosen(c, y, p, t, settings.confidence, public_prevalence)
        if t is not None
        else _given(c, y, p, g, settings.confidence)
        for c, (t, g) in enumerate(zip(targets, given, strict=True))
    ]
    return Thresholds(
        normal=found[0],
        low_bone_mass=found[1],
        confidence=settings.confidence,
        tune_patients=len(y),
        tune_prevalence=float(y.mean()) if len(y) else None,
        public_prevalence=public_prevalence,
        warnings=_warnings(settings, len(label) - len(y), public_prevalence),
    )


def one_each(patient: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The rows of one picture a patient, the one with the first key (a pseudonym: by chance)."""
    order = np.argsort(key, kind="stable")
    _, first = np.unique(patient[order], return_index=True)
    return np.sort(order[first])


def score_of(c: int, probability: np.ndarray) -> np.ndarray:
    """The score of class `c`, in float64: P(low bone mass), or 1 less that."""
    return probability if c else 1 - probability


def _given(
    c: int, y: np.ndarray, p: np.ndarray, threshold: float, confidence: float
) -> ClassThreshold:
    n, right = counted(c, y, p, threshold)
    low = bounds.lower(right, n, confidence)
    return ClassThreshold(
        name=CLASSES[c], threshold=threshold, rule="given", n=n, right=right, lower=low
    )


def counted(c: int, y: np.ndarray, p: np.ndarray, threshold: float) -> tuple[int, int]:
    """How many have a score of class `c` at `threshold` or above, and how many are of it."""
    kept = score_of(c, p) >= threshold
    return int(kept.sum()), int((y[kept] == c).sum())


def _chosen(
    c: int,
    y: np.ndarray,
    p: np.ndarray,
    target: float,
    confidence: float,
    public_prevalence: float | None,
) -> ClassThreshold:
    asked, left = target, confidence
    if public_prevalence is not None:
        doubt = 1 - confidence
        share = bounds.upper(int((y == c).sum()), max(len(y), 1), 1 - PREVALENCE_SHARE * doubt)
        public = public_prevalence if c else 1 - public_prevalence
        left = 1 - (1 - PREVALENCE_SHARE) * doubt
        asked = round(moved(target, of=public, to=share), 12) if share < 1 else 1.0
    score = score_of(c, p)
    order = np.argsort(-score, kind="stable")
    best, passed, looks = score[order], None, []
    right = np.cumsum(y[order] == c)
    sizes = bounds.sizes(asked, left, len(y)) if asked < 1 else ()
    before = sizes[0] - 1 if sizes else 0
    for size in dict.fromkeys((*sizes, len(y)) if sizes else ()):
        edge = max(best[size], FLOOR) if size < len(y) else FLOOR
        n = int(np.searchsorted(-best, -edge, side="left"))  # those strictly above the edge
        if n <= before and edge > FLOOR:
            continue  # ties: nothing new to look at
        before = n
        k = int(right[n - 1]) if n else 0
        looks.append(Look(n=n, right=k, lower=bounds.lower(k, n, left)))
        if looks[-1].lower < asked:
            break
        passed = looks[-1], float(np.nextafter(edge, 1))
        if edge == FLOOR:
            break
    about = {"name": CLASSES[c], "rule": "precision", "target": target, "target_on_tune": asked}
    if passed is None:
        return ClassThreshold(
            threshold=None, n=0, right=0, lower=0.0, looks=tuple(looks), **about,
            reason=_why_none(looks, asked, left, len(y)),
        )  # fmt: skip
    at, threshold = passed
    return ClassThreshold(
        threshold=threshold, n=at.n, right=at.right, lower=at.lower, looks=tuple(looks), **about
    )


def _why_none(looks: list[Look], asked: float, confidence: float, patients: int) -> str:
    if looks:
        at = looks[0]
        return (
            f"of the {at.n} surest of the tune split {at.right} are right, a precision of at least "
            f"{at.lower:.3f} with {confidence:.0%} confidence; {asked:.3f} is asked for"
        )
    need = next(iter(bounds.sizes(asked, confidence, 100_000) if asked < 1 else ()), None)
    enough = f"{need} patients with one mistake" if need else "more than 100,000 patients"
    return (
        f"a precision of {asked:.3f} with {confidence:.0%} confidence takes {enough} "
        f"among the surest; the tune split has {patients} patients in all"
    )


def _warnings(settings: Pseudo, repeated: int, public_prevalence: float | None) -> tuple[str, ...]:
    found = []
    targeted = settings.target_precision_normal, settings.target_precision_lbm
    if repeated:
        found.append(
            f"{repeated} further pictures of patients of the tune split are not counted: "
            "the bound needs independent answers"
        )
    if any(t is not None for t in targeted) and public_prevalence is None:
        found.append(
            "the precision holds where low bone mass is as common as in the tune split; where it "
            "is rarer, proxies of low bone mass are wrong more often, and proxy normals less"
        )
    return tuple(found)
