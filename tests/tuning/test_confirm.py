"""Confirming: the statistics against closed forms, scipy and simulation; the command for real."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import ttest_ind
from typer.testing import CliRunner

from eval.delong import covariance, delong_test
from eval.survival.concordance import harrell_c
from tests.tuning.trials import add
from training.folder import complete, read_facts
from training.followup import Followed
from tuning.results import confirm as confirming
from tuning.results.best import write_best
from tuning.results.confirm import app, confirm, confirmed, table
from tuning.results.gain import gain, gain_in_auroc, gain_in_c
from tuning.store import open_study
from tuning.sweep import Sweep


def people(rng, n=80):
    """Labels, patients of whom a third have two rows, and what the patients' faces alone tell."""
    patient = np.concatenate([np.arange(n), np.arange(0, n, 3)])
    label = (patient % 2).astype(np.int64)
    return label, patient, rng.normal(size=n)[patient] + 0.9 * label


def models(rng, known, r=3, noise=0.6):
    """Scores of r seeds: what is known, and each seed's own errors."""
    return known + noise * rng.normal(size=(r, known.size))


def test_one_model_copied_is_delongs_paired_test():
    rng = np.random.default_rng(1)
    label, patient, known = people(rng)
    a, b = models(rng, known, r=2)
    ours = gain_in_auroc(label, [a, a, a], [b, b, b], patient)
    theirs = delong_test(label, b, a, 0.95, patient)
    assert ours.value == pytest.approx(theirs.difference, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.df is None
    assert ours.patients == 80


def test_without_patients_luck_it_is_students_test():
    values = np.array([0.80, 0.81, 0.79, 0.83, 0.85, 0.82])
    ours = gain(values, np.zeros((6, 6)), 10, 10, 0.95)
    theirs = ttest_ind(values[3:], values[:3]).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.df == pytest.approx(4)


def test_the_interval_holds_as_often_as_it_says_and_patients_luck_alone_does_not():
    """Two recipes that are equally good, on patients and seeds drawn anew: seeds differ."""
    rng = np.random.default_rng(0)
    held, alone, draws = 0, 0, 400
    weights = np.array([-1, -1, -1, 1, 1, 1]) / 3
    for _ in range(draws):
        label, patient, known = people(rng, 60)
        default, best = (
            np.exp(0.6 * rng.normal(size=(3, 1))) * known + rng.normal(size=(3, known.size))
            for _ in range(2)
        )
        found = gain_in_auroc(label, default, best, patient)
        held += found.low <= 0 <= found.high
        _, s = covariance(label, np.concatenate([default, best]), patient)
        alone += abs(found.value) <= 1.96 * np.sqrt(weights @ s @ weights)
    assert 0.925 <= held / draws <= 0.985, held / draws
    assert alone / draws < 0.91, alone / draws


def test_words():
    values = np.array([0.7, 0.71, 0.69, 0.8, 0.81, 0.79])
    tight, wide = np.eye(6) * 1e-6, np.eye(6) * 1e-1 + 0.0
    assert gain(values, tight, 9, 9, 0.95).verdict == "better"
    assert gain(values[::-1].copy(), tight, 9, 9, 0.95).verdict == "worse"
    wide[:3, :3] += 0.1
    wide[3:, 3:] += 0.1
    assert gain(values, wide, 9, 9, 0.95).verdict == "not shown to be better"
    same = gain(np.full(6, 0.7), np.zeros((6, 6)), 9, 9, 0.95)
    assert same.verdict == "not shown to be better"
    assert same.undefined == "the models do not differ in this sample"
    assert gain(values[[0, 3]], tight[:2, :2], 9, 9, 0.95).undefined.startswith("one seed")


def test_a_survival_models_c_has_harrells_error():
    rng = np.random.default_rng(3)
    n = 120
    days, event = rng.integers(1, 2000, n), (rng.random(n) < 0.4).astype(np.int64)
    score = -days / 700 + rng.normal(size=n)
    other = rng.normal(size=n)
    seen = Followed(np.arange(n), days, event)
    ours = gain_in_c(seen, [other] * 2, [score] * 2, np.arange(n))
    first, second = harrell_c(days, event, other), harrell_c(days, event, score)
    assert ours.value == pytest.approx(second.value - first.value)
    # Of unrelated scores the variances add up; the jackknife's and Therneau's agree within a tenth.
    z = (ours.high - ours.low) / 2 / 1.96
    assert z == pytest.approx(np.hypot(first.error, second.error), rel=0.15)
    with pytest.raises(ValueError, match="too few fractures"):
        gain_in_c(Followed(np.arange(n), days, event * 0), [other], [score], np.arange(n))


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", [*changes, "pseudo.enabled=false"])


@pytest.fixture
def study(sweep):
    """The recipe, a better trial, and a worse one."""
    study = open_study(sweep)
    for lr, score in ((sweep.base.student.lr, 0.6), (0.02, 0.8), (1e-5, 0.5)):
        add(sweep, study, [score], params={"student.lr": lr})
    write_best(sweep, study)
    return study


def test_the_recipe_and_the_best_are_trained_on_new_seeds_and_test_is_looked_at_once(
    sweep, study, monkeypatch, capsys
):
    looked = []
    real = confirming.compare

    def compare(runs, split):
        looked.append(split)
        # Before the tune split is judged nobody has opened a test set.
        tests = [list(r.glob("cohorts/*-test")) for of in runs.values() for r in of]
        assert all(map(bool, tests)) == (split == "test")
        return real(runs, split)

    monkeypatch.setattr(confirming, "compare", compare)
    began = []
    real_start = confirming.start

    def start(config):
        began.append(config)
        if len(began) == 4:
            raise KeyboardInterrupt
        return real_start(config)

    monkeypatch.setattr(confirming, "start", start)
    with pytest.raises(KeyboardInterrupt):
        confirm(sweep, study)
    monkeypatch.setattr(confirming, "start", real_start)
    assert confirmed(sweep).tune is None
    # A better trial has come meanwhile: what was begun goes on.
    add(sweep, study, [0.9], params={"student.lr": 0.011})
    half = confirm(sweep, study, test=False)
    assert looked == ["tune"]
    assert half.test is None
    assert half.tune is not None
    assert "not looked at" in table(half)
    whole = confirm(sweep, study)
    assert looked == ["tune", "test"]
    assert whole.tune == half.tune
    assert (whole.trial, whole.seeds) == (1, [1, 2, 3])
    assert len(set(whole.runs["default"] + whole.runs["best"])) == 6
    for arm, lr in (("default", sweep.base.student.lr), ("best", 0.02)):
        for name, seed in zip(whole.runs[arm], whole.seeds, strict=True):
            run = sweep.folder / name
            assert complete(run)
            assert set(read_facts(run)["cohorts"]) == {"here-tune", "here-test"}
            text = (run / "config.yaml").read_text()
            assert f"seed: {seed}\n" in text
            assert f"lr: {lr}\n" in text
    assert all(0 <= v <= 1 for v in whole.test.default + whole.test.best)
    assert whole.test.patients == 10
    text = json.loads((sweep.folder / "confirmed.json").read_text())
    assert text["test"]["value"] == whole.test.value
    capsys.readouterr()
    again = CliRunner().invoke(app, [str(sweep.folder)])
    assert again.exit_code == 0, again.output
    assert looked == ["tune", "test"]
    assert whole.test.verdict in again.output
    assert "is not looked at again" in again.output
    assert (sweep.folder / "sweep.html").read_text().count("Does it hold?") == 1
    (sweep.folder / "confirmed.json").write_text("{torn")
    torn = CliRunner().invoke(app, [str(sweep.folder)])
    assert torn.exit_code == 2
    assert "confirmed.json: torn or edited" in torn.output


def test_what_cannot_be_confirmed(sweep, tmp_path):
    study = open_study(sweep)
    with pytest.raises(ValueError, match="no trial is complete"):
        confirm(sweep, study)
    add(sweep, study, [0.6], params={"student.lr": sweep.base.student.lr})
    with pytest.raises(ValueError, match="the recipe as it is, is the best"):
        confirm(sweep, study)
    assert not (sweep.folder / "confirmed.json").exists()
    nowhere = CliRunner().invoke(app, [str(tmp_path / "nowhere")])
    assert nowhere.exit_code == 2
    assert "no sweep's folder" in nowhere.output
