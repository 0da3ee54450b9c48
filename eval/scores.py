"""What a model says of everybody in a cohort, whether anybody measured them or not.

Where no DXA was made nothing can be right or wrong, and two things can still be told: how the
probabilities lie, and the share that is called positive at the frozen threshold. Beside those of
the cohorts with labels they show whether a model meets the same pictures elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_sharding.schema import Strict
from eval.estimate import Estimate, undefined
from eval.intervals import Method, proportion

#: Shares of the pictures below each stated probability.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NO_THRESHOLD = "no threshold was frozen for this model"


class Scores(Strict):
    """Of all pictures that a model saw, with a label or without.

    - quantiles: probabilities below which `QUANTILES` of the pictures lie; () where kept back.
    - tenths: pictures with a probability in [0, 0.1), ... [0.9, 1]; () where kept back.
    - called_positive: share with ``probability >= threshold``.
    - undefined: why something is kept back.
    """

    pictures: int
    patients: int
    quantiles: tuple[float, ...]
    tenths: tuple[int, ...]
    called_positive: Estimate
    undefined: str | None = None


def scores(
    probability: NDArray[np.float64],
    patient: NDArray[np.int64],
    threshold: float | None,
    least: int = 5,
    method: Method = "wilson",
    confidence: float = 0.95,
) -> Scores:
    """Describe probabilities [n], of patients with codes [n].

    Args:
        probability: in [0, 1].
        patient: who each is of.
        threshold: frozen on the tuning split; None where there is none.
        least: of fewer patients nothing is stated.
        method: kind of binomial interval of the share called positive, which knows patients.
        confidence: its two-sided level.
    """
    n, patients = len(probability), int(np.unique(patient).size)
    if patients < least:
        why = f"kept back: fewer than {least} patients" if n else "no predictions"
        return Scores(
            pictures=n,
            patients=patients,
            quantiles=(),
            tenths=(),
            called_positive=undefined(why),
            undefined=why,
        )
    called = undefined(NO_THRESHOLD)
    if threshold is not None:
        hits = probability >= threshold
        called = proportion(hits, patient, "no predictions", method, confidence)
    tenths = np.bincount(np.minimum((probability * 10).astype(int), 9), minlength=10)
    return Scores(
        pictures=n,
        patients=patients,
        quantiles=tuple(float(q) for q in np.quantile(probability, QUANTILES)),
        tenths=tuple(int(count) for count in tenths),
        called_positive=called,
    )
