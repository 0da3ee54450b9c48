"""An offline run read back: its log, and the files that lie beside it to be sent with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.training.tracking.logs import Logged, logged


@dataclass
class Offline:
    """One offline run.

    - numbers: of the history's only step. tables: key -> (columns, rows). pictures: key -> pixels
      and caption of each.
    """

    log: Logged
    folder: Path
    numbers: dict[str, float]
    tables: dict[str, tuple[list[str], list[list[Any]]]]
    pictures: dict[str, list[tuple[np.ndarray, str]]]

    @property
    def keys(self) -> set[str]:
        return {*self.numbers, *self.tables, *self.pictures}


def offline(run: Path) -> list[Offline]:
    """Every offline run below a run's folder."""
    return [_read(p) for p in sorted(run.glob("wandb/offline-run-*/*.wandb"))]


def evaluation_of(run: Path) -> Offline:
    """The one that is an evaluation."""
    (found,) = [o for o in offline(run) if o.log.run.job_type == "evaluation"]
    return found


def _read(path: Path) -> Offline:
    found = Offline(logged(path), path.parent, {}, {}, {})
    if found.log.run.job_type != "evaluation":
        return found  # a stage of training has a history, and numbers alone
    (items,) = found.log.history
    # what is no number has fields of its own: KEY/_type, KEY/path
    of_files = [k.removesuffix("/_type") for k in items if k.endswith("/_type")]
    nested = {
        key: {k.removeprefix(f"{key}/"): v for k, v in items.items() if k.startswith(f"{key}/")}
        for key in of_files
    }
    fields = {f"{key}/{name}" for key, of_key in nested.items() for name in of_key}
    found.numbers = {k: v for k, v in items.items() if k not in fields and k[0] != "_"}
    for key, value in nested.items():
        if value["_type"] == "table-file":
            whole = json.loads((path.parent / "files" / value["path"]).read_text())
            found.tables[key] = whole["columns"], whole["data"]
        elif value["_type"] == "images/separated":
            files = [path.parent / "files" / name for name in value["filenames"]]
            pixels = [np.asarray(cv2.imread(str(f))) for f in files]
            found.pictures[key] = list(zip(pixels, value["captions"], strict=True))
    return found


def everything(run: Path) -> bytes:
    """All bytes below ``wandb/``, and the names of all that lies there."""
    files = [p for p in (run / "wandb").rglob("*") if not p.is_dir()]
    names = "\n".join(str(p.relative_to(run)) for p in (run / "wandb").rglob("*"))
    return names.encode() + b"\n".join(p.read_bytes() for p in files)
