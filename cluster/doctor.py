"""Measure this machine and judge it: what will not work, said before a run and with the fix."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil

from cluster import checks
from cluster.access import address_of, is_loopback, token_file, token_of
from cluster.checks import Answer, Check

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def examine(env: Mapping[str, str], user: Path) -> list[Check]:
    """All checks, on this machine; `user` is the home folder. Takes seconds: torch is imported."""
    home = Path(env.get("OSTEORAY_HOME", "demo")).absolute()
    locked = checks.locked_versions(LOCK.read_text() if LOCK.exists() else "")
    versions = {name: _version(name) for name in ("ray", "torch")}
    existing = next(p for p in (home, *home.parents) if p.exists())
    shm = Path("/dev/shm")
    secret, file = token_of(env, user), token_file(env, user)
    address = address_of(env)
    manifests = {p: p.read_text(errors="replace") for p in home.glob("shards/*/manifest.json")}
    # The token goes to its own cluster only where nobody can listen.
    safe = is_loopback(address) or address.startswith("https:")
    return [
        checks.python_version(sys.version_info[:2]),
        *(checks.package(n, v, locked.get(n), error) for n, (v, error) in versions.items()),
        checks.cpus(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1),
        checks.memory(_memory()),
        checks.disk(home, shutil.disk_usage(existing).free, os.access(existing, os.W_OK)),
        checks.shared_memory(shutil.disk_usage(shm).total if shm.exists() else None),
        checks.gpus(_driver(), _usable_gpus() if versions["torch"][0] else None),
        checks.token(
            env.get("RAY_AUTH_MODE"),
            secret is not None,
            file,
            file.stat().st_mode & 0o777 if file.is_file() else None,
        ),
        checks.dashboard(
            address,
            "RAY_API_SERVER_ADDRESS" in env,
            ask(address),
            ask(address, secret) if secret and safe else None,
            versions["ray"][0],
        ),
        checks.shards(home, manifests),
    ]


def ask(address: str, secret: str | None = None) -> Answer:
    """What the dashboard at `address` says to ``/api/version``; never through a proxy."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(address.rstrip("/") + "/api/version", headers=headers)
        with direct.open(request, timeout=3) as reply:
            try:
                return Answer(reply.status, json.loads(reply.read(65536)).get("ray_version", ""))
            except (ValueError, AttributeError):
                return Answer(404)  # something answers, and it is not Ray
    except urllib.error.HTTPError as e:
        return Answer(e.code)
    except (OSError, ValueError):
        return Answer(None)


def report(found: list[Check]) -> str:
    """A line for each check, and its fix below it."""
    width = max(len(c.name) for c in found)
    lines = []
    for c in found:
        lines.append(f"{c.status:4}  {c.name:{width}}  {c.line}")
        if c.fix:
            lines.append(f"{'':4}  {'':{width}}  fix: {c.fix}")
    return "\n".join(lines)


def _version(name: str) -> tuple[str | None, str]:
    try:
        return importlib.import_module(name).__version__, ""
    except Exception as e:  # a broken library raises what it likes
        return None, str(e).partition("\n")[0]


def _memory() -> int:
    """Free bytes, within the container's limit if there is one."""
    free = psutil.virtual_memory().available
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{x}" for x in ("max", "current"))
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        return min(free, int(text) - int(used.read_text()))
    return free


def _driver() -> bool:
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def _usable_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
