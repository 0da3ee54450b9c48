"""What a trial tries: drawn once, written at once.

A sampler in memory sees a copy of the study and draws there; what it drew enters the true study as
one record, so that a kill leaves no half of a trial. The sampler is made anew for each trial from
the sweep's seed and the trial's slot: one that was seeded once would draw the same again after a
restart.
"""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.samplers import sampler
from tuning.spaces import own_values
from tuning.sweep import Sweep


def draw(sweep: Sweep, study: Study, slot: int) -> FrozenTrial:
    """Add the trial of `slot` to the study, running; the trial as it is there.

    The caller holds the slot's claim. The first trial is the recipe as it is, the next are the best
    of the sweep to start from (if one is named), and the others are drawn.
    """
    drawing = in_memory(sweep, study)
    drawing.sampler = sampler(
        sweep.sampler, sweep.base.seed, slot, sweep.concurrent, len(sweep.objectives)
    )
    if slot < len(given := firsts(sweep)):
        drawing.enqueue_trial(given[slot])
    with warnings.catch_warnings():
        # A value outside its range is used all the same: the space may be another's.
        warnings.filterwarnings("ignore", message="Fixed parameter")
        overrides = sweep.suggest(drawing.ask())
    drawn = drawing.get_trials(deepcopy=False)[-1]
    study.add_trial(
        create_trial(
            state=TrialState.RUNNING,
            params=drawn.params,
            distributions=drawn.distributions,
            system_attrs=drawn.system_attrs,
            user_attrs={"slot": slot, "overrides": overrides},
        )
    )
    return next(t for t in study.get_trials(deepcopy=False) if t.user_attrs.get("slot") == slot)


def searched(sweep: Sweep) -> list[str]:
    """Names of the settings that the recipe's own trial draws."""
    drawing = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawing.enqueue_trial(own_values(sweep.base))
    trial = drawing.ask()
    sweep.suggest(trial)
    return list(trial.params)


def firsts(sweep: Sweep) -> list[dict[str, Any]]:
    """Parameters of the trials that are tried before any is drawn."""
    own = own_values(sweep.base)
    if sweep.warm is None:
        return [own]
    from tuning.warm import first

    return [own, *first(sweep)]


def in_memory(sweep: Sweep, study: Study) -> Study:
    """A copy of the study, with the same numbers, that can be tried things on."""
    copy = optuna.create_study(
        study_name=study.study_name,
        directions=sweep.directions,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    for trial in study.get_trials(deepcopy=False):
        copy.add_trial(trial)
    return copy
