"""CRAFT of a model: concepts of what it calls each class, how much each matters, and where it is.

    found = explain(model, subjects, ("normal", "osteopenia", "osteoporosis"))
    found.craft            # numbers, as JSON
    section(found)         # for the page (eval.craft.page)

Concept Recursive Activation FacTorization (Fel et al., CVPR 2023), as Liang et al. used it on faces
(Figs. 13-15, Table 8). Equal input gives equal bytes on one CPU: seeds are fixed, and what is
factorised, solved or resampled is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eval.craft.cut import cut
from eval.craft.divergence import divergences, inside
from eval.craft.drawings import Drawings
from eval.craft.one_class import Look, look_at
from eval.craft.shapes import Craft, OfClass, Settings
from eval.craft.subjects import SIDE, Subjects, resized

#: Fewer pictures than this have no concepts in common.
PICTURES = 4


@dataclass(frozen=True)
class Found:
    """Numbers, and by class what to draw."""

    craft: Craft
    drawings: dict[str, Drawings]


def explain(
    model: nn.Module, subjects: Subjects, names: Sequence[str], settings: Settings | None = None
) -> Found:
    """Concepts of each class, and how differently the model looks at them.

    A class of too few pictures, or of none that activates anything, is there without concepts.

    Args:
        model: in eval mode, with maps to cut at (see `cut`), on the images' device.
        subjects: pictures, and what the model answered.
        names: of the classes 0, 1, ...
        settings: how.

    Raises:
        ValueError: the model cannot be cut, or is told of faces otherwise than it wants.
    """
    settings = settings or Settings()
    look = Look(cut(model), cut(model, settings.back), settings)
    with torch.no_grad():  # refuses what is not what this network takes, before any class
        look.last.below(subjects.images[:1], None if subjects.face is None else subjects.face[:1])
    classes: list[OfClass] = []
    drawings: dict[str, Drawings] = {}
    maps: list[NDArray[np.float64]] = []
    labels: list[int] = []
    people: list[str] = []
    for target, name in enumerate(names):
        which = subjects.drawn(target, settings.pictures, settings.seed)
        called = int((subjects.predicted == target).sum())
        if len(which) < PICTURES:
            why = f"{called} pictures were called so, and {PICTURES} are the least"
            classes.append(OfClass(name=name, called=called, undefined=why))
            continue
        some = subjects.some(which)
        try:
            made, drawn, seen = look_at(look, some, target, name, called)
        except ValueError as e:
            classes.append(OfClass(name=name, called=called, undefined=str(e)))
            continue
        classes.append(made)
        drawings[name] = drawn
        maps.append(seen)
        labels += [target] * len(which)
        people += some.patients
    apart = ()
    if maps:
        held = inside(np.concatenate(maps), _common(subjects))
        apart = divergences(held, labels, people, names, settings.draws, settings.seed)
    craft = Craft(
        layer=look.last.layer,
        earlier=look.earlier.layer,
        settings=settings,
        classes=tuple(classes),
        divergences=apart,
        side=SIDE,
    )
    return Found(craft, drawings)


def _common(subjects: Subjects) -> NDArray[np.bool_]:
    """Places that lie inside at least half of the faces, bool [SIDE, SIDE]."""
    if subjects.regions is None:
        return np.ones((SIDE, SIDE), bool)
    return (resized(subjects.regions, (SIDE, SIDE)) > 0).mean(axis=0) >= 0.5
