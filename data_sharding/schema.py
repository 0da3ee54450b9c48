"""The vocabulary every part shares: sample, index, manifest, ledger, predictions.

Four files are the contracts between the folders; their shapes are defined here, nowhere else:

- ``manifest.json`` beside ``*.tar``, ``index.parquet`` and ``ledger.csv`` (a packed dataset);
- ``predictions.parquet`` (what the models of a run said about one cohort).

``config.yaml`` belongs to `training.config` and ``metrics.json`` to `eval.cohort`.
This module imports neither torch nor ray, so that evaluation runs on a laptop.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from data_sharding.extras import Extra, distinct
from data_sharding.reasons import REASONS as REASONS

MANIFEST_FORMAT = "osteoray-manifest/2"

Role = Literal["internal", "external", "public"]
Split = Literal["train", "tune", "test", "external", "public"]
Sex = Literal["F", "M"]
Severity = Literal["normal", "mild", "moderate", "advanced"]
SEVERITIES: tuple[Severity, ...] = ("normal", "mild", "moderate", "advanced")
CLASSES = ("normal", "low bone mass")  # class 1 is the positive class
DXA_SITES = ("lumbar_spine", "femoral_neck", "total_hip")


class Strict(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sample(Strict):
    """The ``.json`` member of one WebDataset sample; the picture is the ``.npy`` member beside it.

    No field identifies a person: `key` and `patient` are keyed pseudonyms (HMAC-SHA256) and dates
    are shifted by a keyed number of days, one for each patient, so that only differences are true.
    """

    key: str = Field(description="unique in the dataset; the tar member's stem")
    patient: str = Field(description="keyed pseudonym; one patient is in one split only")
    source: str = Field(description="site name, such as 'asan' or 'nih'")
    split: Split
    view: str = Field(description="PA, AP, LL... as the source states it; '' if it does not")
    age: float | None = Field(description="years at the radiograph")
    sex: Sex | None
    label: int | None = Field(ge=0, description="a number of the manifest's classes; or None")
    severity: Severity | None
    lowest_t: float | None = Field(description="lowest T-score of the sites measured")
    lowest_t_site: str | None
    policy: str = Field(description="name and version of the label policy; '' if unlabelled")
    audit: str = Field(default="", description="the site and rule that decided the label")
    days_to_dxa: int | None = Field(description="DXA date minus radiograph date, in days")
    height_cm: float | None
    weight_kg: float | None
    vendor: str = Field(default="", description="maker of the device, as the header states it")
    study_date: str | None = Field(default=None, description="shifted: one shift a patient")
    study_uid: str = Field(default="", description="study instance UID, remapped")
    fracture: Literal[0, 1] | None = Field(
        default=None, description="follow-up ended with a first fracture (1) or without one (0)"
    )
    followup_days: int | None = Field(
        default=None, ge=0, description="from the radiograph to the fracture, or to the last visit"
    )
    applied: tuple[str, ...] = Field(description="what was done to the pixels, in order")
    pose: tuple[float, float, float] | None = Field(
        default=None, description="of a face: yaw, pitch and roll in degrees"
    )
    pixels_sha256: str = Field(description="of the raw pixels, row-major, low byte first")

    @model_serializer(mode="wrap")
    def _faces_only(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Left out where there is none: other samples keep the bytes they always had.
        return {k: v for k, v in plain(self).items() if k != "pose" or v is not None}


#: Columns of ``index.parquet``: where each sample lies, and its table of facts. Row i is sample i.
INDEX_COLUMNS = (
    *("split", "shard", "key", "npy_offset", "npy_size", "json_offset", "json_size"),
    *("patient", "source", "view", "age", "sex", "label", "severity", "lowest_t", "days_to_dxa"),
    *("height_cm", "weight_kg", "vendor", "fracture", "followup_days", "pixels_sha256"),
)
#: Those that older datasets have not: they read as missing.
LATER_INDEX_COLUMNS = ("fracture", "followup_days")


class Shard(Strict):
    """One tar. `path` is relative to the manifest's folder."""

    path: str
    split: Split
    samples: int
    bytes: int
    sha256: str


class FlowStep(Strict):
    """One box of the flow diagram: ``n_in == n_out + sum(excluded.values())``, always."""

    step: str
    unit: Literal["file", "row", "image", "patient"]
    n_in: int
    excluded: dict[str, int] = Field(description="reason -> count, sorted by reason")
    n_out: int


