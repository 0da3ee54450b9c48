"""The clinical model: what it is fitted to, what it refuses, and what it says."""

import json
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest

from eval.clinical.crossfit import out_of_fold
from eval.clinical.features import blank_implausible, columns, matrix
from eval.clinical.model import MONOTONE, fit_clinical
from eval.clinical.reference import fit_ost
from eval.delong import delong_auc
from tests.eval.clinical_cases import made


@pytest.fixture(scope="module")
def rows():
    return made(700, 0)


@pytest.fixture(scope="module")
def model(rows):
    return fit_clinical(rows)


def test_it_ranks_strangers_and_is_calibrated(model):
    strangers = made(1500, 1, prefix="q")
    p = model.predict(strangers)
    y = strangers["label"].to_numpy(int)
    assert delong_auc(y, p).low > 0.72
    assert p.mean() == pytest.approx(y.mean(), abs=0.04)
    assert ((p > 0) & (p < 1)).all()
    assert model.predict(strangers) == pytest.approx(
        1 / (1 + np.exp(-model.margin(strangers))), 1e-5
    )


def test_facts_say_what_it_was_fitted_to(rows, model):
    f = model.facts
    assert f.features == ("age", "sex", "height_cm", "weight_kg", "bmi")
    assert (f.n, f.patients, f.positives) == (700, 700, int(rows["label"].sum()))
    assert f.prevalence == pytest.approx(rows["label"].mean())
    assert f.ranges["age"] == (rows["age"].min(), rows["age"].max())
    assert f.units["weight_kg"] == "kg"
    assert [t.log_loss for t in f.tried] == sorted(t.log_loss for t in f.tried)
    assert {t.depth for t in f.tried} == {2, 3, 4}
    assert 1 < f.tried[0].rounds < 500
    assert f.out_of_sample == {}


def test_same_rows_in_any_order_give_the_same_bytes(rows, model):
    again = fit_clinical(rows.sample(frac=1, random_state=3))
    assert again.trees == model.trees
    assert again.facts == model.facts


def test_unlabelled_rows_are_counted_and_never_fitted_to(rows, model):
    more = pd.concat([rows, made(50, 9, prefix="u").assign(label=pd.NA)])
    again = fit_clinical(more)
    assert again.trees == model.trees
    assert again.facts.unlabelled == 50


def test_missing_values_are_predicted_and_reported(rows):
    holes = rows.copy()
    holes.loc[:99, "weight_kg"] = np.nan
    holes.loc[50:79, "sex"] = None
    model = fit_clinical(holes)
    assert model.facts.missing == {
        "age": 0,
        "sex": 30,
        "height_cm": 0,
        "weight_kg": 100,
        "bmi": 100,
    }
    nothing = holes.head(3).assign(age=np.nan, sex=None, height_cm=np.nan, weight_kg=np.nan)
    assert np.isfinite(model.predict(nothing)).all()


def test_shap_values_add_up_to_the_log_odds_and_age_leads(model):
    strangers = made(300, 2)
    phi = model.contributions(strangers)
    assert phi.shape == (300, 6)
    assert phi.sum(axis=1) == pytest.approx(model.margin(strangers), abs=1e-4)
    assert np.ptp(phi[:, -1]) < 1e-6
    importance = model.importance(strangers)
    assert max(importance, key=importance.get) == "age"
    assert importance["age"] == pytest.approx(np.abs(phi[:, 0]).mean())
    assert model.importance(strangers.head(0)) == {}


