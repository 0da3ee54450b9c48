"""Packed datasets of tiny pictures: a few by the real writer, or very many in a second.

The first 4 bytes of picture i are i, so that what a loader served can be read from the pixels.
`make_many` lays out copies of two samples that the writer wrote; `test_at_size` compares the bytes
of both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_sharding.extras import Extra
from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.schema import (
    CLASSES,
    FlowStep,
    Manifest,
    Sample,
    sha256_file,
    write_atomic,
)


def picture(i: int, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 `shape`: i in little-endian bytes, then zeros."""
    flat = np.zeros(int(np.prod(shape)), np.uint8)
    flat[:4] = np.array([i], "<u4").view(np.uint8)
    return flat.reshape(shape)


def key(i: int) -> str:
    return f"k{i:08d}"


def label(i: int) -> int:
    """Every third sample is of class 1."""
    return int(i % 3 == 0)


def beside(i: int, extra: Extra) -> np.ndarray:
    """What lies beside picture i: the numbers i * 7, i * 7 + 1, ... as far as the dtype counts."""
    count = int(np.prod(extra.shape))
    return (np.arange(count) + i * 7).astype(extra.dtype).reshape(extra.shape)


def make_few(
    folder: Path,
    n: int,
    per_shard: int = 256,
    shape: tuple[int, ...] = (8, 8),
    name: str = "many",
    extras: tuple[Extra, ...] = (),
) -> Path:
    """A packed dataset of n pictures, all of them in the split train."""
    folder.mkdir(parents=True)
    of_class = [_facts(name, c) for c in (0, 1)]
    with ShardWriter(folder, per_shard) as writer:
        for i in range(n):
            facts = of_class[label(i)].model_copy(update={"key": key(i)})
            writer.add(facts, picture(i, shape), {e.name: beside(i, e) for e in extras})
    write_atomic(folder / "ledger.csv", "step,unit,item,patient,reason,evidence\n")
    Manifest(
        name=name,
        role="internal",
        policy="ospenscreen/1",
        classes=CLASSES,
        settings={"pixels": "drawn/1"},
        image_shape=shape,
        extras=extras,
        key_id="test",
        shards=tuple(writer.shards),
        index_sha256=write_index(folder, writer.rows),
        ledger_sha256=sha256_file(folder / "ledger.csv"),
        flow=(FlowStep(step="drawn", unit="image", n_in=n, excluded={}, n_out=n),),
    ).save(folder)
    return folder


def make_many(
    folder: Path, n: int, per_shard: int = 256, shape: tuple[int, ...] = (8, 8), name: str = "many"
) -> Path:
    """The same bytes as `make_few`, faster."""
    few = make_few(folder.with_name(f"{folder.name}-few"), 2, 1, shape, name)
    manifest = Manifest.load(few)
    table = pq.read_table(few / manifest.index)
    at = table.to_pandas()
    size = int(at["json_offset"][0] + at["json_size"][0])
    size += -size % 512
    assert (at["json_size"] == at["json_size"][0]).all()
    first_pixel = int(at["npy_offset"][0] + at["npy_size"][0]) - int(np.prod(shape))
    # sample 0 is of class 1, sample 1 of class 0
    records = [(few / s.path).read_bytes()[:size] for s in manifest.shards]
    folder.mkdir(parents=True)
    shards = []
    for number, first in enumerate(range(0, n, per_shard)):
        ids = range(first, min(first + per_shard, n))
        body = b"".join(_copy(records[1 - label(i)], 1 - label(i), i, first_pixel) for i in ids)
        body += bytes(1024)
        path = folder / f"train-{number:05d}.tar"
        path.write_bytes(body + bytes(-len(body) % 10240))
        shard = {"path": path.name, "samples": len(ids), "bytes": path.stat().st_size}
        shards.append(manifest.shards[0].model_copy(update=shard | {"sha256": sha256_file(path)}))
    i = np.arange(n)
    rows = table.take(1 - (i % 3 == 0)).to_pydict() | {
        "key": [key(x) for x in range(n)],
        "shard": [f"train-{x // per_shard:05d}.tar" for x in range(n)],
    }
    for column in ("npy_offset", "json_offset"):
        rows[column] = int(at[column][0]) + i % per_shard * size
    pq.write_table(pa.table(rows, table.schema), folder / manifest.index, compression="zstd")
    (few / manifest.ledger).rename(folder / manifest.ledger)
    update = {"shards": tuple(shards), "index_sha256": sha256_file(folder / manifest.index)}
    flow = manifest.flow[0].model_copy(update={"n_in": n, "n_out": n})
    manifest.model_copy(update=update | {"flow": (flow,)}).save(folder)
    return folder


def _copy(record: bytes, number: int, i: int, first_pixel: int) -> bytes:
    """The record of sample `number` as that of sample i: name, picture and two checksums change."""
    old, new = key(number).encode(), key(i).encode()
    out = bytearray(record.replace(old, new))
    out[first_pixel : first_pixel + 4] = i.to_bytes(4, "little")
    for header in (0, out.index(new + b".json")):
        checksum = int(out[header + 148 : header + 154], 8) + sum(new) - sum(old)
        out[header + 148 : header + 154] = b"%06o" % checksum
    return bytes(out)


def _facts(name: str, of_class: int) -> Sample:
    return Sample(
        **{"key": "KEY", "patient": "p", "source": name, "split": "train", "view": "PA"},
        **{"age": 60.0, "sex": "F", "label": of_class, "severity": None, "lowest_t": -1.5},
        **{"lowest_t_site": "total_hip", "policy": "ospenscreen/1", "days_to_dxa": 0},
        **{"height_cm": 160.0, "weight_kg": 60.0, "applied": ("drawn",)},
        pixels_sha256="0" * 64,
    )
