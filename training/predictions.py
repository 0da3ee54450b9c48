"""``cohorts/<source>-<split>/predictions.parquet``: what teacher and student say of each cohort."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from scipy.special import expit

from data_sharding.reader import ShardDataset
from data_sharding.schema import check_predictions
from training.checkpoint import load_weights
from training.learn import Run
from training.tracking import summarise
from training.validate import auroc, predict


def predictions(run: Run) -> None:
    """Write those that are not there, of tune, test and every external site."""
    paths, world = run.config.paths, run.world
    cohorts = [ShardDataset(paths.internal, s) for s in ("tune", "test")]
    cohorts += [ShardDataset(p, "external") for p in paths.external]
    for data in cohorts:
        cohort = f"{data.manifest.name}-{data.split}"
        path = run.folder / "cohorts" / cohort / "predictions.parquet"
        if world.on_main(path.exists):
            continue
        run.breathe()
        frames = [_of(run, model, cohort, data) for model in ("teacher", "student")]
        whole = check_predictions(pd.concat(frames, ignore_index=True), cohort)
        world.on_main(lambda p=path, w=whole: _write(p, w))
    if world.main:
        found = sorted((run.folder / "cohorts").glob("*/predictions.parquet"))
        values = {"auroc": {p.parent.name: _aurocs(p) for p in found}}
        summarise(run.folder, "eval", run.config, True, values)


def _of(run: Run, name: str, cohort: str, data: ShardDataset) -> pd.DataFrame:
    weights = run.folder / name / "weights"
    model, preprocessor = load_weights(weights)
    logit = predict(model.to(run.world.device), preprocessor, data, run.world)
    temperature = json.loads((weights / "calibration.json").read_text())["temperature"]
    threshold = json.loads((weights / "operating_point.json").read_text())["threshold"]
    columns = ["key", "patient", "label", "age", "sex", "severity", "lowest_t"]
    frame = data.index[[*columns, "height_cm", "weight_kg"]].copy()
    return frame.assign(
        model=name,
        cohort=cohort,
        logit=logit,
        probability=expit(logit / temperature),
        threshold=threshold,
    )


def _aurocs(path: Path) -> dict[str, float | None]:
    """By model; `python -m eval` gives them intervals."""
    frame = pd.read_parquet(path, columns=["model", "label", "logit"])
    return {
        str(model): auroc(rows["label"].to_numpy(), rows["logit"].to_numpy())
        for model, rows in frame.groupby("model")
    }


def _write(path: Path, frame: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    frame.to_parquet(temporary)
    temporary.replace(path)
