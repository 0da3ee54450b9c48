"""The leak gate of a pack: what was just written, against itself and against other datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_sharding.leaks import Leak, Side, find, lines, of_dataset
from data_sharding.ledger import Leaked
from data_sharding.packing.pool import Crew
from data_sharding.reader import npy_header


def check(
    out: Path,
    name: str,
    key_id: str,
    shape: tuple[int, ...],
    dtype: str,
    index: pa.Table,
    against: Sequence[Path | str],
    allow: bool,
    crew: Crew,
    scratch: Path,
    echo: Callable[[str], Any],
) -> tuple[str, ...]:
    """The leaks of a dataset that has no manifest yet, in words, if they are allowed.

    Args:
        out: folder of its shards.
        name: the dataset's.
        key_id: fingerprint of its pseudonym key.
        shape: of a picture.
        dtype: of its pixels.
        index: its rows.
        against: datasets it will be used with.
        allow: return the leaks instead of stopping.
        crew: those who compare pictures.
        scratch: private folder for a temporary one.
        echo: gets progress.

    Raises:
        Leaked: there are some; the message names the pairs.
        ValueError: a dataset of `against` cannot be read, or has this name.
    """
    others = [of_dataset(place) for place in against]
    if name in (other.name for other in others):
        raise ValueError(f"--against: a dataset called {name}, like the one that is packed")
    sides = [_side(out, name, key_id, shape, dtype, index), *others]
    found = find(sides, new={name}, crew=crew, scratch=scratch, echo=echo)
    if found and not allow:
        raise Leaked(
            "\n".join(lines(found))
            + "\nA model cannot be judged on what it learnt from: take them out of one side, or "
            "--allow-leaks to record them in the manifest."
        )
    return tuple(in_words(leak) for leak in found)


def in_words(leak: Leak) -> str:
    """One line, as manifests keep it."""
    return f"{leak.a} = {leak.b}: {leak.how or leak.kind} ({leak.evidence})"


def is_allowed(leak: Leak, allowed: Iterable[str]) -> bool:
    """Whether manifests that hold these lines allowed this pair."""
    pairs = ({*line.split(": ")[0].split(" = ")} for line in allowed)
    return {leak.a, leak.b} in pairs


@dataclass(frozen=True)
class _Written:
    """Pictures of shards at `out`: number `i` begins at byte ``start[i]`` of ``shards[shard[i]]``.

    Few bytes and no open file, so that it travels to other processes.
    """

    out: Path
    shards: tuple[str, ...]
    shard: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    shape: tuple[int, ...]
    dtype: str

    def image(self, i: int) -> npt.NDArray[np.uint8 | np.uint16]:
        """Picture `i`, mapped."""
        path = self.out / self.shards[self.shard[i]]
        return np.memmap(path, self.dtype, "r", int(self.start[i]), self.shape)


def _side(
    out: Path, name: str, key_id: str, shape: tuple[int, ...], dtype: str, index: pa.Table
) -> Side:
    splits, keys, patients, hashes = (
        index[c].to_pylist() for c in ("split", "key", "patient", "pixels_sha256")
    )
    names, shard = np.unique(index["shard"].to_pylist(), return_inverse=True)
    start = index["npy_offset"].to_numpy().astype(np.int64) + len(npy_header(shape, dtype))
    little = np.dtype(dtype).newbyteorder("<").str
    written = _Written(out, tuple(names.tolist()), shard.astype(np.int32), start, shape, little)
    return Side(name, key_id, splits, keys, patients, hashes, written.image)
