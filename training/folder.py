"""A run's folder: found by the hash of what decides the result, and checked before it is used.

``<runs>/<recipe>-<hash>/`` holds ``config.yaml`` (what was asked), ``run.json`` (what it was asked
with, and whether it is complete) and a folder for each stage. One launch at a time holds it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_sharding.private import only_one
from data_sharding.schema import write_atomic
from training.cohorts import cohort_names
from training.config import Config, weights_sha256
from training.overrides import leaves
from training.packs import Pack, open_packs
from training.tracking import say

LIBRARIES = ("torch", "timm", "ray", "numpy", "webdataset", "pydicom", "opencv-python-headless")
#: Differences said aloud when a run is a new one.
SAID = 8


def prepare(config: Config, fresh: bool = False, news: bool = True) -> Path:
    """The run's folder, as `held` leaves it."""
    with held(config, fresh, news) as folder:
        return folder


def identity_of(config: Config, packs: Mapping[str, Pack]) -> str:
    """The run's identity; `packs` are `open_packs`'s."""
    predicted = [n for n, p in packs.items() if p.place in config.paths.unlabelled]
    return config.identity({n: p.manifest.hash for n, p in packs.items()}, predicted)


def folder_of(config: Config, identity: str, what: str = "") -> Path:
    """Where a run lies, or something that is made of runs, by its hash."""
    return config.paths.runs / f"{stem_of(config)}{what}-{identity[:10]}"


def stem_of(config: Config) -> str:
    """The recipe's name in those of files."""
    return config.recipe.replace(":", "-")


@contextmanager
def held(config: Config, fresh: bool = False, news: bool = True) -> Iterator[Path]:
    """The run's folder, made or found, and ours until the end of the block.

    Its name carries the hash of settings and manifests. A new run says in what it differs from the
    last one of the same recipe. Where another command is at work, nothing is written.

    Args:
        config: the settings.
        fresh: empty the folder first.
        news: say in what a new run differs from the last one.

    Raises:
        ValueError: the datasets do not fit together, or one leaks into another (`open_packs`);
            another command is at work in the folder; it holds something else than its name says;
            or it cannot be made.
    """
    packs = open_packs(config)
    manifests = {name: p.manifest.hash for name, p in packs.items()}
    identity = identity_of(config, packs)
    runs, folder = config.paths.runs, folder_of(config, identity)
    said = _news(config, manifests, stem_of(config)) if news and not folder.exists() else []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ValueError(
            f"paths.runs={runs}: {folder.name} cannot be made there ({e.strerror}); "
            "name a folder that you may write to"
        ) from e
    with only_one(folder):
        for line in said:
            say(line)
        if fresh:
            empty(folder)
        before = _checked(folder, config, identity, manifests)
        point_latest_at(folder)
        write_atomic(folder / "config.yaml", config.to_yaml())
        facts = _facts(folder, config, identity, packs, before)
        note(folder, **facts)
        yield folder


def _facts(
    folder: Path, config: Config, identity: str, packs: dict[str, Pack], before: dict[str, Any]
) -> dict[str, Any]:
    """What ``run.json`` says from this launch on; `before` is what it said until now.

    ``versions`` are those of the first launch, ``resumed_with`` what differed in later ones.
    """
    versions = {"python": sys.version.split()[0]} | {p: version(p) for p in LIBRARIES}
    manifests = {
        name: {
            # From here, so that a run that is moved with its shards finds them, and nobody reads
            # whose disk they lay on.
            "path": os.path.relpath(p.path.resolve(), folder.resolve()),
            "hash": p.manifest.hash,
            "role": p.manifest.role,
            "shards": len(p.manifest.shards),
            "samples": len(p.index),
        }
        for name, p in packs.items()
    }
    facts: dict[str, Any] = {"run_id": folder.name, "recipe": config.recipe, "identity": identity}
    facts["models"] = list(config.models)
    at = {str(p.place): p.manifest for p in packs.values()}
    names = cohort_names(config, at)
    # With predict=tune fewer are asked for than an earlier launch may have predicted.
    there = [c for c in before.pop("cohorts", []) if _predictions(folder, c).is_file()]
    facts["cohorts"] = [*names, *(c for c in there if c not in names)]
    if not config.fracture:
        facts |= {"target": config.target, "positive": config.aim.positive}
    # A dataset may have moved since; what it was trained with has not changed.
    facts |= {"manifests": manifests, "versions": versions} | before | {"manifests": manifests}
    first, others = facts["versions"], facts.get("resumed_with")
    others = others if isinstance(others, list) else []
    apart = {k: v for k, v in versions.items() if isinstance(first, dict) and first.get(k) != v}
    if apart and apart not in others and not complete(folder):
        facts["resumed_with"] = [*others, apart]
    return facts


def empty(folder: Path) -> None:
    """All but the lock, which would be another's on a new file."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def complete(folder: Path) -> bool:
    """True when every stage of the run is done, and each cohort has its predictions."""
    facts = read_facts(folder)
    return (
        bool(facts.get("complete"))
        and all((folder / m / "weights").is_dir() for m in facts.get("models", ["student"]))
        and all(_predictions(folder, c).is_file() for c in facts.get("cohorts", []))
    )


def _predictions(folder: Path, cohort: str) -> Path:
    return folder / "cohorts" / cohort / "predictions.parquet"


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


def note(folder: Path, **facts: Any) -> None:
    """Add to ``run.json``, or change there. Rank 0 of the launch that holds the folder."""
    text = json.dumps(read_facts(folder) | facts, indent=1)
    write_atomic(folder / "run.json", text + "\n")


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


def _manifests(facts: dict[str, Any], what: str = "hash") -> dict[str, str]:
    """What ``run.json`` says of each dataset."""
    held = facts.get("manifests")
    held = held if isinstance(held, dict) else {}
    return {name: str(m.get(what)) for name, m in held.items() if isinstance(m, dict)}


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
    """The settings that decide the result, by dotted name."""
    return dict(leaves(config.decided()))


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


def point_latest_at(folder: Path) -> None:
    """``runs/latest`` is a link to the run that was last asked for.

    Raises:
        ValueError: a folder is called so.
    """
    latest, link = folder.with_name("latest"), folder.with_name(f".latest.{os.getpid()}")
    if latest.is_dir() and not latest.is_symlink():
        raise ValueError(
            f"{latest}: a folder, where the link to the last run goes; call it something else"
        )
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(latest)
