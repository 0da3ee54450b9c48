"""The internal training split of a run, from the ``index.parquet`` of its packed dataset."""

from __future__ import annotations

from dataclasses import dataclass

from data_sharding.schema import sha256_file
from eval.frames import Frame
from eval.runs import Run, read_parquet

COLUMNS = ("key", "patient", "label", "age", "sex", "height_cm", "weight_kg")


@dataclass(frozen=True)
class Training:
    """Rows of the training split; `name` is the dataset's, `patients` are all of the split's."""

    name: str
    rows: Frame
    patients: frozenset[str]


def training_rows(run: Run) -> Training:
    """Read the training split of the run's one internal dataset.

    Raises:
        ValueError: run.json names none or several, the dataset is not there, has changed since the
            run used it, or lacks a column.
    """
    internal = [p for p in run.packs if p.role == "internal"]
    if len(internal) != 1:
        names = ", ".join(p.name for p in internal) or "none"
        raise ValueError(
            f"{run.folder / 'run.json'}: one internal dataset is needed to fit to, it names {names}"
        )
    pack = internal[0]
    if pack.manifest is None or pack.problem:
        raise ValueError(f"{pack.folder}: {pack.name}: {pack.problem}")
    path = pack.folder / pack.manifest.index
    if not path.is_file() or sha256_file(path) != pack.manifest.index_sha256:
        raise ValueError(f"{path}: not the index that was packed. Pack again.")
    index = read_parquet(path)
    if missing := [c for c in (*COLUMNS, "split") if c not in index]:
        raise ValueError(f"{path}: columns missing: {', '.join(missing)}. Pack again.")
    rows = index.loc[index["split"] == "train", list(COLUMNS)].reset_index(drop=True)
    return Training(pack.manifest.name, rows, frozenset(rows["patient"].astype(str)))
