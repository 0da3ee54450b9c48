"""Send a command of ours to a Ray cluster: the `ray job submit` that is easy to get wrong.

What it adds: the token, the address rule, OSTEORAY_HOME for the job, and a look at what would be
uploaded (Ray packs the working folder: 512 MiB at most, and no patients).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LIMIT = 512 * 2**20
MODULES = ("training", "tuning", "eval", "data_sharding")


def command(
    ray: str,
    address: str,
    home: Path,
    words: Sequence[str],
    module: str = "training",
    submission_id: str = "",
    wait: bool = True,
) -> list[str]:
    """The `ray job submit` that runs ``python -m MODULE WORDS`` on the cluster.

    `home` is where shards and runs lie as the cluster's machines see it.

    Raises:
        ValueError: no such module, nothing to run, or `home` is not absolute.
    """
    if module not in MODULES:
        raise ValueError(f"{module}: not one of {', '.join(MODULES)}")
    if not words:
        raise ValueError("nothing to run: python -m cluster submit -- ospenscreen:smoke")
    if not home.is_absolute():
        raise ValueError(f"{home}: OSTEORAY_HOME must be absolute, jobs run in another folder")
    runtime_env = {"env_vars": {"OSTEORAY_HOME": str(home)}}
    line = [ray, "job", "submit", "--address", address, "--working-dir", "."]
    line += ["--runtime-env-json", json.dumps(runtime_env)]
    line += ["--submission-id", submission_id] if submission_id else []
    line += [] if wait else ["--no-wait"]
    return [*line, "--", "python", "-m", module, *words]


def check_recipe(words: Sequence[str]) -> None:
    """Ask ``python -m training --show`` here, so that a misspelt setting is not found on a cluster.

    Raises:
        ValueError: no such recipe or setting, in training's own words.
    """
    line = [sys.executable, "-m", "training", *words, "--show"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode == 2:
        raise ValueError(done.stderr.strip().removeprefix("error: "))


def ray_cli() -> str:
    """The `ray` of this Python's environment; ValueError if it has none."""
    beside = Path(sys.executable).with_name("ray")
    found = str(beside) if beside.exists() else shutil.which("ray")
    if not found:
        raise ValueError("no ray command beside this python: make setup, then .venv/bin/python")
    return found


def uploaded(root: Path) -> list[Path] | None:
    """Files that Ray would upload from `root`: what git does not ignore. None without git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        return None
    paths = [root / p for p in listed.stdout.decode(errors="surrogateescape").split("\0") if p]
    return [p for p in paths if p.is_file()]


def check_upload(root: Path, home: Path, files: Sequence[Path]) -> int:
    """Bytes that would be uploaded.

    Raises:
        ValueError: it is not the repository's root, it is too large, or files of `home`, patients'
            pictures among them, would go along.
    """
    if not (root / "training" / "__main__.py").exists():
        raise ValueError(f"{root}: not the repository's root, and a job takes its code from here")
    root, home = root.resolve(), home.resolve()
    files = [p.parent.resolve() / p.name for p in files]
    # Where the code lies within OSTEORAY_HOME, only these of its folders hold patients' data.
    deep = home != root and home.is_relative_to(root)
    private = [home] if deep else [home / d for d in ("shards", "runs", "world")]
    inside = [p for p in files if any(p.is_relative_to(d) for d in private)]
    if inside:
        raise ValueError(
            f"{len(inside)} file(s) of OSTEORAY_HOME would be uploaded, {inside[0].name} first: "
            f"put /{inside[0].relative_to(root).parts[0]}/ into .gitignore, or set OSTEORAY_HOME "
            "to a folder outside the code"
        )
    sizes = {p: p.stat().st_size for p in files}
    total = sum(sizes.values())
    if total > LIMIT:
        largest = sorted(sizes, key=lambda p: -sizes[p])[:3]
        names = ", ".join(f"{p.relative_to(root)} ({sizes[p] >> 20} MiB)" for p in largest)
        raise ValueError(
            f"{total >> 20} MiB to upload, and Ray takes 512 MiB: put into .gitignore or "
            f".rayignore what the job does not need. Largest: {names}"
        )
    return total
