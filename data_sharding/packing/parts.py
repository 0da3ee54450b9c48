"""The jobs of a pack: headers of some files, samples of some patients, and the sealing of a shard.

Each job is a pure function of its inputs and leaves one file that says it is done, written last: a
pack that was killed does again only what has no such file, and comes to the same bytes. The files
lie in the private folder, because paths and dates are in them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

from data_sharding.extras import check
from data_sharding.ledger import CRASH, Refused
from data_sharding.packing.pool import DEADLINE_S, Shield, deadline
from data_sharding.packing.shards import Fragment, Row, raw, seal, shard_name
from data_sharding.pictures.dicom import Facts
from data_sharding.pictures.photos import Header
from data_sharding.pictures.work import EXTRAS, Job, Made, Scan, make, scan
from data_sharding.private import write_private
from data_sharding.schema import Sample, Shard, Split, sha256_file

P = TypeVar("P", "ScanPart", "MakePart", "SealPart", "MakePart | SealPart")


@dataclass(frozen=True)
class ScanPart:
    """Files whose headers are wanted; the answers go to `done`."""

    kind: Literal["dicom", "photo"]
    paths: tuple[str, ...]
    assume_view: str
    done: Path
    careful: bool = False


@dataclass(frozen=True)
class Choice:
    """A picture that may become the sample, and the facts of that sample."""

    path: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class MakePart:
    """Works that lie together in a shard; the choices of each are tried in their order."""

    works: tuple[tuple[Choice, ...], ...]
    read: Literal["dicom", "grey", "photo"]
    pixels: str
    size: int
    assume_view: str
    screen: bool
    split: Split
    shard: int
    number: int  # within the shard
    done: Path
    careful: bool = False


@dataclass(frozen=True)
class SealPart:
    """A shard whose parts are all made."""

    parts: tuple[Path, ...]  # their `done` files
    out: Path
    split: Split
    shard: int
    done: Path
    careful: bool = False


def do(job: P) -> P:
    """Do a job and return it; what came of it is in its `done` file."""
    if isinstance(job, ScanPart):
        _scan(job)
    elif isinstance(job, MakePart):
        _make(job)
    else:
        _seal(job)
    return job


@contextmanager
def _safely(function: Callable[[Any], Any], careful: bool, items: int) -> Iterator[Any]:
    """`function` in a child process if `careful`, else here with a deadline for all the items."""
    if careful:
        with Shield(function, CRASH) as shielded:
            yield shielded
    else:
        with deadline(DEADLINE_S + 5 * items):
            yield function


def _scan(job: ScanPart) -> None:
    with _safely(scan, job.careful, len(job.paths)) as safely:
        answers = [safely(Scan(job.kind, path, job.assume_view)) for path in job.paths]
    said = [
        {"refused": a.args} if isinstance(a, Refused) else {"facts": asdict(a)} for a in answers
    ]
    write_private(job.done, json.dumps(said, default=date.isoformat))


def scanned(job: ScanPart) -> list[Facts | Header | Refused] | None:
    """The answers of a part; None if it is not done, or its note was damaged."""
    kind = Header if job.kind == "photo" else Facts
    days = {f.name for f in fields(kind) if "date" in str(f.type)}
    out: list[Facts | Header | Refused] = []
    try:
        for said in json.loads(job.done.read_text()):
            if "refused" in said:
                out.append(Refused(*said["refused"]))
                continue
            facts: dict[str, Any] = said["facts"]
            dated: dict[str, Any] = {k: date.fromisoformat(facts[k]) for k in days if facts[k]}
            out.append(kind(**facts | dated))
    except (OSError, ValueError, TypeError, KeyError, AssertionError):
        return None
    return out if len(out) == len(job.paths) else None


def _members(done: Path) -> Path:
    """Where the tar members of a part lie."""
    return done.with_suffix(".members")


def _make(job: MakePart) -> None:
    fragment, used, failed = Fragment(_members(job.done)), [], []
    with _safely(make, job.careful, len(job.works)) as safely:
        for n, choices in enumerate(job.works):
            chosen = None
            for i, choice in enumerate(choices):
                wanted = Job(
                    *(job.read, choice.path, job.size, job.assume_view, job.screen, job.pixels)
                )
                made: Made | Refused = safely(wanted)
                if isinstance(made, Refused):
                    failed.append([n, i, *made.args])
                    continue
                digest = hashlib.sha256(raw(made.pixels)).hexdigest()
                sample = Sample(
                    **choice.facts, applied=made.applied, pose=made.pose, pixels_sha256=digest
                )
                check(made.extras, EXTRAS.get(job.pixels, ()))
                fragment.add(sample, made.pixels, made.extras)
                chosen = i
                break
            used.append(chosen)
    fragment.close()
    said = {"sha256": sha256_file(_members(job.done)), "rows": fragment.rows}
    write_private(job.done, json.dumps(said | {"used": used, "failed": failed}))


def _seal(job: SealPart) -> None:
    parts = [json.loads(path.read_text()) for path in job.parts]
    path = job.out / shard_name(job.split, job.shard)
    said: dict[str, Any] = {"shard": None, "rows": []}
    if any(part["rows"] for part in parts):
        fragments = [
            (_members(p), part["sha256"], part["rows"])
            for p, part in zip(job.parts, parts, strict=True)
        ]
        shard, rows = seal(path, job.split, fragments)
        said = {"shard": shard.model_dump(), "rows": rows}
    said["parts"] = [{k: part[k] for k in ("used", "failed")} for part in parts]
    write_private(job.done, json.dumps(said))
    for done in job.parts:
        _members(done).unlink()
        done.unlink()


@dataclass(frozen=True)
class Sealed:
    """What a shard came to: its entry (None if nothing was readable), rows, and its parts."""

    shard: Shard | None
    rows: list[Row]
    parts: list[dict[str, Any]]


def sealed(done: Path, out: Path, hashed: bool = True) -> Sealed | None:
    """The note of a shard that lies at `out`, whole; None if it does not, or was damaged.

    `hashed`: compare its sha256, else only see that it is there.
    """
    try:
        said = json.loads(done.read_text())
        shard = Shard(**said["shard"]) if said["shard"] else None
        found = Sealed(shard, said["rows"], said["parts"])
        if shard and (out / shard.path).stat().st_size != shard.bytes:
            return None
        if shard and hashed and sha256_file(out / shard.path) != shard.sha256:
            return None
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found


def is_whole(done: Path) -> bool:
    """Whether a part of an earlier attempt is there, all of it."""
    try:
        said = json.loads(done.read_text())
        return sha256_file(_members(done)) == said["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
