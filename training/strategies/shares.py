"""Optimizer state in flat shares, a piece of each parameter here and there, and whole by name.

ZeRO lays parameters end to end and gives each rank a run of the numbers, so that a share begins and
ends in the midst of a parameter. Here such shares of AdamW's state are put together and cut again
in a world of any size; `Piece` says where everything lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.distributed as dist

from training.world import World

#: State of torch's AdamW that has the parameter's shape.
MOMENTS = ("exp_avg", "exp_avg_sq")
Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True)
class Piece:
    """A run of a parameter's numbers that this rank's optimizer steps.

    ``parameter.flatten()[start : start + numel]`` is ``flat[at : at + numel]``.
    """

    name: str
    flat: torch.Tensor
    at: int
    start: int
    numel: int


def together(
    optimizer: torch.optim.Optimizer, pieces: Iterable[Piece], shapes: Shapes, world: World
) -> dict[str, torch.Tensor]:
    """``<parameter>/exp_avg``, ``/exp_avg_sq``, ``/step``, whole, on every rank.

    The ranks' pieces make up each parameter of `shapes`, without overlap. Empty before the first
    step. All ranks must call it.
    """
    if not optimizer.state:
        return {}
    (step,) = {float(state["step"]) for state in optimizer.state.values()}  # one for all shares
    whole = {f"{name}/step": torch.tensor(step) for name in shapes}
    sizes = [shape.numel() for shape in shapes.values()]
    begin = dict(zip(shapes, accumulate(sizes, initial=0), strict=False))
    for moment in MOMENTS:
        row = torch.zeros(sum(sizes), device=world.device)
        for p in pieces:
            mine = optimizer.state[p.flat][moment].view(-1)[p.at : p.at + p.numel]
            row[begin[p.name] + p.start :][: p.numel] = mine
        if world.size > 1:
            # One rank has a number where the others have 0: as integers that sum is exact, the
            # sign of a zero included.
            dist.all_reduce(row.view(torch.int32))
        for (name, shape), value in zip(shapes.items(), row.split(sizes), strict=True):
            whole[f"{name}/{moment}"] = value.view(shape)
    return whole


def apart(
    whole: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    pieces: Iterable[Piece],
    flats: Iterable[torch.Tensor],
    shapes: Shapes,
) -> None:
    """The other way: give `optimizer` its state of `flats`, the tensors that the pieces lie in.

    Raises:
        ValueError: `whole` is the state of other parameters, or theirs has no common step.
    """
    optimizer.state.clear()
    if not whole:  # of step 0
        return
    wanted = {f"{name}/{field}" for name in shapes for field in (*MOMENTS, "step")}
    if wrong := sorted(wanted ^ set(whole)):
        raise ValueError(f"the optimizer's state is of another model: {wrong[0]}")
    for name, shape in shapes.items():
        if any(whole[f"{name}/{moment}"].shape != shape for moment in MOMENTS):
            raise ValueError(f"the optimizer's state is of another model: the shape of {name}")
    steps = {float(whole[f"{name}/step"]) for name in shapes}
    if len(steps) > 1:
        raise ValueError(
            f"parameters were stepped {sorted(steps)} times, and ZeRO has one count for all; "
            "go on with compute.strategy=ddp"
        )
    (step,) = steps
    for flat in flats:
        zeros = {moment: torch.zeros_like(flat.detach()) for moment in MOMENTS}
        optimizer.state[flat] = {"step": torch.tensor(step, device=flat.device), **zeros}
    for p in pieces:
        for moment in MOMENTS:
            theirs = whole[f"{p.name}/{moment}"].reshape(-1)[p.start : p.start + p.numel]
            optimizer.state[p.flat][moment].view(-1)[p.at : p.at + p.numel] = theirs.to(p.flat)
