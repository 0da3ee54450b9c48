"""What the clinical models are given of each row: one float column a feature, NaN where unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from eval.clinical.plausible import RANGES, blank, refuse_implausible
from eval.frames import Frame

#: Li et al. 2026: sex, age, height, weight and BMI.
CLINICAL = ("age", "sex", "height_cm", "weight_kg", "bmi")
#: The image model's score as the combined model reads it: log odds of its probability.
IMAGE = "image_logit"
#: Probabilities of 0 and 1 have no log odds: these stand for them.
FLOOR = 1e-6


def image_logit(probability: ArrayLike) -> NDArray[np.float64]:
    """Log odds [n] of an image model's probabilities [n]."""
    p = np.asarray(probability, np.float64)
    return np.asarray(logit(np.clip(p, FLOOR, 1 - FLOOR)), np.float64)


def columns(frame: Frame, features: tuple[str, ...], where: str) -> dict[str, NDArray[np.float64]]:
    """The features of each row: name -> float [n], NaN where missing; sex is 0 (F) or 1 (M).

    BMI is computed from height and weight; a column `bmi` is not read.

    Raises:
        ValueError: a column is not there, is not numbers, or holds what no adult has.
    """
    read = {"height_cm", "weight_kg"} if "bmi" in features else set()
    read |= set(features) - {"bmi"}
    if missing := sorted(read - set(frame.columns)):
        raise ValueError(
            f"{where}: columns missing: {', '.join(missing)}; give them, empty where unknown"
        )
    found = {name: _column(frame[name], name, where) for name in sorted(read)}
    refuse_implausible({n: v for n, v in found.items() if n in RANGES}, where)
    if "bmi" in features:
        found["bmi"] = blank("bmi", found["weight_kg"] / (found["height_cm"] / 100) ** 2)
    return {name: found[name] for name in features}


def matrix(frame: Frame, features: tuple[str, ...], where: str) -> NDArray[np.float64]:
    """`columns` side by side: [n, k]."""
    found = columns(frame, features, where)
    return np.stack([found[name] for name in features], axis=1).reshape(len(frame), len(features))


def blank_implausible(frame: Frame) -> tuple[Frame, dict[str, int]]:
    """The frame with impossible cells emptied, and how many of each column were.

    A cell is a typing error; many of them are a wrong unit: where more than one known value in 20
    is impossible the frame comes back as it is, for `columns` to refuse.
    """
    changed: dict[str, Frame] = {}
    emptied: dict[str, int] = {}
    for name in ("age", "height_cm", "weight_kg"):
        values = _column(frame[name], name, "rows")
        good = blank(name, values)
        lost, known = (
            int((~np.isnan(values) & np.isnan(good)).sum()),
            int((~np.isnan(values)).sum()),
        )
        if lost and lost * 20 <= known:
            changed[name], emptied[name] = good, lost
    return frame.assign(**changed), emptied


def _column(column: Frame, name: str, where: str) -> NDArray[np.float64]:
    if name == "sex":
        text = column.astype(object).where(column.notna(), "")
        if others := sorted({str(v) for v in text} - {"F", "M", ""}):
            raise ValueError(f"{where}: sex must be F, M or empty, not {', '.join(others[:3])}")
        return text.map({"F": 0.0, "M": 1.0, "": np.nan}).to_numpy(np.float64)
    try:
        return column.astype("float64").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as e:
        raise ValueError(f"{where}: column {name} must hold numbers: {e}") from e
