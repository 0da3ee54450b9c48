"""Who draws the next trial: TPE, a Gaussian process, NSGA-II for two objectives, or chance.

    study.sampler = sampler("tpe", seed=0, slot=7)

A sampler is made anew for each slot of a sweep and seeded by it, so that what is drawn depends on
the seed, the slot and the trials before, and not on how often the sweep was stopped. It remembers
nothing: what NSGA-II must know of a trial (its generation) is in the trial's ``system_attrs``,
which belong to the trial wherever it is copied.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

#: Trials drawn by chance before there is something to learn from. Optuna's 10 are a quarter of what
#: a sweep may have: with them it took up to twice as many to what 40 random ones find.
STARTUP = 5
#: Trials of one generation. Optuna's 50 would make a sweep of fewer a random one.
POPULATION = 10


def tpe(seed: int, concurrent: int, n_objectives: int) -> BaseSampler:
    """Tree-structured Parzen estimators (Bergstra et al. 2011), jointly over the parameters that
    trials have in common, also the conditional ones; of two objectives each by itself.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            seed=seed,
            n_startup_trials=STARTUP,
            multivariate=n_objectives == 1,
            group=n_objectives == 1,
            constant_liar=concurrent > 1,
        )


class OneThread(GPSampler):
    """Optuna's, on one thread. Its matrices are small: two threads took eight times as long on a
    busy machine, and sums in another order would be other draws.
    """

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of the parameters that all complete trials have."""
        import torch  # late: the other samplers do without

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return super().sample_relative(study, trial, search_space)
        finally:
            torch.set_num_threads(threads)


def gp(seed: int, concurrent: int, n_objectives: int) -> BaseSampler:
    """A Gaussian process and expected improvement. It learns from complete trials alone, and draws
    conditional parameters by chance: for few parameters, few trials and no pruner.
    """
    return OneThread(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)


class Generations(NSGAIISampler):
    """NSGA-II whose first generation has the trials that were given as well.

    Optuna counts those alone that it drew, and the recipe itself would never be a parent.
    """

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The complete trials of a generation."""
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        key = self._get_generation_key()
        return [t for t in trials if t.system_attrs.get(key, 0) == generation]


def nsga2(seed: int, concurrent: int, n_objectives: int) -> BaseSampler:
    """NSGA-II (Deb et al. 2002): generations of parents that no other one beats in everything."""
    return Generations(seed=seed, population_size=POPULATION)


def random(seed: int, concurrent: int, n_objectives: int) -> BaseSampler:
    """By chance: what the others are compared with."""
    return RandomSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int, int, int], BaseSampler]] = {
    "tpe": tpe,
    "gp": gp,
    "nsga2": nsga2,
    "random": random,
}


def sampler(
    name: str, seed: int, slot: int, concurrent: int = 1, n_objectives: int = 1
) -> BaseSampler:
    """The sampler called `name` for one slot.

    Args:
        name: one of SAMPLERS.
        seed: of the sweep.
        slot: the trial that is drawn, from 0.
        concurrent: trials at work at a time; above 1 TPE keeps away from those that run.
        n_objectives: of the study.

    Raises:
        ValueError: no such sampler.
    """
    if name not in SAMPLERS:
        near = difflib.get_close_matches(name, SAMPLERS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SAMPLERS)}"
        raise ValueError(f"--sampler {name}: no such sampler; {hint}")
    return SAMPLERS[name]((seed * 100_003 + slot) % 2**32, concurrent, n_objectives)
