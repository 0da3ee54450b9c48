"""A sweep that begins with what another one found: ``--warm SWEEP``.

The best trials of the other sweep are tried right after the recipe itself, as far as this space
knows their parameters and has their values in range: what does not fit is left out, drawn instead,
and said. They are looked up once and kept in ``warm.json``, so that a sweep that goes on is the
same whatever has become of the other one.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from data_sharding.schema import write_atomic
from training.tracking import say
from tuning.results.best import ranking
from tuning.spaces import own_values
from tuning.store import open_study
from tuning.sweep import Sweep

#: So many of the other sweep's best are tried.
TRIED = 3
Params = dict[str, float | str | int | bool]


def first(sweep: Sweep) -> list[Params]:
    """Parameters to try after the recipe's own, the best first; none without `Sweep.warm`.

    Raises:
        ValueError: `sweep.warm` is no sweep's folder, or has no complete trial.
    """
    if sweep.warm is None:
        return []
    kept = sweep.folder / "warm.json"
    if kept.exists():
        try:
            return list(json.loads(kept.read_text())["params"])
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ValueError(f"{kept}: torn or edited ({e}); remove it, or start over") from e
    found: list[Params] = []
    for trial in ranking(open_study(_other(sweep)))[:TRIED]:
        fits, left_out = fit(sweep, trial.params)
        name = f"{sweep.warm.name}, trial {trial.user_attrs.get('slot', trial.number)}"
        if left_out:
            say(f"warm start: {name}: left out: {'; '.join(left_out)}")
        if fits and fits not in found:
            found.append(fits)
    if not found:
        raise ValueError(
            f"--warm {sweep.warm}: none of its trials is complete and has a parameter of this "
            "space; leave it out, or name another sweep"
        )
    say(f"warm start: {len(found)} settings of {sweep.warm.name} are tried first")
    kept.parent.mkdir(parents=True, exist_ok=True)
    facts = {"from": sweep.warm.name, "params": found}
    write_atomic(kept, json.dumps(facts, indent=1) + "\n")
    return found


def fit(sweep: Sweep, params: Mapping[str, object]) -> tuple[Params, list[str]]:
    """Those of `params` that this sweep's space would draw, and of each other one why not.

    A space may draw one parameter only where another has a certain value, so it is asked again
    whenever something was left out.
    """
    left, why = dict(params), []
    while True:
        asked = _ask(sweep, left)
        wrong = {n: d for n, d in asked.distributions.items() if n in left and not has(d, left[n])}
        if not wrong:
            break
        for name, distribution in wrong.items():
            why.append(f"{name}={left.pop(name)} is outside {_range(distribution)}")
    for name in [n for n in left if n not in asked.params]:
        reason = "fixed here" if name in sweep.fixed else "not searched here"
        why.append(f"{name}={left.pop(name)} is {reason}")
    return {n: v for n, v in left.items() if isinstance(v, float | str | int)}, why


def _ask(sweep: Sweep, params: Mapping[str, object]) -> FrozenTrial:
    """What the space draws where these are given, and the recipe's own values otherwise."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({**own_values(sweep.base), **params})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Fixed parameter")
        sweep.suggest(study.ask())
    return study.get_trials(deepcopy=False)[-1]


def has(distribution: BaseDistribution, value: object) -> bool:
    """Is `value` one that the distribution may draw?"""
    if isinstance(distribution, CategoricalDistribution):
        return any(value == c and type(value) is type(c) for c in distribution.choices)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    whole = isinstance(distribution, optuna.distributions.IntDistribution)
    return low <= value <= high and (not whole or value == int(value))


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return " ".join(map(str, distribution.choices))
    return f"{distribution.low:g} to {distribution.high:g}"  # type: ignore[attr-defined]


def _other(sweep: Sweep) -> Sweep:
    """The sweep to start from; in this one's database unless it has a journal of its own."""
    assert sweep.warm is not None
    journal = (Path(sweep.warm) / "journal.log").exists()
    return Sweep.at(sweep.warm, None if journal else sweep.storage)
