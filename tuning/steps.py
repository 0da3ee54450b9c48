"""How far a run is: the optimizer steps of all its stages so far, and how good it was by then.

A teacher's steps come before its student's. What has been done is counted from the records of
``metrics.jsonl``, what a whole run takes from the settings and the size of the train split, so that
both are the same after any kill.
"""

from __future__ import annotations

from pathlib import Path

from data_sharding.reader import ShardDataset
from training.config import Config
from training.samples import learnt_from
from training.tracking.records import in_a_row
from tuning.pruners import rungs
from tuning.sweep import Sweep

#: Sections that what a teacher learns does not depend on.
AFTER_TEACHER = ("student", "pseudo", "crossmodal")


def scores(config: Config, folder: Path) -> dict[int, float]:
    """The tune split's score after each epoch, by global step; epochs without one are left out."""
    measures = {name: stage.MEASURE for name, stage in config.trainings.items()}
    found = [(r["step"], r.get(measures[name])) for name, r in in_a_row(folder, measures)]
    return {step: float(score) for step, score in found if isinstance(score, int | float)}


def planned(config: Config) -> list[int]:
    """Optimizer steps of each training of a whole run; of a student's at most, where the teacher's
    thresholds decide how many pictures share its batches.
    """
    train = len(learnt_from(config, ShardDataset(config.paths.internal, "train")))
    found = []
    for name, stage in config.trainings.items():
        labelled = stage.batch
        if name.endswith("student") and config.with_proxies:
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
    stage = list(config.trainings.values())[int(shared)]
    # While the learning rate still rises a score says little; of a short run it is most of it.
    epochs = max(1.0, min(stage.warmup_epochs, stage.epochs / 4))
    first = round(steps[int(shared)] / stage.epochs * epochs)
    return rungs(first, sum(steps), steps[0] if shared else 0)
