"""What a job's working folder would take along: Ray packs 512 MiB at most, and no patients.

Ray leaves out what ``.gitignore`` and ``.rayignore`` name, and we tell it to leave out `EXCLUDES`
besides: what holds pictures, tables, weights or keys, and what no job needs.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

LIMIT = 512 * 2**20
#: For Ray's ``excludes``, in .gitignore's language.
EXCLUDES = (
    ".git/",
    ".venv/",
    "__pycache__/",
    "tests/",
    "docs/",
    "wandb/",
    "*.private/",
    "*.key",
    "auth_token",
    ".netrc",
    ".env",
    "*.tar",
    "*.dcm",
    "*.parquet",
    "*.csv",
    "*.safetensors",
)


def excluded(path: str, patterns: Sequence[str]) -> bool:
    """Would .gitignore's `patterns` leave out the file `path`, relative and with slashes?

    Of that language: ``name``, ``*.ending``, ``folder/`` at any depth, and ``/anchored`` ones. A
    pattern that says more (``!``, ``**``, an inner slash) leaves out nothing here, so that too
    much is counted rather than too little.
    """
    parts = path.split("/")
    for pattern in patterns:
        name = pattern.strip("/")
        if not name or "/" in name or "**" in name or name.startswith(("!", "#")):
            continue
        candidates = parts[:1] if pattern.startswith("/") else parts
        if pattern.endswith("/"):
            candidates = candidates[: len(parts) - 1]  # a folder, so not the file itself
        if any(fnmatch.fnmatchcase(part, name) for part in candidates):
            return True
    return False


def uploaded(root: Path) -> list[Path]:
    """Files that Ray would upload from `root`: what git does not ignore, less `EXCLUDES`."""
    patterns = [*EXCLUDES, *_lines(root / ".rayignore")]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [p for p in listed.stdout.decode(errors="surrogateescape").split("\0") if p]
    else:  # not a repository: a release that was unpacked
        patterns += _lines(root / ".gitignore")
        names = _walk(root, patterns)
    return [root / n for n in names if not excluded(n, patterns) and (root / n).is_file()]


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


def _lines(file: Path) -> list[str]:
    return [x.strip() for x in file.read_text().splitlines()] if file.is_file() else []


def _walk(root: Path, patterns: Sequence[str]) -> list[str]:
    """Every file under `root` by relative name, without descending into folders left out."""
    names = []
    for folder, below, files in os.walk(root):
        relative = Path(folder).relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        below[:] = [d for d in below if not excluded(f"{prefix}{d}/x", patterns)]
        names += [f"{prefix}{name}" for name in files]
    return sorted(names)
