"""Settings of what is learnt in a run: of each training, and of the proxy labels between two."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from training.section import Section


class Stage(Section):
    """One training: teacher, student, or the one model of a picture."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1, description="global batch size, all ranks together")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        default="adamw", description="adam: decay as L2; sgd: with momentum .9"
    )
    lr: float = Field(gt=0, description="the highest of its schedule")
    schedule: Literal["cosine", "onecycle"] = Field(
        default="cosine",
        description="cosine: to 0, after warmup_epochs; onecycle: up in 30% of the steps, to 1e-6",
    )
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="each layer's rate, as part of the one's above it"
    )
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_epochs: float = Field(default=5, ge=0, description="of the cosine schedule")
    clip: float = Field(default=1.0, gt=0, description="maximal gradient norm")
    ema: float = Field(
        default=0.999, ge=0, lt=1, description="decay of the weights' average; 0 is off"
    )
    augment: Literal["none", "weak", "strong", "li", "face", "face_upset"] = "weak"
    strength: float = Field(
        default=1.0, ge=0, le=2, description="of the augmentation: its amplitudes, times this"
    )
    select: Literal["last", "best"] = Field(
        default="best", description="best: by AUROC on the tune split"
    )
    patience: int | None = Field(
        default=None, ge=1, description="epochs without a better one on the tune split that end it"
    )

    @model_validator(mode="after")
    def _by_something(self) -> Stage:
        if self.patience and self.select == "last":
            raise ValueError("patience waits for a better epoch: set select=best, or patience=null")
        if self.strength != 1 and self.augment in ("none", "weak"):
            raise ValueError(
                f"augment={self.augment} has no amplitude: set strength=1, or augment=strong"
            )
        return self

    #: By what an epoch is the best, among what validation records.
    MEASURE: ClassVar[str] = "tune/auroc"


class Fracture(Stage):
    """A survival model, instead of teacher and student: Cox's loss on fractures and follow-up."""

    MEASURE: ClassVar[str] = "tune/c"
    batch: int = Field(
        ge=2, description="global batch size: a patient alone is compared with nobody"
    )
    select: Literal["last", "best"] = Field(
        default="best", description="best: by Harrell's C on the tune split"
    )
    horizon_days: int = Field(
        default=1825, ge=1, description="`probability` in predictions is of a fracture within it"
    )
    ties: Literal["efron", "breslow"] = Field(
        default="efron", description="how fractures on one day share their risk set"
    )


class Student(Stage):
    """The student: cross-entropy on labels and proxy labels, KL to the frozen teacher."""

    augment: Literal["none", "weak", "strong"] = "strong"
    temperature: float = Field(default=4.0, gt=0)
    alpha: float = Field(
        default=0.5, ge=0, le=1, description="share of the KL term; 0 is no distillation"
    )
    proxy_share: float = Field(
        default=0.25, ge=0, lt=1, description="share of each global batch that is proxy-labelled"
    )
    teacher: Literal["frozen", "ema"] = Field(
        default="frozen",
        description="frozen: this run's teacher; ema: the student's own average (mean teacher)",
    )
    teachers: tuple[Path, ...] = Field(
        default=(), description="weights folders of earlier runs that teach along (an ensemble)"
    )
    teacher_logits: Literal["cached", "online"] = Field(
        default="cached", description="what the frozen teachers say: once beforehand, or each step"
    )
    features: float = Field(
        default=0.0, ge=0, description="weight of matching the teacher's last feature map"
    )

    @field_validator("teachers")
    @classmethod
    def _absolute(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(p.absolute() for p in value)


class CrossModal(Section):
    """A run of another modality that teaches along, by patient (see `training.crossmodal`)."""

    run: Path | None = Field(default=None, description="a cross-validated run, complete")
    temperature: float = Field(default=1.0, gt=0, description="its probabilities are calibrated")
    alpha: float = Field(
        default=0.5, gt=0, le=1, description="share of the KL term, where it judged the patient"
    )

    @field_validator("run")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        # runs/latest is another run tomorrow: config.yaml names the one that taught.
        return value and (value.resolve() if value.is_symlink() else value.absolute())


class Pseudo(Section):
    """Class thresholds for proxy labels, on calibrated probabilities (OsPenScreen, Methods).

    Thresholds are given, or chosen on the tune split so that the precision of a class is at least a
    target, with confidence (Clopper-Pearson).
    """

    enabled: bool = True
    p_normal: float = Field(
        default=0.99, gt=0.5, le=1, description="not used where target_precision_normal is set"
    )
    p_lbm: float = Field(
        default=0.75, gt=0.5, le=1, description="not used where target_precision_lbm is set"
    )
    target_precision_normal: float | None = Field(
        default=None, gt=0.5, lt=1, description="chooses the threshold, instead of p_normal"
    )
    target_precision_lbm: float | None = Field(
        default=None, gt=0.5, lt=1, description="chooses the threshold, instead of p_lbm"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the precision's bound")
    public_prevalence: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of low bone mass there, if known: precision depends on it",
    )
    rounds: int = Field(
        default=1, ge=1, description="noisy student: each round's student labels for the next"
    )
