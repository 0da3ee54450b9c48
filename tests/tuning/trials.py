"""Trials put into a real study by hand, and folders as runs leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from tuning.sweep import Sweep

COMPLETE, PRUNED, FAIL, RUNNING = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.RUNNING,
)


def add(
    sweep: Sweep,
    study: Study,
    values: list[float] | None = None,
    state: TrialState = COMPLETE,
    run: str | None = None,
    params: dict[str, float] | None = None,
    reports: dict[int, float] | None = None,
    **attrs: Any,
) -> str:
    """The next trial of a study as `tuning.trial` leaves it; its run's name."""
    slot = len(study.get_trials(deepcopy=False))
    params = {"student.lr": 0.001 * (slot + 1)} if params is None else params
    run = run or f"{sweep.recipe.replace(':', '-')}-{slot:010x}"
    study.add_trial(
        create_trial(
            state=state,
            values=values,
            params=params,
            distributions={n: FloatDistribution(1e-5, 10, log=True) for n in params},
            intermediate_values=reports or {},
            user_attrs={
                "slot": slot,
                "overrides": [f"{n}={v:.4g}" for n, v in params.items()],
                "run": run,
                "seconds": 12.3,
                **attrs,
            },
        )
    )
    return run


def leave(folder: Path, stages: tuple[str, ...] = ("teacher", "student"), n: int = 1000) -> Path:
    """A run with weights, a checkpoint, metrics and predictions; the bytes mean nothing."""
    for stage in stages:
        for place in ("weights", "checkpoints/step-00000007"):
            (folder / stage / place).mkdir(parents=True)
            (folder / stage / place / "model.safetensors").write_bytes(b"x" * n)
        (folder / stage / "metrics.jsonl").write_text('{"step": 7, "tune/auroc": 0.7}\n')
    (folder / "cohorts" / "here-tune").mkdir(parents=True)
    (folder / "cohorts" / "here-tune" / "predictions.parquet").write_bytes(b"y" * n)
    facts = {"complete": True, "models": list(stages), "cohorts": ["here-tune"]}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder
