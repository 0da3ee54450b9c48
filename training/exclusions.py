"""Settings that exclude each other, refused before anything is trained.

Each line names the fix. What a dataset or a weights folder must be is looked at later, but before
the first stage too (`training.packs`, `training.teaching`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.config import Compute, Config, Student


def refuse(config: Config) -> None:
    """ValueError where nothing can be trained like that."""
    _refuse_compute(config.compute)
    _refuse_student(config.student, config.compute)
    if config.image and config.fracture:
        raise ValueError("image and fracture are two runs: set one of them")
    if config.model.ordinal and config.model.classes < 3:
        raise ValueError("model.ordinal is for three classes: set target='three classes'")
    if config.target == "three classes" and not config.image:
        raise ValueError(
            "teachers and students know two classes: take a recipe that learns one image model "
            "(li2026), or leave out target='three classes'"
        )
    if config.model.grid and (config.fracture or not config.image):
        raise ValueError(
            f"{config.model.name} has local heads, which learn from labels alone: take a recipe "
            "that learns one image model (li2026)"
        )
    if config.model.channels == 3 and not config.image:
        raise ValueError(
            "photographs are learnt by one image model: take a recipe that learns one (face2bone), "
            "or set model.channels=1 for X-rays"
        )
    if config.crossmodal.run and (config.model.grid or not config.image):
        raise ValueError(
            "crossmodal.run teaches one image model without local heads: take such a recipe "
            "(face2bone), or set crossmodal.run=null"
        )
    layered = [n for n in config.models if getattr(config, n).layer_decay != 1]
    if layered and (config.model.grid or config.model.face):
        raise ValueError(
            f"{layered[0]}.layer_decay: {config.model.name} is no stack of layers that was learnt "
            f"before: set {layered[0]}.layer_decay=1"
        )
    if config.predict == "tune" and config.data.folds > 1:
        raise ValueError(
            "predict=tune leaves out what a fold holds out, which is what folds are for: leave out "
            "--folds, or set predict=all"
        )
    if config.crossmodal.run and config.data.folds > 1:
        raise ValueError(
            "crossmodal.run learnt from patients whom folds are judged on: leave out --folds, or "
            "set crossmodal.run=null"
        )
    if config.model.channels == 3 and config.input.per_image:
        raise ValueError("input.per_image is for X-rays: set input.per_image=false")
    if config.target == "osteoporosis" and not config.alone and config.pseudo.enabled:
        raise ValueError(
            "proxy labels are of low bone mass: with target=osteoporosis set pseudo.enabled=false, "
            "or take a recipe that learns one image model (osteoporosis)"
        )
    sgd = [n for n in config.models if getattr(config, n).optimizer == "sgd"]
    if sgd and config.compute.strategy.startswith("zero"):
        raise ValueError(
            f"{sgd[0]}.optimizer=sgd keeps so little that ZeRO has nothing to share: set "
            "compute.strategy=ddp"
        )


def refuse_beside(config: Config, given: list[str]) -> None:
    """The same where one model is learnt; `given` are sections that were set and have no say."""
    if given:
        what = "a survival model" if config.fracture else "a run of one image model"
        raise ValueError(
            f"{given[0]} has no say in {what}: leave it out, and set {config.alone} instead"
        )
    if config.fracture and config.compute.accumulate > 1:
        raise ValueError(
            "compute.accumulate cuts a batch, and a fracture is compared with the whole of it: "
            "set compute.accumulate=1"
        )


def _refuse_compute(compute: Compute) -> None:
    if compute.min_workers and compute.min_workers > compute.workers:
        raise ValueError(
            f"compute.min_workers={compute.min_workers} is above compute.workers="
            f"{compute.workers}: set it to that or less"
        )
    if compute.strategy == "single" and compute.workers > 1 and compute.launcher == "ray":
        raise ValueError("compute.strategy=single is for one worker: set compute.workers=1")
    zero = compute.strategy.startswith("zero")
    if compute.offload and (not zero or compute.strategy == "zero0"):
        raise ValueError("compute.offload is ZeRO's: set compute.strategy=zero1, zero2 or zero3")
    if compute.channels_last and zero:
        raise ValueError(
            "compute.channels_last=true: DeepSpeed takes no gradients in that order; set "
            "compute.channels_last=false, or compute.strategy=ddp"
        )


def _refuse_student(student: Student, compute: Compute) -> None:
    if student.teacher == "ema":
        if not student.ema:
            raise ValueError("student.teacher=ema is the weights' average: set student.ema above 0")
        if student.teachers or student.features:
            raise ValueError(
                "student.teacher=ema has no other teacher: leave out student.teachers and "
                "student.features, or set student.teacher=frozen"
            )
        if compute.strategy == "zero3":
            raise ValueError(
                "student.teacher=ema looks at the weights' average at each step, and zero3 has it "
                "in shards: set compute.strategy=zero2"
            )
    if student.features and student.teacher_logits == "cached":
        raise ValueError(
            "student.features looks into the teacher at each step, and only its logits are kept: "
            "set student.teacher_logits=online, or student.features=0"
        )
    if student.features and compute.compile:
        raise ValueError(
            "student.features looks at the last feature map as the network runs, which "
            "torch.compile may pass by: set compute.compile=false, or student.features=0"
        )
