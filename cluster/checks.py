"""What can be wrong with a machine before a run: pure functions from facts to a `Check`.

Each takes what was measured and returns one line and, unless it is ok, the fix. `warn` is for what
works worse or only in part, `fail` for what makes a run stop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.access import is_loopback

GiB = 2**30


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report."""

    name: str
    status: Literal["ok", "warn", "fail"]
    line: str
    fix: str = ""


def python_version(version: tuple[int, int]) -> Check:
    """The locked environment is for Python 3.11; 3.12 is allowed."""
    text = f"{version[0]}.{version[1]}"
    if not (3, 11) <= version < (3, 13):
        fix = "make setup PYTHON=/path/to/python3.11"
        return Check("python", "fail", f"{text}, not 3.11 or 3.12", fix)
    return Check("python", "ok", text)


def locked_versions(lock: str) -> dict[str, str]:
    """Name -> version of a requirements file with ``name==version`` lines."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.M))


def package(name: str, found: str | None, locked: str | None, error: str = "") -> Check:
    """A library is importable, and the version that was locked. `found` is None if it is not."""
    if found is None:
        without = {"ray": "only compute.launcher=local works", "torch": "nothing trains here"}
        line = f"cannot be imported ({error or 'not installed'}): {without.get(name, 'needed')}"
        # Without torch a machine can still submit to a cluster that has it.
        return Check(name, "warn" if name == "torch" else "fail", line, "make setup")
    if locked and found.split("+")[0] != locked.split("+")[0]:
        line = f"{found}, locked is {locked}"
        return Check(name, "warn", line, "make setup, on every machine of the cluster")
    return Check(name, "ok", found)


def cpus(n: int) -> Check:
    """CPUs this process may use. Two workers want two."""
    if n < 2:
        return Check("cpus", "warn", f"{n}", "compute.workers=1, or compute.launcher=local")
    return Check("cpus", "ok", f"{n}")


def memory(available: int) -> Check:
    """Memory free: Ray and two CPU workers of the smoke size take about 4 GiB."""
    line = f"{available / GiB:.1f} GiB free"
    if available < 2 * GiB:
        return Check("memory", "fail", line, "end other programs; compute.launcher=local needs 1.5")
    if available < 5 * GiB:
        return Check("memory", "warn", line, "compute.workers=1 or compute.launcher=local")
    return Check("memory", "ok", line)


def disk(home: Path, free: int, writable: bool) -> Check:
    """Room and permission where shards and runs lie. Ray spills at 95% full."""
    line = f"{free / GiB:.1f} GiB free at {home}"
    if not writable:
        return Check("disk", "fail", f"{home} cannot be written", "set OSTEORAY_HOME to your own")
    if free < 2 * GiB:
        return Check("disk", "fail", line, "delete old runs, or set OSTEORAY_HOME elsewhere")
    if free < 10 * GiB:
        return Check("disk", "warn", line, "a run keeps its checkpoints: delete old runs")
    return Check("disk", "ok", line)


def shared_memory(size: int | None) -> Check:
    """Size of /dev/shm, where Ray's objects and loaders' batches lie; a container has 64 MiB."""
    if size is None:
        return Check("/dev/shm", "ok", "none on this system; Ray uses files")
    line = f"{size / GiB:.2f} GiB"
    if size < 2 * GiB:
        fix = "docker run --shm-size=8g; in Kubernetes mount an emptyDir with medium: Memory"
        return Check("/dev/shm", "warn", f"{line}: Ray falls back to slow files", fix)
    return Check("/dev/shm", "ok", line)


def gpus(driver: bool, usable: int | None) -> Check:
    """GPUs that torch can use; `usable` is None without torch, `driver` says a device is there."""
    if usable:
        return Check("gpus", "ok", f"{usable}")
    if driver and usable == 0:
        line = "the machine has a GPU that torch cannot use"
        return Check(
            "gpus", "warn", line, "python -m torch.utils.collect_env compares the versions"
        )
    return Check("gpus", "ok", "none: recipes named :smoke run, compute.use_gpu=true does not")


def token(mode: str | None, found: bool, file: Path, permissions: int | None) -> Check:
    """Ray's authentication: mode (``RAY_AUTH_MODE``), whether a token is found, its file's mode."""
    mode = mode.lower() if mode else None
    make = "ray get-auth-token --generate, then chmod 600 ~/.ray/auth_token, then ray start"
    if mode not in (None, "token", "disabled"):
        return Check("token", "fail", f"RAY_AUTH_MODE={mode} is no mode", "RAY_AUTH_MODE=token")
    if mode == "token" and not found:
        return Check("token", "fail", "RAY_AUTH_MODE=token, but there is no token", make)
    if mode == "disabled":
        return Check("token", "warn", "off: the jobs API is open", "export RAY_AUTH_MODE=token")
    if not found:
        return Check("token", "warn", "none: ray start would leave the jobs API open", make)
    if permissions is not None and permissions & 0o077:
        line = f"{file} can be read by others (mode {permissions:o})"
        return Check("token", "warn", line, f"chmod 600 {file}")
    if mode is None:
        line = "there is one, but RAY_AUTH_MODE is not set: ray job gets 401"
        return Check("token", "warn", line, "export RAY_AUTH_MODE=token")
    return Check("token", "ok", "mode token, readable by you only")


@dataclass(frozen=True)
class Answer:
    """What the dashboard said to /api/version: an HTTP status (None: nothing) and its Ray."""

    status: int | None
    ray: str = ""


def dashboard(
    address: str, named: bool, anonymous: Answer, known: Answer | None, ray: str | None
) -> Check:
    """Does the cluster answer, to whom, and is it our Ray?

    Args:
        address: of the dashboard.
        named: the user set RAY_API_SERVER_ADDRESS, so a cluster should be there.
        anonymous: its answer to anyone.
        known: its answer to our token, None if we have none.
        ray: our version.
    """
    if anonymous.status is None:
        line = f"no cluster answers at {address}"
        fix = "ray start --head (or leave it: python -m training starts a Ray of its own)"
        if named:
            return Check("dashboard", "fail", line, "correct or unset RAY_API_SERVER_ADDRESS")
        return Check("dashboard", "warn", line, fix)
    answer = known if known and anonymous.status in (401, 403) else anonymous
    if answer.status in (401, 403):
        line = f"{address} refuses {'our' if known else 'us without a'} token"
        fix = "copy ~/.ray/auth_token from the head node, chmod 600"
        return Check("dashboard", "fail", line, fix)
    if answer.status != 200:
        line = f"{address} answers {answer.status} to /api/version: no Ray dashboard?"
        return Check("dashboard", "fail", line, "the port is the dashboard's, 8265 by default")
    if ray and answer.ray and answer.ray != ray:
        line = f"Ray {answer.ray} at {address}, {ray} here"
        return Check("dashboard", "fail", line, "make setup on both: versions must be equal")
    if anonymous.status == 200:
        line = f"Ray {answer.ray} at {address} takes jobs from anyone who reaches it"
        fix = "ray stop; export RAY_AUTH_MODE=token; ray start --head"
        return Check("dashboard", "warn" if is_loopback(address) else "fail", line, fix)
    return Check("dashboard", "ok", f"Ray {answer.ray} at {address}, with the token")


def shards(home: Path, manifests: Mapping[Path, str]) -> Check:
    """Packed datasets under `home`/shards, by the text of their manifest.json."""
    found, broken = [], []
    for path, text in sorted(manifests.items()):
        try:
            m = json.loads(text)
            n = sum(s["samples"] for s in m["shards"])
            found.append((m["role"], f"{m['name']} ({m['role']}, {n})"))
        except (ValueError, KeyError, TypeError):
            broken.append(str(path))
    if broken:
        line = f"not a manifest: {', '.join(broken)}"
        return Check("shards", "fail", line, "python -m data_sharding pack ... --fresh")
    if "internal" not in [role for role, _ in found]:
        line = f"no internal dataset in {home / 'shards'}"
        fix = "make demo, or python -m data_sharding pack, or set OSTEORAY_HOME to where they are"
        return Check("shards", "fail", line, fix)
    return Check("shards", "ok", ", ".join(text for _, text in found))
