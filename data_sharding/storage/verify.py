"""Whether a packed dataset is, byte for byte, what was packed.

python -m data_sharding verify shards/asan
"""

from __future__ import annotations

from pathlib import Path

from data_sharding.schema import Manifest, sha256_file
from data_sharding.storage.index import member_path, read_index
from data_sharding.storage.tarcheck import check_tar


def verify(folder: Path) -> list[str]:
    """What is wrong with a packed dataset: one line a file, naming it; an empty list if nothing.

    Reads every byte (sha256), every tar's structure, and compares the index with both.

    Raises:
        ValueError: there is no readable manifest.
    """
    manifest = Manifest.load(folder)
    wrong = []
    for name, sha256 in (
        *((s.path, s.sha256) for s in manifest.shards),
        (manifest.index, manifest.index_sha256),
        (manifest.ledger, manifest.ledger_sha256),
    ):
        path = member_path(folder, name)
        if not path.is_file():
            wrong.append(f"{path}: missing")
        elif sha256_file(path) != sha256:
            wrong.append(f"{path}: not the bytes that were packed (sha256 differs)")
    if not wrong:
        wrong += _verify_content(folder, manifest)
    return wrong


def _verify_content(folder: Path, manifest: Manifest) -> list[str]:
    """What is wrong with files that are those of the manifest: hostile tars, a false index."""
    try:
        index = read_index(folder, manifest)
    except ValueError as e:
        return [str(e)]
    wrong = []
    of_shard = dict(list(index.groupby("shard", sort=False)))
    columns = ["key", "npy_offset", "npy_size", "json_offset", "json_size"]
    for shard in manifest.shards:
        path = folder / shard.path
        try:
            found = check_tar(
                path,
                manifest.image_shape,
                manifest.image_dtype,
                shard.samples,
                manifest.extras,
            )
        except ValueError as e:
            wrong.append(str(e))
            continue
        there = [
            (m["npy"].key, m["npy"].offset, m["npy"].size, m["json"].offset, m["json"].size)
            for m in found
        ]
        said = []
        if shard.path in of_shard:
            said = list(of_shard[shard.path][columns].itertuples(index=False, name=None))
        if there != said:
            wrong.append(f"{path}: {manifest.index} says its samples lie elsewhere")
    return wrong
