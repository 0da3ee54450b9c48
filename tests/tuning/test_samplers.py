"""Draws that depend on the seed, the slot and the trials before: real sweeps, nothing trained."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
import torch
from optuna.samplers import GPSampler
from optuna.trial import TrialState, create_trial

from tuning.draw import draw
from tuning.samplers import POPULATION, SAMPLERS, STARTUP, Generations, sampler
from tuning.sweep import Sweep

optuna.logging.set_verbosity(optuna.logging.WARNING)


def score(params):
    return 1 - abs(np.log10(params["student.lr"]) + 3) - 0.1 * params["student.alpha"]


def sweeping(changes, name, n, copies=False):
    """A study of n trials, drawn one after the other; with `copies` reopened before each."""
    of = ("auroc_low", "gap") if name == "nsga2" else ("auroc_low",)
    sweep = Sweep.of("ospenscreen:smoke", changes, sampler=name, objectives=of)
    how = {"directions": sweep.directions, "study_name": "s"}
    study = optuna.create_study(**how)
    for slot in range(n):
        if copies:
            before, study = study, optuna.create_study(**how)
            for trial in before.trials:
                study.add_trial(trial)
        trial = draw(sweep, study, slot)
        value = score(trial.params)
        study.tell(trial.number, [value, trial.params["student.alpha"]][: len(of)])
    return study


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sweep_that_is_reopened_draws_what_an_unbroken_one_draws(changes, name):
    n = STARTUP + 3
    calm = sweeping(changes, name, n)
    torn = sweeping(changes, name, n, copies=True)
    assert [t.params for t in calm.trials] == [t.params for t in torn.trials]
    lrs = [t.params["student.lr"] for t in calm.trials]
    assert len(set(lrs)) == n or name == "nsga2"  # whose children have much of their parents


def test_another_seed_or_slot_draws_others(changes):
    found = set()
    for seed in (0, 1):
        sweep = Sweep.of("ospenscreen:smoke", [*changes, f"seed={seed}"])
        for slot in (1, 2):
            study = optuna.create_study(direction="maximize")
            study.enqueue_trial({})
            study.tell(study.ask(), 0.5)
            found.add(draw(sweep, study, slot).params["student.lr"])
    assert len(found) == 4


def test_generations_of_nsga2_follow_one_another(changes):
    """The first has the recipe itself as well, which is given and not drawn."""
    n = 3 * POPULATION + 2
    study = sweeping(changes, "nsga2", n, copies=True)
    by, key = sampler("nsga2", 0, n), Generations._get_generation_key()
    assert isinstance(by, Generations)
    sizes = [len(by.get_population(study, g)) for g in range(4)]
    assert sizes == [POPULATION + 1, POPULATION, POPULATION, 1]
    assert study.trials[0] in by.get_population(study, 0)
    assert [t.system_attrs[key] for t in study.trials[1:]] == [
        i // POPULATION for i in range(n - 1)
    ]
    assert len(by.get_parent_population(study, 1)) == POPULATION
    first, last = ([score(t.params) for t in study.trials[i:][:10]] for i in (1, n - 11))
    assert np.median(last) > np.median(first)


def test_tpe_learns(changes):
    study = sweeping(changes, "tpe", STARTUP + 15)
    scores = [score(t.params) for t in study.trials]
    assert np.median(scores[-10:]) > np.median(scores[1:STARTUP])


def test_with_others_at_work_tpe_keeps_away_from_what_they_try():
    """Two of the three best values are being tried; the third is what is left."""
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}

    def drawn(concurrent, running):
        study = optuna.create_study(direction="maximize")
        for i in range(40):
            x = (i + 0.5) / 40
            study.add_trial(create_trial(params={"x": x}, distributions=space, value=-abs(x - 0.5)))
        for x in running:
            study.add_trial(
                create_trial(state=TrialState.RUNNING, params={"x": x}, distributions=space)
            )
        found = []
        for slot in range(30):
            study.sampler = sampler("tpe", 0, slot, concurrent)
            trial = study.ask(space)
            found.append(abs(trial.params["x"] - 0.5))
            study.tell(trial, state=TrialState.FAIL)  # which nothing is learnt from
        return float(np.mean(found))

    crowd = [0.5 + d for d in np.linspace(-0.02, 0.02, 12)]
    assert drawn(1, crowd) == drawn(1, [])
    assert drawn(2, crowd) > drawn(2, [])


def test_a_sampler_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="did you mean random"):
        sampler("randon", 0, 0)
    with pytest.raises(ValueError, match="there are tpe, gp, nsga2, random"):
        sampler("x", 0, 0)


def test_a_gaussian_process_draws_the_same_whatever_the_threads_of_the_machine(
    changes, monkeypatch
):
    before, found, within = torch.get_num_threads(), [], set()
    real = GPSampler.sample_relative

    def seen(*args):
        within.add(torch.get_num_threads())
        return real(*args)

    monkeypatch.setattr(GPSampler, "sample_relative", seen)
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found.append([t.params for t in sweeping(changes, "gp", STARTUP + 3).trials])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
    assert within == {1}
