"""Read a packed dataset by sample number: O(1), memory-mapped, zero-copy.

    from data_sharding.reader import ShardDataset
    data = ShardDataset("shards/asan", split="train")   # or s3://bucket/shards/asan
    data.image(0)   # uint8 or uint16 [512, 512], a view of the file
    data.sample(0)  # the facts beside it
    data.extra(0, "crop")  # an array beside it, where the manifest declares such extras

A shard is hashed before anything in it is used (`storage.stamps` remembers), and one that is
not what was packed is named. Offsets come from ``index.parquet``, which may be damaged or hostile:
every one is checked against the file before it is used, and nothing is ever unpickled.
"""

from __future__ import annotations

import copy
import math
import mmap
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data_sharding.extras import BLOCK, npy_header, places
from data_sharding.schema import Manifest, Sample
from data_sharding.storage.cache import Cache
from data_sharding.storage.index import member_path, read_index
from data_sharding.storage.stamps import is_intact
from data_sharding.storage.store import open_place
from data_sharding.storage.tarcheck import MAX_JSON
from data_sharding.storage.verify import verify

__all__ = ["ShardDataset", "member_path", "npy_header", "read_index", "verify"]

#: Mapped files that a dataset may add to a process's memory: so many bytes, or so many pictures if
#: that is more, of large ones not above a GiB. They are the page cache's and cost nothing to give
#: back, but count as the process's own wherever memory is watched; and to map a picture again costs
#: as much as to copy it.
RESIDENT, PICTURES, MOST = 48 << 20, 4096, 1 << 30
#: Pictures touched for the first time between two looks at that.
LOOK = 16