def expected(tree, x, known, node=0):
    """What a tree says of a row of which only the features `known` are known (by cover else)."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left == -1:
        return tree["split_conditions"][node]
    feature = tree["split_indices"][node]
    if feature in known:
        goes_left = np.float32(x[feature]) < np.float32(tree["split_conditions"][node])
        return expected(tree, x, known, left if goes_left else right)
    cover = tree["sum_hessian"]
    parts = [cover[c] * expected(tree, x, known, c) for c in (left, right)]
    return sum(parts) / cover[node]


def test_shap_values_are_shapleys_by_all_subsets(model):
    rows = made(3, 5)
    trees = json.loads(model.trees)["learner"]["gradient_booster"]["model"]["trees"]
    x = matrix(rows, model.facts.features, "rows")
    k = x.shape[1]
    for i in range(3):
        value = {
            s: sum(expected(t, x[i], s) for t in trees)
            for n in range(k + 1)
            for s in map(frozenset, combinations(range(k), n))
        }
        for feature in range(k):
            phi = sum(
                factorial(len(s)) * factorial(k - len(s) - 1) / factorial(k) * gain
                for s in value
                if feature not in s
                for gain in [value[s | {feature}] - value[s]]
            )
            assert model.contributions(rows)[i, feature] == pytest.approx(phi, abs=1e-4)


def test_monotone_constraints_hold_everywhere(rows):
    model = fit_clinical(rows, monotone=MONOTONE)
    grid = rows.iloc[np.repeat([3, 77, 200], 60)].reset_index(drop=True)
    aged = grid.assign(age=np.tile(np.linspace(50, 85, 60), 3))
    p = model.predict(aged).reshape(3, 60)
    assert (np.diff(p, axis=1) >= 0).all()
    assert p[0, -1] > p[0, 0] + 0.05
    with pytest.raises(ValueError, match="monotone names height"):
        fit_clinical(rows, features=("age", "sex"), monotone={"height_cm": 1})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"height_cm": 1.62}, "metres or inches"),
        ({"height_cm": 64.0}, "metres or inches"),
        ({"weight_kg": 9.2}, "stones"),
        ({"age": 720.0}, "months or days"),
        ({"age": -3.0}, "decades"),
        ({"age": np.inf}, "months or days"),
        ({"sex": "female"}, "sex must be F, M or empty, not female"),
        ({"weight_kg": "heavy"}, "weight_kg must hold numbers"),
    ],
)
def test_wrong_units_are_refused_with_the_fix(model, change, says):
    frame = made(30, 4).assign(**change)
    with pytest.raises(ValueError, match=says):
        model.predict(frame, "there")


def test_a_cohort_in_pounds_is_refused_though_each_weight_could_be(model):
    frame = made(60, 5)
    frame["weight_kg"] *= 2.2046
    with pytest.raises(ValueError, match="weight in pounds"):
        model.predict(frame)


def test_a_missing_column_is_named(model):
    with pytest.raises(ValueError, match="columns missing: height_cm, sex"):
        model.predict(made(5, 0).drop(columns=["sex", "height_cm"]))


def test_rows_beyond_the_training_range_are_counted(model):
    frame = made(20, 6)
    frame.loc[:4, "age"] = 101.0
    assert model.outside(frame)["age"] == 5


def test_no_rows_no_predictions(model):
    assert model.predict(made(5, 0).head(0)).size == 0


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (made(300, 0).assign(label=1), "0 patients of a class are too few"),
        (made(12, 0), "too few to fit"),
        (made(300, 0).head(0), "too few to fit"),
        (made(300, 0).assign(label=2), "labels must be 0, 1 or missing"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(frame, says):
    with pytest.raises(ValueError, match=says):
        fit_clinical(frame)


def test_an_image_score_needs_the_combined_models_proof(rows):
    with pytest.raises(ValueError, match="not a clinical feature"):
        fit_clinical(rows, features=("age", "image_logit"))


def test_single_impossible_cells_are_emptied_and_wrong_units_are_left_to_be_refused(rows):
    odd = rows.copy()
    odd.loc[:2, "height_cm"] = 1600.0
    clean, emptied = blank_implausible(odd)
    assert emptied == {"height_cm": 3}
    assert clean["height_cm"].isna().sum() == 3
    metres = rows.assign(height_cm=rows["height_cm"] / 100)
    same, emptied = blank_implausible(metres)
    assert emptied == {}
    with pytest.raises(ValueError, match="metres"):
        columns(same, ("height_cm",), "there")


def test_out_of_fold_no_model_saw_the_patient_it_predicts():
    frame = made(150, 7, repeats=2)
    handed = []

    def spy(rows):
        handed.append(frozenset(rows["patient"]))
        return fit_clinical(rows)

    found = out_of_fold(frame, spy, folds=3)
    assert tuple(handed) == found.seen
    for i, patient in enumerate(frame["patient"]):
        assert patient not in handed[found.fold[i]]
        assert found.models[found.fold[i]].facts.patients == len(handed[found.fold[i]])
    assert set().union(*handed) == set(frame["patient"])
    assert found.probability == pytest.approx(1 / (1 + np.exp(-found.margin)), rel=1e-5)


def test_out_of_fold_predictions_do_not_move_with_their_own_labels():
    """Selection of depth and rounds included: it is nested."""
    frame = made(200, 8)
    found = out_of_fold(frame, fit_clinical, folds=3)
    here = found.fold == 0
    # swap labels within the fold: folds stay as they are if the kinds of its patients do
    turned = frame.copy()
    sick = np.flatnonzero(here & (frame["label"] == 1))[:10]
    well = np.flatnonzero(here & (frame["label"] == 0))[:10]
    values = ["age", "sex", "height_cm", "weight_kg"]
    own = frame.loc[np.r_[sick, well], values].to_numpy()
    turned.loc[np.r_[well, sick], values] = own
    turned = turned.astype({c: frame[c].dtype for c in values})
    again = out_of_fold(turned, fit_clinical, folds=3)
    assert (again.fold == found.fold).all()
    assert again.models[0].trees == found.models[0].trees
    assert again.probability[np.r_[well, sick]] == pytest.approx(
        found.probability[np.r_[sick, well]]
    )


def test_unlabelled_rows_are_predicted_by_a_model_that_never_saw_the_patient():
    frame = made(150, 9, repeats=2)
    frame.loc[frame.index % 2 == 1, "label"] = pd.NA
    found = out_of_fold(frame, fit_clinical, folds=3)
    assert np.isfinite(found.probability).all()
    assert all(m.facts.unlabelled > 0 for m in found.models)


def test_ost_as_a_probability_keeps_its_ranking_and_its_gaps(rows):
    holes = rows.copy()
    holes.loc[:9, "weight_kg"] = np.nan
    line = fit_ost(holes)
    assert line.facts.n == 690
    margin = line.margin(holes)
    assert np.isnan(margin[:10]).all()
    order = np.argsort(holes["weight_kg"][10:] - holes["age"][10:])
    assert (np.diff(margin[10:][order]) <= 1e-9).all()
    p = 1 / (1 + np.exp(-margin[10:]))
    assert p.mean() == pytest.approx(holes["label"][10:].mean(), abs=0.01)
    turned = rows.assign(label=1 - rows["label"])
    with pytest.raises(ValueError, match="wrong way"):
        fit_ost(turned)
