"""Age, sex, BMI, site and vendor of each row, as the probe reads them from predictions.

A value that no adult has counts as missing, as does an empty cell: what is missing is counted, and
nobody is given a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from eval.clinical.confounding import CovariateName
from eval.clinical.plausible import blank, bmi
from eval.frames import Frame

NAMES: tuple[CovariateName, ...] = get_args(CovariateName)
COLUMN_OF: dict[CovariateName, str] = {"site": "source", "vendor": "vendor"}
#: A covariate known of fewer labelled rows than this share is not asked of everybody.
KNOWN = 0.5


@dataclass(frozen=True)
class Known:
    """One covariate: float [n] with NaN, or text [n] with '' where unknown."""

    name: CovariateName
    values: NDArray

    @property
    def numeric(self) -> bool:
        """Whether it is a number; else it has levels."""
        return self.values.dtype.kind == "f"

    @property
    def there(self) -> NDArray[np.bool_]:
        """Bool [n]: known."""
        return np.isfinite(self.values) if self.numeric else self.values != ""

    def lacking(self) -> str | None:
        """Why nothing can be told from it, if so."""
        found = self.values[self.there]
        if found.size == 0:
            return f"{self.name} is not known of anybody here"
        if (found == found[0]).all():
            one = f"{found[0]:g}" if self.numeric else str(found[0])
            return f"{self.name} is the same for everybody here: {one}"
        return None


def covariates(frame: Frame) -> dict[CovariateName, Known]:
    """Every covariate of the rows of `frame`, columns as `schema.check_predictions` gives them."""

    def numbers(column: str) -> NDArray[np.float64]:
        return frame[column].to_numpy(np.float64, na_value=np.nan)

    age = blank("age", numbers("age"))
    size = bmi(numbers("height_cm"), numbers("weight_kg"))
    sex = _text(frame["sex"])
    sex[~np.isin(sex, ["F", "M"])] = ""
    values: dict[CovariateName, NDArray] = {"age": age, "sex": sex, "BMI": size}
    for name, column in COLUMN_OF.items():
        values[name] = _text(frame[column])
    return {name: Known(name, values[name]) for name in NAMES}


def joint(
    known: dict[CovariateName, Known],
) -> tuple[tuple[CovariateName, ...], dict[str, str], NDArray[np.bool_]]:
    """Covariates for the joint model, why the others are left out, and the rows that have all."""
    left_out: dict[str, str] = {}
    for name, covariate in known.items():
        there = covariate.there
        if reason := covariate.lacking():
            left_out[name] = reason
        elif there.mean() < KNOWN:
            left_out[name] = f"known of {int(there.sum())} of {there.size} rows, fewer than half"
    names: tuple[CovariateName, ...] = tuple(n for n in NAMES if n not in left_out)
    complete = [known[n].there for n in names] or [np.zeros_like(known["age"].there)]
    return names, left_out, np.logical_and.reduce(complete)


def _text(column: Frame) -> NDArray:
    return column.astype(object).where(column.notna(), "").to_numpy(str)
