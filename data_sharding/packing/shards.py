"""Write plain WebDataset tars with an index: ``<key>.npy`` and ``<key>.json`` for each sample, and
between them ``<key>.<name>.npy`` for each of its extras (`data_sharding.extras`).

The tars are USTAR with no dates and no owners, so equal samples give equal bytes. The plain
`webdataset` library reads them; our reader seeks by ``index.parquet``.

A tar can be made in pieces: a fragment holds the members of some samples, and `seal` lays
fragments end to end. So many processes write one shard, and none of their work is done twice.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_sharding.extras import npy_header
from data_sharding.schema import (
    INDEX_COLUMNS,
    Sample,
    Shard,
    Split,
    canonical_json,
    sha256_file,
    write_atomic,
)

INDEX_SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("shard", pa.string()),
        ("key", pa.string()),
        ("npy_offset", pa.int64()),
        ("npy_size", pa.int64()),
        ("json_offset", pa.int64()),
        ("json_size", pa.int64()),
        ("patient", pa.string()),
        ("source", pa.string()),
        ("view", pa.string()),
        ("age", pa.float64()),
        ("sex", pa.string()),
        ("label", pa.int64()),
        ("severity", pa.string()),
        ("lowest_t", pa.float64()),
        ("days_to_dxa", pa.int64()),
        ("height_cm", pa.float64()),
        ("weight_kg", pa.float64()),
        ("vendor", pa.string()),
        ("fracture", pa.int64()),
        ("followup_days", pa.int64()),
        ("pixels_sha256", pa.string()),
    ]
)
assert tuple(INDEX_SCHEMA.names) == INDEX_COLUMNS
OFFSETS = ("npy_offset", "json_offset")
Row = dict[str, Any]  # of the index, as plain values
Pixels = npt.NDArray[np.uint8 | np.uint16]
Extras = Mapping[str, npt.NDArray[Any]]  # in the manifest's order
NO_EXTRAS: Extras = {}


class Fragment:
    """Tar members in a file, without the tar's end. `rows` has offsets within the fragment."""

    def __init__(self, path: Path) -> None:
        self.rows: list[Row] = []
        self.size = 0
        self._file = path.open("wb")

    def add(self, sample: Sample, pixels: Pixels, extras: Extras = NO_EXTRAS) -> None:
        """Append the members of one sample: its picture, its extras in their order, its facts."""
        npy = _npy(pixels)
        said = sample.model_dump(mode="json")
        facts = canonical_json(said).encode()
        place: Row = {"npy_size": len(npy), "json_size": len(facts)}
        beside = [(f"{name}.npy", _npy(array)) for name, array in extras.items()]
        for kind, data in (("npy", npy), *beside, ("json", facts)):
            place[f"{kind}_offset"] = self.size + tarfile.BLOCKSIZE
            self.size += self._file.write(_header(f"{sample.key}.{kind}", len(data)))
            self.size += self._file.write(data)
            self.size += self._file.write(b"\0" * (-len(data) % tarfile.BLOCKSIZE))
        at = {c: place[c] for c in ("npy_offset", "npy_size", "json_offset", "json_size")}
        self.rows.append({c: said.get(c) for c in INDEX_COLUMNS} | at)

    def close(self, end: bool = False) -> None:
        """Close the file; with `end`, as a whole tar, flushed to disk."""
        if end:
            self._file.write(_end(self.size))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()


def raw(array: npt.NDArray[Any]) -> bytes:
    """An array as it lies in a shard: row-major, the low byte first."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _npy(array: npt.NDArray[Any]) -> bytes:
    return npy_header(array.shape, array.dtype.name) + raw(array)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def _end(size: int) -> bytes:
    """Two empty blocks, and zeros up to a whole record of 10,240 bytes."""
    blocks = 2 * tarfile.BLOCKSIZE
    return b"\0" * (blocks + -(size + blocks) % tarfile.RECORDSIZE)


def seal(
    path: Path, split: Split, fragments: Sequence[tuple[Path, str, list[Row]]]
) -> tuple[Shard, list[Row]]:
    """Lay `fragments` (file, sha256, rows) end to end as the shard `path`; its entry and its rows.

    The shard is renamed into place once it is on disk.

    Raises:
        RuntimeError: a fragment is not what was written; run again, and it is made again.
    """
    digest, base, rows = hashlib.sha256(), 0, []
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as out:
        for fragment, sha256, theirs in fragments:
            for row in theirs:
                rows.append(row | {"shard": path.name} | {o: row[o] + base for o in OFFSETS})
            part = hashlib.sha256()
            with fragment.open("rb") as f:
                while block := f.read(1 << 20):
                    part.update(block)
                    digest.update(block)
                    base += out.write(block)
            if part.hexdigest() != sha256:
                raise RuntimeError(f"{path.name}: a part was damaged on disk. Run pack again.")
        digest.update(end := _end(base))
        base += out.write(end)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    shard = Shard(
        path=path.name, split=split, samples=len(rows), bytes=base, sha256=digest.hexdigest()
    )
    return shard, rows


class ShardWriter:
    """Samples in, tars out, one after the other. A crash leaves no half tar."""

    def __init__(self, folder: Path, per_shard: int) -> None:
        if per_shard < 1:
            raise ValueError(f"{per_shard} samples per shard: at least 1")
        self.folder = folder
        self.per_shard = per_shard
        self.shards: list[Shard] = []
        self.rows: list[Row] = []
        self._open: Fragment | None = None
        self._split: Split | None = None
        self._name = ""
        self._number: dict[str, int] = {}

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()
        elif self._open is not None:
            self._open.close()
            self._temporary.unlink(missing_ok=True)

    @property
    def _temporary(self) -> Path:
        return self.folder / f".{self._name}.tmp"

    def add(self, sample: Sample, pixels: Pixels, extras: Extras = NO_EXTRAS) -> None:
        """Append one sample; a change of split or a full tar opens the next one."""
        full = self._open is not None and len(self._open.rows) == self.per_shard
        if self._open is None or full or sample.split != self._split:
            self._finish()
            number = self._number.get(sample.split, 0)
            self._number[sample.split] = number + 1
            self._split, self._name = sample.split, shard_name(sample.split, number)
            self._open = Fragment(self._temporary)
        self._open.add(sample, pixels, extras)

    def _finish(self) -> None:
        if self._open is None or self._split is None:
            return
        self._open.close(end=True)
        path = self.folder / self._name
        self._temporary.replace(path)
        rows = [row | {"shard": self._name} for row in self._open.rows]
        self.rows += rows
        self.shards.append(
            Shard(
                path=self._name,
                split=self._split,
                samples=len(rows),
                bytes=path.stat().st_size,
                sha256=sha256_file(path),
            )
        )
        self._open = None


def shard_name(split: Split, number: int) -> str:
    """``train-00000.tar``."""
    return f"{split}-{number:05d}.tar"


def index_table(rows: Iterable[Row]) -> pa.Table:
    """Rows as an Arrow table, a tenth of their size as Python values."""
    return pa.Table.from_pylist([{c: r[c] for c in INDEX_COLUMNS} for r in rows], INDEX_SCHEMA)


def write_index(folder: Path, rows: Iterable[Row] | pa.Table) -> str:
    """Write ``index.parquet`` (row i is sample i); returns its sha256."""
    table: Any = rows if isinstance(rows, pa.Table) else index_table(rows)
    out = io.BytesIO()
    pq.write_table(table.combine_chunks(), out, compression="zstd")
    path = folder / "index.parquet"
    write_atomic(path, out.getvalue())
    return sha256_file(path)
