"""How far a run is: the optimizer steps of all its stages so far, and how good it was by then.

A teacher's steps come before its student's. What has been done is counted from the records of
``metrics.jsonl``, what a whole run takes from the settings and the size of the train split, so that
both are the same after any kill.
"""

from __future__ import annotations

from pathlib import Path

from data_sharding.reader import ShardDataset
from training.config import Config, Stage
from training.samples import learnt_from
from training.tracking.records import read
from tuning.pruners import rungs
from tuning.sweep import Sweep

#: Sections that what a teacher learns does not depend on.
AFTER_TEACHER = ("student", "pseudo", "crossmodal")


def stages(config: Config) -> dict[str, Stage]:
    """The trainings of a run, in their order, by the names of their folders."""
    if config.alone:
        return {config.alone: getattr(config, config.alone)}
    rounds = config.pseudo.rounds if _has_proxies(config) else 1
    students = [f"round-{n}/student" for n in range(1, rounds)] + ["student"]
    return {"teacher": config.teacher} | dict.fromkeys(students, config.student)


def scores(config: Config, folder: Path) -> dict[int, float]:
    """The tune split's score after each epoch, by global step; epochs without one are left out."""
    found: dict[int, float] = {}
    before = 0
    for name, stage in stages(config).items():
        records = read(folder / name / "metrics.jsonl").records
        for record in records:
            score = record.get(stage.MEASURE)
            if isinstance(score, int | float):
                found[before + record["step"]] = float(score)
        if not records:
            break
        before += records[-1]["step"]
    return found


def planned(config: Config) -> list[int]:
    """Optimizer steps of each training of a whole run; of a student's at most, where the teacher's
    thresholds decide how many pictures share its batches.
    """
    train = len(learnt_from(config, ShardDataset(config.paths.internal, "train")))
    found = []
    for name, stage in stages(config).items():
        labelled = stage.batch
        if name.endswith("student") and _has_proxies(config):
            proxies = round(stage.batch * config.student.proxy_share)
            labelled -= min(proxies, stage.batch - 1)
        found.append(stage.epochs * -(-train // labelled))
    return found


def rungs_of(sweep: Sweep, drawn: list[str]) -> tuple[int, ...]:
    """Global steps at which the sweep's trials are compared; none where runs are too short.

    Args:
        sweep: the sweep.
        drawn: names of the settings that its trials vary.
    """
    config = sweep.config([])
    steps = planned(config)
    shared = len(steps) > 1 and all(name.partition(".")[0] in AFTER_TEACHER for name in drawn)
    stage = list(stages(config).values())[int(shared)]
    # While the learning rate still rises a score says little; of a short run it is most of it.
    epochs = max(1.0, min(stage.warmup_epochs, stage.epochs / 4))
    first = round(steps[int(shared)] / stage.epochs * epochs)
    return rungs(first, sum(steps), steps[0] if shared else 0)


def _has_proxies(config: Config) -> bool:
    return config.pseudo.enabled and config.paths.public is not None
