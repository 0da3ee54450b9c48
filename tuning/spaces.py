"""What a sweep varies: a space is a function from an Optuna trial to a recipe's overrides.

The parameters of a trial bear the names of the settings they change, so a trial reads as a command
line. The recipe's own value always lies in its range, since it is the first thing tried. A setting
that the user gave on the command line is fixed: the space leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import reduce

from optuna.trial import BaseTrial

from training.config import Config

Values = dict[str, float]
Space = Callable[[BaseTrial, Config, Collection[str]], Values]


def ospenscreen(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """Optimisation of both stages, the distillation, and which proxy labels are let in.

    - learning rates: a tenth to ten times the recipe's, weight decay 1e-3 to .3 (both log-uniform);
    - temperature 1 to 10 (log), alpha .1 to .9: how much the student listens to the teacher;
    - thresholds for proxy labels .6 to .999 (normal) and .55 to .99 (low bone mass), and their
      share of the batch 0 to .5; left out where the recipe or the user has no proxies.

    Settings that have no effect (a temperature without distillation) are not drawn: they would
    only make the sampler believe in noise.
    """
    values: Values = {}

    def draw(name: str, low: float, high: float, log: bool = False) -> None:
        if name not in fixed:
            own = setting(config, name)
            low, high = min(low, own), max(high, own)
            values[name] = trial.suggest_float(name, low, high, log=log and low > 0)

    for stage in ("teacher", "student"):
        lr = setting(config, f"{stage}.lr")
        draw(f"{stage}.lr", lr / 10, lr * 10, log=True)
        draw(f"{stage}.weight_decay", 1e-3, 0.3, log=True)
    draw("student.alpha", 0.1, 0.9)
    if values.get("student.alpha", config.student.alpha) > 0:
        draw("student.temperature", 1, 10, log=True)
    if config.pseudo.enabled and config.paths.public:
        draw("student.proxy_share", 0, 0.5)
        if values.get("student.proxy_share", config.student.proxy_share) > 0:
            draw("pseudo.p_normal", 0.6, 0.999)
            draw("pseudo.p_lbm", 0.55, 0.99)
    return values


def one_model(trial: BaseTrial, config: Config, fixed: Collection[str]) -> Values:
    """Optimisation of the one stage: a tenth to ten times the recipe's learning rate, weight decay
    1e-3 to .3 (both log-uniform; from the recipe's own where that is lower).
    """
    values: Values = {}
    stage = config.models[-1]
    lr = setting(config, f"{stage}.lr")
    ranges = {f"{stage}.lr": (lr / 10, lr * 10), f"{stage}.weight_decay": (1e-3, 0.3)}
    for name, (low, high) in ranges.items():
        if name not in fixed:
            own = setting(config, name)
            low, high = min(low, own), max(high, own)
            values[name] = trial.suggest_float(name, low, high, log=low > 0)
    return values


SPACES: dict[str, Space] = {
    "ospenscreen": ospenscreen,
    **dict.fromkeys(
        ("li2026", "osteoporosis", "three_classes", "face2bone", "fracture"), one_model
    ),
}


def space_of(recipe: str) -> Space:
    """The space of a recipe, the same for all its sizes; ValueError if there is none yet."""
    name = recipe.partition(":")[0]
    if name not in SPACES:
        raise ValueError(
            f"{recipe}: no search space for it. Spaces are for: {', '.join(SPACES)}; "
            "write another in tuning/spaces.py"
        )
    return SPACES[name]


def setting(config: Config, name: str) -> float:
    """The value of ``section.key`` in `config`."""
    return float(reduce(getattr, name.split("."), config))


def own_values(config: Config) -> Values:
    """Every number among the recipe's settings that a space might draw, by name."""
    tree = config.model_dump(mode="json", include={*config.models, "pseudo"})
    return {
        f"{section}.{key}": float(value)
        for section, settings in tree.items()
        for key, value in settings.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def as_overrides(values: Mapping[str, float]) -> list[str]:
    """Texts for `training.config.override`, of four digits: what runs is what can be typed again.

    Four digits are ten times finer than any difference a sweep can see.
    """
    return [f"{name}={value:.4g}" for name, value in values.items()]
