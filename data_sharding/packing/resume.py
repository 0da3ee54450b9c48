"""Whether a folder is already packed from the same inputs, and what an earlier attempt left."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from data_sharding.private import write_private
from data_sharding.schema import Manifest, canonical_json
from data_sharding.sources.paired import files_under

_OURS = re.compile(
    r"(train|tune|test|external|public)-\d{5}\.tar|manifest\.json|index\.parquet|ledger\.csv"
)


def listing(site: Path) -> str:
    """A hash of every file's path, size and time: cheap, and it changes when the input does."""
    lines = []
    for path in files_under(site):
        try:
            status = path.stat()  # of what a link leads to: that is what is read
        except OSError:
            status = path.lstat()
        lines.append([str(path.relative_to(site)), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(canonical_json(lines).encode("utf-8", "surrogatepass")).hexdigest()


def already_packed(
    out: Path, private: Path, inputs: dict[str, Any], fresh: bool
) -> Manifest | None:
    """The manifest of `out` if it is complete and of the same inputs; None if there is none."""
    if fresh or not (out / "manifest.json").exists():
        return None
    before = _read(private / "inputs.json")
    differ = [key for key in inputs if key != "against" and before.get(key) != inputs[key]]
    if differ:
        what = "the site's files" if differ == ["files"] else ", ".join(differ)
        raise ValueError(
            f"{out}: holds a dataset that was packed differently ({what} changed). "
            "Choose another folder, or --fresh to replace it."
        )
    if not set(inputs["against"]) <= set(before["against"]):
        raise ValueError(
            f"{out}: packed, but not checked against these datasets. "
            f"Run: python -m data_sharding leaks {out} ..., or --fresh to pack again."
        )
    manifest = Manifest.load(out)
    for shard in manifest.shards:
        path = out / shard.path
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise ValueError(f"{path}: missing or damaged. --fresh packs again.")
    shutil.rmtree(private / "unfinished", ignore_errors=True)  # where it was killed at the very end
    return manifest


def unfinished(private: Path, inputs: dict[str, Any], fresh: bool) -> Path:
    """The folder for unfinished work: an earlier attempt's if its inputs were these, else empty."""
    folder = private / "unfinished"
    if fresh or _read(folder / "inputs.json") != inputs:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        write_private(folder / "inputs.json", json.dumps(inputs, indent=1) + "\n")
    return folder


def begin(out: Path, folder: Path) -> None:
    """Make `out` ready for shards; empty, unless the work in `folder` was begun before.

    Raises:
        ValueError: `out` holds something that is not ours.
    """
    if not (folder / "begun").exists():
        _clear(out)
        out.mkdir(parents=True, exist_ok=True)
        (folder / "begun").touch()
    out.mkdir(parents=True, exist_ok=True)


def finished(out: Path, private: Path, manifest: Manifest, inputs: dict[str, Any]) -> None:
    """Seal the dataset: its inputs are noted first, so that a manifest is never without them."""
    write_private(private / "inputs.json", json.dumps(inputs, indent=1) + "\n")
    manifest.save(out)
    shutil.rmtree(private / "unfinished")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _clear(out: Path) -> None:
    """Make `out` an empty folder, taking away only what an earlier pack wrote."""
    if not out.exists():
        return
    there = [p for p in out.iterdir() if not p.name.endswith(".tmp")]
    other = sorted(p.name for p in there if not _OURS.fullmatch(p.name))
    if other:
        raise ValueError(f"{out}: holds {other[0]}, which is none of ours. Choose an empty folder.")
    (out / "manifest.json").unlink(missing_ok=True)  # first: from here on it is incomplete
    for path in out.iterdir():
        path.unlink()
