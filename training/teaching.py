"""From a student's settings to what it learns, and to what its batches must carry for that."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data_sharding.schema import Manifest
from training.config import Student
from training.frozen import for_groups
from training.losses import NAMES
from training.preprocess import Preprocessor
from training.strategies import Task
from training.stream import Group
from training.tasks import Distil, MeanTeacher, Supervised
from training.teachers import Teachers
from training.world import World

#: What is learnt where weights do not say.
USUAL = "low bone mass"


@dataclass(frozen=True)
class Teaching:
    """`weak` and `said` are the stream's arguments of these names."""

    task: Task
    weak: tuple[int, ...] = ()
    said: list[np.ndarray] | None = None


def check_teachers(student: Student, manifest: Manifest, target: str = USUAL) -> None:
    """Read the weights in `student.teachers`, so that bad ones are told before hours of training.

    Raises:
        ValueError: a folder is none or is damaged, weights are named twice, or they were learnt
            from otherwise treated pictures than those of `manifest`, or for another `target`.
    """
    if not student.teachers:
        return
    teachers = Teachers.load(student.teachers, torch.device("cpu"))
    try:
        teachers.accept(manifest)
    except ValueError as e:  # of all of them: they know the same pictures
        raise ValueError(f"{e}; leave them out of student.teachers") from e
    for folder in student.teachers:
        if (found := _learnt(folder)) != target:
            raise ValueError(
                f"{folder}: learnt {found}, and the student learns {target}: leave it out of "
                "student.teachers"
            )


def _learnt(folder: Path) -> str:
    """The target of a weights folder; the first ones had one target, and do not name it."""
    return json.loads((folder / "config.json").read_text()).get("target", USUAL)


def teaching(
    student: Student,
    own: Path,
    groups: list[Group],
    slots: tuple[int, ...],
    preprocessor: Preprocessor,
    kept: Path,
    world: World,
    breathe: Callable[[], None] = lambda: None,
    names: tuple[str, ...] = NAMES,
) -> Teaching:
    """What `student` asks for. All ranks call it: cached logits are made here if they are missing.

    Args:
        student: the settings.
        own: the weights folder of this run's teacher; `student.teachers` teach beside it.
        groups: what the student learns from.
        slots: of `groups` in a global batch.
        preprocessor: the student's own.
        kept: folder for cached logits, which runs may share.
        world: this rank's place.
        breathe: called on every rank while logits are made; it may raise.
        names: of the classes, for what is tracked.

    Raises:
        ValueError: teachers that do not fit together, or not the pictures.
    """
    if student.teacher == "ema":
        return _mean_teacher(student, groups, slots, preprocessor, names)
    if not student.alpha and not student.features:
        return Teaching(Supervised(names))
    settings = student.temperature, student.alpha
    teachers = Teachers.load([own, *student.teachers], world.device)
    for group in groups:
        teachers.accept(group.data.manifest)
    if student.teacher_logits == "cached":
        task = Distil(*settings, None, student.features, names)
        return Teaching(task, said=for_groups(teachers, groups, kept, world, breathe))
    return Teaching(Distil(*settings, teachers, student.features, names), weak=teachers.sizes)


def _mean_teacher(
    student: Student,
    groups: list[Group],
    slots: tuple[int, ...],
    preprocessor: Preprocessor,
    names: tuple[str, ...],
) -> Teaching:
    assert student.ema, "see exclusions"
    assert not student.teachers, "see exclusions"
    assert not student.features, "see exclusions"
    steps = -(-len(groups[0].rows) // slots[0])
    settings = student.temperature, student.alpha, preprocessor, student.warmup_epochs
    return Teaching(MeanTeacher(*settings, steps, names), weak=(preprocessor.size,))
