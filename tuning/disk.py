"""Will it fit? What a sweep takes on disk at most, worked out before its first trial.

    check(sweep, 40)   # says the estimate; ValueError where less is free

Large are weights and checkpoints, which follow from the network: its parameters are counted by
laying it out without numbers. A checkpoint holds the model, its average, the best so far and the
optimizer's state; while a newer one is written there is one more of them. Weights are kept of the
best trials only (`tuning.keep`). The rest is small and follows from how many pictures are judged.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import optuna
import torch

from data_sharding.schema import Manifest
from data_sharding.storage.store import open_place
from training.config import Config, Model, Stage
from training.models import build
from training.tracking import say
from tuning.keep import size
from tuning.store import open_study, settled
from tuning.sweep import Sweep

#: Whole copies of the model in a checkpoint (`training.checkpoint.PARTS`), besides the optimizer.
COPIES = 3
#: Float32 numbers that an optimizer keeps of a parameter.
MOMENTS = {"adamw": 2, "adam": 2, "sgd": 1}
#: Bytes, as measured on real runs of the smoke recipes (tests/tuning/test_disk.py holds them to
#: it): a tensor's entry in a safetensors file, what is recorded of an epoch, a judged picture's row
#: of predictions, or of the proxy labels; and a run's other files, W&B's among them.
ENTRY, EPOCH, ROW, FILES = 160, 2_000, 400, 50_000
#: Trials are drawn at random, so many, to meet the space's largest network.
DRAWS = 24


@dataclass(frozen=True)
class Need:
    """Bytes: of one trial's weights, of one at work, and of what stays of every one."""

    weights: int
    working: int
    records: int
    shared: int

    def total(self, trials: int, keep: int, concurrent: int) -> int:
        """Of a sweep at its fullest."""
        at_work = min(trials, concurrent)
        return (
            self.shared
            + trials * self.records
            + min(trials, keep) * self.weights
            + at_work * self.working
        )


def check(sweep: Sweep, trials: int) -> None:
    """Say what the sweep may take in all and what is free.

    Raises:
        ValueError: it does not fit, with what to do about it.
    """
    need = of_sweep(sweep)
    whole = need.total(trials, sweep.keep, sweep.concurrent)
    more = max(0, whole - used(sweep.folder))
    free = shutil.disk_usage(_there(sweep.folder)).free
    parts = (
        f"{size(need.weights)} of weights for each of the best {min(sweep.keep, trials)}, "
        f"{size(need.working)} while one is trained, {size(need.records)} of records a trial"
    )
    found = len(settled(open_study(sweep))) if (sweep.folder / "sweep.json").exists() else 0
    left = f" ({found} are there)" if found else ""
    line = f"disk: {trials} trials{left} take up to {size(whole)} ({parts}); {size(free)} are free"
    if more > free:
        raise ValueError(
            f"{line}, and {size(more)} are still to be written in {sweep.folder}: make room, name "
            "another place (paths.runs=...), or keep less (--keep 1, compute.keep_checkpoints=1)"
        )
    say(line)


def of_sweep(sweep: Sweep) -> Need:
    """The most that a trial of the sweep takes: the recipe's own, or the largest that is drawn."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = [sweep.config([])]
    for _ in range(DRAWS):
        with contextlib.suppress(ValueError):  # what does not go together fails its trial
            configs.append(sweep.config(sweep.suggest(study.ask())))
    needs = [of_run(config) for config in configs]
    return Need(
        *(max(getattr(n, part) for n in needs) for part in ("weights", "working", "records")),
        shared=sum({_model(c): n.shared for c, n in zip(configs, needs, strict=True)}.values()),
    )


def of_run(config: Config) -> Need:
    """One trial's."""
    states = {name: _state(config.model) for name in config.trainings}
    weights = sum(states.values())
    keep = config.compute.keep_checkpoints
    working = weights + max(
        (keep + 1) * checkpoint(config.model, stage) for stage in config.trainings.values()
    )
    tune, learnt, public = _pictures(config)
    epochs = sum(stage.epochs for stage in config.trainings.values())
    rounds = 0 if config.alone else config.pseudo.rounds
    records = FILES + EPOCH * epochs + ROW * (tune * len(config.models) + public * rounds)
    shared = 0
    if not config.alone and (config.student.alpha or config.student.features):
        # what the teacher says of two views, in float32, of a trial's own teacher
        records += (learnt + public) * 2 * config.model.classes * 4
    if config.model.face and config.model.face.embedded:
        shared = (learnt + tune) * 2 * 512 * 4
    return Need(weights, working, records, shared)


def checkpoint(model: Model, stage: Stage) -> int:
    """Bytes of one checkpoint of a training."""
    parameters, tensors = _parameters(model)
    moments = MOMENTS[stage.optimizer]
    # and the step that each parameter's state is of
    optimizer = moments * parameters + tensors * (4 + (moments + 1) * ENTRY)
    return COPIES * _state(model) + optimizer


def used(folder: Path) -> int:
    """Bytes of all files below a folder, each once however many names it has."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            stat = path.lstat()
        except OSError:  # another process is at work here
            continue
        if path.is_file() and not path.is_symlink():
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())


def _pictures(config: Config) -> tuple[int, int, int]:
    """Pictures that are tuned on, learnt from, and proxy-labelled."""
    own = _by_split(config.paths.internal)
    proxies = config.pseudo.enabled and config.paths.public and not config.alone
    public = sum(_by_split(config.paths.public).values()) if proxies and config.paths.public else 0
    return own.get("tune", 0), own.get("train", 0), public


@cache
def _by_split(place: Path | str) -> dict[str, int]:
    manifest = Manifest.load(open_place(place)[0])
    found: dict[str, int] = {}
    for shard in manifest.shards:
        found[shard.split] = found.get(shard.split, 0) + shard.samples
    return found


def _model(config: Config) -> str:
    return config.model.model_dump_json()


def _state(model: Model) -> int:
    """Bytes of the model's weights and buffers in a file."""
    return _sizes(model.model_dump_json())[0]


def _parameters(model: Model) -> tuple[int, int]:
    """Bytes and number of the parameters that learn."""
    return _sizes(model.model_dump_json())[1:]


@cache
def _sizes(model: str) -> tuple[int, int, int]:
    with torch.device("meta"):
        laid_out = build(Model.model_validate_json(model), load=False)
    state = laid_out.state_dict().values()
    learn = [p for p in laid_out.parameters() if p.requires_grad]

    def nbytes(tensors: Iterable[torch.Tensor]) -> int:
        return sum(t.numel() * t.element_size() for t in tensors)

    return nbytes(state) + ENTRY * len(state), nbytes(learn), len(learn)


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(p for p in (folder, *folder.parents) if p.is_dir())
