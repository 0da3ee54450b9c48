"""What can be varied of a recipe, in handfuls that belong together; `spaces` puts them together.

    d = Dimensions(trial, config, fixed)
    optimisation(d, "student")
    d.values    # {"student.lr": 3e-4, ...}

A parameter of a trial bears the name of the setting it changes, so a trial reads as a command line.
The recipe's own value always lies in its range. What the user gave on the command line is fixed,
and what would have no effect is not drawn (a temperature without distillation): it would only make
the sampler believe in noise.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from typing import Any

from optuna.trial import BaseTrial

from training.config import Config

Value = float | int | str | bool
Values = dict[str, Value]
#: Networks to choose from, beside the recipe's own: with ImageNet's weights from timm, and timm's
#: smallest ones, where a recipe for a CPU starts from scratch.
BACKBONES = ("convnext_small.fb_in1k", "convnext_tiny.fb_in1k", "resnet50.a1_in1k")
SMALLEST = ("test_byobnet", "test_convnext", "test_resnet", "test_efficientnet")
#: Image sizes, as parts of the recipe's own: larger ones than were packed show nothing more.
SIZES, MULTIPLE = (0.5, 0.75, 1.0), 32


class Dimensions:
    """What one trial draws; `values` are what it has drawn, by setting."""

    def __init__(self, trial: BaseTrial, config: Config, fixed: Collection[str]) -> None:
        self.trial, self.config, self.fixed = trial, config, fixed
        self.values: Values = {}

    def now(self, name: str) -> Any:
        """The setting as this trial has it: drawn, or the recipe's."""
        return self.values[name] if name in self.values else setting(self.config, name)

    def number(
        self, name: str, low: float, high: float, log: bool = False, step: float | None = None
    ) -> None:
        """Draw from a range, widened to the recipe's own; by `step` where that is on its grid."""
        if name in self.fixed:
            return
        own = float(setting(self.config, name))
        low, high = min(low, own), max(high, own)
        if step and any(
            abs(x - round(x)) > 1e-9 for x in ((own - low) / step, (high - low) / step)
        ):
            step = None
        log = log and low > 0
        self.values[name] = self.trial.suggest_float(name, low, high, log=log, step=step)

    def choice(self, name: str, options: Sequence[Value]) -> None:
        """Draw one of these or the recipe's own; nothing where there is no other."""
        own = setting(self.config, name)
        every = list(dict.fromkeys((own, *options)))
        if name not in self.fixed and len(every) > 1:
            drawn = self.trial.suggest_categorical(name, every)
            assert drawn is not None
            self.values[name] = drawn


def setting(config: Config, name: str) -> Any:
    """The value of ``section.key`` in `config`."""
    return reduce(getattr, name.split("."), config)


def optimisation(d: Dimensions, stage: str) -> None:
    """A tenth to ten times the recipe's learning rate and weight decay 1e-3 to .3 (log-uniform);
    layer decay .5 to 1, where a network of layers starts from learnt weights.
    """
    lr = setting(d.config, f"{stage}.lr")
    d.number(f"{stage}.lr", lr / 10, lr * 10, log=True)
    d.number(f"{stage}.weight_decay", 1e-3, 0.3, log=True)
    model = d.config.model
    if model.pretrained != "none" and not model.grid and not model.face:
        d.number(f"{stage}.layer_decay", 0.5, 1)


def augmentation(d: Dimensions, stage: str) -> None:
    """Strength 0 to 2; of a flip, or of nothing, there is none."""
    if setting(d.config, f"{stage}.augment") not in ("none", "weak"):
        d.number(f"{stage}.strength", 0, 2)


def distillation(d: Dimensions, section: str) -> None:
    """How much a teacher is listened to: alpha 0 to .9 in tenths; temperature 1 to 10 (log), unless
    alpha is 0.
    """
    least = 0.0 if section == "student" else 0.1  # a teacher of another modality was asked for
    d.number(f"{section}.alpha", least, 0.9, step=0.1)
    if d.now(f"{section}.alpha") > 0:
        d.number(f"{section}.temperature", 1, 10, log=True)


def proxies(d: Dimensions) -> None:
    """The share of a batch that is proxy-labelled, 0 to a half in eighths; thresholds .6 to .999
    (normal) and .55 to .99 (low bone mass), unless the share is 0 or precision chooses them.
    """
    pseudo = d.config.pseudo
    if not pseudo.enabled or not d.config.paths.public:
        return
    d.number("student.proxy_share", 0, 0.5, step=0.125)
    if d.now("student.proxy_share") > 0:
        if pseudo.target_precision_normal is None:
            d.number("pseudo.p_normal", 0.6, 0.999)
        if pseudo.target_precision_lbm is None:
            d.number("pseudo.p_lbm", 0.55, 0.99)


def network(d: Dimensions) -> None:
    """The backbone, its drop path (0 to .4, where the recipe has any), and the size of pictures.

    Weights of a file are of one network, so that is not varied; neither are networks of our own. Of
    the grid the size of tiles varies, which is what each of its blocks is resized to.
    """
    model = d.config.model
    if not model.grid and not model.face and model.pretrained in ("none", "tag"):
        d.choice("model.name", SMALLEST if model.name.startswith("test_") else BACKBONES)
        if model.drop_path:
            d.number("model.drop_path", 0, 0.4)
    size = "model.grid.tile" if model.grid else "input.size"
    own = setting(d.config, size)
    d.choice(size, [max(MULTIPLE, MULTIPLE * round(own * part / MULTIPLE)) for part in SIZES[:-1]])


def batch(d: Dimensions, stage: str) -> None:
    """Half to twice the recipe's."""
    own = setting(d.config, f"{stage}.batch")
    d.choice(f"{stage}.batch", [max(2, own // 2), own * 2])
