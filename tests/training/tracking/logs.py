"""W&B's transaction log read back: the framing of LevelDB's log, with W&B's own protobufs."""

from __future__ import annotations

import importlib
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7


def frames(path: Path) -> Iterator[bytes]:
    """The records of a ``.wandb`` file: after 7 bytes ``:W&B``, blocks of 32 KiB hold chunks."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, record = HEADER, b""
    while at < len(data):
        room = BLOCK - at % BLOCK
        if room < HEADER:
            assert not any(data[at : at + room])
            at += room
            continue
        crc, length, kind = struct.unpack_from("<IHB", data, at)
        chunk = data[at + HEADER : at + HEADER + length]
        assert len(chunk) == length, "torn"
        assert crc == zlib.crc32(chunk, zlib.crc32(bytes([kind])))
        record += chunk
        if kind in (1, 4):  # the whole, or the last part
            yield record
            record = b""
        at += HEADER + length


@dataclass
class Logged:
    """What a transaction log says of its run."""

    run: Any = None
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    ended: bool = False


def logged(path: Path) -> Logged:
    """Read a log back."""
    protos: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")

    found = Logged()
    for frame in frames(path):
        record = protos.Record()
        record.ParseFromString(frame)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            assert found.run is None or found.run.run_id == record.run.run_id
            found.run = found.run or record.run
        elif kind == "history":
            items = {i.key or "/".join(i.nested_key): i.value_json for i in record.history.item}
            found.history.append({k: json.loads(v) for k, v in items.items()})
        elif kind == "summary":
            for i in record.summary.update:
                found.summary[i.key or "/".join(i.nested_key)] = json.loads(i.value_json)
        elif kind == "exit":
            found.ended = True
    return found
