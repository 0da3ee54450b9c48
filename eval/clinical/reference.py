"""OST as a probability, so that it can enter where models do: Brier, calibration, decision curves.

One logistic line on the plain OST, fitted to training rows. It does not change the ranking: a line
that would run the wrong way (training rows in which the light and old have more bone) is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.clinical.features import columns
from eval.clinical.scores import ost_risk
from eval.clinical.splines import logistic
from eval.clinical.summary import OstLine
from eval.frames import Frame


@dataclass(frozen=True)
class OstRisk:
    """A logistic line on minus OST."""

    facts: OstLine

    def margin(self, frame: Frame, where: str = "rows") -> NDArray[np.float64]:
        """Log odds of each row [n]; NaN where age or weight is missing."""
        return self.facts.intercept + self.facts.slope * risk(frame, where)


def risk(frame: Frame, where: str = "rows") -> NDArray[np.float64]:
    """Minus the plain OST of each row [n]; NaN where age or weight is missing.

    Raises:
        ValueError: as `features.columns`.
    """
    found = columns(frame, ("age", "weight_kg"), where)
    return ost_risk(found["age"], found["weight_kg"])


def fit_ost(frame: Frame, where: str = "training rows") -> OstRisk:
    """Fit the line to the labelled rows that have age and weight.

    Raises:
        ValueError: fewer than 10 rows of a class, or a line that runs the wrong way.
    """
    labelled = frame[frame["label"].notna()]
    x, y = risk(labelled, where), labelled["label"].to_numpy(np.float64)
    x, y = x[np.isfinite(x)], y[np.isfinite(x)]
    if min(y.sum(), (1 - y).sum()) < 10:
        raise ValueError(f"{where}: fewer than 10 rows of a class have age and weight for OST")
    mean, deviation = float(x.mean()), float(x.std()) or 1.0
    b = logistic(((x - mean) / deviation)[:, None], y)
    slope = float(b[1]) / deviation
    if slope <= 0:
        raise ValueError(f"{where}: OST runs the wrong way here, with more bone the lower it is")
    return OstRisk(OstLine(intercept=float(b[0]) - slope * mean, slope=slope, n=y.size))
