"""What a feature does to the answer from its low to its high values: SHAP in fifths of the rows.

Each row's own SHAP values are its person's facts in another guise; what is kept are means of at
least five patients, and limits of groups that are never anybody's own extreme.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from eval.clinical.features import IMAGE
from eval.clinical.summary import Part
from eval.subgroups.suppression import hidden

#: Fewer patients are kept back.
LEAST = 5
FIFTHS = (0.2, 0.4, 0.6, 0.8)


def parts(
    name: str, values: NDArray[np.float64], shap: NDArray[np.float64], patient: NDArray
) -> tuple[Part, ...]:
    """From low values to high ones, unknown last; groups of fewer than 5 patients are left out, and
    with them those that they could be told from.

    Args:
        name: of the feature, as `features.CLINICAL` and `IMAGE` have it.
        values: [n], NaN where unknown.
        shap: its SHAP values in log odds, [n].
        patient: [n].
    """
    known = ~np.isnan(values)
    groups: list[tuple[str, NDArray[np.bool_]]] = []
    if name == "sex":
        groups = [("women", values == 0), ("men", values == 1)]
    elif known.any():
        cuts = np.unique(np.quantile(values[known], FIFTHS))
        # a cut at the least or greatest value leaves one side empty; empty groups go below
        of = np.searchsorted(cuts, values, side="right")
        groups = [(label, known & (of == i)) for i, label in enumerate(_labels(name, cuts))]
    groups.append(("unknown", ~known))
    sizes = {i: np.unique(patient[rows]).size for i, (_, rows) in enumerate(groups)}
    away = hidden(sizes, LEAST)
    return tuple(
        Part(label=label, rows=int(rows.sum()), mean=float(shap[rows].mean()))
        for i, (label, rows) in enumerate(groups)
        if sizes[i] and i not in away
    )


def _labels(name: str, cuts: NDArray[np.float64]) -> list[str]:
    shown = [f"{v:.2g}" if name == IMAGE else f"{v:.0f}" for v in _scale(name, cuts)]
    between = [f"{a} to {b}" for a, b in pairwise(shown)]
    return [f"below {shown[0]}", *between, f"{shown[-1]} and above"]


def _scale(name: str, cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of the image's score as the probability that people know."""
    return np.asarray(expit(cuts), np.float64) if name == IMAGE else cuts
