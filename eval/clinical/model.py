"""The clinical model: boosted trees on age, sex, height, weight and BMI (Li et al. 2026, 1.4).

    model = fit_clinical(rows_of_the_training_split)
    p = model.predict(other_rows)
    model.save(folder); load(folder)

Two files: XGBoost's own JSON, and ``facts.json`` with what the trees were fitted to, in what units,
and the hash of the trees. Nothing is unpickled. `predict` refuses what is not in those units.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xgboost
from numpy.typing import NDArray

from data_sharding.schema import Strict, canonical_json, write_atomic
from eval.clinical.boosting import Tried, select, table, train
from eval.clinical.features import CLINICAL, IMAGE, matrix
from eval.clinical.plausible import UNITS
from eval.clinical.trees import check_trees
from eval.frames import Frame

#: Directions, where asked for: bone is lost with age, and kept under the load of weight, so that
#: risk may not fall with the one nor rise with the other. Of weight and BMI both, or trees would
#: undo by BMI what they may not do by weight. Height and sex are left free.
MONOTONE = {"age": 1, "weight_kg": -1, "bmi": -1}


class Facts(Strict):
    """What a model was fitted to: `facts.json`.

    `ranges` and `missing` are of the rows fitted to, `tried` the grid, the best first.
    `out_of_sample` names whose image scores were read, with the hash of whom each was trained on.
    """

    format: Literal["osteoray-clinical/1"] = "osteoray-clinical/1"
    features: tuple[str, ...]
    units: dict[str, str]
    ranges: dict[str, tuple[float, float] | None]
    missing: dict[str, int]
    n: int
    patients: int
    positives: int
    prevalence: float
    unlabelled: int
    monotone: dict[str, int]
    tried: tuple[Tried, ...]
    seed: int
    out_of_sample: dict[str, str]
    xgboost: str
    sha256: str


@dataclass(frozen=True)
class Model:
    """Trees, as XGBoost's JSON, and their facts."""

    facts: Facts
    trees: bytes

    def predict(self, frame: Frame, where: str = "rows") -> NDArray[np.float64]:
        """P(positive) of each row [n], from the columns named in `facts.features`.

        Raises:
            ValueError: a column is not there, or a value cannot be in its unit.
        """
        return np.asarray(self._booster.predict(self._table(frame, where)), np.float64)

    def margin(self, frame: Frame, where: str = "rows") -> NDArray[np.float64]:
        """Log odds of each row [n]."""
        said = self._booster.predict(self._table(frame, where), output_margin=True)
        return np.asarray(said, np.float64)

    def contributions(self, frame: Frame, where: str = "rows") -> NDArray[np.float64]:
        """Exact TreeSHAP in log odds, [n, k + 1]: a column a feature, then what all rows share.

        Rows sum to `margin`, to single precision.
        """
        said = self._booster.predict(self._table(frame, where), pred_contribs=True)
        return np.asarray(said, np.float64)

    def importance(self, frame: Frame, where: str = "rows") -> dict[str, float]:
        """Mean |SHAP| in log odds of each feature over the rows; {} without rows."""
        if not len(frame):
            return {}
        size = np.abs(self.contributions(frame, where)).mean(axis=0)
        return {n: float(v) for n, v in zip(self.facts.features, size, strict=False)}

    def outside(self, frame: Frame, where: str = "rows") -> dict[str, int]:
        """How many rows have a value that no training row came near: beyond its range."""
        x = matrix(frame, self.facts.features, where)
        counts = {}
        for name, values in zip(self.facts.features, x.T, strict=True):
            limits = self.facts.ranges[name]
            known = values[~np.isnan(values)]
            beyond = known.size if limits is None else (known < limits[0]) | (known > limits[1])
            counts[name] = int(np.sum(beyond))
        return counts

    def save(self, folder: Path) -> Path:
        """Write ``model.json`` and, last, ``facts.json`` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "model.json", self.trees)
        write_atomic(
            folder / "facts.json", canonical_json(self.facts.model_dump(mode="json")) + "\n"
        )
        return folder

    @property
    def _booster(self) -> xgboost.Booster:
        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(self.trees))
        except xgboost.core.XGBoostError as e:
            raise ValueError(f"these are not XGBoost's trees: {str(e).splitlines()[0]}") from e
        return booster

    def _table(self, frame: Frame, where: str) -> xgboost.DMatrix:
        return table(matrix(frame, self.facts.features, where))


def fit_clinical(
    frame: Frame,
    features: tuple[str, ...] = CLINICAL,
    monotone: dict[str, int] | None = None,
    seed: int = 0,
    where: str = "training rows",
) -> Model:
    """Fit to the labelled rows of `frame`, and to nothing else.

    Args:
        frame: columns patient, label (0, 1 or missing) and those of `features`.
        features: some of `CLINICAL`.
        monotone: feature -> 1 or -1, such as `MONOTONE`; none by default, as in the paper.
        seed: decides the folds inside.
        where: what the rows are, for messages.

    Raises:
        ValueError: an unknown feature, a value that cannot be, labels that are not 0 or 1, or
            fewer than 10 patients of a class.
    """
    if unknown := sorted(set(features) - set(CLINICAL)):
        raise ValueError(
            f"{', '.join(unknown)}: not a clinical feature; there are {', '.join(CLINICAL)}"
        )
    return fit(frame, features, monotone or {}, seed, where)


def fit(
    frame: Frame,
    features: tuple[str, ...],
    monotone: dict[str, int],
    seed: int,
    where: str,
    out_of_sample: dict[str, str] | None = None,
) -> Model:
    """`fit_clinical`, of any features. A model that reads an image's score is `combined`'s to fit.

    Raises:
        ValueError: as `fit_clinical`.
    """
    if IMAGE in features and not out_of_sample:
        raise ValueError(f"{IMAGE} needs proof that it is out of sample: use fit_combined")
    if unknown := sorted(set(monotone) - set(features)):
        raise ValueError(f"monotone names {', '.join(unknown)}, not among the features")
    labelled = frame[frame["label"].notna()]
    if not labelled["label"].isin([0, 1]).all():
        raise ValueError(f"{where}: labels must be 0, 1 or missing")
    x, y = matrix(labelled, features, where), labelled["label"].to_numpy(np.int64)
    patient = labelled["patient"].to_numpy(str)
    # rows in one order, whatever order they came in: the same trees
    order = np.lexsort((*x.T, y, patient))
    x, y, patient = x[order], y[order], patient[order]
    signs = tuple(monotone.get(name, 0) for name in features)
    try:
        tried = select(x, y, patient, signs, seed)
    except ValueError as e:
        raise ValueError(f"{where}: {e}") from e
    trees = bytes(train(x, y, tried[0].depth, tried[0].rounds, signs, seed).save_raw("json"))
    facts = Facts(
        features=features,
        units={n: UNITS.get(n, "log odds") for n in features},
        ranges={n: _range(v) for n, v in zip(features, x.T, strict=True)},
        missing={n: int(np.isnan(v).sum()) for n, v in zip(features, x.T, strict=True)},
        n=y.size,
        patients=np.unique(patient).size,
        positives=int(y.sum()),
        prevalence=float(y.mean()),
        unlabelled=len(frame) - y.size,
        monotone=monotone,
        tried=tried,
        seed=seed,
        out_of_sample=out_of_sample or {},
        xgboost=xgboost.__version__,
        sha256=hashlib.sha256(trees).hexdigest(),
    )
    return Model(facts, trees)


def load(folder: Path) -> Model:
    """The model saved in `folder`.

    Raises:
        ValueError: a file is missing, damaged, of another format, or not what the other is about.
    """
    path = folder / "facts.json"
    try:
        facts = Facts.model_validate_json(path.read_bytes())
        trees = (folder / "model.json").read_bytes()
    except (OSError, ValueError) as e:
        raise ValueError(f"{path}: not the facts of a clinical model: {e}") from e
    if hashlib.sha256(trees).hexdigest() != facts.sha256:
        raise ValueError(f"{folder / 'model.json'}: changed since facts.json was written")
    try:
        check_trees(trees, len(facts.features))
    except ValueError as e:
        raise ValueError(f"{folder / 'model.json'}: {e}") from e
    return Model(facts, trees)


def _range(values: NDArray[np.float64]) -> tuple[float, float] | None:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if known.size else None
