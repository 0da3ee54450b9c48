"""Measure this machine and its storage: facts that `cluster.checks` judges."""

from __future__ import annotations

import importlib
import importlib.metadata
import netrc
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from cluster.checks.data import Pack


def file_clock(folder: Path) -> tuple[float | None, float]:
    """Seconds this machine is ahead of the file system at `folder`, and how exact that is.

    On network storage the server stamps a new file; None where none can be written.
    """
    try:
        before = time.time()
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
            stamped = Path(file.name).stat().st_mtime
        after = time.time()
    except OSError:
        return None, 0.0
    # A stamp lies between `before` and `after`, give or take a tick of the kernel's clock.
    return (before + after) / 2 - stamped, (after - before) / 2 + 0.01


def module_version(name: str) -> tuple[str | None, str]:
    """The version of a library that can be imported, or None and why not."""
    try:
        return importlib.import_module(name).__version__, ""
    except Exception as e:  # a broken library raises what it likes
        return None, str(e).partition("\n")[0]


def installed() -> dict[str, str]:
    """Every library of this Python by its normalised name."""
    found = importlib.metadata.distributions()
    names = ((d.metadata["Name"], d.version) for d in found)
    return {n.lower().replace("_", "-"): v for n, v in names if n}


def memory() -> int:
    """Free bytes, within the container's limit if there is one."""
    free = psutil.virtual_memory().available
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{x}" for x in ("max", "current"))
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        return min(free, int(text) - int(used.read_text()))
    return free


def cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_files() -> int:
    """The hard limit of open files of this process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 2**20 if hard == resource.RLIM_INFINITY else hard


def nvidia_smi() -> tuple[str | None, list[float]]:
    """The driver's version (None without one), and the share of each GPU's memory in use."""
    if not shutil.which("nvidia-smi"):
        return ("0" if Path("/dev/nvidiactl").exists() else None), []
    query = "--query-gpu=driver_version,memory.used,memory.total"
    try:
        line = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None, []
    return parse_nvidia_smi(done.stdout)


def parse_nvidia_smi(text: str) -> tuple[str | None, list[float]]:
    """Lines of ``driver, MiB used, MiB in all``; a part of a GPU (MIG) may say [N/A]."""
    driver, used = None, []
    for line in text.splitlines():
        fields = [x.strip() for x in line.split(",")]
        if len(fields) != 3:
            continue
        driver = fields[0]
        if fields[1].isdigit() and fields[2].isdigit() and int(fields[2]):
            used.append(int(fields[1]) / int(fields[2]))
    return driver, used


def torch_gpus() -> tuple[int, str | None]:
    """GPUs that torch can use, and the CUDA it was built with."""
    import torch

    return (torch.cuda.device_count() if torch.cuda.is_available() else 0), torch.version.cuda


def listening(wanted: Collection[int]) -> set[int]:
    """Ports of this machine on which something listens; of `wanted`, those that cannot be had."""
    found = {port for port in wanted if not _free(port)}
    try:
        tcp = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # not everywhere may a user see the others'
        return found
    return found | {c.laddr.port for c in tcp if c.status == psutil.CONN_LISTEN and c.laddr}


def _free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("", port))
        except OSError:
            return False
        return True


def addresses(host: str) -> list[str] | None:
    """What `host` resolves to, None if it does not."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    return list(dict.fromkeys(str(a[4][0]) for a in found))


def cards() -> dict[str, list[str]]:
    """Network card -> its IP addresses, for the cards that are up."""
    up = {name for name, s in psutil.net_if_stats().items() if s.isup}
    families = (socket.AF_INET, socket.AF_INET6)
    return {
        name: [a.address for a in found if a.family in families]
        for name, found in psutil.net_if_addrs().items()
        if name in up
    }


def look(place: str) -> Pack:
    """A packed dataset at a folder or URL: its manifest and the sizes of the files beside it."""
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(place)
        if not fs.exists(root):
            return Pack(place, error="there is no such folder")
        entries = fs.ls(root, detail=True)
        sizes = {
            e["name"].rstrip("/").rpartition("/")[2]: int(e["size"] or 0)
            for e in entries
            if e["type"] == "file"
        }
        text = None
        if "manifest.json" in sizes:
            text = fs.cat_file(f"{root}/manifest.json").decode(errors="replace")
    except Exception as e:  # each kind of storage has exceptions of its own
        reason = " ".join(str(e).split())[:200]
        return Pack(place, error=f"{type(e).__name__}: {reason}")
    return Pack(place, text, sizes)


def wandb_server(env: Mapping[str, str]) -> str:
    """The host of the W&B server that a run would report to."""
    url = env.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    return urlsplit(url).hostname or url


def wandb_key(env: Mapping[str, str], user: Path, host: str) -> bool:
    """Is there a key for `host`, in the environment or in the user's netrc file?"""
    if env.get("WANDB_API_KEY"):
        return True
    named = env.get("NETRC")
    for file in [Path(named)] if named else [user / ".netrc", user / "_netrc"]:
        try:
            if netrc.netrc(str(file)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def answers(url: str) -> bool:
    """Something speaks HTTP at `url`, through the proxy if the environment names one."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
