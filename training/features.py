"""The last feature map of a network, pooled, taken as it runs past; how far two of them are apart.

A student may match its teacher there besides the logits. FitNets (Romero et al. 2015, arXiv
1412.6550) match maps place by place; here the student's picture is warped and the teacher's is not,
so that places do not correspond, and the maps are pooled first. What is compared is their
direction: a norm is the network's own business. Where a teacher's width differs the student's
features go through a learnt 1x1 projection (of a pooled map: a matrix), which lives in the student
while it learns, so that the optimizer, DDP, the moving average and the checkpoints treat it as any
weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from training.models import cam_layer

PROJECTIONS = "to_teachers"


def width(model: nn.Module) -> int:
    """Channels of the last feature map."""
    return int(model.feature_info[-1]["num_chs"])  # type: ignore[index]


class Tap:
    """Sees each forward pass of `model` in the given mode, whatever wraps the model."""

    def __init__(self, model: nn.Module, training: bool) -> None:
        """`training`: the mode to look at. Copies of the model in the other one are left alone."""
        self.channels = width(model)
        self._seen: list[torch.Tensor] = []
        seen = self._seen

        def keep(module: nn.Module, _: Any, out: torch.Tensor) -> None:
            if module.training == training:
                seen[:] = [out]

        self.handle = cam_layer(model).register_forward_hook(keep)

    def pooled(self) -> torch.Tensor:
        """float32 [B, C] of the latest pass, once.

        Raises:
            ValueError: the network has no map [B, C, h, w] there, or shows none: it is compiled.
        """
        if not self._seen:
            raise ValueError(
                "the last feature map was not seen as the network ran: torch.compile may pass a "
                "look at it by; with student.features set compute.compile=false"
            )
        map_BChw = self._seen.pop()
        if map_BChw.ndim != 4 or map_BChw.shape[1] != self.channels:
            raise ValueError(
                f"a last feature map of {list(map_BChw.shape)}, not [B, {self.channels}, h, w]: "
                "for such a network set student.features=0"
            )
        return map_BChw.float().mean((2, 3))


def add_projections(student: nn.Module, channels: list[int]) -> None:
    """Give `student` what turns its features into ones of each teacher's, if one needs that."""
    mine = width(student)
    if any(c != mine for c in channels):
        each = [nn.Identity() if c == mine else nn.Linear(mine, c, bias=False) for c in channels]
        student.add_module(PROJECTIONS, nn.ModuleList(each))


def projected(student: nn.Module, pooled_BC: torch.Tensor, teachers: int) -> list[torch.Tensor]:
    """The student's features as each of its teachers would have them."""
    if not hasattr(student, PROJECTIONS):
        return [pooled_BC] * teachers
    return [project(pooled_BC) for project in getattr(student, PROJECTIONS)]


def drop_projections(student: nn.Module) -> None:
    """Take them away again: weights that are used have none."""
    if hasattr(student, PROJECTIONS):
        delattr(student, PROJECTIONS)


def feature_distance(student_BC: torch.Tensor, teacher_BC: torch.Tensor) -> torch.Tensor:
    """1 - cosine of each sample's pooled features, [B], in [0, 2]."""
    return 1 - F.cosine_similarity(student_BC.float(), teacher_BC.float(), dim=1)
