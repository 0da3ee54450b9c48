"""A survival model: one supervised stage that learns who breaks first from fractures.

Tuned and judged on the followed patients of the tune split: epochs by Harrell's C, and the baseline
hazard (``survival.json`` beside the weights), which makes risks of log risks. Whoever has no
follow-up is not learnt from; predictions are made of them too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_sharding.reader import ShardDataset
from training.config import Fracture
from training.cox import Cox
from training.followup import Followed
from training.learn import Run, learn
from training.strategies import Task
from training.stream import Group
from training.survival import baseline, concordance
from training.tracking import say
from training.validate import margin


class Fractures:
    """An `Aim`: `tune` are the followed patients of the tune split."""

    def __init__(self, task: Cox, tune: Followed, settings: Fracture) -> None:
        self.cox, self.tune, self.settings = task, tune, settings

    @property
    def task(self) -> Task:
        """Cox's partial likelihood."""
        return self.cox

    def score(self, z_NC: np.ndarray) -> dict[str, float]:
        """Harrell's C of the log risks."""
        found = concordance(margin(z_NC)[self.tune.rows], self.tune.days, self.tune.event)
        return {} if found is None else {"tune/c": found}

    def beside(self, z_NC: np.ndarray) -> dict[str, dict[str, Any]]:
        """The baseline hazard; there is neither a temperature nor a threshold."""
        tune, settings = self.tune, self.settings
        found = baseline(margin(z_NC)[tune.rows], tune.days, tune.event, settings.ties)
        counts = {"n": len(tune.rows), "fractures": int(tune.event.sum()), "split": "tune"}
        why = {"reason": "a survival model: survival.json has its baseline hazard"}
        survival = found.as_json() | {"horizon_days": settings.horizon_days} | counts
        point = {"threshold": None} | why
        return {"calibration": why, "operating_point": point, "survival": survival}


def survival_model(run: Run, settings: Fracture, train: ShardDataset) -> None:
    """Write ``fracture/weights``."""
    followed, tune = Followed.of(train), Followed.of(run.tune)
    if run.world.main:
        say(
            f"fracture: {int(followed.event.sum())} fractures in {len(followed.rows)} followed "
            f"patients; to tune on {int(tune.event.sum())} in {len(tune.rows)}"
        )
    group = Group(train, followed.rows, followed.coded)
    aim = Fractures(Cox(run.world, settings.ties), tune, settings)
    seed = 2 * run.config.seed
    learn(run, "fracture", settings, [group], (settings.batch,), seed, aim=aim)
