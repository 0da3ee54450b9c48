"""The local disk as an object store that fails: a real fsspec file system of two test files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from fsspec.implementations.local import LocalFileSystem

from data_sharding.reader import ShardDataset
from data_sharding.storage.cache import Cache

N, PER_SHARD, SHAPE = 40, 8, (32, 32)


class Flaky(LocalFileSystem):
    """The local disk, with a network's temper. `plan`: file name -> what to do, once each."""

    protocol = "flaky"
    cachable = False
    plan: ClassVar[dict[str, list[str]]] = {}
    opened: ClassVar[list[str]] = []

    def open(self, path, mode="rb", **options):
        name = Path(path).name
        Flaky.opened.append(name)
        trouble = Flaky.plan.get(name) or [""]
        what = trouble.pop(0)
        if what == "refused":
            raise ConnectionResetError("connection reset by peer")
        if what == "slow down":
            raise RuntimeError("SlowDown: please reduce your request rate")
        if what == "denied":
            raise PermissionError("AccessDenied")
        file = super().open(path, mode, **options)
        return Broken(file, what) if what else file


class Broken:
    """A file that ends early, fails in the middle, or comes with a wrong byte."""

    def __init__(self, file, what: str) -> None:
        self.file, self.what, self.reads = file, what, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self, size: int) -> bytes:
        self.reads += 1
        data = self.file.read(1000 if self.what in ("short", "dropped") else size)
        if self.what == "short":
            return data if self.reads == 1 else b""
        if self.what == "dropped" and self.reads > 1:
            raise TimeoutError("read timed out")
        if self.what == "longer":
            return data if self.reads == 1 else bytes(10) if self.reads == 2 else b""
        return data[:-1] + bytes([data[-1] ^ 1]) if data and self.what == "flipped" else data


def read_all(data: ShardDataset) -> list[int]:
    return [int(data.image(i).reshape(-1)[:4].copy().view("<u4")[0]) for i in range(len(data))]


def objects(cache: Cache) -> list[Path]:
    return sorted((cache.folder / "objects").iterdir())
