"""Python, libraries and the GPU driver: do their versions fit the lock and each other?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cluster.checks import Check

#: Oldest driver for each major version of CUDA (NVIDIA, "CUDA minor version compatibility").
OLDEST_DRIVER = {11: (450, 80, 2), 12: (525, 60, 13), 13: (580, 65, 6)}


def python_version(version: tuple[int, int]) -> Check:
    """The locked environment is for Python 3.11; 3.12 is allowed."""
    text = f"{version[0]}.{version[1]}"
    if not (3, 11) <= version < (3, 13):
        fix = "make setup PYTHON=/path/to/python3.11"
        return Check("python", "fail", f"{text}, not 3.11 or 3.12", fix)
    return Check("python", "ok", text)


def locked_versions(lock: str) -> dict[str, str]:
    """Name -> version of a requirements file with ``name==version`` lines.

    A library that is locked in several versions (one for each platform) is left out.
    """
    pairs = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.M)
    found = dict(pairs)
    return {name: v for name, v in found.items() if {w for n, w in pairs if n == name} == {v}}


def package(name: str, found: str | None, locked: str | None, error: str = "") -> Check:
    """A library is importable, and the version that was locked. `found` is None if it is not."""
    if found is None:
        without = {"ray": "only compute.launcher=local works", "torch": "nothing trains here"}
        line = f"cannot be imported ({error or 'not installed'}): {without.get(name, 'needed')}"
        # Without torch a machine can still submit to a cluster that has it.
        return Check(name, "warn" if name == "torch" else "fail", line, "make setup")
    if locked and _public(found) != _public(locked):
        line = f"{found}, locked is {locked}"
        return Check(name, "warn", line, "make setup, on every machine of the cluster")
    return Check(name, "ok", found)


def lock(installed: Mapping[str, str], locked: Mapping[str, str]) -> Check:
    """Every locked library that is installed has the locked version."""
    if not locked:
        return Check("lock", "warn", "no requirements.lock here", "run it in the repository's root")
    both = sorted(installed.keys() & locked.keys())
    other = [n for n in both if _public(installed[n]) != _public(locked[n])]
    if other:
        names = ", ".join(f"{n} {installed[n]} (locked {locked[n]})" for n in other[:3])
        line = f"{len(other)} of {len(both)} libraries are not as locked: {names}"
        return Check("lock", "warn", line, "make setup, on every machine of the cluster")
    return Check("lock", "ok", f"{len(both)} libraries as locked")


def gpu_driver(driver: str | None, cuda: str | None) -> Check:
    """The driver is new enough for torch's CUDA. `driver` None: no GPU; `cuda` None: no torch."""
    if driver is None:
        return Check("gpu driver", "ok", "no NVIDIA driver: nothing to compare")
    have = tuple(int(x) for x in re.findall(r"\d+", driver))
    oldest = OLDEST_DRIVER.get(int(cuda.split(".")[0])) if cuda else None
    if cuda is None:
        line = f"driver {driver}, and a torch that was built without CUDA"
        return Check("gpu driver", "warn", line, "make setup: torch of the lock has CUDA")
    if oldest is None:
        return Check("gpu driver", "ok", f"{driver}; nothing known of CUDA {cuda}")
    if have < oldest:
        needed = ".".join(f"{x:02}" for x in oldest)
        line = f"{driver} is too old for torch's CUDA {cuda}, which needs {needed}"
        return Check("gpu driver", "fail", line, f"install NVIDIA driver {oldest[0]} or newer")
    return Check("gpu driver", "ok", f"{driver}, torch with CUDA {cuda}")


def compiler(found: str | None, needed: bool) -> Check:
    """A C++ compiler for what torch.compile and DeepSpeed's offload build while they run."""
    if found or not needed:
        return Check("compiler", "ok", found or "none, and none is needed")
    fix = "apt-get install g++, on every machine; or compute.compile=false compute.offload=false"
    return Check("compiler", "fail", "none, and the run builds code as it goes", fix)


def _public(version: str) -> str:
    """Without the local part: 2.15.0+cu132 is 2.15.0."""
    return version.split("+")[0]