class Manifest(Strict):
    """A packed dataset. Written last, renamed into place: a manifest means a complete dataset."""

    format: Literal["osteoray-manifest/2"] = MANIFEST_FORMAT
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    role: Role
    policy: str
    classes: tuple[str, ...] = Field(description="what the labels 0, 1, ... mean; () if unlabelled")
    settings: dict[str, Any] = Field(description="every option that decided the content")
    image_shape: tuple[int, ...]
    image_dtype: Literal["uint8", "uint16"] = "uint8"
    extras: tuple[Extra, ...] = Field(default=(), description="arrays beside each picture")
    key_id: str = Field(description="fingerprint of the pseudonym key; never the key")
    shards: tuple[Shard, ...]
    index: str = "index.parquet"
    index_sha256: str
    ledger: str = "ledger.csv"
    ledger_sha256: str
    flow: tuple[FlowStep, ...]
    leaks: tuple[str, ...] = Field(default=(), description="pairs across splits that were allowed")

    @field_validator("extras")
    @classmethod
    def _distinct(cls, extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
        distinct(extras)
        return extras

    @model_serializer(mode="wrap")
    def _said(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Left out where there are none: such datasets keep their bytes and their hash.
        return {k: v for k, v in plain(self).items() if k != "extras" or v}

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON: the identity of the data in a run."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json")).encode()).hexdigest()

    def save(self, folder: Path) -> Path:
        """Write ``manifest.json`` atomically into `folder`."""
        path = folder / "manifest.json"
        write_atomic(path, json.dumps(self.model_dump(mode="json"), indent=1) + "\n")
        return path

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a manifest given its file or its folder.

        Raises:
            ValueError: not there (an unfinished pack has none), or not a manifest of this format.
        """
        path = path / "manifest.json" if path.is_dir() else path
        if not path.is_file():
            raise ValueError(
                f"{path}: no manifest here. An unfinished pack has none: run `pack` again."
            )
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValueError as e:
            raise ValueError(f"{path}: not an {MANIFEST_FORMAT} manifest: {e}") from e


#: Columns of ``ledger.csv``: one row for each file, row, image or patient that did not go through.
#: `item` is a keyed pseudonym; the private folder beside the key says which path and row it is.
LEDGER_COLUMNS = ("step", "unit", "item", "patient", "reason", "evidence")


#: Columns of ``predictions.parquet`` and their pandas dtypes. A file holds one cohort, all models.
PREDICTION_COLUMNS = {
    "model": "string",  # teacher, student, ...
    "cohort": "string",  # asan-test, north-external, ...
    "key": "string",
    "patient": "string",
    "label": "Int64",  # missing where the cohort has no DXA
    "probability": "float64",  # P(low bone mass), temperature-scaled on the tuning split
}
#: Whoever writes the file (a peer, a spreadsheet) may leave these out: they read as missing.
OPTIONAL_PREDICTION_COLUMNS = {
    "logit": "float64",  # z(low bone mass) - z(normal), before calibration
    "threshold": "float64",  # frozen on the tuning split
    "category": "Int64",  # 0 normal, 1 low bone mass, 2 osteoporosis, where DXA tells the three
    # Of models of three classes; `probability` is 1 - p_normal then, and `label` category >= 1.
    **{f"p_{c}": "float64" for c in ("normal", "low_bone_mass", "osteoporosis")},
    "age": "float64",  # years at the picture
    "sex": "string",  # F or M
    "severity": "string",
    "lowest_t": "float64",
    "height_cm": "float64",
    "weight_kg": "float64",
    "source": "string",  # the site
    "vendor": "string",  # maker of the device
    "fracture": "Int64",  # 1: follow-up ended with a first fracture, 0: it ended without one
    "followup_days": "float64",  # from the picture to the fracture, or to when last seen
    **{f"risk_{y}y": "float64" for y in (1, 2, 3, 5)},  # P(fracture within y years of 365 days)
}
_MUST_HOLD = {"string": "text", "Int64": "whole numbers", "float64": "numbers"}


def check_predictions(frame: pd.DataFrame, where: str = "predictions") -> pd.DataFrame:
    """Return `frame` with the contract's columns and dtypes, sorted by (model, key).

    Raises:
        ValueError: a column is missing or of another kind, a row says not of whom it is, a
            probability is not in [0, 1], or a (model, key) repeats.
    """
    missing = [c for c in PREDICTION_COLUMNS if c not in frame]
    if missing:
        raise ValueError(f"{where}: columns missing: {', '.join(missing)}")
    columns = PREDICTION_COLUMNS | OPTIONAL_PREDICTION_COLUMNS
    nothing = pd.Series(float("nan"), frame.index)
    typed = {}
    for name, kind in columns.items():
        try:
            typed[name] = (frame[name] if name in frame.columns else nothing).astype(kind)
        except (TypeError, ValueError) as e:
            raise ValueError(f"{where}: column {name} must hold {_MUST_HOLD[kind]}: {e}") from e
    frame = pd.DataFrame(typed, frame.index)
    for name in ("model", "cohort", "key", "patient"):
        if nobody := np.count_nonzero(frame[name].isna().to_numpy()):
            raise ValueError(f"{where}: column {name} may not be empty, as in {nobody} rows")
    bad = ~frame["probability"].between(0, 1)
    if bad.any():
        keys = ", ".join(frame.loc[bad, "key"].head(3))
        raise ValueError(
            f"{where}: {bad.sum()} probabilities are missing or not in [0, 1], such as of {keys}"
        )
    if frame.duplicated(["model", "key"]).any():
        raise ValueError(f"{where}: a model has two predictions for one key")
    return frame.sort_values(["model", "key"], ignore_index=True)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write beside `path`, flush to disk, rename into place: a reader sees all of it or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)
