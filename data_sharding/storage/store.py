"""Packed datasets in object stores, through fsspec.

    ShardDataset("s3://bucket/shards/asan")     # needs s3fs; gs:// needs gcsfs

Manifest, index and ledger are fetched when a dataset is opened, a shard when it is first needed or
a little before, into `storage.cache`. Nothing is used before its sha256 is that of the
manifest and `tarcheck` has passed it. Errors that may pass are waited out, and a file that came
broken is fetched again.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from data_sharding.schema import Manifest, Shard, sha256_file, write_atomic
from data_sharding.storage.cache import Cache
from data_sharding.storage.stamps import cache_home
from data_sharding.storage.tarcheck import check_tar

CHUNK = 1 << 22
#: File of a mirror that says which URL it is of.
ORIGIN = "origin"
#: Bytes at most of a manifest, and of an index or a ledger: more than 10 million samples take.
MAX_MANIFEST, MAX_TABLE = 1 << 28, 1 << 32
#: Errors that come again however often one tries.
PERMANENT = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError),
    *(ImportError, NotImplementedError, ValueError),
)
#: How many downloads of this process run ahead at a time.
_AHEAD = threading.BoundedSemaphore(4)


def is_url(place: Path | str) -> bool:
    """Whether `place` is in an object store: ``s3://``, ``gs://``, ``memory://``, ``file://``."""
    return "://" in str(place)


def plain_name(folder: Path | str, name: str) -> str:
    """`name`, if it is a plain file name.

    Raises:
        ValueError: `name` would leave the folder.
    """
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"{folder}/manifest.json names {name!r}, which is not a file beside it")
    return name


def open_place(place: Path | str, cache: Cache | None = None) -> tuple[Path, Store | None]:
    """The folder with a dataset's manifest, index and ledger, and where its shards come from.

    That is `place` itself and None, or for a URL `Store.mirror` and the store. A mirror's folder
    stands for its URL wherever it is named, so that a run's records hold plain folders.

    Raises:
        ValueError: the dataset is in an object store and cannot be fetched.
    """
    if is_url(place):
        store = Store(str(place), cache)
        return store.mirror(), store
    folder = Path(place)
    origin = folder / ORIGIN
    # Only in the user's own cache: nobody else's folder sends us anywhere.
    if origin.is_file():
        home = cache.folder if cache else cache_home()
        if folder.resolve().parent == (home / "datasets").resolve():
            return folder, Store(origin.read_text(), cache)
    return folder, None


