"""The files of a run as evidence: what is read is remembered, and what is not there proves nothing.

An answer is a function that reads through `Evidence`; the files that it read are its proof. A file
that is missing, broken, or not the one that it should be (another hash) raises `Missing`, and the
answer is withdrawn. Files are read once a run, however many answers lean on them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml

from data_sharding.schema import Manifest, sha256_file
from eval.cohort import Metrics
from eval.frames import Frame
from eval.learnt import Learnt
from eval.runs import MODELS, Run, is_tuning, read_json


class Missing(ValueError):
    """A file that an answer needs is not there, or does not prove what it should."""


def said(answer: Callable[[Evidence], str], evidence: Evidence) -> str:
    """What an answer says, whatever lies in the files it reads.

    Raises:
        Missing: a file is not there, or holds something else than a run writes.
    """
    try:
        return answer(evidence)
    except Missing:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as e:
        last = next(reversed(evidence.used), "the run")
        raise Missing(f"{last}: not as a run writes it") from e


@dataclass(frozen=True)
class Dataset:
    """A packed dataset that run.json names, with the manifest that it had then."""

    name: str
    folder: Path
    manifest: Manifest

    @property
    def splits(self) -> dict[str, int]:
        """Split -> samples, in the order of the shards."""
        counts: dict[str, int] = {}
        for shard in self.manifest.shards:
            counts[shard.split] = counts.get(shard.split, 0) + shard.samples
        return counts


@dataclass
class Evidence:
    """Reads a run's files for one answer; `used` are those that it leant on."""

    run: Run
    used: dict[str, None] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    def afresh(self) -> Evidence:
        """The same files for another answer, which has leant on none yet."""
        return Evidence(self.run, {}, self.kept)

    @property
    def learnt(self) -> Learnt:
        """What a positive label is of."""
        return self._once(self.run.folder / "run.json", lambda: self.run.learnt, "learnt")

    def facts(self) -> dict[str, Any]:
        """run.json."""
        return self._json("run.json")

    def config(self) -> dict[str, Any]:
        """config.yaml."""
        path = self._file(self.run.folder / "config.yaml")
        value = self._once(path, lambda: _yaml(path))
        if not isinstance(value, dict) or not value:
            raise Missing("config.yaml: holds no settings")
        return value

    def weights(self, model: str, file: str) -> dict[str, Any]:
        """A JSON file beside a model's weights."""
        return self._json(f"{model}/weights/{file}")

    def models(self) -> list[str]:
        """The models of the run that have weights here.

        Raises:
            Missing: none has.
        """
        found = [m for m in MODELS if (self.run.folder / m / "weights").is_dir()]
        if not found:
            raise Missing("MODEL/weights: no weights in this run")
        return found

    def hashed_weights(self, model: str) -> str:
        """SHA-256 of a model's weights, as they lie there."""
        path = self._file(self.run.folder / model / "weights" / "model.safetensors")
        return self._once(path, lambda: sha256_file(path))

    def proxies(self) -> dict[str, Any]:
        """pseudo/summary.json."""
        return self._json("pseudo/summary.json")

    def panels(self) -> dict[str, Any]:
        """report/gradcam/panels.json."""
        return self._json("report/gradcam/panels.json")

    def metrics(self, where: Callable[[str], bool] = lambda _: True) -> list[Metrics]:
        """metrics.json of every cohort, each made from the predictions that lie beside it.

        Args:
            where: takes a cohort's name; the others are not looked at.

        Raises:
            Missing: there is none; or a cohort has predictions without metrics, metrics without
                predictions, or metrics of other predictions.
        """
        return [self._metrics(folder) for folder in self._cohorts(where)]

    def predictions(self) -> dict[str, Frame]:
        """Cohort -> checked predictions.

        Raises:
            Missing: there are none, or a cohort that was judged has lost its own.
        """
        found = {}
        for folder in self._cohorts():
            path, cohort = self._file(folder / "predictions.parquet"), folder.name
            found[cohort] = self._once(path, lambda c=cohort: self.run.predictions(c), "frame")
        return found

    def datasets(self, ledger: bool = False, labelled: bool = False) -> list[Dataset]:
        """Every packed dataset that run.json names, with the hash that run.json gives.

        Args:
            ledger: the ledger must lie beside each manifest and have its hash.
            labelled: only those with a reference.

        Raises:
            Missing: none is named, or one cannot be read or is another than the run used.
        """
        self.facts()
        packs = self._once(self.run.folder / "run.json", lambda: self.run.packs, "packs")
        if not packs:
            raise Missing("run.json: names no packed dataset")
        found = []
        for pack in packs:
            if pack.manifest is None or pack.problem is not None:
                raise Missing(f"{pack.name}: {pack.problem}")
            self._file(pack.folder / "manifest.json")
            dataset = Dataset(pack.name, pack.folder, pack.manifest)
            if ledger:
                self._hashed(pack.folder / pack.manifest.ledger, pack.manifest.ledger_sha256)
            if pack.manifest.classes or not labelled:
                found.append(dataset)
        if not found:
            raise Missing("run.json: names no dataset with a reference")
        return found

    def splits_of(self, dataset: Dataset) -> Frame:
        """Columns patient and split of the dataset's index.

        Raises:
            Missing: the index is not there, or not the one that the manifest names.
        """
        path = dataset.folder / dataset.manifest.index
        self._hashed(path, dataset.manifest.index_sha256)
        return self._once(path, lambda: _columns(path, ["patient", "split"]), "splits")

    def _cohorts(self, where: Callable[[str], bool] = lambda _: True) -> list[Path]:
        """Folders of the cohorts that have predictions or metrics, tuning ones last."""
        files = [p for p in self.run.folder.glob("cohorts/*/*") if p.name in _COHORT_FILES]
        folders = {p.parent for p in files if where(p.parent.name)}
        if not folders:
            raise Missing("cohorts/COHORT/metrics.json: no such cohort was judged")
        return sorted(folders, key=lambda p: (is_tuning(p.name), p.name))

    def _metrics(self, folder: Path) -> Metrics:
        predictions = self._file(folder / "predictions.parquet")
        path = self._file(folder / "metrics.json")
        sha256 = self._once(predictions, lambda: sha256_file(predictions), "sha256")
        try:
            found = self._once(path, lambda: Metrics.model_validate_json(path.read_bytes()))
        except ValueError:
            raise Missing(f"{self._name(path)}: not a metrics.json of this version") from None
        if found.predictions_sha256 != sha256:
            raise Missing(f"{self._name(path)}: was made from other predictions")
        return found

    def _json(self, name: str) -> dict[str, Any]:
        path = self._file(self.run.folder / name)
        try:
            value = self._once(path, lambda: read_json(path))
        except ValueError:
            raise Missing(f"{name}: not a JSON object") from None
        if not value:
            raise Missing(f"{name}: says nothing")
        return value

    def _hashed(self, path: Path, sha256: str) -> None:
        self._file(path)
        if self._once(path, lambda: sha256_file(path), "sha256") != sha256:
            raise Missing(f"{self._name(path)}: not the file that its manifest names")

    def _file(self, path: Path) -> Path:
        """Note the file as proof.

        Raises:
            Missing: it is not there.
        """
        name = self._name(path)
        if not path.is_file():
            raise Missing(f"{name}: not there")
        self.used[name] = None
        return path

    def _name(self, path: Path) -> str:
        """Relative to the run's folder, for links and messages."""
        return Path(os.path.relpath(path, self.run.folder)).as_posix()

    def _once(self, path: Path, read: Callable[[], Any], what: str = "") -> Any:
        key = f"{path} {what}"
        if key not in self.kept:
            self.kept[key] = read()
        return self.kept[key]


_COHORT_FILES = ("metrics.json", "predictions.parquet")


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise Missing("config.yaml: not YAML") from None


def _columns(path: Path, columns: list[str]) -> Frame:
    if missing := set(columns) - set(pq.read_schema(path).names):
        raise Missing(f"{path.name}: columns missing: {', '.join(sorted(missing))}")
    return pd.read_parquet(path, columns=columns)
