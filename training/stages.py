"""The pipeline of a run: teacher -> proxy labels -> student -> predictions on every cohort.

One model alone (`Config.image`, `Config.fracture`) is one stage instead of the first three.

Each stage writes a folder of the run and is passed over when that folder is there, so a killed run
goes on where it was. All ranks call `run`; rank 0 writes. With ``pseudo.rounds`` above 1 the
student of each round is the next one's teacher (noisy student, Xie et al. 2020): there are
``round-1/pseudo``, ``round-1/student``, ..., and of the last round ``pseudo`` and ``student``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch

from data_sharding.reader import ShardDataset
from data_sharding.schema import CLASSES
from training import crossmodal, pseudo
from training.config import Config, Stage
from training.folder import note, read_facts
from training.fracture import survival_model
from training.grid_loss import GridSupervised
from training.learn import Run, aim_of, labels, learn
from training.memory import keep_freed
from training.packs import same_as_before
from training.predictions import predictions
from training.samples import learnt_from
from training.stream import Group
from training.teachers import Teachers
from training.teaching import Teaching, check_teachers
from training.tracking import say, summarise
from training.validate import fit_temperature
from training.world import World


def run(
    config: Config, folder: Path, world: World, stop: Callable[[], bool] = lambda: False
) -> None:
    """Do what is not done yet of a run. `folder` is shared by all ranks.

    Raises:
        Interrupted: `stop` was true on some rank; the same call later goes on.
        ValueError: a dataset was packed again since the run began, or something else that a user
            can put right.
    """
    keep_freed()
    torch.use_deterministic_algorithms(True, warn_only=world.device.type == "cuda")
    train, tune = (
        learnt_from(config, same_as_before(folder, ShardDataset(config.paths.internal, split)))
        for split in ("train", "tune")
    )
    this = Run(config, folder, world, stop, tune)
    if not config.alone:
        teacher_and_student(this, train)
    elif not this.done(f"{config.alone}/weights"):
        with timed(this, config.alone):
            if config.fracture:
                survival_model(this, config.fracture, train)
            elif config.image:
                image_model(this, config.image, train)
    with timed(this, "predictions"):
        predictions(this)
    where = {"workers": world.size, "device": world.device.type}
    world.on_main(lambda: note(folder, world=where, complete=True))


def image_model(run: Run, stage: Stage, train: ShardDataset) -> None:
    """Write ``image/weights``: one model, learnt from labels."""
    grid, steps = run.config.model.grid, -(-len(train) // stage.batch)
    task = GridSupervised(grid, steps, run.config.aim.names) if grid else None
    group = Group(train, np.arange(len(train)), labels(train), run.embedded(train))
    seed = 2 * run.config.seed
    face = run.config.model.face
    if face and face.ssam != "none" and not face.embedded and run.world.main:
        say("no face branch (model.face.facenet=none): one learnt key serves every face")
    learn(
        *(run, "image", stage, [group], (stage.batch,), seed),
        aim=aim_of(run, task),
        taught=_taught_along(run, train),
    )


def _taught_along(run: Run, train: ShardDataset) -> Teaching | None:
    """By a run of another modality, where there is one."""
    cross = run.config.crossmodal
    if not cross.run:
        return None
    said = crossmodal.taught(cross, run.config.target, train)
    if run.world.main:
        n = int(np.isfinite(said).all((1, 2)).sum())
        say(f"{cross.run.name} teaches along: it judged the patients of {n} of {len(said)}")
    return Teaching(crossmodal.distil(cross, run.config.aim.names), said=[said])


def teacher_and_student(this: Run, train: ShardDataset) -> None:
    """Both models, and the proxy labels between."""
    config, world, folder = this.config, this.world, this.folder
    labelled = Group(train, np.arange(len(train)), labels(train))
    if not this.done("student/weights"):
        world.on_main(lambda: check_teachers(config.student, train.manifest, config.target))
        if world.main and config.pseudo.enabled and not config.paths.public:
            say(
                "warning: paths.public=null, so there are no proxy labels: name a dataset, or set "
                "pseudo.enabled=false"
            )

    teacher = "teacher"
    if not this.done("teacher/weights"):
        with timed(this, "teacher"):
            slots = (config.teacher.batch,)
            learn(this, "teacher", config.teacher, [labelled], slots, 2 * config.seed)
    rounds = config.pseudo.rounds if config.with_proxies else 1
    for n in range(1, rounds + 1):
        place = "" if n == rounds else f"round-{n}/"
        student = f"{place}student"
        if not this.done(f"{student}/weights"):
            groups = [labelled]
            if config.with_proxies:
                with timed(this, f"{place}pseudo"):
                    groups += proxies(this, f"{place}pseudo", teacher, labelled)
            with timed(this, student):
                slots = slots_of(config.student.batch, config.student.proxy_share, groups)
                used = [i for i, n_slots in enumerate(slots) if n_slots]
                groups, slots = [groups[i] for i in used], tuple(slots[i] for i in used)
                weights = folder / teacher / "weights"
                seed = student_seed(config.seed, place)
                learn(this, student, config.student, groups, slots, seed, weights)
        teacher = student


def student_seed(seed: int, place: str) -> int:
    """Of the student in folder `place`, which is "" in the last round, else such as ``round-1/``.

    The last one's is odd beside the teacher's even one. Rounds between have 31 bits of a hash: a
    sum would be another run's seed.
    """
    if not place:
        return 2 * seed + 1
    digest = hashlib.sha256(f"stage/{seed}/{place}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


@contextmanager
def timed(run: Run, name: str) -> Iterator[None]:
    """Add the seconds of the block to ``run.json``'s timings, also when it is interrupted."""
    run.breathe()
    started = time.monotonic()
    try:
        yield
    finally:
        if run.world.main:
            with suppress(OSError):  # a full disk must not hide what ended the block
                spent = read_facts(run.folder).get("timings", {})
                seconds = spent.get(name, 0) + time.monotonic() - started
                note(run.folder, timings=spent | {name: round(seconds, 1)})


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


