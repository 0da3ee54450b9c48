"""Read a packed dataset by sample number: O(1), memory-mapped, zero-copy.

    from data_sharding.reader import ShardDataset
    data = ShardDataset(Path("shards/asan"), split="train")
    data.image(0)   # uint8 [512, 512], a view of the file
    data.sample(0)  # the facts beside it

Offsets come from ``index.parquet``, which may be damaged or hostile: every one is checked against
the file before it is used, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from data_sharding.schema import INDEX_COLUMNS, Manifest, Sample, sha256_file


def npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """The first bytes of an ``.npy`` of this shape and dtype, C order, format 1.0."""
    out = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(
        out, {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    )
    return out.getvalue()


def member_path(folder: Path, name: str) -> Path:
    """`folder` / `name` for a plain file name.

    Raises:
        ValueError: `name` would leave the folder.
    """
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"{folder}/manifest.json names {name!r}, which is not a file beside it")
    return folder / name


class ShardDataset:
    """The samples of a packed dataset, or of one split of it. Row i of `index` is sample i."""

    def __init__(self, folder: Path | str, split: str | None = None) -> None:
        """Open `folder`; no shard is touched until its first sample is asked for.

        Raises:
            ValueError: no manifest, an index that does not fit it, or an empty or unknown split.
        """
        self.folder = Path(folder)
        self.manifest = Manifest.load(self.folder)
        index = read_index(self.folder, self.manifest)
        if split is not None:
            there = sorted(set(index["split"]))
            index = index.loc[index["split"] == split]
            if index.empty:
                raise ValueError(f"{self.folder}: no split {split!r}; it has {', '.join(there)}")
        self.split = split
        self.index: pd.DataFrame = index.reset_index(drop=True)
        if self.manifest.image_dtype != "uint8":
            raise ValueError(f"{self.folder}: pictures of {self.manifest.image_dtype}, not uint8")
        self._dtype = np.dtype(np.uint8)
        self._shape = tuple(self.manifest.image_shape)
        self._header = npy_header(self._shape, self.manifest.image_dtype)
        self._count = int(np.prod(self._shape))
        self._shards = self.index["shard"].tolist()
        self._npy = self.index[["npy_offset", "npy_size"]].to_numpy(np.int64)
        self._json = self.index[["json_offset", "json_size"]].to_numpy(np.int64)
        self._maps: dict[str, mmap.mmap] = {}

    def __len__(self) -> int:
        return len(self.index)

    def __getstate__(self) -> dict[str, Any]:
        # A map does not survive a trip to another process; it is opened again there on demand.
        return {**self.__dict__, "_maps": {}}

    def image(self, i: int) -> npt.NDArray[np.uint8]:
        """Picture `i`, uint8 [H, W]: a read-only view of the mapped file, no copy.

        Raises:
            ValueError: the bytes are not an array of the manifest's shape and dtype.
        """
        offset, size = self._npy[i].tolist()
        data = self._map(self._shards[i])
        start = offset + len(self._header)
        if (
            offset < 0
            or size != len(self._header) + self._count * self._dtype.itemsize
            or offset + size > len(data)
            or data[offset:start] != self._header
        ):
            raise ValueError(
                f"{self.folder / self._shards[i]}: sample {self.index['key'][i]} is not a "
                f"{self.manifest.image_dtype} array of {self._shape} at byte {offset}. "
                "Run `python -m data_sharding verify`."
            )
        flat = np.frombuffer(data, self._dtype, self._count, start)
        return flat.reshape(self._shape)

    def sample(self, i: int) -> Sample:
        """The facts of sample `i`.

        Raises:
            ValueError: the bytes are not a sample's JSON.
        """
        offset, size = self._json[i].tolist()
        data = self._map(self._shards[i])
        where = f"{self.folder / self._shards[i]}: sample {self.index['key'][i]}"
        if offset < 0 or size < 2 or offset + size > len(data):
            raise ValueError(f"{where} lies outside of the file")
        try:
            return Sample.model_validate_json(data[offset : offset + size])
        except ValueError as e:
            raise ValueError(f"{where} has no readable facts: {e}") from e

    def _map(self, name: str) -> mmap.mmap:
        """The mapped shard, opened on its first use."""
        found = self._maps.get(name)
        if found is None:
            path = member_path(self.folder, name)
            declared = next(s.bytes for s in self.manifest.shards if s.path == name)
            if not path.is_file() or path.stat().st_size != declared:
                raise ValueError(f"{path}: missing or not {declared} bytes long. Pack again.")
            with path.open("rb") as f:
                found = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps[name] = found
        return found


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
    missing = [c for c in INDEX_COLUMNS if c not in index]
    if missing:
        raise ValueError(f"{path}: columns missing: {', '.join(missing)}")
    listed = {shard.path: shard.samples for shard in manifest.shards}
    counted = index["shard"].value_counts().to_dict()
    if counted != {name: n for name, n in listed.items() if n}:
        raise ValueError(f"{path}: its shards are not those of the manifest")
    nullable = {"label": "Int64", "days_to_dxa": "Int64"}
    return index.loc[:, list(INDEX_COLUMNS)].astype(nullable)


def verify(folder: Path) -> list[str]:
    """What is wrong with a packed dataset: one line a file, naming it; an empty list if nothing.

    Reads every byte (sha256).

    Raises:
        ValueError: there is no readable manifest.
    """
    manifest = Manifest.load(folder)
    wanted = [(s.path, s.sha256) for s in manifest.shards]
    wanted += [(manifest.index, manifest.index_sha256), (manifest.ledger, manifest.ledger_sha256)]
    wrong = []
    for name, sha256 in wanted:
        path = member_path(folder, name)
        if not path.is_file():
            wrong.append(f"{path}: missing")
        elif sha256_file(path) != sha256:
            wrong.append(f"{path}: not the bytes that were packed (sha256 differs)")
    return wrong
