"""What is drawn: by seed, slot and the trials before; in one piece; the recipe's own first."""

from __future__ import annotations

import json

import pytest
from optuna.trial import TrialState

from tests.tuning.trials import add
from training.overrides import override
from tuning.draw import draw, firsts, in_memory, searched
from tuning.samplers import SAMPLERS
from tuning.store import open_study
from tuning.sweep import Sweep


@pytest.fixture
def make(changes):
    return lambda **how: Sweep.of("ospenscreen:smoke", changes, **how)


def drawn(sweep, trials, again=False):
    """Parameters of the first trials, each told a score before the next; from a new start if
    `again`, where the study is opened anew for each."""
    study = open_study(sweep)
    found = []
    for slot in range(trials):
        study = open_study(sweep) if again else study
        trial = draw(sweep, study, slot)
        values = [1 - abs(trial.params["student.lr"] - 0.01)] * len(sweep.objectives)
        study.tell(trial.number, values)
        found.append(trial.params)
    return found


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_in_one_go_and_from_a_new_start_for_each(make, name, tmp_path):
    how = {"sampler": name, "objectives": ["auroc", "cost"] if name == "nsga2" else ["auroc"]}
    sweep = make(**how)
    whole = drawn(sweep, 13)
    # the same sweep elsewhere: the order in which processes came and went means nothing
    runs = tmp_path / "elsewhere"
    changes = [c for c in sweep.changes if not c.startswith("paths.runs=")]
    elsewhere = Sweep.of("ospenscreen:smoke", [*changes, f"paths.runs={runs}"], **how)
    assert elsewhere.folder.name == sweep.folder.name
    assert drawn(elsewhere, 13, again=True) == whole
    assert len({json.dumps(p) for p in whole}) == 13


def test_the_first_is_the_recipe_itself(make):
    sweep = make()
    trial = draw(sweep, open_study(sweep), 0)
    assert override(sweep.base, trial.user_attrs["overrides"]) == sweep.base
    assert set(searched(sweep)) == set(trial.params)
    assert len(firsts(sweep)) == 1


def test_a_trial_enters_the_study_in_one_piece(make):
    sweep = make()
    study = open_study(sweep)
    journal = sweep.folder / "journal.log"
    before = journal.read_bytes()
    draw(sweep, study, 0)
    (line,) = journal.read_bytes()[len(before) :].splitlines()
    record = json.loads(line)
    assert record["user_attrs"]["slot"] == 0
    assert record["params"]


def test_a_copy_to_draw_in_has_the_same_numbers_and_changes_nothing(make):
    sweep = make()
    study = open_study(sweep)
    for state in (TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING):
        add(sweep, study, [0.5] if state == TrialState.COMPLETE else None, state, reports={3: 0.4})
    copy = in_memory(sweep, study)
    for ours, theirs in zip(study.trials, copy.trials, strict=True):
        assert (ours.number, ours.state, ours.params) == (
            theirs.number,
            theirs.state,
            theirs.params,
        )
        assert ours.intermediate_values == theirs.intermediate_values
    copy.ask()
    assert len(study.trials) == 4


def test_slots_may_be_drawn_out_of_order(make):
    sweep = make()
    study = open_study(sweep)
    late, early = draw(sweep, study, 2), draw(sweep, study, 0)
    assert (late.number, late.user_attrs["slot"]) == (0, 2)
    assert (early.number, early.user_attrs["slot"]) == (1, 0)
    assert override(sweep.base, early.user_attrs["overrides"]) == sweep.base


def test_what_the_user_fixed_is_not_drawn(changes):
    sweep = Sweep.of("ospenscreen:smoke", [*changes, "student.lr=0.002"])
    trial = draw(sweep, open_study(sweep), 1)
    assert "student.lr" not in trial.params
    assert sweep.config(trial.user_attrs["overrides"]).student.lr == 0.002