class Store:
    """One packed dataset in an object store, and the cache it shares with all others."""

    def __init__(
        self, url: str, cache: Cache | None = None, attempts: int = 5, pause: float = 0.5
    ) -> None:
        """Nothing is fetched yet.

        Args:
            url: the folder with the ``manifest.json``, as fsspec names it.
            cache: where files are kept; by default the user's.
            attempts: how often a file is tried.
            pause: seconds before the second attempt, and twice as many before each further one.

        Raises:
            ValueError: a chained URL, or no place for a cache.
        """
        if "::" in url:
            raise ValueError(f"{url}: chained URLs are not taken; the cache is ours")
        self.url = url.rstrip("/")
        self.cache = cache or Cache()
        self.attempts, self.pause = attempts, pause
        self._fs: Any = None
        self._ahead: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_fs": None, "_ahead": set()}

    def mirror(self) -> Path:
        """The local folder with this dataset's manifest, index and ledger, and no shards.

        Raises:
            ValueError: they cannot be fetched, or are not those of the manifest.
        """
        raw = bytearray()

        def read(chunks: Iterable[bytes]) -> None:
            raw[:] = b"".join(chunks)

        self._fetch("manifest.json", read, MAX_MANIFEST)
        try:
            manifest = Manifest.model_validate_json(bytes(raw))
        except ValueError as e:
            raise ValueError(f"{self.url}/manifest.json: not a manifest: {e}") from e
        place = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        folder = self.cache.folder / "datasets" / f"{place}-{manifest.hash[:16]}"
        with self.cache.lock(folder.name):
            folder.mkdir(exist_ok=True)
            for name, sha256 in (
                (manifest.index, manifest.index_sha256),
                (manifest.ledger, manifest.ledger_sha256),
            ):
                path = folder / plain_name(self.url, name)
                if not (path.is_file() and sha256_file(path) == sha256):
                    part = path.with_name(f".{name}.part")
                    self._download(name, part, sha256, MAX_TABLE)
                    part.replace(path)
            write_atomic(folder / ORIGIN, self.url)
            write_atomic(folder / "manifest.json", bytes(raw))
        return folder

    def open(self, shard: Shard, manifest: Manifest) -> tuple[Path, BufferedReader]:
        """A shard's place in the cache and its open file, downloaded if it is not there.

        Raises:
            ValueError: it cannot be fetched, has another sha256, is no tar of samples, or is larger
                than the cache may be. The message names it.
        """

        def fill(part: Path) -> None:
            self._download(shard.path, part, shard.sha256, shard.bytes)
            shape, dtype = manifest.image_shape, manifest.image_dtype
            check_tar(part, shape, dtype, shard.samples, manifest.extras)

        try:
            return self.cache.get(shard.sha256, shard.bytes, fill)
        except ValueError as e:
            where = f"{self.url}/{shard.path}"
            raise ValueError(f"{e}" if where in str(e) else f"{where}: {e}") from e

    def prefetch(self, shards: Iterable[Shard], manifest: Manifest) -> None:
        """Begin to download `shards` of `manifest` in the background, four at a time.

        What goes wrong is not said here: it goes wrong again, aloud, when the shard is needed.
        """

        def get(shard: Shard) -> None:
            try:
                with _AHEAD:
                    self.open(shard, manifest)[1].close()
            except (OSError, ValueError):
                pass
            finally:
                self._ahead.discard(shard.path)

        for shard in shards:
            if shard.path not in self._ahead:
                self._ahead.add(shard.path)
                threading.Thread(target=get, args=(shard,), daemon=True).start()

    def _download(self, name: str, part: Path, sha256: str, most: int) -> None:
        """Write the file `name` at `part`, flushed to the disk and with this sha256."""

        def write(chunks: Iterable[bytes]) -> None:
            digest = hashlib.sha256()
            part.touch()
            with part.open("r+b") as f:  # the cache has reserved its size
                for chunk in chunks:
                    digest.update(chunk)
                    f.write(chunk)
                f.truncate()
                f.flush()
                os.fsync(f.fileno())
            if digest.hexdigest() != sha256:
                raise OSError("not the bytes that were packed (sha256 differs)")

        self._fetch(name, write, most)

    def _fetch(self, name: str, take: Callable[[Iterable[bytes]], None], most: int) -> None:
        """Give a file's chunks to `take`; from the start again after an error that may pass.

        Raises:
            ValueError: it cannot be had.
        """
        where = f"{self.url}/{plain_name(self.url, name)}"
        for attempt in range(1, self.attempts + 1):
            try:
                if self._fs is None:
                    self._fs, self._root = fsspec.core.url_to_fs(self.url)
                with self._fs.open(f"{self._root}/{name}", "rb") as f:
                    take(_chunks(f, most))
                return
            except PERMANENT as e:
                raise ValueError(f"{where}: {type(e).__name__}: {e}") from e
            except Exception as e:  # each store has errors of its own, and most of them pass
                if attempt == self.attempts:
                    raise ValueError(f"{where}: {e} ({attempt} attempts)") from e
                time.sleep(self.pause * 2 ** (attempt - 1))


def _chunks(file: BinaryIO, most: int) -> Iterable[bytes]:
    taken = 0
    while chunk := file.read(CHUNK):
        taken += len(chunk)
        if taken > most:
            raise OSError(f"more than the {most} bytes it should have")
        yield chunk
