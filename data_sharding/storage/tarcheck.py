"""Whether a tar holds samples and nothing else: read strictly, byte by byte, and never extracted.

    python -m data_sharding verify shards/asan

A shard from elsewhere is somebody's program until it is proven to be data. General tar readers are
lenient: they follow pax and GNU extensions, links and absolute paths, stop at the first thing they
do not understand, and differ from each other in what they then see. This one accepts the plain
USTAR that `packing.shards` writes and refuses all else, naming the member. For each key there
is one ``.npy`` (no pickle: its header is compared with the only one that fits) and one ``.json`` (a
`Sample` of that key), side by side; a ``.png`` or ``.jpg`` may lie with them. Where the manifest
declares extras, a sample is exactly its ``.npy``, each extra in its order, and its ``.json``.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_sharding.extras import BLOCK, Extra, npy_header
from data_sharding.schema import Sample

RECORD = 20 * BLOCK  # tars are filled up with zeros to whole records
MAX_JSON = 1 << 16  # bytes; a sample's facts take about 700
#: A key has no dot, because WebDataset ends it there, and nothing a path could be made of.
NAME = re.compile(r"([A-Za-z0-9_-]{1,90})\.(npy|json|png|jpg|[a-z][a-z0-9_]{0,31}\.npy)")
FACTS = ("json", "png", "jpg")  # what may lie beside the arrays
#: What a picture that is not an array must begin with.
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff"}
KINDS = {
    **{b"1": "a hard link", b"2": "a symbolic link", b"3": "a character device"},
    **{b"4": "a block device", b"5": "a folder", b"6": "a pipe", b"S": "a GNU sparse file"},
    **{b"L": "a GNU long name", b"K": "a GNU long link", b"x": "a pax header"},
    b"g": "a global pax header",
}


@dataclass(frozen=True)
class Member:
    """One file within a tar: its data are bytes `offset` to `offset + size`."""

    key: str
    kind: str  # npy, json, png, jpg, or an extra's, such as crop.npy
    offset: int
    size: int


def check_tar(
    path: Path,
    image_shape: tuple[int, ...],
    dtype: str = "uint8",
    samples: int | None = None,
    extras: Sequence[Extra] = (),
) -> list[dict[str, Member]]:
    """The members of each sample by kind, in order, if the tar is what it should be.

    Memory does not grow with the file, but for what is returned.

    Args:
        path: the tar.
        image_shape: of every ``.npy``.
        dtype: of every ``.npy``.
        samples: how many keys there must be; None does not count.
        extras: the arrays that lie beside every picture.

    Raises:
        ValueError: the tar is anything else; says which member and why.
    """
    array_bytes = math.prod(image_shape) * np.dtype(dtype).itemsize
    headers = {"npy": (npy_header(image_shape, dtype), array_bytes)} | {
        e.kind: (e.header, e.size - len(e.header)) for e in extras
    }
    found: dict[str, dict[str, Member]] = {}
    last = ""
    with path.open("rb") as f:
        if not path.stat().st_size:
            raise ValueError(f"{path}: empty, not a tar")
        with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for member in _members(path, data, {*headers, *FACTS}):
                name = f"{member.key}.{member.kind}"
                group = found.setdefault(member.key, {})
                if member.kind in group:
                    raise ValueError(f"{path}: {name} is there twice")
                if group and last != member.key:
                    raise ValueError(f"{path}: {name} does not lie beside the rest of its sample")
                group[member.kind], last = member, member.key
                if problem := _content(data, member, headers):
                    raise ValueError(f"{path}: {name} {problem}")
    for key, group in found.items():
        if missing := {*headers, "json"} - set(group):
            raise ValueError(f"{path}: {key} has no {' and no '.join(sorted(missing))}")
        if extras and list(group) != [*headers, "json"]:
            raise ValueError(f"{path}: {key} is {', '.join(group)}, not in the manifest's order")
    if samples is not None and len(found) != samples:
        raise ValueError(f"{path}: {len(found)} samples, not {samples}")
    return list(found.values())


def _members(path: Path, data: mmap.mmap, kinds: set[str]) -> Iterator[Member]:
    """Every member, headers checked; at the end, that nothing but zeros follows."""
    at, end = 0, len(data)
    while True:
        block = data[at : at + BLOCK]
        if len(block) < BLOCK:
            raise ValueError(f"{path}: ends at byte {end} without the two empty blocks of a tar")
        if not any(block):
            break
        try:
            member = _member(block, at + BLOCK, kinds)
        except ValueError as e:
            raise ValueError(f"{path}: {e}") from e
        name = f"{member.key}.{member.kind}"
        after = member.offset + member.size
        at = after + -after % BLOCK
        if at > end:
            raise ValueError(f"{path}: {name} says {member.size} bytes and runs beyond the end")
        if any(data[after:at]):
            raise ValueError(f"{path}: {name} has something hidden in the padding behind it")
        yield member
    if end - at < 2 * BLOCK or end % BLOCK:
        raise ValueError(f"{path}: not the two empty blocks at the end of a tar")
    if end - at > 2 * RECORD or any(data[at:end]):
        raise ValueError(f"{path}: something follows the end of the tar at byte {at}")


def _member(block: bytes, offset: int, kinds: set[str]) -> Member:
    """A USTAR header: POSIX.1-1988, plain files of these kinds only.

    Raises:
        ValueError: anything else; names the member as far as it has a name.
    """
    raw, rest = block[:100].split(b"\0", 1) if b"\0" in block[:100] else (block[:100], b"")
    shown = repr(raw.decode("latin-1"))
    if sum(block[:148]) + 8 * 32 + sum(block[156:]) != _octal(block[148:156], shown, "checksum"):
        raise ValueError(f"{shown} at byte {offset - BLOCK}: not a tar header (checksum)")
    kind = block[156:157]
    if kind != b"0":
        raise ValueError(f"{shown} is {KINDS.get(kind, f'of type {kind!r}')}, not a plain file")
    if block[257:265] != b"ustar\00000":
        raise ValueError(f"{shown} is not USTAR (no GNU or older tars)")
    if any(rest):
        raise ValueError(f"{shown} has more behind the NUL in its name")
    if any(block[157:257]) or any(block[265:329]) or any(block[345:512]):
        raise ValueError(f"{shown} has a link's target, an owner, a path or bytes no field owns")
    plain = NAME.fullmatch(raw.decode("latin-1"))
    if plain is None or plain[2] not in kinds:
        beside = "".join(f", KEY.{kind}" for kind in sorted(kinds - {"npy", *FACTS}))
        raise ValueError(
            f"{shown}: not KEY.npy{beside}, KEY.json, KEY.png or KEY.jpg in plain letters"
        )
    if _octal(block[100:108], shown, "mode") & ~0o777:
        raise ValueError(f"{shown} sets the user or group who runs it")
    for start in (108, 116, 136):  # uid, gid, time: ours are 0, others do no harm
        _octal(block[start : start + (12 if start == 136 else 8)], shown, "owner or time")
    if _octal(block[329:337], shown, "device") or _octal(block[337:345], shown, "device"):
        raise ValueError(f"{shown} names a device")
    return Member(plain[1], plain[2], offset, _octal(block[124:136], shown, "size"))


def _octal(field: bytes, name: str, what: str) -> int:
    """A number as USTAR has it: octal digits, then NULs or spaces. No sign, no base 256."""
    digits = field.rstrip(b"\0 ")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise ValueError(f"{name}: its {what} {field!r} is not an octal number")
    return int(digits or b"0", 8)


def _content(data: mmap.mmap, member: Member, headers: dict[str, tuple[bytes, int]]) -> str | None:
    """What is wrong with a member's bytes, or None; `headers` and bytes of the arrays by kind."""
    start, size = member.offset, member.size
    header, array_bytes = headers.get(member.kind, headers["npy"])
    if member.kind in headers:
        if size != len(header) + array_bytes:
            return f"has {size} bytes, not the {len(header) + array_bytes} of its array"
        if data[start : start + len(header)] != header:
            return "is not an array of the shape and type that the manifest says"
    elif member.kind == "json":
        if not 0 < size <= MAX_JSON:
            return f"has {size} bytes; a sample's facts have at most {MAX_JSON}"
        try:
            said = Sample.model_validate_json(data[start : start + size])
        except ValueError as e:
            return f"has no readable facts: {e}"
        if said.key != member.key:
            return f"holds the facts of {said.key!r}"
    elif size > 2 * array_bytes + MAX_JSON:
        return f"has {size} bytes, more than its picture can take"
    elif not data[start : start + size].startswith(MAGIC[member.kind]):
        return f"is not a {member.kind}"
    return None
