"""What trials share, so that nothing is computed twice.

Shards are read where they lie, by all. What a teacher says of each picture is kept in
``<sweep>/logits``, by the hashes of its weights and of the data: trials with the same teacher find
it there. And a trial whose teacher would be the one of an earlier trial (the same settings, seed,
data and libraries, as where only the student is searched) takes that stage over here: its weights
by hard links, so they cost no room, its metrics as a copy. The result is what training it again
would have given, to the byte.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from optuna.study import Study

from data_sharding.schema import canonical_json, sha256_file
from training.config import Config, weights_sha256
from training.folder import note, read_facts
from training.tracking import say
from tuning.steps import AFTER_TEACHER
from tuning.store import by_slot
from tuning.sweep import Sweep

STAGE = "teacher"


def adopt(sweep: Sweep, study: Study, config: Config, folder: Path) -> str | None:
    """Take over the teacher of an earlier trial into a run that is prepared and has none.

    Args:
        sweep: the sweep.
        study: its study.
        config: of the run.
        folder: the run's.

    Returns:
        The name of the run it was taken from; None where there is nothing to take.
    """
    if config.alone or (folder / STAGE).exists():
        return None
    wanted = decides(config, folder)
    for _, trial in sorted(by_slot(study).items()):
        name = trial.user_attrs.get("run")
        if not isinstance(name, str) or Path(name).name != name or name == folder.name:
            continue
        there = sweep.folder / name
        try:
            if not (there / STAGE / "weights").is_dir():
                continue
            if decides(Config.from_yaml(there / "config.yaml"), there) != wanted:
                continue
            take(there / STAGE, folder / STAGE)
        except (OSError, ValueError) as e:  # being removed, or damaged: train it
            say(f"{name}: its teacher is not taken over: {e}")
            continue
        note(folder, adopted={STAGE: name})
        say(f"{STAGE}: the same settings and data as in {name}: taken over from there")
        return name
    return None


def decides(config: Config, run: Path) -> str:
    """All that a teacher's bytes depend on, as text: the same text, the same teacher.

    Raises:
        ValueError: ``run.json`` in `run` cannot be read.
    """
    facts = read_facts(run)
    named: Any = facts.get("manifests")
    manifests = named.values() if isinstance(named, dict) else ()
    tree = {k: v for k, v in config.decided().items() if k not in AFTER_TEACHER}
    compute = config.compute.model_dump(mode="json")
    own = [m.get("hash") for m in manifests if isinstance(m, dict) and m.get("role") == "internal"]
    versions = [facts.get("versions"), facts.get("resumed_with")]
    return canonical_json([tree, compute, own, versions, config.track.samples])


def take(source: Path, target: Path) -> None:
    """A finished stage's folder, whole or not at all: weights linked, all else copied.

    Weights are never written to in place. Records are, so they must not be one file in two runs.

    Raises:
        OSError: a file went away meanwhile.
        ValueError: the weights are not those that were written.
    """
    temporary = target.with_name(f".{target.name}.taken")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        (temporary / "weights").mkdir(parents=True)
        for path in sorted((source / "weights").iterdir()):
            link(path, temporary / "weights" / path.name)
        for path in sorted(source.iterdir()):
            if path.is_file():
                shutil.copyfile(path, temporary / path.name)
        weights = temporary / "weights"
        if sha256_file(weights / "model.safetensors") != weights_sha256(weights):
            raise ValueError("its weights are not those that were written")
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no hard links."""
    with contextlib.suppress(OSError):
        os.link(source, target, follow_symlinks=False)
        return
    shutil.copyfile(source, target)