def proxies(run: Run, name: str, teacher: str, labelled: Group) -> list[Group]:
    """The public pictures the teachers are sure of, a group for each class that has any.

    Args:
        run: the run.
        name: the folder of this round's ledger.
        teacher: the folder of the model that labels; ``student.teachers`` label along.
        labelled: what it learnt from, to compare with.
    """
    config, world, folder = run.config, run.world, run.folder / name
    assert config.paths.public is not None
    public = same_as_before(run.folder, ShardDataset(config.paths.public, "public"))
    if not run.done(f"{name}/summary.json"):
        weights = [run.folder / teacher / "weights", *config.student.teachers]
        teachers = Teachers.load(weights, world.device)
        scores = folder / "scores"
        offered, tune = (
            pseudo.Said(data, pseudo.scored(teachers, data, scores, world, say, run.breathe))
            for data in (public, run.tune)
        )

        def decide() -> None:
            calibration = fit_temperature(labels(run.tune), tune.logit)
            known = labelled.data.index
            found = pseudo.record(
                *(folder, config.pseudo, teachers.hash, calibration, offered, tune, known),
                public_prevalence=config.pseudo.public_prevalence,
            )
            for warning in found["warnings"]:
                say(f"warning: {warning}")
            say(f"{name}: {found['counts']} of {found['n']} public pictures")
            summarise(run.folder, name, config, True, {"n": found["n"], **found["counts"]})

        world.on_main(decide)
    decided = pseudo.read_decided(folder, public.index)
    kept = [np.flatnonzero(decided["decision"] == c) for c in CLASSES]
    groups = [Group(public, rows, np.full(len(rows), label)) for label, rows in enumerate(kept)]
    return [g for g in groups if len(g.rows)]
