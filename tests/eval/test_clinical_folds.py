"""Clinical models of a cross-validated run: out-of-fold scores are proven, others refused."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from data_sharding.schema import Manifest
from eval.clinical import clinical_of
from eval.clinical.combined import combined_out_of_fold, with_score
from eval.clinical.features import IMAGE
from eval.clinical.foldproof import fold_proof
from eval.clinical.model import fit_clinical, load
from eval.clinical.split import training_rows
from eval.clinical.summary import Summary
from eval.reporting.clinical import clinical
from eval.runs import Run
from eval.thresholds import youden_threshold
from tests.eval.clinical_cases import made
from tests.eval.clinical_folds import MODEL, build_folds
from tests.eval.test_clinical_run import cohort, write


def people(name, n, seed, repeats=1):
    rows = made(n, seed, repeats, prefix=name)
    return rows.assign(weight_kg=rows["weight_kg"].clip(lower=35))


PARTS = {
    "train": people("train", 120, 0, 2),
    "tune": people("tune", 60, 1),
    "test": people("test", 150, 2),
    "north": people("north", 60, 3, 2),
    "south": people("south", 60, 4),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    fold = build_folds(run, PARTS)
    return run, fold, {p.parent.name: pd.read_parquet(p) for p in clinical_of(run)}


def summary(run):
    return Summary.model_validate_json((run / "clinical" / "summary.json").read_bytes())


def test_both_learn_from_the_training_rows_and_predict_every_cohort(finished):
    run, _, said = finished
    assert sorted(said) == [
        *("asan-test", "asan-train", "asan-tune", "north-external", "south-external")
    ]
    for frame in said.values():
        assert sorted(frame["model"].unique()) == ["OST", "clinical", "combined"]
    facts = load(run / "clinical" / "combined").facts
    assert (facts.n, facts.patients) == (240, 120)
    assert sorted(facts.out_of_sample) == ["fold 0", "fold 1", "fold 2"]
    found = summary(run)
    assert (found.folds, found.chose, found.image) == (3, "asan-train", MODEL)
    assert found.fits["combined"].to == found.fits["clinical"].to == "asan-train"
    assert found.fits["combined"].tried == 3


def test_other_cohorts_are_read_with_their_mean_score_by_the_model_of_all_training_rows(finished):
    run, _, said = finished
    rows = PARTS["test"].sort_values("key")
    model = load(run / "clinical" / "combined")
    mine = said["asan-test"].query("model == 'combined'")["probability"].to_numpy()
    assert mine == pytest.approx(model.predict(with_score(rows, rows["image"])), rel=1e-5)


def test_training_rows_are_cross_fitted_and_choose_the_thresholds(finished):
    run, _, said = finished
    train = said["asan-train"]
    rows = PARTS["train"].sort_values("key")
    scores = {m: f["probability"].to_numpy() for m, f in train.groupby("model")}
    flattered = fit_clinical(rows).predict(rows)
    assert np.abs(flattered - scores["clinical"]).max() > 0.01
    proof = fold_proof(Run.at(run), training_rows(Run.at(run)), MODEL, rows, rows["image"])
    again = combined_out_of_fold(rows, rows["image"], proof)
    assert scores["combined"] == pytest.approx(again.probability, rel=1e-6)
    for model, frame in train.groupby("model"):
        best = youden_threshold(frame["label"].to_numpy(int), frame["probability"]).value
        for other in said.values():
            frozen = other.loc[other["model"] == model, "threshold"].unique()
            assert frozen.tolist() == [best]


def test_the_proof_names_for_each_row_a_model_that_never_saw_its_patient(finished):
    run, fold, _ = finished
    rows = PARTS["train"]
    proof = fold_proof(Run.at(run), training_rows(Run.at(run)), MODEL, rows, rows["image"])
    assert proof.by.tolist() == [f"fold {k}" for k in fold]
    for k in range(3):
        assert proof.seen[f"fold {k}"] == frozenset(rows["patient"][fold != k])
    assert proof.check(rows["patient"])


def spoil(run, how):
    train = run / "cohorts" / "asan-train" / "predictions.parquet"
    held = [run / "folds" / str(k) / "cohorts/asan-heldout/predictions.parquet" for k in range(3)]
    if how == "no folds":
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({k: v for k, v in facts.items() if k != "folds"}))
    elif how == "odd folds":
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(facts | {"folds": "five"}))
    elif how == "fold is gone":
        held[1].unlink()
    elif how == "in sample":  # of models that learnt from the rows
        frame = pd.read_parquet(train)
        p = 0.8 * frame["probability"] + 0.2 * frame["label"].astype(float)
        frame.assign(probability=p).to_parquet(train)
    elif how == "swapped":  # two rows of different folds
        frame = pd.read_parquet(train)
        first = set(pd.read_parquet(held[0])["key"])
        a = int(np.flatnonzero(frame["key"].isin(first))[0])
        b = int(np.flatnonzero(~frame["key"].isin(first))[0])
        p = frame["probability"].to_numpy(copy=True)
        p[[a, b]] = p[[b, a]]
        frame.assign(probability=p).to_parquet(train)
    elif how == "patient in two folds":
        frame = pd.read_parquet(held[0])
        one = pd.read_parquet(held[1]).iloc[:1]
        pd.concat([frame, one]).to_parquet(held[0])
    elif how == "row of no fold":
        pd.read_parquet(held[2]).iloc[2:].to_parquet(held[2])
    elif how == "other fold":
        path = run / "folds" / "1" / "config.yaml"
        path.write_text(yaml.safe_dump({"data": {"folds": 3, "fold": 2}}))
    elif how == "no configuration":
        (run / "folds" / "1" / "config.yaml").write_text("{[")
    elif how == "tested on":
        path = run / "cohorts" / "asan-test" / "predictions.parquet"
        frame = pd.read_parquet(path)
        frame.assign(patient=frame["patient"].str.replace("test", "train")).to_parquet(path)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no folds", "asan-train: 120 patients are in the clinical model's training split"),
        ("odd folds", "folds is 'five', not a number above 1"),
        ("fold is gone", "no predictions of asan-heldout: without the runs of all 3 folds"),
        ("in sample", "scores that are not those of fold 0.*not out of fold"),
        ("swapped", "scores that are not those of fold 0"),
        ("patient in two folds", "was held out by fold 0 and by fold 1"),
        ("row of no fold", "2 of 240 rows of asan-train were held out by no fold"),
        ("other fold", "says that it is fold 2 of 3, where fold 1 of 3 should lie"),
        ("no configuration", "says that it is fold None of None"),
        ("tested on", "asan-test: 120 patients are in the clinical model's training split"),
    ],
)
def test_scores_that_are_not_out_of_fold_are_refused(tmp_path, how, says):
    run = tmp_path / "run"
    build_folds(run, PARTS)
    spoil(run, how)
    with pytest.raises(ValueError, match=says) as e:
        clinical_of(run)
    assert "\n" not in str(e.value)
    assert not list(run.glob("cohorts/*/clinical.parquet"))


def test_monotone_models_hold_their_directions_and_say_so(finished, tmp_path):
    run = tmp_path / "run"
    build_folds(run, PARTS)
    clinical_of(run, monotone=True)
    model = load(run / "clinical" / "combined")
    assert model.facts.monotone == {"age": 1, "weight_kg": -1, "bmi": -1, IMAGE: 1}
    assert summary(run).fits["clinical"].monotone == {"age": 1, "weight_kg": -1, "bmi": -1}
    rows = with_score(PARTS["test"], PARTS["test"]["image"])
    before = model.margin(rows)
    # the person grows older; heavier at the same height, so that BMI rises with weight
    assert (model.margin(rows.assign(age=rows["age"] + 6)) >= before).all()
    assert (model.margin(rows.assign(weight_kg=rows["weight_kg"] * 1.1)) <= before).all()
    assert (model.margin(rows.assign(**{IMAGE: rows[IMAGE] + 1})) >= before).all()
    other = load(finished[0] / "clinical" / "combined")
    heavier = rows.assign(weight_kg=rows["weight_kg"] * 1.1)
    assert (other.margin(heavier) > other.margin(rows)).any()


def test_missing_values_are_predicted_with_and_reported_by_cohort_and_variable(tmp_path):
    run = tmp_path / "run"
    parts = {name: rows.copy() for name, rows in PARTS.items()}
    parts["train"].loc[:80, "height_cm"] = np.nan
    parts["south"].loc[:9, ["weight_kg", "sex"]] = [np.nan, None]
    build_folds(run, parts)
    said = {p.parent.name: pd.read_parquet(p) for p in clinical_of(run)}
    found = summary(run)
    assert found.cohorts["asan-train"].missing["height_cm"] == 81
    assert found.cohorts["south-external"].missing == {
        **{"age": 0, "sex": 10, "height_cm": 0, "weight_kg": 10}
    }
    assert found.fits["combined"].missing["bmi"] == 81
    models = said["south-external"]["model"].value_counts()
    assert models.to_dict() == {"clinical": 60, "combined": 60, "OST": 50}
    parts_of = found.cohorts["asan-train"].models["clinical"].parts
    assert parts_of["height_cm"][-1].label == "unknown"
    assert parts_of["height_cm"][-1].rows == 81


def test_a_public_archive_without_labels_and_with_children_is_left_out_and_said_to_be(tmp_path):
    run = tmp_path / "run"
    build_folds(run, PARTS)
    children = people("nih", 40, 9).assign(label=pd.NA, age=7.0, height_cm=np.nan)
    write(run, cohort(children, "nih-public", (MODEL,)), "nih-public")
    assert "nih-public" not in {p.parent.name for p in clinical_of(run)}
    assert summary(run).unlabelled == ("nih-public",)
    found = clinical(Run.at(run), [])
    assert found.why == ""
    write(run, cohort(children, "cxr-public", (MODEL,)), "cxr-public")
    assert "made beside other predictions" in clinical(Run.at(run), []).why


CLASSES3 = ("normal", "low bone mass", "osteoporosis")


@pytest.mark.parametrize(
    ("positive", "expected"),
    [
        ("low bone mass", [0, 1, None, None]),
        ("osteoporosis", [0, 0, 1, None]),
        ("low bone mass or osteoporosis", [0, 1, 1, None]),
    ],
)
def test_packed_classes_are_labels_of_what_the_run_learnt(tmp_path, positive, expected):
    run = tmp_path / "run"

    def three(index):
        packed = np.resize([0, 1, 2, np.nan], len(index))
        return index.assign(label=pd.array(packed, dtype="Int64"))

    build_folds(run, PARTS, change=three, positive=positive)
    folder = run / "packs" / "asan"
    manifest = Manifest.load(folder).model_copy(update={"classes": CLASSES3})
    manifest.save(folder)
    facts = json.loads((run / "run.json").read_text())
    facts["manifests"]["asan"]["hash"] = manifest.hash
    (run / "run.json").write_text(json.dumps(facts))
    label = training_rows(Run.at(run)).rows["label"]
    found = [None if pd.isna(v) else int(v) for v in label[:4]]
    assert found == expected
    (run / "run.json").write_text(json.dumps(facts | {"positive": "gout"}))
    with pytest.raises(ValueError, match="nothing says what normal is"):
        training_rows(Run.at(run))


def test_the_run_of_one_fold_is_refused_with_what_to_give_instead(tmp_path):
    parts = {name: made(60, i, prefix=name) for i, name in enumerate(("train", "tune", "test"))}
    build_folds(tmp_path / "run", parts)
    with pytest.raises(ValueError, match=r"the run of one fold, .* give the folder of all"):
        clinical_of(tmp_path / "run" / "folds" / "0")