class ShardDataset:
    """The samples of a packed dataset, or of one split of it. Row i of `index` is sample i.

    `folder` is where the manifest lies; for an object store that is a folder of the cache, without
    the shards. `shards` int32 [N] says for each sample which of `manifest.shards` it lies in.
    """

    def __init__(
        self, place: Path | str, split: str | None = None, cache: Cache | None = None
    ) -> None:
        """Open the dataset at `place`; no shard is touched until its first sample is asked for.

        Args:
            place: a folder, or a URL that fsspec knows.
            split: one split only; None is all of them.
            cache: for a URL; by default the user's.

        Raises:
            ValueError: no manifest, an index that does not fit it, or an empty or unknown split.
        """
        self.folder, self._store = open_place(place, cache)
        self.split = split
        self.manifest = Manifest.load(self.folder)
        shape, dtype = tuple(self.manifest.image_shape), self.manifest.image_dtype
        if not shape or min(shape) < 1 or math.prod(shape) > 1 << 31:
            raise ValueError(f"{self.folder}: pictures of {shape} are none")
        self._shape, self._count = shape, math.prod(shape)
        self._header = npy_header(shape, dtype)
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._size = len(self._header) + self._count * self._dtype.itemsize
        # of each extra: how far behind the picture's data its own lie, and what they begin with
        self._extras = {
            extra.name: (at, extra.header, extra)
            for extra, at in places(0, self._size, self.manifest.extras)
        }
        self._index: pd.DataFrame | None = self._read_index()
        names = [s.path for s in self.manifest.shards]
        self.shards = np.asarray(pd.Categorical(self._index["shard"], names).codes, np.int32)
        self._npy = self._index[["npy_offset", "npy_size"]].to_numpy(np.int64)
        self._json = self._index[["json_offset", "json_size"]].to_numpy(np.int64)
        self._keys = pa.array(self._index["key"], pa.string())
        self._maps: dict[int, tuple[Path, mmap.mmap]] = {}
        self._chosen = False
        self._seen, self._touched, self._before = bytearray(len(self)), 0, 0

    def __len__(self) -> int:
        return len(self.shards)

    def __getstate__(self) -> dict[str, Any]:
        # A map does not survive a trip to another process; it is opened again there on demand. The
        # index would, but loader workers do not look at it.
        gone = {"_maps": {}, "_index": None, "_seen": bytearray(len(self)), "_touched": 0}
        return self.__dict__ | gone

    @property
    def index(self) -> pd.DataFrame:
        """The table of facts, `INDEX_COLUMNS`."""
        if self._index is None:
            assert not self._chosen, "a loader worker does not look at it"
            self._index = self._read_index()
        return self._index

    def only(self, rows: npt.NDArray[np.int64], label: pd.Series | None = None) -> ShardDataset:
        """These samples and no others, in this order.

        Args:
            rows: int64 [M], of this dataset.
            label: Int64 [N], of this dataset: what stands in `index` instead of the packed labels.
        """
        other = copy.copy(self)
        index = self.index if label is None else self.index.assign(label=label.to_numpy())
        other._index = index.iloc[rows].reset_index(drop=True)
        other.shards, other._keys = self.shards[rows], self._keys.take(pa.array(rows))
        other._npy, other._json = self._npy[rows], self._json[rows]
        other._maps, other._seen, other._touched = {}, bytearray(len(rows)), 0
        other._chosen = True
        return other

    @property
    def remote(self) -> bool:
        """Whether the shards come from an object store."""
        return self._store is not None

    def key(self, i: int) -> str:
        """The key of sample `i`; quicker than by `index`."""
        return self._keys[i].as_py()

    def image(self, i: int) -> npt.NDArray[np.uint8 | np.uint16]:
        """Picture `i`, uint8 or uint16 [H, W], or uint8 [H, W, 3]: a read-only view of the mapped
        file, no copy.

        Raises:
            ValueError: the shard is not what was packed, or the bytes are not an array of the
                manifest's shape and dtype.
        """
        offset, size = self._npy[i].tolist()
        data = self._map(self.shards.item(i))
        start = offset + len(self._header)
        if (
            offset < 0
            or size != self._size
            or offset + size > len(data)
            or data[offset:start] != self._header
        ):
            raise ValueError(
                f"{self._name(i)} is not a {self.manifest.image_dtype} array of {self._shape} "
                f"at byte {offset}. Run `python -m data_sharding verify`."
            )
        if not self._seen[i]:
            self._touch(i)
        return np.frombuffer(data, self._dtype, self._count, start).reshape(self._shape)

    def extra(self, i: int, name: str) -> npt.NDArray[np.uint8 | np.uint16 | np.float32]:
        """The array `name` beside picture `i`, of the shape and dtype that `manifest.extras` says:
        a read-only view of the mapped file, no copy.

        Raises:
            ValueError: the dataset has no such extra, the shard is not what was packed, or the
                bytes are not such an array.
        """
        if name not in self._extras:
            there = ", ".join(self._extras) or "none"
            raise ValueError(f"{self.folder}: no extra {name!r} beside the pictures, but {there}")
        behind, header, extra = self._extras[name]
        offset, data = self._npy.item(i, 0), self._map(self.shards.item(i))
        start = offset + behind
        # the tar was filled up to a whole block behind the picture: its data begin at one
        if (
            offset < 0
            or offset % BLOCK
            or start + extra.size > len(data)
            or data[start : start + len(header)] != header
        ):
            raise ValueError(
                f"{self._name(i)} has no {extra.dtype} array of {extra.shape} called {name} at "
                f"byte {start}. Run `python -m data_sharding verify`."
            )
        dtype = np.dtype(extra.dtype).newbyteorder("<")
        count = math.prod(extra.shape)
        return np.frombuffer(data, dtype, count, start + len(header)).reshape(extra.shape)

    def sample(self, i: int) -> Sample:
        """The facts of sample `i`.

        Raises:
            ValueError: the shard is not what was packed, or the bytes are not a sample's JSON.
        """
        offset, size = self._json[i].tolist()
        data = self._map(self.shards.item(i))
        if offset < 0 or not 2 <= size <= MAX_JSON or offset + size > len(data):
            raise ValueError(f"{self._name(i)} has facts that lie outside of the file")
        try:
            return Sample.model_validate_json(data[offset : offset + size])
        except ValueError as e:
            raise ValueError(f"{self._name(i)} has no readable facts: {e}") from e

    def check_cache(self, shards: int) -> None:
        """That the cache can hold as many shards as are in use at a time (0: all of them).

        Raises:
            ValueError: they come from an object store, and it cannot.
        """
        used = (self.manifest.shards[n].bytes for n in np.unique(self.shards))
        sizes = sorted(used, reverse=True)
        need = sum(sizes[: shards or None])
        if self._store is not None and need > self._store.cache.limit:
            raise ValueError(
                f"{self._store.url}: the shards in use at a time take {need} bytes, and the cache "
                f"holds {self._store.cache.limit}. Set OSTEORAY_CACHE_GIB, or data.spread to fewer."
            )

    def prefetch(self, rows: npt.NDArray[np.int64]) -> None:
        """Begin to fetch the shards of these samples, if they come from an object store."""
        if self._store is not None:
            missing = set(self.shards[rows].tolist()) - set(self._maps)
            shards = [self.manifest.shards[n] for n in sorted(missing)]
            self._store.prefetch(shards, self.manifest)

    def _read_index(self) -> pd.DataFrame:
        index = read_index(self.folder, self.manifest)
        if self.split is not None:
            there = sorted(set(index["split"]))
            index = index.loc[index["split"] == self.split]
            if index.empty:
                raise ValueError(
                    f"{self.folder}: no split {self.split!r}; it has {', '.join(there)}"
                )
        return index.reset_index(drop=True)

    def _name(self, i: int) -> str:
        where = self._store.url if self._store else self.folder
        return f"{where}/{self.manifest.shards[self.shards[i]].path}: sample {self.key(i)}"

    def _touch(self, i: int) -> None:
        """Picture `i` is looked at for the first time; give all pages back if they are too many.

        How many there are only the kernel knows: it maps what lies around a page as it sees fit.
        """
        self._seen[i] = 1
        self._touched += 1
        if self._touched % LOOK:
            return
        now = _mapped_bytes()
        self._before = min(self._before, now) if self._before else now
        if now - self._before > max(RESIDENT, min(PICTURES * self._size, MOST)):
            for _, data in self._maps.values():
                data.madvise(mmap.MADV_DONTNEED)  # views stay good: the kernel maps them again
            self._seen, self._before = bytearray(len(self)), _mapped_bytes()

    def _map(self, number: int) -> mmap.mmap:
        """The mapped shard, proven and opened on its first use."""
        found = self._maps.get(number)
        if found is None:
            # What the cache has given up keeps its bytes on the disk while it is mapped.
            gone = [n for n, (path, _) in self._maps.items() if self.remote and not path.exists()]
            for n in gone:
                del self._maps[n]
            path, file = self._open(number)
            with file:
                found = path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps[number] = found
        return found[1]

    def _open(self, number: int) -> tuple[Path, BufferedReader]:
        shard = self.manifest.shards[number]
        if self._store is not None:
            return self._store.open(shard, self.manifest)
        path = member_path(self.folder, shard.path)
        if not path.is_file() or not path.stat().st_size == shard.bytes > 0:
            raise ValueError(f"{path}: missing or not {shard.bytes} bytes long. Pack again.")
        file = path.open("rb")
        if not is_intact(path, file, shard.sha256):
            file.close()
            raise ValueError(
                f"{path}: not the bytes that were packed (sha256 differs); nothing in it is used. "
                "Pack again, or fetch this file again."
            )
        return path, file


def _mapped_bytes() -> int:
    """Pages of mapped files in this process's memory, as Linux counts them; elsewhere 0."""
    try:
        with Path("/proc/self/status").open("rb") as f:
            return 1024 * int(f.read().split(b"RssFile:")[1].split()[0])
    except (OSError, IndexError):
        return 0
