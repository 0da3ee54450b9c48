"""From a student's settings to what it learns, and to what its batches must carry for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.config import Student
from training.logits import for_groups
from training.preprocess import Preprocessor
from training.stream import Group
from training.tasks import Distil, MeanTeacher, Supervised
from training.teachers import Teachers
from training.world import World


@dataclass(frozen=True)
class Teaching:
    """`weak` and `said` are the stream's arguments of these names."""

    task: Supervised | Distil | MeanTeacher
    weak: tuple[int, ...] = ()
    said: list[np.ndarray] | None = None


def teaching(
    student: Student,
    own: Path,
    groups: list[Group],
    slots: tuple[int, ...],
    preprocessor: Preprocessor,
    kept: Path,
    world: World,
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

    Raises:
        ValueError: settings that exclude each other, or teachers that do not fit the pictures.
    """
    if student.teacher == "ema":
        return _mean_teacher(student, groups, slots, preprocessor)
    if not student.alpha and not student.features:
        return Teaching(Supervised())
    cached = student.teacher_logits == "cached"
    settings = student.temperature, student.alpha
    task = Distil(*settings, None, student.features) if cached else None
    teachers = Teachers.load([own, *student.teachers], world.device)
    for group in groups:
        teachers.accept(group.data.manifest)
    if task:
        return Teaching(task, said=for_groups(teachers, groups, kept, world))
    return Teaching(Distil(*settings, teachers, student.features), weak=teachers.sizes)


def _mean_teacher(
    student: Student, groups: list[Group], slots: tuple[int, ...], preprocessor: Preprocessor
) -> Teaching:
    if not student.ema:
        raise ValueError("student.teacher=ema is the weights' average: set student.ema above 0")
    if student.teachers or student.features:
        raise ValueError(
            "student.teacher=ema has no other teacher: leave out student.teachers and "
            "student.features, or set student.teacher=frozen"
        )
    steps = -(-len(groups[0].rows) // slots[0])
    settings = student.temperature, student.alpha, preprocessor, student.warmup_epochs
    return Teaching(MeanTeacher(*settings, steps), weak=(preprocessor.size,))
