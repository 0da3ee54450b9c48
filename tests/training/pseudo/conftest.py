"""A round of proxy labels made from the packed sets of `packs`, by a teacher that looks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from data_sharding.reader import ShardDataset
from data_sharding.schema import canonical_json
from training.config import Pseudo
from training.pseudo import Said, record, scored
from training.world import alone

DAY = date(2026, 3, 1)


class Looks:
    """Judges a drawn picture by its bar (`tests.conftest.picture`): bright is normal."""

    def __init__(self, gain: float = 0.05, fails_after: int | None = None) -> None:
        self.gain, self.fails_after = gain, fails_after
        self.asked = 0

    @property
    def hash(self) -> str:
        return hashlib.sha256(canonical_json(["looks", self.gain]).encode()).hexdigest()

    def logit(self, images: np.ndarray) -> np.ndarray:
        if self.fails_after is not None and self.asked >= self.fails_after:
            raise KeyboardInterrupt
        self.asked += len(images)
        _, _, w = images.shape
        x = images.astype(np.float64)
        bar = x[:, :, w // 3 : 2 * w // 3].mean((1, 2)) - x[:, :, : w // 3].mean((1, 2))
        return self.gain * (40 - bar)


@pytest.fixture
def public(packs: dict[str, Path]) -> ShardDataset:
    return ShardDataset(packs["public"], "public")


@pytest.fixture
def tune(packs: dict[str, Path]) -> ShardDataset:
    return ShardDataset(packs["internal"], "tune")


@pytest.fixture
def decided(
    packs: dict[str, Path], public: ShardDataset, tune: ShardDataset, tmp_path: Path
) -> Callable[..., Path]:
    """Makes a run with a first round of proxy labels and a student; returns its folder."""

    def make(settings: Pseudo | None = None, day: date = DAY) -> Path:
        run = tmp_path / "run"
        round_, teachers, world = run / "pseudo", Looks(), alone()
        said = [Said(d, scored(teachers, d, round_ / "scores", world)) for d in (public, tune)]
        labelled = ShardDataset(packs["internal"], "train").index
        settings = settings or Pseudo(p_normal=0.8, p_lbm=0.7)
        record(round_, settings, teachers.hash, {"temperature": 1.0}, *said, labelled, day)
        facts = {"complete": True, "timings": {"teacher": 3.0, "student": 4.0}}
        (run / "run.json").write_text(json.dumps(facts))
        paths = {"internal": str(packs["internal"]), "public": str(packs["public"])}
        (run / "config.yaml").write_text(config_yaml(paths))
        for name in ("teacher/weights", "student/weights", "cohorts/here-test", "report"):
            (run / name).mkdir(parents=True, exist_ok=True)
            (run / name / "file").write_text("x")
        return run

    return make


def config_yaml(paths: dict[str, str]) -> str:
    from training.overrides import override
    from training.recipes import recipe

    changes = [f"paths.{k}={v}" for k, v in paths.items()]
    return override(recipe("ospenscreen:smoke"), changes).to_yaml()
