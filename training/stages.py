"""The pipeline of a run: teacher -> proxy labels -> student -> predictions on every cohort.

Each stage writes a folder of the run and is passed over when that folder is there, so a killed run
goes on where it was. All ranks call `run`; rank 0 writes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from torch import nn

from data_sharding.reader import ShardDataset
from data_sharding.schema import CLASSES, check_predictions, write_atomic
from training import pseudo
from training.checkpoint import Checkpoints, load_weights, save_weights
from training.config import Config, Stage
from training.loop import fit
from training.models import build
from training.pace import Pace
from training.preprocess import Preprocessor
from training.strategies import strategy_for
from training.stream import Group, Stream
from training.tasks import Distil, Supervised
from training.teaching import Teaching, teaching
from training.tracking import say, tracker_for
from training.validate import auroc, choose_threshold, fit_temperature, predict
from training.world import World


def run(
    config: Config, folder: Path, world: World, stop: Callable[[], bool] = lambda: False
) -> None:
    """Do what is not done yet of a run. `folder` is shared by all ranks.

    Raises:
        Interrupted: `stop` was true on some rank; the same call later goes on.
    """
    torch.use_deterministic_algorithms(True, warn_only=world.device.type == "cuda")
    started = time.monotonic()
    timings: dict[str, float] = {}

    def timed(name: str) -> None:
        nonlocal started
        timings[name], started = time.monotonic() - started, time.monotonic()

    def done(name: str) -> bool:  # one rank looks, so that all go the same way
        return world.on_main(lambda: (folder / name).exists())

    train = ShardDataset(config.paths.internal, "train")
    tune = ShardDataset(config.paths.internal, "tune")
    labelled = Group(train, np.arange(len(train)), _labels(train))

    if not done("teacher/weights"):
        slots = (config.teacher.batch,)
        train_stage(
            *("teacher", config, config.teacher, folder, world, [labelled], slots, tune, None, stop)
        )
        timed("teacher")
    groups = [labelled]
    if config.pseudo.enabled and config.paths.public:
        groups += _proxy_groups(config, folder, world, done("pseudo/summary.json"))
        timed("pseudo-labels")
    if not done("student/weights"):
        slots = slots_of(config.student.batch, config.student.proxy_share, groups)
        teacher = folder / "teacher" / "weights"
        train_stage(
            *("student", config, config.student, folder, world, groups, slots, tune, teacher, stop)
        )
        timed("student")
    predictions(config, folder, world)
    timed("predictions")
    world.on_main(lambda: _finish(folder, timings, world))


def train_stage(
    name: str,
    config: Config,
    stage: Stage,
    folder: Path,
    world: World,
    groups: list[Group],
    slots: tuple[int, ...],
    tune: ShardDataset,
    teacher_weights: Path | None,
    stop: Callable[[], bool],
) -> None:
    """Train one model and write ``<name>/weights``; resumes from ``<name>/checkpoints``."""
    if world.main:
        kept = " + ".join(f"{len(g.rows)} from {g.data.manifest.name}" for g in groups)
        say(f"{name}: {stage.epochs} epochs on {kept}, {world.size} worker(s) on {world.device}")
    seed = config.seed * 2 + (name == "student")
    torch.manual_seed(seed)
    compute = config.compute
    checkpoints = Checkpoints(folder / name / "checkpoints", compute.keep_checkpoints)
    resumes = world.on_main(lambda: checkpoints.newest() is not None)
    model = build(config.model, load=not resumes).to(world.device)
    if compute.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    manifest = groups[0].data.manifest
    preprocessor = Preprocessor(
        **config.input.model_dump(),
        pixels=manifest.settings.get("pixels", ""),
        shape=manifest.image_shape,
    )
    taught = Teaching(Supervised())
    if teacher_weights is not None:
        kept = config.paths.runs / "logits"
        taught = teaching(
            *(config.student, teacher_weights, groups, slots, preprocessor, kept, world)
        )
    task = taught.task
    if isinstance(task, Distil):
        task.prepare(model)
    stream = Stream(
        *(groups, slots, preprocessor, stage.augment, seed, world, taught.weak, taught.said),
        loader_workers=compute.loader_workers,
        stratify=config.data.stratify,
        spread=config.spread,
        augment_on=config.data.augment_on,
    )
    label = _labels(tune)

    def validate(model: nn.Module) -> dict[str, Any]:
        score = auroc(label, predict(model, preprocessor, tune, world))
        return {} if score is None else {"tune/auroc": score}

    tracker = tracker_for(folder, name, config, world.main, stage.epochs)
    pace = Pace(world, compute.checkpoint_s, compute.checkpoint_steps, stop)
    strategy = strategy_for(config, world)
    model, at = fit(
        *(task, model, stream, strategy, tracker, stage, checkpoints, validate, seed, pace)
    )
    if isinstance(task, Distil):
        task.release(model)
    tracker.close()
    if world.main:
        say(f"{name}: the weights of epoch {at.best_epoch} are kept")

    logit = predict(model, preprocessor, tune, world)
    calibration = fit_temperature(label, logit)
    probability = expit(logit / calibration["temperature"])
    point = choose_threshold(label, probability, config.operating_point)
    target = folder / name / "weights"
    world.on_main(
        lambda: save_weights(target, model, config.model, preprocessor, calibration, point)
    )
    world.on_main(checkpoints.remove)


def _labels(data: ShardDataset) -> np.ndarray:
    labels = data.index["label"].to_list()
    if any(pd.isna(x) for x in labels):
        raise ValueError(f"{data.folder}: unlabelled samples cannot be trained or tuned on")
    return np.array(labels, np.int64)


def slots_of(batch: int, proxy_share: float, groups: list[Group]) -> tuple[int, ...]:
    """Places in a global batch for the labelled group and for each class of proxy-labelled ones.

    Stratified: the proxies' classes come as often as in the labelled group, whatever the teacher's
    thresholds let through (they act on the classes unequally, by design). A class without proxies
    leaves its places to the labelled group, which always has one.
    """
    proxies = min(round(batch * proxy_share), batch - 1)
    positive = round(proxies * float(groups[0].labels.mean()))
    slots = [(proxies - positive, positive)[int(g.labels[0])] for g in groups[1:]]
    return (batch - sum(slots), *slots)


def _proxy_groups(config: Config, folder: Path, world: World, done: bool) -> list[Group]:
    """The public pictures the teacher is sure of, a group for each class that has any."""
    assert config.paths.public is not None
    public = ShardDataset(config.paths.public, "public")
    path = folder / "pseudo" / "pseudo_labels.parquet"
    if not done:
        model, preprocessor = load_weights(folder / "teacher" / "weights")
        logit = predict(model.to(world.device), preprocessor, public, world)
        world.on_main(lambda: _write_proxies(config, folder, path, public, logit))
    decided = pd.read_parquet(path)
    if not (decided["key"].to_numpy() == public.index["key"].to_numpy()).all():
        raise ValueError(f"{path}: proxy labels of other pictures; start over with --fresh")
    kept = [np.flatnonzero(decided["decision"] == c) for c in CLASSES]
    groups = [Group(public, rows, np.full(len(rows), label)) for label, rows in enumerate(kept)]
    return [g for g in groups if len(g.rows)]


def _write_proxies(
    config: Config, folder: Path, path: Path, public: ShardDataset, logit: np.ndarray
) -> None:
    weights = folder / "teacher" / "weights"
    calibration = json.loads((weights / "calibration.json").read_text())
    sha256 = json.loads((weights / "config.json").read_text())["sha256"]
    probability = expit(logit / calibration["temperature"])
    decided = pseudo.table(public.index, probability, config.pseudo, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    decided.to_parquet(path)
    summary = pseudo.summary(decided) | {"calibration": calibration}
    if "reason" in calibration:
        say(f"warning: the thresholds act on uncalibrated answers: {calibration['reason']}")
    write_atomic(path.with_name("summary.json"), json.dumps(summary, indent=1) + "\n")
    say(f"pseudo-labels: {summary['counts']} of {summary['n']} public pictures")


def predictions(config: Config, folder: Path, world: World) -> None:
    """``cohorts/<source>-<split>/predictions.parquet`` for tune, test and every external site."""
    cohorts = [ShardDataset(config.paths.internal, s) for s in ("tune", "test")]
    cohorts += [ShardDataset(p, "external") for p in config.paths.external]
    for data in cohorts:
        cohort = f"{data.manifest.name}-{data.split}"
        path = folder / "cohorts" / cohort / "predictions.parquet"
        if world.on_main(path.exists):
            continue
        frames = [_predictions_of(m, cohort, folder, data, world) for m in ("teacher", "student")]
        whole = check_predictions(pd.concat(frames, ignore_index=True), cohort)
        world.on_main(lambda p=path, w=whole: _write_parquet(p, w))


def _predictions_of(
    name: str, cohort: str, folder: Path, data: ShardDataset, world: World
) -> pd.DataFrame:
    weights = folder / name / "weights"
    model, preprocessor = load_weights(weights)
    logit = predict(model.to(world.device), preprocessor, data, world)
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


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    frame.to_parquet(temporary)
    temporary.replace(path)


def _finish(folder: Path, timings: dict[str, float], world: World) -> None:
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    spent = facts.get("timings", {})
    facts["timings"] = {k: round(v + spent.get(k, 0), 1) for k, v in timings.items()}
    facts["world"] = {"workers": world.size, "device": world.device.type}
    facts["complete"] = True
    write_atomic(path, json.dumps(facts, indent=1) + "\n")
