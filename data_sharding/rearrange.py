"""Datasets that are packed already: several into one, or one into other splits.

    python -m data_sharding merge shards/asan shards/seoul shards/both
    python -m data_sharding split shards/asan shards/asan-80-20 --fractions train=0.8,test=0.2

Every sample is read and checked on its way; no picture is decoded or changed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd

from data_sharding.packing.pool import progress
from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.reader import ShardDataset
from data_sharding.schema import (
    LEDGER_COLUMNS,
    FlowStep,
    Manifest,
    Sample,
    Split,
    canonical_json,
    sha256_file,
    write_atomic,
)
from data_sharding.splits import assign, rank_hash, stratum

Echo = Callable[[str], Any]
SPLITS: tuple[Split, ...] = ("train", "tune", "test", "external", "public")


def merge(folders: Sequence[Path], out: Path, name: str, echo: Echo = print) -> Manifest:
    """One dataset of several that were packed alike; splits stay as they are.

    Raises:
        ValueError: they differ in role, policy, classes or pixels, share a sample, or have one
            patient in two splits.
    """
    if len(folders) < 2:
        raise ValueError("merge: at least two datasets, and a folder for the result")
    sets = [ShardDataset(folder) for folder in folders]
    first = sets[0].manifest
    for data in sets[1:]:
        theirs = data.manifest
        for what, a, b in (
            ("role", first.role, theirs.role),
            ("policy", first.policy, theirs.policy),
            ("classes", first.classes, theirs.classes),
            ("image_shape", first.image_shape, theirs.image_shape),
            ("image_dtype", first.image_dtype, theirs.image_dtype),
            ("extras", first.extras, theirs.extras),
            ("pixels", first.settings.get("pixels"), theirs.settings.get("pixels")),
        ):
            if a != b:
                raise ValueError(f"{data.folder}: {what} {b}, but {sets[0].folder} has {a}")
    _check_patients(sets)
    whole = [(split, data, i) for split in SPLITS for data in sets for i in _rows(data, split)]
    ids = {data.manifest.key_id for data in sets}
    together = hashlib.sha256(canonical_json(sorted(ids)).encode()).hexdigest()[:16]
    return _write(
        out,
        ((data.sample(i), data, i) for _, data, i in whole),
        len(whole),
        first.model_copy(
            update={
                "name": name,
                "key_id": first.key_id if len(ids) == 1 else together,
                "settings": {
                    **{"pixels": first.settings.get("pixels")},
                    **{"merged": {d.manifest.name: d.manifest.settings for d in sets}},
                    **_consent(sets),
                },
                "flow": tuple(
                    step.model_copy(update={"step": f"{d.manifest.name}: {step.step}"})
                    for d in sets
                    for step in d.manifest.flow
                )
                + (_same("samples merged", len(whole)),),
                "leaks": tuple(leak for d in sets for leak in d.manifest.leaks),
            }
        ),
        _ledgers(sets),
        echo,
    )


def split(folder: Path, out: Path, fractions: str, seed: int, echo: Echo = print) -> Manifest:
    """A dataset with its patients split anew: ``train=0.8,test=0.2``, stratified as by `pack`.

    Raises:
        ValueError: not an internal dataset, or fractions that are none.
    """
    wanted = parse_fractions(fractions)
    data = ShardDataset(folder)
    if data.manifest.role != "internal":
        raise ValueError(f"{folder}: {data.manifest.role}; only an internal dataset is split")
    strata: dict[str, tuple[str, str, str]] = {}
    facts = (data.index[c].tolist() for c in ("patient", "label", "sex", "age"))
    for patient, *known in zip(*facts, strict=True):
        strata.setdefault(patient, stratum(*(None if pd.isna(x) else x for x in known)))
    of_patient = assign(strata, seed, fractions=wanted)
    placed = [(of_patient[p], i) for i, p in enumerate(data.index["patient"])]
    # in the order of hashed keys, as `pack` leaves them: it knows nothing of the old splits
    keys = data.index["key"].tolist()
    placed.sort(key=lambda x: (SPLITS.index(x[0]), rank_hash(0, keys[x[1]])))
    flow = (*data.manifest.flow, _same("samples split anew", len(placed)))
    settings = data.manifest.settings | {"seed": seed, "fractions": dict(wanted)}
    samples = ((data.sample(i).model_copy(update={"split": where}), data, i) for where, i in placed)
    like = data.manifest.model_copy(update={"settings": settings, "flow": flow, "leaks": ()})
    ledger = (data.folder / data.manifest.ledger).read_text()
    return _write(out, samples, len(placed), like, ledger, echo)


def parse_fractions(text: str) -> dict[Split, float]:
    """``train=0.7,tune=0.1,test=0.2``.

    Raises:
        ValueError: an unknown split, a share that is not above 0, or a sum that is not 1.
    """
    out: dict[Split, float] = {}
    for part in text.split(","):
        where, _, share = part.partition("=")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if where not in ("train", "tune", "test") or not value > 0 or where in out:
            raise ValueError(f"fractions {text!r}: such as train=0.7,tune=0.1,test=0.2")
        out[cast(Split, where)] = value
    if not math.isclose(sum(out.values()), 1, abs_tol=1e-9):
        raise ValueError(f"fractions {text!r}: they sum to {sum(out.values()):g}, not to 1")
    return out


def _rows(data: ShardDataset, where: Split) -> list[int]:
    return [i for i, s in enumerate(data.index["split"]) if s == where]


def _check_patients(sets: Sequence[ShardDataset]) -> None:
    keys: dict[str, Path] = {}
    patients: dict[tuple[str, str], tuple[str, Path]] = {}
    for data in sets:
        for key, patient, where in zip(
            *(data.index[c] for c in ("key", "patient", "split")), strict=True
        ):
            if key in keys:
                raise ValueError(f"{data.folder} and {keys[key]} share the sample {key}")
            keys[key] = data.folder
            who = data.manifest.key_id, patient
            before, at = patients.setdefault(who, (where, data.folder))
            if before != where:
                raise ValueError(
                    f"patient {patient} is in {before} of {at} and in {where} of {data.folder}. "
                    "Pack both sites together, so that one patient has one split."
                )


def _consent(sets: Sequence[ShardDataset]) -> dict[str, bool]:
    """Faces may be shown where all of the datasets may show theirs; of radiographs nothing."""
    said = [data.manifest.settings.get("show_faces") for data in sets]
    return {} if all(x is None for x in said) else {"show_faces": all(x is True for x in said)}


def _same(step: str, n: int) -> FlowStep:
    return FlowStep(step=step, unit="image", n_in=n, excluded={}, n_out=n)


def _ledgers(sets: Sequence[ShardDataset]) -> str:
    """All ledgers below each other, each step with the name of its dataset."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(LEDGER_COLUMNS)
    for data in sets:
        with (data.folder / data.manifest.ledger).open(newline="") as f:
            for row in csv.DictReader(f):
                row["step"] = f"{data.manifest.name}: {row['step']}"
                writer.writerow([row[c] for c in LEDGER_COLUMNS])
    return out.getvalue()


def _write(
    out: Path,
    samples: Iterable[tuple[Sample, ShardDataset, int]],
    n: int,
    like: Manifest,
    ledger: str,
    echo: Echo,
) -> Manifest:
    """Write `samples` and a manifest that is `like` another but for what is counted here."""
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out}: not empty. Choose another folder.")
    out.mkdir(parents=True, exist_ok=True)
    shown = progress("samples", n, echo)
    per_shard = int(like.settings.get("shard_samples", 256))
    with ShardWriter(out, per_shard) as writer:
        for sample, data, i in samples:
            extras = {extra.name: data.extra(i, extra.name) for extra in data.manifest.extras}
            writer.add(sample, data.image(i), extras)
            shown()
    write_atomic(out / "ledger.csv", ledger)
    index_sha256 = write_index(out, writer.rows)
    manifest = like.model_copy(
        update={
            "shards": tuple(writer.shards),
            "index": "index.parquet",
            "index_sha256": index_sha256,
            "ledger": "ledger.csv",
            "ledger_sha256": sha256_file(out / "ledger.csv"),
        }
    )
    manifest.save(out)
    echo(f"{out}: {n} samples in {len(manifest.shards)} shards")
    return manifest
