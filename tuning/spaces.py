"""What a sweep varies: a space is a function from an Optuna trial to a recipe's overrides.

    python -m tuning ospenscreen --space student --trials 40

A space of a recipe's name is its own. Others are for several:

student     The student alone: distillation, proxy labels, its optimisation and augmentation. The
            teacher's settings stay as they are, so that all trials share one teacher.
network     Backbone, image size and learning rates: what decides the cost of a prediction, for two
            objectives (``--objective auroc_low,cost``).
everything  The recipe's own space and `network`.

The recipe as it is always lies in the space, since it is the first thing tried. The ranges are in
`dimensions`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping

from optuna.trial import BaseTrial

from training.config import Config
from training.overrides import leaves
from tuning.dimensions import (
    Dimensions,
    Value,
    Values,
    augmentation,
    batch,
    distillation,
    network,
    optimisation,
    proxies,
)

Space = Callable[[BaseTrial, Config, Collection[str]], Values]


def ospenscreen(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """Optimisation of both stages, the distillation, the student's augmentation, and which proxy
    labels are let in, and how many of them.
    """
    d = Dimensions(trial, config, fixed)
    _of(config, "student")
    optimisation(d, "teacher")
    return _student(d)


def student(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """The same, but the teacher's settings."""
    _of(config, "student")
    return _student(Dimensions(trial, config, fixed))


def _student(d: Dimensions) -> Values:
    optimisation(d, "student")
    distillation(d, "student")
    proxies(d)
    augmentation(d, "student")
    return d.values


def osteoporosis(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """Optimisation and augmentation of one image model; alpha and temperature where a run of
    another modality teaches along.
    """
    return _image(Dimensions(trial, config, fixed)).values


def _image(d: Dimensions) -> Dimensions:
    _of(d.config, "image")
    optimisation(d, "image")
    augmentation(d, "image")
    if d.config.crossmodal.run:
        distillation(d, "crossmodal")
    return d


def li2026(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """The same, and of the grid how much its local heads count (0 to 1) and dropout (0 to .3)."""
    d = _image(Dimensions(trial, config, fixed))
    if config.model.grid:
        d.number("model.grid.local_weight", 0, 1)
        d.number("model.grid.dropout", 0, 0.3)
    return d.values


def three_classes(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """The same as of one image model, and whether its classes are in order (two cuts on one scale)
    or not (softmax).
    """
    d = _image(Dimensions(trial, config, fixed))
    if config.target == "three classes":
        d.choice("model.ordinal", (False, True))
    return d.values


def face2bone(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """The same as of one image model, and the batch: one cycle of rates goes with large ones."""
    d = _image(Dimensions(trial, config, fixed))
    batch(d, "image")
    return d.values


def fracture(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """Optimisation and augmentation of a survival model, and its batch, in which patients are
    compared with one another.
    """
    d = Dimensions(trial, config, fixed)
    _of(config, "fracture")
    optimisation(d, "fracture")
    augmentation(d, "fracture")
    batch(d, "fracture")
    return d.values


def architecture(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """Backbone, drop path, image size, and the rates of all that is learnt."""
    d = Dimensions(trial, config, fixed)
    network(d)
    for stage in config.models:
        optimisation(d, stage)
    return d.values


def everything(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """The recipe's own space, backbone, drop path and image size."""
    values = space_of(config.recipe)(trial, config, fixed)
    d = Dimensions(trial, config, fixed)
    network(d)
    return values | d.values


SPACES: dict[str, Space] = {
    "ospenscreen": ospenscreen,
    "li2026": li2026,
    "osteoporosis": osteoporosis,
    "three_classes": three_classes,
    "face2bone": face2bone,
    "fracture": fracture,
    "student": student,
    "network": architecture,
    "everything": everything,
}


def space_of(name: str) -> Space:
    """The space called so, or a recipe's own, the same for all its sizes.

    Raises:
        ValueError: there is none.
    """
    stem = name.partition(":")[0]
    if stem not in SPACES:
        near = difflib.get_close_matches(stem, SPACES, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"{name}: no search space of that name.{hint} There are {', '.join(SPACES)}; write "
            "another in tuning/spaces.py"
        )
    return SPACES[stem]


def _of(config: Config, stage: str) -> None:
    """ValueError where nothing called `stage` is learnt."""
    if stage not in config.models:
        raise ValueError(
            f"{config.recipe} learns no {stage}: leave out --space, and its own is searched"
        )


def own_values(config: Config) -> Values:
    """Every setting that a space might draw as the recipe has it, by name."""
    sections = {*config.models, "pseudo", "crossmodal", "model", "input"}
    tree = config.model_dump(mode="json", include=sections)
    return {name: v for name, v in leaves(tree) if isinstance(v, Value)}


def as_overrides(values: Mapping[str, Value]) -> list[str]:
    """Texts for `training.overrides.override`, numbers of four digits: what runs is what can be
    typed again. Four digits are ten times finer than any difference a sweep can see.
    """
    return [f"{name}={_text(value)}" for name, value in values.items()]


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
