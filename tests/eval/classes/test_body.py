"""Age, sex and BMI alone: a second fit, a saturated closed form, and a world that is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from eval.classes.body import body_of, fit, learners
from eval.clinical.splines import RIDGE, Design
from eval.runs import Run
from tests.eval.classes.photographs import CLASSES, face_run, packed


def people(n, seed, slope=0.08, sexes=("F", "M")):
    """People whose class depends on age (and on nothing else)."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(45, 85, n)
    latent = slope * (age - 65) + rng.logistic(size=n)
    return pd.DataFrame(
        {
            "key": [f"k{seed}-{i:05d}" for i in range(n)],
            "patient": [f"p{seed}-{i:05d}" for i in range(n)],
            "category": pd.array(np.digitize(latent, [0.0, 1.5]), "Int64"),
            "age": age,
            "sex": rng.choice(sexes, n),
            "height_cm": rng.normal(165, 8, n),
            "weight_kg": rng.normal(65, 10, n),
        }
    )


def test_the_fit_is_the_minimum_of_the_penalised_likelihood():
    rows = people(300, 1)
    model = fit(rows, "here")
    truth = rows.sort_values("patient")["category"].to_numpy(int)
    bmi = (rows["weight_kg"] / (rows["height_cm"] / 100) ** 2).to_numpy()
    known = {"age": rows["age"].to_numpy(), "age is known": np.full(300, "yes"),
             "sex": rows["sex"].to_numpy(str), "BMI": bmi,
             "BMI is known": np.full(300, "yes")}  # fmt: skip
    _, x = Design.of(known)

    def loss(flat):
        b = flat.reshape(-1, 3)
        z = b[0] + x @ b[1:]
        likelihood = z[np.arange(300), truth] - logsumexp(z, axis=1)
        return -likelihood.sum() + RIDGE / 2 * (b[1:] ** 2).sum()

    found = minimize(loss, np.zeros((x.shape[1] + 1) * 3), tol=1e-10).x.reshape(-1, 3)
    new = people(50, 2)
    mine = model.predict(new)
    b, c = found, model.coefficients
    assert c[1:] == pytest.approx(b[1:], abs=2e-3)
    assert loss(c.ravel()) <= loss(b.ravel()) + 1e-6
    assert mine.sum(axis=1) == pytest.approx(1)


def test_sex_alone_gives_the_shares_of_each_sex():
    """With two levels and three classes the model is saturated; the ridge moves it a little."""
    rng = np.random.default_rng(0)
    rows = people(4000, 3, slope=0)
    women = (rows["sex"] == "F").to_numpy()
    rows["category"] = np.where(women, rng.choice(3, 4000, p=[0.2, 0.5, 0.3]), rng.choice(3, 4000))
    rows[["age", "height_cm", "weight_kg"]] = np.nan
    model = fit(rows, "here")
    assert model.used == ("sex",)
    assert model.left_out == {
        "age": "age is not known of anybody here",
        "BMI": "BMI is not known of anybody here",
    }
    said = model.predict(people(400, 4))
    for sex, mask in (("F", women), ("M", ~women)):
        shares = np.bincount(rows["category"][mask], minlength=3) / mask.sum()
        of = (people(400, 4)["sex"] == sex).to_numpy()
        assert said[of] == pytest.approx(np.tile(shares, (of.sum(), 1)), abs=0.003)


def test_reaches_what_the_world_allows():
    """Class by age alone: the best reader of age is known, and is nearly reached."""
    model, new = fit(people(3000, 5), "here"), people(4000, 6)
    truth = new["category"].to_numpy(int)
    best = 0.08 * (new["age"].to_numpy() - 65)
    cuts = 1 / (1 + np.exp(-(np.array([0.0, 1.5])[None] - best[:, None])))
    P = np.column_stack([cuts[:, 0], cuts[:, 1] - cuts[:, 0], 1 - cuts[:, 1]])
    mine, ceiling = (roc_auc_score(truth, p, multi_class="ovr") for p in (model.predict(new), P))
    assert ceiling - 0.01 < mine < ceiling + 0.005
    assert np.abs(model.predict(new) - P).mean() < 0.02


