"""Write plain WebDataset tars with an index: ``<key>.npy`` and ``<key>.json`` for each sample.

The tars are USTAR with no dates and no owners, so equal samples give equal bytes. The plain
`webdataset` library reads them; our reader seeks by ``index.parquet``.
"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_sharding.reader import npy_header
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
        ("pixels_sha256", pa.string()),
    ]
)
assert tuple(INDEX_SCHEMA.names) == INDEX_COLUMNS


class ShardWriter:
    """Samples in, tars out. A full tar is renamed into place; a crash leaves no half one."""

    def __init__(self, folder: Path, per_shard: int) -> None:
        if per_shard < 1:
            raise ValueError(f"{per_shard} samples per shard: at least 1")
        self.folder = folder
        self.per_shard = per_shard
        self.shards: list[Shard] = []
        self.rows: list[dict[str, Any]] = []
        self._tar: tarfile.TarFile | None = None
        self._split: Split | None = None
        self._name = ""
        self._count = 0
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
        elif self._tar is not None:
            self._tar.close()
            self._temporary.unlink(missing_ok=True)

    @property
    def _temporary(self) -> Path:
        return self.folder / f".{self._name}.tmp"

    def add(self, sample: Sample, pixels: npt.NDArray[np.uint8]) -> None:
        """Append one sample; a change of split or a full tar opens the next one."""
        if self._tar is None or sample.split != self._split or self._count == self.per_shard:
            self._finish()
            self._open(sample.split)
        npy = npy_header(pixels.shape, str(pixels.dtype)) + np.ascontiguousarray(pixels).tobytes()
        facts = canonical_json(sample.model_dump(mode="json")).encode()
        npy_offset = self._append(f"{sample.key}.npy", npy)
        json_offset = self._append(f"{sample.key}.json", facts)
        self._count += 1
        place = {
            "shard": self._name,
            **{"npy_offset": npy_offset, "npy_size": len(npy)},
            **{"json_offset": json_offset, "json_size": len(facts)},
        }
        said = sample.model_dump(mode="json")
        self.rows.append({c: place[c] if c in place else said[c] for c in INDEX_COLUMNS})

    def _open(self, split: Split) -> None:
        number = self._number.get(split, 0)
        self._number[split] = number + 1
        self._split, self._count = split, 0
        self._name = f"{split}-{number:05d}.tar"
        self._tar = tarfile.open(self._temporary, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def _append(self, name: str, data: bytes) -> int:
        """Write one member; returns the offset of its data in the tar."""
        assert self._tar is not None
        info = tarfile.TarInfo(name)
        info.size = len(data)
        info.mode = 0o644
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(info, io.BytesIO(data))
        return offset

    def _finish(self) -> None:
        if self._tar is None or self._split is None:
            return
        self._tar.close()
        self._tar = None
        path = self.folder / self._name
        with self._temporary.open("rb") as f:
            os.fsync(f.fileno())
        self._temporary.replace(path)
        self.shards.append(
            Shard(
                path=self._name,
                split=self._split,
                samples=self._count,
                bytes=path.stat().st_size,
                sha256=sha256_file(path),
            )
        )


def write_index(folder: Path, rows: list[dict[str, Any]]) -> str:
    """Write ``index.parquet`` (row i is sample i); returns its sha256."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), out, compression="zstd")
    path = folder / "index.parquet"
    write_atomic(path, out.getvalue())
    return sha256_file(path)
