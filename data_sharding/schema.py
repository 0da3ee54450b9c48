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
from pydantic import BaseModel, ConfigDict, Field

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
    pixels_sha256: str = Field(description="of the raw pixels, row-major, low byte first")


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
    key_id: str = Field(description="fingerprint of the pseudonym key; never the key")
    shards: tuple[Shard, ...]
    index: str = "index.parquet"
    index_sha256: str
    ledger: str = "ledger.csv"
    ledger_sha256: str
    flow: tuple[FlowStep, ...]
    leaks: tuple[str, ...] = Field(default=(), description="pairs across splits that were allowed")

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


#: Every reason there is, in the words the console and the report use.
REASONS = {
    # files
    "not_dicom": "not a DICOM file",
    "truncated": "the file ends too early",
    "no_pixels": "DICOM without a picture",
    "wrong_modality": "not a radiograph (CR or DX)",
    "not_chest": "not a chest radiograph",
    "lateral_view": "lateral view",
    "view_missing": "the header does not say which view it is",
    "for_processing": "raw detector data, not meant to be looked at",
    "multi_frame": "more than one frame",
    "colour": "a colour picture",
    "too_large": "larger than any such picture",
    "undecodable": "the pixels cannot be decoded",
    "blank": "nothing to be seen in the picture",
    "unreadable": "the file cannot be read",
    "no_patient_id": "the header names no patient",
    "duplicate_file": "a copy of another file (same SOP instance)",
    "conflicting_files": "one picture under several patients (same SOP instance)",
    # files, by what the picture looks like
    "under_exposed": "under-exposed: washed out to white, or drowned in noise",
    "over_exposed": "over-exposed: burnt out to black",
    "looks_lateral": "looks like a lateral view",
    "looks_turned": "looks turned or upside down",
    "looks_inverted": "looks like a negative",
    "looks_not_chest": "does not look like a frontal chest radiograph",
    "same_bytes": "a copy of another file (same bytes)",
    "not_photo": "not a JPEG or PNG photograph",
    "heic": "a HEIC photograph, which no free decoder here reads: export as JPEG",
    "animated": "an animated picture",
    # rows
    "empty_line": "an empty line",
    "bad_row": "a row with too many or too few cells",
    "no_identifier": "no patient or image named",
    "bad_date": "not a date (YYYY-MM-DD)",
    "bad_t_score": "a T-score that is not a number",
    "t_score_out_of_range": "a T-score outside of -10 to 10",
    "no_t_score": "no T-score at any site",
    "bad_value": "a value that cannot be",
    "duplicate_row": "the same row again",
    "conflicting_rows": "rows that contradict each other",
    "incomplete_exam": "another row of the same examination could not be read",
    "no_image_file": "metadata for an image that is not here",
    "incomplete_patient": "another row of the same patient could not be read",
    "prevalent_fracture": "a fracture before the picture or on its day: no follow-up",
    "no_followup": "not seen again after the picture: no follow-up",
    # patients
    "no_dxa": "no usable DXA measurement",
    "no_radiograph": "no usable chest radiograph",
    "no_pa_view": "no PA view",
    "missing_dates": "no picture with a date",
    "outside_window": "no picture close enough to a DXA",
    "age_unknown": "age unknown",
    "under_age": "too young",
    "osteoporosis": "osteoporosis (T <= -2.5)",
    "site_missing": "a DXA site the policy requires was not measured",
    "too_few_vertebrae": "too few evaluable lumbar vertebrae, and no other site",
    "no_z_score": "no Z-score where the policy reads Z-scores",
    "sex_unknown": "sex unknown, and the policy needs it",
    "menopause_unknown": "menopausal status unknown, and the policy needs it",
    "not_in_policy": "not one of the people the policy is for",
    "no_photo": "no usable photograph",
    "no_such_view": "no picture of the view asked for",
    "no_readable_image": "no candidate picture could be read",
    # images
    "not_selected": "another picture of the patient was used",
    "patient_excluded": "the patient was excluded",
    "view_not_pa": "not a PA view",
    "view_not_wanted": "not one of the views asked for",
    "undated": "a picture without a date",
    "not_in_metadata": "not in the metadata",
    "finding": "has a finding (only 'No Finding' is taken)",
    "support_devices": "a support device in the picture",
    "over_age": "too old",
    "age_implausible": "an age no person has",
}

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
