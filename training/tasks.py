"""What is learnt: from labels; from labels and frozen teachers; from labels and one's own average.

All return sums over this rank's real samples: `loss` is differentiated, the rest is tracked, by
class too. Teachers live in the task, outside DDP, the optimizer and the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from training.batch import Batch
from training.features import Tap, add_projections, drop_projections, feature_distance, projected
from training.losses import NAMES, by_class, cross_entropy, distillation_kl, ramp_up
from training.preprocess import Preprocessor
from training.teachers import Teachers

Losses = dict[str, torch.Tensor]


@dataclass
class Supervised:
    """Cross-entropy with the labels of the batch. `names` are the classes', as in all of these."""

    names: tuple[str, ...] = NAMES

    def loss(self, model: nn.Module, batch: Batch) -> Losses:
        """`loss`, and the same by class."""
        ce_B = cross_entropy(model(*batch.inputs), batch.label)
        return _sums(ce_B, {"ce": ce_B}, batch, self.names)


@dataclass
class Distil:
    """(1 - a) CE(label, student) + a T^2 KL(teacher || student) (Hinton et al. 2015; OsPenScreen).

    The teachers see the weak view, the student the strong one. What they say comes with the batch,
    or is asked of `teachers` at each step; where it is NaN they are silent, and the label is all.
    With `features` that times the distance of the student's pooled last feature map to its
    teachers' (their mean) is added; `prepare` then comes first.
    """

    temperature: float
    alpha: float
    teachers: Teachers | None = None  # None: the batch carries what they said
    features: float = 0.0
    names: tuple[str, ...] = NAMES

    def __post_init__(self) -> None:
        """Settings that ask for it are refused by `training.exclusions`."""
        assert self.teachers or not self.features, "features are looked at in somebody"

    def prepare(self, student: nn.Module) -> None:
        """Once, before the student is copied or wrapped."""
        if self.features and self.teachers:
            self.student, self.mine = student, Tap(student, training=True)
            self.theirs = self.teachers.taps()
            add_projections(student, [tap.channels for tap in self.theirs])

    def release(self, trained: nn.Module) -> None:
        """Of the student, or of the copy that is kept: takes away what `prepare` gave."""
        drop_projections(trained)

    def loss(self, model: nn.Module, batch: Batch) -> Losses:
        """`loss`, `ce`, `kl`, and `features` where they are matched; `ce` and `kl` by class."""
        student_BC = model(*batch.inputs)
        if self.teachers:
            teacher_BC = self.teachers.answer(batch.weak)
        else:
            assert batch.teacher is not None, "a stream for distillation carries logits"
            teacher_BC = batch.teacher
        ce_B = cross_entropy(student_BC, batch.label)
        silent_B = teacher_BC.isnan().any(1)
        kl_B = distillation_kl(student_BC, teacher_BC.nan_to_num(), self.temperature)
        loss_B = torch.where(silent_B, ce_B, (1 - self.alpha) * ce_B + self.alpha * kl_B)
        kl_B = kl_B.masked_fill(silent_B, 0)
        values = {"ce": ce_B, "kl": kl_B}
        if not self.features:
            return _sums(loss_B, values, batch, self.names)
        mine = projected(self.student, self.mine.pooled(), len(self.theirs))
        pairs = zip(mine, self.theirs, strict=True)
        far_B = torch.stack([feature_distance(s, tap.pooled()) for s, tap in pairs]).mean(0)
        sums = _sums(loss_B + self.features * far_B, values, batch, self.names)
        return sums | {"features": (far_B.detach() * batch.real).sum()}


@dataclass
class MeanTeacher:
    """(1 - a) CE(label, student) + a T^2 KL(own average || student), a growing to `alpha`.

    Mean Teacher (Tarvainen & Valpola 2017, arXiv 1703.01780): the teacher is the moving average of
    the student's weights; it sees the weak view, the student the strong one, and the weight of
    their agreement ramps up over the first `ramp_epochs`. As in Distil the cost is KL, which the
    paper compares with its own mean squared error (section 3.4).
    """

    temperature: float
    alpha: float
    preprocessor: Preprocessor  # the student's: the batch's weak view is of its size
    ramp_epochs: float
    steps_per_epoch: int
    names: tuple[str, ...] = NAMES

    def attach(self, average: nn.Module) -> None:
        """Once: the module that holds the averaged weights, changed in place after each step.

        Averages have no batch norm statistics of their own: before each step it gets rank 0's.
        """
        self.average = average

    def loss(self, model: nn.Module, batch: Batch) -> Losses:
        """`loss`, `ce` and `kl`; the last two by class."""
        (weak,) = batch.weak
        with torch.no_grad():
            assert not self.average.training, "a teacher in eval mode"
            teacher_BC = self.average(self.preprocessor.normalise(weak))
        student_BC = model(batch.image)
        ce_B = cross_entropy(student_BC, batch.label)
        kl_B = distillation_kl(student_BC, teacher_BC, self.temperature)
        alpha = self.alpha * self.ramp(batch)
        values = {"ce": ce_B, "kl": kl_B}
        return _sums((1 - alpha) * ce_B + alpha * kl_B, values, batch, self.names)

    def ramp(self, batch: Batch) -> float:
        """From .007 to 1, by how far the training is."""
        done = batch.epoch + batch.step / self.steps_per_epoch
        return ramp_up(done / self.ramp_epochs) if self.ramp_epochs else 1.0


def _sums(
    loss_B: torch.Tensor, values: dict[str, torch.Tensor], batch: Batch, names: tuple[str, ...]
) -> Losses:
    """Over the real samples: of the loss, with its graph, and of each value, by class as well."""
    out = {"loss": (loss_B * batch.real).sum()}
    if len(values) > 1:  # else it is the loss
        out |= {name: (v.detach() * batch.real).sum() for name, v in values.items()}
    return out | by_class(values, batch.label, batch.real, names)
