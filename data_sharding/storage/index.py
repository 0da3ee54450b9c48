"""``index.parquet``: where each sample lies, checked against the manifest before it is believed."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from data_sharding.schema import INDEX_COLUMNS, LATER_INDEX_COLUMNS, Manifest
from data_sharding.storage.store import plain_name


def member_path(folder: Path, name: str) -> Path:
    """`folder` / `name` for a plain file name.

    Raises:
        ValueError: `name` would leave the folder.
    """
    return folder / plain_name(folder, name)


def read_index(folder: Path, manifest: Manifest) -> pd.DataFrame:
    """``index.parquet``, checked against the manifest.

    Raises:
        ValueError: absent, changed since it was packed, or naming shards that are not listed.
    """
    path = member_path(folder, manifest.index)
    if not path.is_file():
        raise ValueError(f"{path}: the index is missing. Pack again.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != manifest.index_sha256:
        raise ValueError(f"{path}: changed since it was packed (sha256 differs). Pack again.")
    index = pq.read_table(io.BytesIO(data)).to_pandas()
    for name in LATER_INDEX_COLUMNS:
        if name not in index:
            index[name] = None
    missing = [c for c in INDEX_COLUMNS if c not in index]
    if missing:
        raise ValueError(f"{path}: columns missing: {', '.join(missing)}")
    listed = {shard.path: shard.samples for shard in manifest.shards}
    counted = index["shard"].value_counts().to_dict()
    if counted != {name: n for name, n in listed.items() if n}:
        raise ValueError(f"{path}: its shards are not those of the manifest")
    nullable = dict.fromkeys(("label", "days_to_dxa", *LATER_INDEX_COLUMNS), "Int64")
    return index.loc[:, list(INDEX_COLUMNS)].astype(nullable)
