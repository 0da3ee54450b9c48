"""One model learnt, from its data to a folder of weights that know how they are to be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from torch import nn

from data_sharding.reader import ShardDataset
from training import watchdog
from training.checkpoint import Checkpoints, save_weights
from training.config import Config, Stage
from training.interrupt import Interrupted
from training.loop import fit
from training.models import build
from training.pace import Pace
from training.preprocess import Preprocessor
from training.served import served_path
from training.strategies import Task, strategy_for
from training.stream import Group, Stream
from training.tasks import Distil, Supervised
from training.teaching import Teaching, teaching
from training.tracking import say, tracker_for
from training.validate import auroc, choose_threshold, fit_temperature, margin, predict
from training.world import World


@dataclass(frozen=True)
class Run:
    """What all stages of a run share. `folder` lies where all ranks see it."""

    config: Config
    folder: Path
    world: World
    stop: Callable[[], bool]
    tune: ShardDataset  # the samples that models are chosen and calibrated by

    def done(self, name: str) -> bool:
        """Is there such a file or folder? One rank looks, so that all go the same way."""
        return self.world.on_main(lambda: (self.folder / name).exists())

    def embedded(self, data: ShardDataset) -> np.ndarray | None:
        """float32 [len(data), 2, 512]: FaceNet's, for a model that is given them; else None."""
        if not (self.config.model.face and self.config.model.face.embedded):
            return None
        from training.embeddings import embeddings

        kept = self.config.paths.runs / "embeddings"
        rows = np.arange(len(data))
        return embeddings(self.config.model, data, rows, kept, self.world, self.breathe)

    def breathe(self) -> None:
        """Where all that is done is kept: Interrupted if some rank was asked to stop."""
        if self.world.agree(torch.tensor([self.stop()])).any():
            raise Interrupted("stopped, what is done is kept")


class Aim(Protocol):
    """What a model is for: what it learns by its labels alone, and how the tune split judges it."""

    @property
    def task(self) -> Task:
        """What is learnt where nobody teaches."""
        ...

    def score(self, z_NC: np.ndarray) -> dict[str, float]:
        """What validation records of the tune split's logits; nothing where it is undefined."""
        ...

    def beside(self, z_NC: np.ndarray) -> dict[str, dict[str, Any]]:
        """JSON files beside the weights, by name: calibration, operating_point, ..."""
        ...


@dataclass(frozen=True)
class Labelled:
    """The classes that DXA tells, such as low bone mass and normal; `task` learns them.

    Of three classes one threshold parts the first from the others; each is called by the largest
    probability.
    """

    label: np.ndarray  # of the tune split
    rule: str  # of the operating point
    task: Task

    def score(self, z_NC: np.ndarray) -> dict[str, float]:
        """AUROC, of three classes of any against the first; and of the last against the others."""
        found = {"tune/auroc": auroc(self.label > 0, margin(z_NC))}
        if z_NC.shape[1] > 2:
            others = margin(z_NC[:, ::-1])  # log odds against the last class
            found["tune/auroc_last"] = auroc(self.label == z_NC.shape[1] - 1, -others)
        return {name: value for name, value in found.items() if value is not None}

    def beside(self, z_NC: np.ndarray) -> dict[str, dict[str, Any]]:
        """A temperature, and a threshold on what it makes of the logits."""
        several = z_NC.shape[1] > 2
        calibration = fit_temperature(self.label, z_NC if several else margin(z_NC))
        probability = expit(margin(z_NC / calibration["temperature"]))
        point = choose_threshold((self.label > 0).astype(int), probability, self.rule)
        return {"calibration": calibration, "operating_point": point}


def aim_of(run: Run, task: Task | None = None) -> Labelled:
    """What this run's labels are for; `task` is by default plain cross-entropy."""
    task = task or Supervised(run.config.aim.names)
    return Labelled(labels(run.tune), run.config.operating_point, task)


