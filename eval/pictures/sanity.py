"""Does an explanation depend on what the model has learnt? (Adebayo et al., NeurIPS 2018)

A map that stays when the weights are replaced by random ones shows the picture, not the model. The
weights are drawn again from the top of the network to its bottom, one block after the other, and
the maps of each stage are compared with the model's own; last, several networks whose weights are
all random give the *control*, which is also what shares of attention must be held against.

The rule: the maps pass if, with all weights random, the size of their rank correlation with the
model's own has a mean whose 95% interval (patients resampled) lies below `LIMIT`. The size is
taken because a map turned into its negative still shows the same picture.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from eval.pictures.attention import mean
from eval.pictures.explained import LIMIT, Sanity, Stage
from eval.pictures.similarity import rank_correlation, ssim

#: A network is taken apart one level deeper where one of its parts holds more of it than this.
TOO_MUCH = 0.8
#: The name under which a model that only translates its answers holds a network.
SHELL = "network"
Look = Callable[[nn.Module], NDArray[np.float32]]  # a model -> its maps [n, H, W] in [0, 1]


def blocks(model: nn.Module) -> list[str]:
    """Names of the parts with weights, from the top (head) to the bottom (stem).

    Parts that a model says have no say in its answer (`aside`) are left out.
    """
    total = sum(p.numel() for p in model.parameters())
    found = []
    for name, child in model.named_children():
        if name in getattr(model, "aside", ()):
            continue
        mine = sum(p.numel() for p in child.parameters())
        if mine > TOO_MUCH * total and isinstance(child, nn.Sequential | nn.ModuleList):
            found += [f"{name}.{n}" for n, c in child.named_children() if list(c.parameters())]
        elif mine and name == SHELL:
            found += [f"{name}.{n}" for n in blocks(child)[::-1]]
        elif mine:
            found.append(name)
    return found[::-1]


def randomised(model: nn.Module, seed: int, names: Sequence[str] | None = None) -> nn.Module:
    """A copy of `model` in which some parts have random weights; all and everything without names.

    A layer that knows how it begins begins anew; weights that belong to no such layer are shuffled
    among themselves, so that they keep their size and lose what they say.

    Args:
        model: left as it is; the copy is on the CPU.
        seed: of the draw; a part gets the same weights whatever else is drawn.
        names: as of `blocks`.
    """
    new = copy.deepcopy(model).cpu()  # the numbers drawn there are the same on every machine
    order = blocks(model)
    chosen = order if names is None else names
    # fork: nobody else's random numbers change
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        drawn: set[int] = set()
        for name in chosen:
            torch.manual_seed(1_000_003 * seed + order.index(name))
            drawn |= _redraw(new.get_submodule(name))
        if names is None:
            torch.manual_seed(1_000_003 * seed + len(order))
            for parameter in new.parameters():  # what belongs to no part
                if id(parameter) not in drawn:
                    _shuffle(parameter)
    return new


def _redraw(part: nn.Module) -> set[int]:
    """Random weights for a part; the ids of its parameters."""
    begun: set[int] = set()
    for module in part.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
            begun |= {id(p) for p in module.parameters(recurse=False)}
    every = list(part.parameters())
    for parameter in every:
        if id(parameter) not in begun:
            _shuffle(parameter)
    return {id(p) for p in every}


def _shuffle(parameter: nn.Parameter) -> None:
    order = torch.randperm(parameter.numel())
    parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))


def sanity(
    model: nn.Module, look: Look, own: NDArray, controls: Sequence[NDArray], patients: ArrayLike
) -> Sanity:
    """Randomise from the top, compare, judge.

    Args:
        model: in eval mode.
        look: a model -> its maps of some pictures, [n, H, W] in [0, 1].
        own: the model's own, ``look(model)``.
        controls: of wholly random networks, ``look(randomised(model, seed))``; a picture's
            comparisons are averaged over them.
        patients: [n], who each picture is of.

    Raises:
        ValueError: no pictures, no controls, or maps of other shapes.
    """
    if not len(own) or not len(controls):
        raise ValueError("give at least one picture and the maps of one random network")
    names = blocks(model)
    stages = [
        _stage(names[k], [look(randomised(model, 0, names[: k + 1]))], own, patients)
        for k in range(len(names) - 1)
    ]
    last = _stage("everything", controls, own, patients)
    value, high = last.size.value, last.size.high
    passed = None if high is None else high < LIMIT
    if value is not None and value >= LIMIT:
        passed = False  # whatever its interval, which may have no width, it reaches up to here
    return Sanity(
        stages=(*stages, last),
        pictures=len(own),
        networks=len(controls),
        passed=passed,
        undefined=last.size.undefined if passed is None else None,
    )


def _stage(block: str, maps: Sequence[NDArray], own: NDArray, patients: ArrayLike) -> Stage:
    # pairs: (networks, pictures)
    ranks = np.array([[rank_correlation(a, b) for a, b in zip(own, m, strict=True)] for m in maps])
    looks = np.array([[ssim(a, b) for a, b in zip(own, m, strict=True)] for m in maps])
    known = ~np.isnan(ranks)
    n = np.maximum(known.sum(axis=0), 1)
    gone = ~known.any(axis=0)
    why = "no picture has evidence both before and after"

    def averaged(values: NDArray) -> NDArray:
        """Over networks, where there are ranks."""
        return np.where(gone, np.nan, np.where(known, values, 0).sum(axis=0) / n)

    return Stage(
        block=block,
        rank=mean(averaged(ranks), patients, why),
        size=mean(averaged(np.abs(ranks)), patients, why),
        ssim=mean(looks.mean(axis=0), patients),
        incomparable=int(gone.sum()),
    )
