"""What lies in a run folder, read with care: every file is optional and any may be broken.

    RUN/config.yaml, run.json
    RUN/<model>/metrics.jsonl, weights/{calibration,operating_point}.json
    RUN/pseudo/{pseudo_labels.parquet,summary.json}
    RUN/cohorts/<cohort>/{predictions.parquet,metrics.json}
    RUN/report/index.html

A file that is not there reads as empty; a file that is there and cannot be read is a ValueError
that names it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from data_sharding.schema import Manifest, check_predictions
from eval.frames import Frame
from eval.learnt import Learnt

MODELS = ("image", "teacher", "student", "fracture")


@dataclass(frozen=True)
class Pack:
    """One packed dataset of the run; `manifest` is None where `problem` says why."""

    name: str
    role: str
    folder: Path
    manifest: Manifest | None
    problem: str | None


@dataclass(frozen=True)
class Run:
    """A run folder."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Run:
        """The run in `folder`.

        Raises:
            ValueError: it is not a folder.
        """
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such run folder; give the folder with cohorts/ in it")
        return cls(folder)

    @property
    def cohorts(self) -> list[str]:
        """Names of the cohorts with predictions; those that chose the threshold come last."""
        found = self.folder.glob("cohorts/*/predictions.parquet")
        return sorted((p.parent.name for p in found), key=lambda c: (is_tuning(c), c))

    def cohort(self, name: str, file: str) -> Path:
        """A file of one cohort."""
        return self.folder / "cohorts" / name / file

    def predictions(self, cohort: str) -> Frame:
        """One cohort's predictions, checked.

        Raises:
            ValueError: unreadable or against the contract.
        """
        path = self.cohort(cohort, "predictions.parquet")
        return check_predictions(read_parquet(path), str(path))

    @property
    def facts(self) -> dict[str, Any]:
        """run.json, or {}."""
        return read_json(self.folder / "run.json")

    @property
    def learnt(self) -> Learnt:
        """What a positive label of this run is of, as run.json says."""
        return Learnt.of(self.facts)

    @property
    def config(self) -> str:
        """The text of config.yaml, or ''."""
        path = self.folder / "config.yaml"
        return path.read_text("utf-8", errors="replace") if path.is_file() else ""

    def curve(self, model: str) -> list[dict[str, Any]]:
        """Lines of RUN/<model>/metrics.jsonl that are objects; a torn last line is left out."""
        path = self.folder / model / "metrics.jsonl"
        lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
        parsed = []
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            parsed += [value] if isinstance(value, dict) else []
        return parsed

    def weights(self, model: str, file: str) -> dict[str, Any]:
        """A JSON file beside a model's weights, or {}."""
        return read_json(self.folder / model / "weights" / file)

    @property
    def faces(self) -> bool:
        """Whether the pictures are photographs of faces, as a packed dataset says; else X-rays."""
        found = [p.manifest for p in self.packs if p.manifest is not None]
        return any(str(m.settings.get("pixels") or "").startswith("face") for m in found)

    @property
    def packs(self) -> list[Pack]:
        """The packed datasets that run.json names."""
        named = self.facts.get("manifests")
        entries = sorted(named.items()) if isinstance(named, dict) else []
        return [self._pack(name, e if isinstance(e, dict) else {}) for name, e in entries]

    def _pack(self, name: str, entry: dict[str, Any]) -> Pack:
        role = str(entry.get("role") or "")
        if not entry.get("path"):
            return Pack(name, role, self.folder, None, "run.json gives no path for it")
        # Relative to the run; a run made with relative paths names them from where it was started.
        path = self.folder / str(entry["path"])
        path = path if path.exists() else Path(str(entry["path"]))
        folder = path if path.suffix != ".json" else path.parent
        try:
            manifest = Manifest.load(path)
        except (ValueError, OSError):
            problem = "no readable manifest at the path that run.json gives"
            return Pack(name, role, folder, None, problem)
        if entry.get("hash") not in (None, manifest.hash):
            problem = "the manifest has changed since this run used it"
            return Pack(name, manifest.role, folder, manifest, problem)
        return Pack(name, manifest.role, folder, manifest, None)

    @property
    def pseudo_labels(self) -> Frame | None:
        """What the teacher said of the public set, or None.

        Raises:
            ValueError: unreadable, or a column is missing.
        """
        path = self.folder / "pseudo" / "pseudo_labels.parquet"
        if not path.is_file():
            return None
        frame = read_parquet(path)
        if missing := {"key", "patient", "probability", "decision", "age", "sex"} - set(frame):
            raise ValueError(f"{path}: columns missing: {', '.join(sorted(missing))}")
        return frame.sort_values("key", ignore_index=True)


def is_tuning(cohort: str) -> bool:
    """Whether the name says that temperature or threshold were chosen on this cohort.

    Of a cross-validated run that is the train split too, with out-of-fold scores.
    """
    return cohort.endswith(("-tune", "-train"))


def read_parquet(path: Path) -> Frame:
    """Read a parquet file.

    Raises:
        ValueError: it is not one.
    """
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError) as e:
        raise ValueError(f"{path}: not a readable parquet file: {e}") from e


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} if the file is not there.

    Raises:
        ValueError: the file is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except ValueError as e:
        raise ValueError(f"{path}: not JSON: {e}") from e
    if not isinstance(value, dict):
        raise ValueError(f"{path}: must hold a JSON object")
    return value
