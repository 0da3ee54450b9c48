"""What a run reads and where it reports: packed datasets, and W&B."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.checks import Check


@dataclass(frozen=True)
class Pack:
    """A packed dataset as it was found.

    Attributes:
        place: folder or URL.
        manifest: the text of its manifest.json; None if there is none or it cannot be read.
        sizes: name -> bytes of the files beside it.
        error: why it could not be looked at, in one line.
    """

    place: str
    manifest: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


def shards(home: str, packs: Sequence[Pack], needed: bool = True) -> list[Check]:
    """Is every dataset complete, and is there one to train on?

    Args:
        home: where they were looked for.
        packs: what was found there, or what the run names.
        needed: an internal dataset must be among them.
    """
    found, roles = [], []
    for pack in packs:
        check, role = _pack(pack)
        found.append(check)
        roles.append(role)
    if needed and "internal" not in roles and not any(c.status == "fail" for c in found):
        fix = "make demo, or python -m data_sharding pack, or set OSTEORAY_HOME to where they are"
        found.append(Check("shards", "fail", f"no internal dataset in {home}", fix))
    return found


def _pack(pack: Pack) -> tuple[Check, str]:
    where = f"{pack.place}: "
    reach = "set OSTEORAY_HOME or paths.*; an object store needs its driver (s3fs, gcsfs) and keys"
    if pack.error:
        return Check("shards", "fail", where + pack.error, reach), ""
    if pack.manifest is None:
        return Check(
            "shards", "fail", where + "no manifest.json", "python -m data_sharding pack"
        ), ""
    again = "python -m data_sharding pack ... --fresh, or copy it again"
    try:
        m = json.loads(pack.manifest)
        expected = {s["path"]: int(s["bytes"]) for s in m["shards"]}
        samples = sum(int(s["samples"]) for s in m["shards"])
        name, role = str(m["name"]), str(m["role"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return Check("shards", "fail", where + "manifest.json is not a manifest", again), ""
    absent = [p for p in expected if p not in pack.sizes]
    other = [p for p in expected if p in pack.sizes and pack.sizes[p] != expected[p]]
    if absent or other:
        first = f"{absent[0]} is missing" if absent else _differs(other[0], pack, expected)
        n = len(absent) + len(other)
        line = f"{where}{n} of {len(expected)} shards are not as the manifest says: {first}"
        return Check("shards", "fail", line, again), role
    if "index.parquet" not in pack.sizes:
        return Check("shards", "fail", where + "index.parquet is missing", again), role
    line = f"{name} ({role}, {samples} samples in {len(expected)} shards) at {pack.place}"
    return Check("shards", "ok", line), role


def _differs(path: str, pack: Pack, expected: Mapping[str, int]) -> str:
    return f"{path} has {pack.sizes[path]} bytes, not {expected[path]}"


def wandb(mode: str, key: bool, host: str, reachable: bool | None) -> Check:
    """W&B as the run would use it.

    Args:
        mode: offline, online or disabled (``track.wandb``, ``WANDB_MODE``).
        key: there is one, in ``WANDB_API_KEY`` or ``~/.netrc``.
        host: of the server.
        reachable: it answered; None if it was not asked.
    """
    if mode not in ("offline", "online", "disabled"):
        line = f"mode {mode} is none of offline, online, disabled"
        return Check("wandb", "fail", line, "track.wandb=offline, or unset WANDB_MODE")
    if mode != "online":
        line = {"offline": "offline: runs are kept, to be sent later", "disabled": "not used"}[mode]
        return Check("wandb", "ok", line)
    if not key:
        fix = "wandb login on the machine of rank 0, or WANDB_API_KEY there; or track.wandb=offline"
        return Check("wandb", "fail", f"online, and no key for {host}", fix)
    if not reachable:
        fix = "HTTPS_PROXY, WANDB_BASE_URL, or track.wandb=offline and send the run later"
        return Check("wandb", "fail", f"online, and {host} does not answer", fix)
    return Check("wandb", "ok", f"online at {host}, with a key")
