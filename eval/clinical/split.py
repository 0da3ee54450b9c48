"""The internal training split of a run, from the ``index.parquet`` of its packed dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_sharding.schema import Manifest, sha256_file
from eval.frames import Frame
from eval.learnt import POSITIVE
from eval.runs import Run, read_parquet

COLUMNS = ("key", "patient", "label", "age", "sex", "height_cm", "weight_kg")
#: What a run learnt -> the label of a packed class there; None has none.
LABEL_OF: dict[str, dict[str, int | None]] = {
    POSITIVE: {"normal": 0, "low bone mass": 1, "osteopenia": 1, "osteoporosis": None},
    "osteoporosis": {
        **dict.fromkeys(("normal", "low bone mass", "osteopenia", "not osteoporosis"), 0),
        "osteoporosis": 1,
    },
    "low bone mass or osteoporosis": {
        "normal": 0,
        **dict.fromkeys(("low bone mass", "osteopenia", "osteoporosis"), 1),
    },
}


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
    manifest, path, index = packed_rows(run)
    rows = index.loc[index["split"] == "train", list(COLUMNS)].reset_index(drop=True)
    rows["label"] = _as_learnt(rows["label"], manifest.classes, run.learnt.positive, path)
    return Training(manifest.name, rows, frozenset(rows["patient"].astype(str)))


def packed_rows(run: Run) -> tuple[Manifest, Path, Frame]:
    """The run's one internal dataset: its manifest, the path of its index, and the index itself.

    Raises:
        ValueError: as `training_rows`.
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
    return pack.manifest, path, index


def _as_learnt(label: Frame, classes: tuple[str, ...], positive: str, path: Path) -> Frame:
    """Packed labels as the run learnt them: 0, 1 or missing.

    Raises:
        ValueError: a class of the dataset is none that is known to be, or not to be, `positive`.
    """
    of = LABEL_OF.get(positive, {})
    if unknown := [c for c in classes if c not in of]:
        raise ValueError(
            f"{path}: labelled {', '.join(classes)}, where the run learnt {positive}: nothing says "
            f"what {unknown[0]} is; pack with a policy whose classes are known"
        )
    numbers = {n: of[name] for n, name in enumerate(classes) if of[name] is not None}
    stated = label.dropna().unique()
    if not set(stated) <= set(range(len(classes))):
        raise ValueError(f"{path}: labels that the manifest has no class for. Pack again.")
    return label.astype("Int64").map(numbers).astype("Int64")
