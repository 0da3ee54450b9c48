"""A run's folder: found by the hash of what decides the result, and checked before it is used.

``<runs>/<recipe>-<hash>/`` holds ``config.yaml`` (what was asked), ``run.json`` (what it was asked
with, and whether it is complete) and a folder for each stage.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_sharding.private import only_one
from data_sharding.schema import write_atomic
from training.config import Config, weights_sha256
from training.packs import open_packs
from training.tracking import say

LIBRARIES = ("torch", "timm", "ray", "numpy", "webdataset", "pydicom", "opencv-python-headless")
#: Differences said aloud when a run is a new one.
SAID = 8


def prepare(config: Config, fresh: bool = False) -> Path:
    """The run's folder, made or found; its name carries the hash of settings and manifests.

    A new run says in what it differs from the last one of the same recipe.

    Raises:
        ValueError: the datasets do not fit together, or one leaks into another (`open_packs`); or
            the folder holds something else than its name says.
    """
    packs = open_packs(config)
    manifests = {name: p.manifest.hash for name, p in packs.items()}
    identity = config.identity(manifests)
    runs, stem = config.paths.runs, config.recipe.replace(":", "-")
    folder = runs / f"{stem}-{identity[:10]}"
    if fresh and folder.exists():
        with only_one(folder):
            shutil.rmtree(folder)
    elif not folder.exists():
        for line in _news(config, manifests, stem):
            say(line)
    folder.mkdir(parents=True, exist_ok=True)
    before = _checked(folder, config, identity, manifests)
    _point_latest_at(folder)
    write_atomic(folder / "config.yaml", config.to_yaml())
    facts = {
        "run_id": folder.name,
        "recipe": config.recipe,
        "identity": identity,
        "manifests": {
            name: {
                "path": str(p.path),
                "hash": p.manifest.hash,
                "role": p.manifest.role,
                "shards": len(p.manifest.shards),
                "samples": len(p.index),
            }
            for name, p in packs.items()
        },
        "versions": {"python": sys.version.split()[0]} | {p: version(p) for p in LIBRARIES},
    }
    # A dataset may have moved since; what it was trained with has not changed.
    facts |= before | {"manifests": facts["manifests"]}
    write_atomic(folder / "run.json", json.dumps(facts, indent=1) + "\n")
    return folder


def complete(folder: Path) -> bool:
    """True when every stage of the run is done."""
    facts = read_facts(folder)
    return bool(facts.get("complete")) and (folder / "student" / "weights").is_dir()


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says; nothing where there is none yet.

    Raises:
        ValueError: it cannot be read, with what to do about it.
    """
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text())
        if not isinstance(facts, dict):
            raise ValueError("not an object")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        raise ValueError(
            f"{path}: torn or edited ({e}); remove this file and the run goes on, "
            "or start over with --fresh"
        ) from e
    return facts


def _checked(
    folder: Path, config: Config, identity: str, manifests: dict[str, str]
) -> dict[str, Any]:
    """``run.json`` of a folder that holds what its name says."""
    facts = read_facts(folder)
    fix = "put it back, or start over with --fresh"
    if facts.get("identity", identity) != identity:
        raise ValueError(f"{folder}/run.json: of another run ({facts['identity']}); {fix}")
    for name, fact in _manifests(facts).items():
        if manifests.get(name) != fact:
            raise ValueError(f"{folder}/run.json: names another dataset {name}; {fix}")
    if (folder / "config.yaml").exists():
        told = _decided(Config.from_yaml(folder / "config.yaml"))
        if found := _differences(told, _decided(config)):
            raise ValueError(
                f"{folder}/config.yaml: edited, its name says other settings: "
                f"{', '.join(found[:SAID])}; {fix}"
            )
    return facts


def _manifests(facts: dict[str, Any]) -> dict[str, str]:
    held = facts.get("manifests")
    held = held if isinstance(held, dict) else {}
    return {name: str(m.get("hash")) for name, m in held.items() if isinstance(m, dict)}


def _news(config: Config, manifests: dict[str, str], stem: str) -> list[str]:
    """In what this run differs from the last one of its recipe, in a line; none if there is none.

    An older run that cannot be read any more is no reason not to begin a new one.
    """
    others = [
        p for p in config.paths.runs.glob(f"{stem}-*/run.json") if p.parent.name[:-11] == stem
    ]
    for path in sorted(others, key=lambda p: p.stat().st_mtime_ns, reverse=True):
        try:
            facts = read_facts(path.parent)
            old = Config.from_yaml(path.parent / "config.yaml")
        except ValueError:
            continue
        found = _differences(_decided(old) | _teachers(old), _decided(config) | _teachers(config))
        before = _manifests(facts)
        changed = [n for n in sorted({*before, *manifests}) if before.get(n) != manifests.get(n)]
        found += [f"the dataset {name}" for name in changed]
        rest = f" and {len(found) - SAID} more" if len(found) > SAID else ""
        what = ", ".join(found[:SAID]) or "what an older version of this program wrote"
        return [f"a new run: differs from {path.parent.name} in {what}{rest}"]
    return []


def _decided(config: Config) -> dict[str, Any]:
    """The settings that decide the result, by dotted name (as `Config.identity` takes them)."""
    tree = config.model_dump(mode="json", exclude={"paths", "compute", "track"})
    tree["data"]["spread"] = config.spread
    if config.model.sha256:
        tree["model"].pop("pretrained")
    tree["student"].pop("teachers")  # these count by their hashes, which may be gone by now
    flat: dict[str, Any] = {}
    for section, value in tree.items():
        inner = value if isinstance(value, dict) else None
        flat |= {f"{section}.{k}": v for k, v in inner.items()} if inner else {section: value}
    return flat


def _teachers(config: Config) -> dict[str, Any]:
    """The teachers' hashes, or the places of those that are not there any more."""
    found = []
    for place in config.student.teachers:
        try:
            found.append(weights_sha256(place)[:10])
        except ValueError:
            found.append(str(place))
    return {"student.teachers": found}


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """``student.lr (0.0001 -> 0.0002)`` for each setting that is not the same."""
    names = [n for n in {**before, **after} if before.get(n) != after.get(n)]
    return [f"{n} ({before.get(n)} -> {after.get(n)})" for n in names]


def _point_latest_at(folder: Path) -> None:
    """``runs/latest`` is a link to the run that was last asked for."""
    link = folder.with_name(f".latest.{os.getpid()}")
    link.symlink_to(folder.name)
    link.replace(folder.with_name("latest"))