def learn(
    run: Run,
    name: str,
    stage: Stage,
    groups: list[Group],
    slots: tuple[int, ...],
    seed: int,
    teacher: Path | None = None,
    aim: Aim | None = None,
    taught: Teaching | None = None,
) -> None:
    """Train one model and write ``<name>/weights``; resumes from ``<name>/checkpoints``.

    Args:
        run: the run.
        name: of the stage's folder, such as ``student``.
        stage: how it is trained.
        groups: what it learns from, with `slots` places each in a global batch.
        slots: as many as groups.
        seed: of weights, order, augmentation and dropout.
        teacher: a weights folder, for a student.
        aim: what it is for; by default what the run's labels tell.
        taught: by whom, where it is no `teacher` of this run.
    """
    aim = aim or aim_of(run)
    config, world, compute = run.config, run.world, run.config.compute
    folder = run.folder / name
    watchdog.feed(name)
    if world.main:
        kept = " + ".join(f"{len(g.rows)} from {g.data.manifest.name}" for g in groups)
        say(f"{name}: {stage.epochs} epochs on {kept}, {world.size} worker(s) on {world.device}")
    torch.manual_seed(seed)
    of = f"{run.folder.name}/{name}"
    checkpoints = Checkpoints(folder / "checkpoints", compute.keep_checkpoints, of)
    resumes = world.on_main(lambda: checkpoints.newest() is not None)
    model = build(config.model, load=not resumes).to(world.device)
    if compute.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compute.grad_checkpointing:
        checkpoint_activations(model, config.model.name)
    manifest = groups[0].data.manifest
    preprocessor = Preprocessor(
        **config.input.model_dump(),
        pixels=manifest.settings.get("pixels", ""),
        shape=manifest.image_shape,
    )
    taught = taught or Teaching(aim.task)
    if teacher is not None:
        logits = config.paths.runs / "logits"
        taught = teaching(
            *(config.student, teacher, groups, slots, preprocessor, logits, world),
            run.breathe,
            config.aim.names,
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
        strength=stage.strength,
        served=served_path(folder, world) if config.track.samples else None,
    )

    of_tune = run.embedded(run.tune)

    def validate(model: nn.Module) -> dict[str, Any]:
        return aim.score(predict(model, preprocessor, run.tune, world, faces=of_tune))

    tracker = tracker_for(run.folder, name, config, world.main, stage.epochs)
    pace = Pace(world, compute.checkpoint_s, compute.checkpoint_steps, run.stop)
    strategy = strategy_for(config, world)
    try:
        model, at = fit(
            *(task, model, stream, strategy, tracker, stage, checkpoints, validate, seed, pace)
        )
    except Interrupted:  # the next launch goes on with it, and W&B may be slow
        raise
    except Exception:
        tracker.close()
        raise
    tracker.close()
    if isinstance(task, Distil):
        task.release(model)
    if world.main:
        say(f"{name}: the weights of epoch {at.best_epoch} are kept")

    z_NC = predict(model, preprocessor, run.tune, world, faces=of_tune)
    target = None if config.fracture else config.target
    world.on_main(
        lambda: save_weights(
            *(folder / "weights", model, config.model, preprocessor),
            target=target,
            **aim.beside(z_NC),
        )
    )
    world.on_main(checkpoints.remove)


def checkpoint_activations(model: nn.Module, name: str) -> None:
    """Compute activations again on the way back instead of keeping them.

    Raises:
        ValueError: the network, called `name`, cannot.
    """
    try:
        model.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AttributeError, AssertionError) as e:
        raise ValueError(f"compute.grad_checkpointing=true: {name} cannot; set it to false") from e


def labels(data: ShardDataset) -> np.ndarray:
    """int64 [len(data)]; ValueError where one has none."""
    label = data.index["label"].to_list()
    if any(pd.isna(x) for x in label):
        raise ValueError(f"{data.folder}: unlabelled samples cannot be trained or tuned on")
    return np.array(label, np.int64)