def test_what_is_not_known_is_the_middle_and_is_marked():
    rows = people(400, 7)
    rows.loc[:59, ["height_cm"]] = np.nan
    rows.loc[60:79, "age"] = 200.0  # no adult's
    model = fit(rows, "here")
    assert model.used == ("age", "sex", "BMI")
    new = people(3, 8)
    new.loc[0, "age"], new.loc[1, "sex"], new.loc[2, "weight_kg"] = np.nan, None, np.nan
    said = model.predict(new)
    assert np.isfinite(said).all()
    with_middle = new.copy()
    with_middle.loc[2, ["height_cm", "weight_kg"]] = 170.0, model.middle["BMI"] * 1.7**2
    assert not np.allclose(model.predict(with_middle)[2], said[2])  # that it is unknown is told


def test_one_row_a_patient():
    once = people(200, 9)
    thrice = pd.concat([once, once.assign(key=once["key"] + "b", age=50.0)], ignore_index=True)
    one, three = fit(once, "here"), fit(thrice, "here")
    assert three.coefficients == pytest.approx(one.coefficients, abs=1e-6)
    assert len(three.who) == 200


def test_too_few_of_a_class_and_nothing_known():
    rows = people(300, 10)
    few = rows[(rows["category"] != 2) | (rows.groupby("category").cumcount() < 9)]
    with pytest.raises(ValueError, match=r"9 patients with osteoporosis to fit .*fewer than 10"):
        fit(few, "here")
    blank = rows.assign(age=np.nan, sex=None, weight_kg=np.nan)
    with pytest.raises(ValueError, match="here: age is not known of anybody here; sex"):
        fit(blank, "here")


def test_whom_it_is_fitted_to_is_who_was_learnt_from(tmp_path):
    run = face_run(tmp_path, pack=False, n=40)
    rows, where = learners(Run.at(run))
    assert where == "asan-tune"
    assert len(rows) == 60
    index = packed(run)
    rows, where = learners(Run.at(run))
    assert where == "faces train and tune"
    assert set(rows["patient"]) == set(index["patient"])
    only, _ = learners(Run.at(run), ("train",))
    assert set(only["split"]) == {"train"}
    assert (rows["category"] == rows["label"]).all()


@pytest.mark.parametrize(
    ("classes", "where"),
    [(CLASSES, "faces train and tune"), (("normal", "low bone mass"), "asan-tune")],
)
def test_labels_are_read_by_their_names(tmp_path, classes, where):
    run = face_run(tmp_path, pack=False, n=40)
    packed(run, classes=classes)
    assert learners(Run.at(run))[1] == where


def test_nobody_is_fitted_to_and_judged(tmp_path):
    run = face_run(tmp_path, pack=False, n=40)
    packed(run, patients=[f"asan-test-p{i:05d}" for i in range(400)])
    with pytest.raises(ValueError, match="1 of the patients judged are in faces train and tune"):
        body_of(Run.at(run), ["asan-test-p00003"])
    model = body_of(Run.at(run), ["somebody"])
    frame = Run.at(run).predictions("asan-test")
    with pytest.raises(ValueError, match=r"40 patients are among those .*asan-test-p00000"):
        model.predict(frame)


def test_a_changed_index_is_not_believed(tmp_path):
    run = face_run(tmp_path, n=40)
    path = run / "packs/faces/index.parquet"
    pd.read_parquet(path).assign(label=0).to_parquet(path)
    assert learners(Run.at(run))[1] == "asan-tune"
    (run / "cohorts/asan-tune/predictions.parquet").unlink()
    with pytest.raises(ValueError, match="nobody to fit age, sex and BMI to") as e:
        learners(Run.at(run))
    assert str(tmp_path) not in str(e.value)
