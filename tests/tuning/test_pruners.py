"""Who is stopped early, held against Optuna's own pruners where those can answer."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState, create_trial

from tuning.pruners import Halving, Hyperband, Median, pruner, rungs, why_none

optuna.logging.set_verbosity(optuna.logging.WARNING)
STEPS, TOTAL = (10, 30, 90), 260


def curves(n=60, every=(5,), seed=0):
    """Scores of n trials, by step: noisy, of which some are better than others."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        steps = range(every[i % len(every)], TOTAL, every[i % len(every)])
        best = rng.uniform(0.5, 1)
        yield {s: float(best * (1 - np.exp(-s / 40)) + rng.normal(0, 0.03)) for s in steps}


def stopped(by, all_curves, direction="maximize", ask_again=False):
    """At which step each trial is stopped, or None; one trial after the other."""
    study = optuna.create_study(direction=direction, pruner=by, study_name="s")
    found = []
    for curve in all_curves:
        trial, at = study.ask(), None
        for step, value in curve.items():
            trial.report(value, step)
            told = trial.should_prune()
            if ask_again:
                assert trial.should_prune() == told
            if told:
                at = step
                break
        done = list(curve.values())[-1]
        state = TrialState.PRUNED if at else TrialState.COMPLETE
        study.tell(trial, None if at else done, state=state)
        found.append(at)
    return found


@pytest.mark.parametrize("every", [(5,), (5, 7, 3)])
def test_halving_stops_whom_optunas_stops(every):
    ours = stopped(Halving(STEPS), curves(every=every), ask_again=True)
    theirs = stopped(
        SuccessiveHalvingPruner(min_resource=10, reduction_factor=3), curves(every=every)
    )
    assert ours == theirs
    assert {at for at in ours if at} >= {10, 30, 90} if every == (5,) else len(set(ours)) > 3
    assert 2 < ours.count(None) < 25


def test_median_stops_whom_optunas_stops():
    ours = stopped(Median(30), curves(), ask_again=True)
    assert ours == stopped(MedianPruner(n_startup_trials=4, n_warmup_steps=30), curves())
    assert min(at for at in ours if at) == 30
    assert 5 < ours.count(None) < 50


def test_of_other_batches_the_median_is_of_what_was_known_by_then():
    whole = {8: 0.5, 16: 0.7, 24: 0.9}
    by = Median(10, least=3)
    better, worse = {10: 0.51, 20: 0.71}, {10: 0.51, 20: 0.69}
    assert stopped(by, [whole, whole, whole, better])[-1] is None
    assert stopped(by, [whole, whole, whole, worse])[-1] == 20
    assert stopped(by, [whole, whole, worse])[-1] is None  # of two there is none yet


@pytest.mark.parametrize("by", [Halving(STEPS), Hyperband(STEPS), Median(30)])
def test_less_may_be_better(by):
    upside_down = [{s: -v for s, v in curve.items()} for curve in curves()]
    assert stopped(by, upside_down, "minimize") == stopped(by, curves())


@pytest.mark.parametrize("by", [Halving(STEPS), Hyperband(STEPS), Median(30)])
def test_the_answer_depends_on_reports_alone(by):
    """The study is copied as another process would read it, and asked again about each trial."""
    study = optuna.create_study(direction="maximize", study_name="s")
    trials = []
    for number, curve in enumerate(curves()):
        seen: dict[int, float] = {}
        for step, value in curve.items():
            seen[step] = value
            running = create_trial(state=TrialState.RUNNING, intermediate_values=dict(seen))
            running.number = number
            first = by.prune(study, running)
            again = optuna.create_study(direction="maximize", study_name="s")
            for trial in trials:
                again.add_trial(trial)
            assert by.prune(again, running) == first
            if first:
                break
        state = TrialState.PRUNED if first else TrialState.COMPLETE
        value = None if first else seen[max(seen)]
        trials.append(create_trial(state=state, value=value, intermediate_values=seen))
        study.add_trial(trials[-1])
        if number == 20:
            break
    assert TrialState.PRUNED in [t.state for t in trials]


def test_brackets_are_those_of_the_paper_and_each_is_a_halving_of_its_own():
    by = Hyperband(STEPS)
    assert by.sizes == (27, 12, 6, 4)  # ceil(n 3^s / (s + 1)) of n = 4 brackets
    of = [by.bracket(i) for i in range(98)]
    assert [of[:49].count(b) for b in range(4)] == list(by.sizes)
    assert of[:49] == of[49:]
    for n in range(1, 50):  # dealt evenly: nowhere off by more than a trial from the share
        assert all(abs(of[:n].count(b) - n * by.sizes[b] / 49) < 1 for b in range(4))
    assert set(of[:12]) == {0, 1, 2, 3}
    every = list(curves(60))
    ours = stopped(by, every)
    for bracket in range(3):
        mine = [i for i in range(60) if by.bracket(i) == bracket]
        peer = SuccessiveHalvingPruner(10, reduction_factor=3, min_early_stopping_rate=bracket)
        assert [ours[i] for i in mine] == stopped(peer, [every[i] for i in mine])
    assert {ours[i] for i in range(60) if by.bracket(i) == 3} == {None}


def test_what_is_no_number_stops_its_trial_and_no_other():
    nan = {5: 0.6, 10: math.nan}
    good = {5: 0.6, 10: 0.7, 15: 0.8}
    assert stopped(Halving((10,)), [good, nan, good, nan, good]) == [None, 10, None, 10, None]
    assert stopped(Median(10, least=1), [good, {5: math.nan, 10: math.nan}]) == [None, 10]


def test_rungs_are_thirds_of_thirds_of_the_way():
    assert rungs(first=10, total=270) == (10, 30, 90)
    assert rungs(first=11, total=270) == (30, 90)
    assert rungs(first=10, total=1270, start=1000) == (1010, 1030, 1090)
    assert rungs(first=1, total=2) == ()
    assert rungs(first=91, total=270) == ()
    assert rungs(first=2, total=64, factor=4) == (4, 16)
    for wrong in ((10, 5, 5), (0, 5, 0)):
        with pytest.raises(ValueError, match="no rungs"):
            rungs(*wrong)


def test_by_name_and_why_none():
    made = {name: pruner(name, STEPS) for name in ("asha", "hyperband", "median", "none")}
    assert [type(p) for p in made.values()] == [Halving, Hyperband, Median, NopPruner]
    assert why_none(STEPS, ("auroc_low",)) is None
    for steps, objectives, why in (
        (STEPS, ("auroc_low", "gap"), "two objectives"),
        (STEPS, ("cost",), "epochs report no cost"),
        ((), ("auroc",), "too short"),
    ):
        assert why in str(why_none(steps, objectives))
        assert isinstance(pruner("asha", steps, objectives), NopPruner)
    with pytest.raises(ValueError, match="did you mean hyperband"):
        pruner("hyperbrand", STEPS)
