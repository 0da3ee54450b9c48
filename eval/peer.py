"""Somebody else's predictions as a run: one parquet or CSV file, any model, any spreadsheet.

    python -m eval report peer.csv            makes peer.csv.run/ beside it
    python -m eval metrics peer.parquet --out somewhere

The file has the columns of `schema.PREDICTION_COLUMNS`, with any of the optional ones. The folder
made of it holds cohorts/*/predictions.parquet, run.json and peer.json, by which it is known again:
a folder without one belongs to somebody else and is not written into.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from data_sharding.schema import canonical_json, check_predictions, sha256_file, write_atomic
from eval.frames import Frame
from eval.runs import read_json
from eval.spreadsheet import SUFFIXES, read_predictions

FORMAT = "osteoray-peer/1"
#: What a cohort may be called, for it names a folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def as_run(path: Path, out: Path | None = None) -> Path:
    """The run's folder: `path` itself, or the one made of a predictions file.

    Args:
        path: a run's folder, or a .parquet or .csv file of predictions.
        out: where to make the folder of a file; FILE.run beside it by default.

    Raises:
        ValueError: the file cannot be read or breaks the contract, or the folder is not ours.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        if path.is_file():
            raise ValueError(
                f"{path}: neither a run's folder nor a .parquet or .csv of predictions"
            )
        return path
    folder = path.with_name(f"{path.name}.run") if out is None else out
    known, sha256 = _marker(folder, path.name), sha256_file(path)
    files = [_predictions(folder, c) for c in _names(known)]
    if known.get("sha256") == sha256 and all(f.is_file() for f in files):
        return folder
    _make(folder, path, sha256, _names(known))
    return folder


def _make(folder: Path, path: Path, sha256: str, before: list[str]) -> None:
    """Write the folder; cohorts that are there from `before` and no more in the file go."""
    cohorts = _cohorts(path)
    folder.mkdir(parents=True, exist_ok=True)
    marker, ours = folder / "peer.json", {"format": FORMAT, "source": path.name}
    # Ours from the first byte on; the hash comes last, so that a half made one is made again.
    names = sorted({*before, *cohorts})
    write_atomic(marker, canonical_json({**ours, "cohorts": names}) + "\n")
    for gone in set(before) - set(cohorts):
        for file in (_predictions(folder, gone), folder / "cohorts" / gone / "metrics.json"):
            file.unlink(missing_ok=True)
    for cohort, frame in cohorts.items():
        target, data = _predictions(folder, cohort), io.BytesIO()
        target.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(data, index=False)
        write_atomic(target, data.getvalue())
    facts = {"run_id": path.stem, "recipe": "predictions made elsewhere", "source_sha256": sha256}
    write_atomic(folder / "run.json", canonical_json(facts) + "\n")
    done = {**ours, "sha256": sha256, "cohorts": sorted(cohorts)}
    write_atomic(marker, canonical_json(done) + "\n")


def _marker(folder: Path, source: str) -> dict[str, Any]:
    """peer.json, or {} for a folder that is not there or empty.

    Raises:
        ValueError: the folder holds something else.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise ValueError(f"{folder}: a file is in the way of the folder; name another with --out")
    found = read_json(folder / "peer.json")
    if found.get("format") == FORMAT and found.get("source") == source:
        return found
    if any(folder.iterdir()):
        whose = f"the predictions of {found['source']}" if found.get("source") else "other files"
        raise ValueError(f"{folder}: holds {whose}; name another folder with --out")
    return {}


def _names(marker: dict[str, Any]) -> list[str]:
    """The cohorts that peer.json names, as far as they are names of folders."""
    names = marker.get("cohorts")
    return [n for n in names if isinstance(n, str) and NAME.fullmatch(n)] if names else []


def _predictions(folder: Path, cohort: str) -> Path:
    return folder / "cohorts" / cohort / "predictions.parquet"


def _cohorts(path: Path) -> dict[str, Frame]:
    """Cohort -> its checked rows.

    Raises:
        ValueError: a row has no cohort, or a cohort's name cannot be a folder's.
    """
    frame = read_predictions(path)
    nameless = frame["cohort"].isna()
    if nameless.any():
        raise ValueError(f"{path}: row {frame.index[nameless][0]}: no cohort is named")
    of = frame["cohort"].astype(str)
    names = sorted(of.unique())
    for name in names:
        if not NAME.fullmatch(name):
            allowed = "letters, digits, - _ . only"
            raise ValueError(f"{path}: cohort {name!r} cannot name a folder: {allowed}")
    if len({n.lower() for n in names}) < len(names):
        raise ValueError(f"{path}: two cohorts differ by case only: {', '.join(names)}")
    return {
        name: check_predictions(frame[(of == name).to_numpy(bool)], f"{path}: {name}")
        for name in names
    }
