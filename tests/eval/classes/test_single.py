"""One run of three classes: on pictures, on people, by sex, beside the body alone."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from eval.classes.single import HEADLINE, one_run
from eval.classes.single_shapes import OneRun
from eval.classes.sources import Source
from eval.runs import Run
from tests.eval.classes.photographs import face_run

COLUMNS = ["p_normal", "p_low_bone_mass", "p_osteoporosis"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return face_run(tmp_path_factory.mktemp("single"))


def source(run):
    return Source.at(str(run), "three classes")


@pytest.fixture(scope="module")
def made(run):
    return one_run(source(run), draws=200)


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def change(run, cohort="asan-test", **columns):
    path = run / "cohorts" / cohort / "predictions.parquet"
    frame = pd.read_parquet(path)
    for name, of in columns.items():
        frame[name] = of(frame)
    frame.to_parquet(path)
    return frame


def expected(truth, P):
    said = P.argmax(axis=1)
    return {
        "accuracy": sk.accuracy_score(truth, said),
        "balanced_accuracy": sk.recall_score(truth, said, average="macro"),
        "precision_macro": sk.precision_score(truth, said, average="macro"),
        "f1_macro": sk.f1_score(truth, said, average="macro"),
        "precision_weighted": sk.precision_score(truth, said, average="weighted"),
        "f1_weighted": sk.f1_score(truth, said, average="weighted"),
        "kappa": sk.cohen_kappa_score(truth, said),
        "kappa_quadratic": sk.cohen_kappa_score(truth, said, weights="quadratic"),
        "auroc_ovr": sk.roc_auc_score(truth, P, multi_class="ovr"),
    }


def test_pictures_and_people_are_scikit_learns(run, made):
    frame = Run.at(run).predictions("asan-test")
    by = frame.groupby("patient")
    (cohort,) = made.cohorts
    everybody = cohort.groups[0]
    assert (everybody.pictures_n, everybody.people_n) == (660, 220)
    assert (everybody.main.unit, everybody.pictures.unit) == ("people", "pictures")
    for sides, truth, P in (
        (everybody.pictures, frame["category"], frame[COLUMNS]),
        (everybody.main, by["category"].first(), by[COLUMNS].mean()),
    ):
        found = {n: getattr(sides.picture, n).value for n in expected(truth, P.to_numpy())}
        assert found == pytest.approx(expected(truth.to_numpy(int), P.to_numpy()), abs=1e-12)
        confusion = sk.confusion_matrix(truth.to_numpy(int), P.to_numpy().argmax(axis=1))
        assert sides.picture.confusion == tuple(map(tuple, confusion))


def test_several_photographs_do_not_make_people(run, made):
    """Copies of every picture leave the intervals as they are; people are told better."""
    everybody = made.cohorts[0].groups[0]
    width = [
        s.picture.auroc_ovr.high - s.picture.auroc_ovr.low
        for s in (everybody.pictures, everybody.main)
    ]
    # Were pictures people, three times as many would have an interval of 0.58 of the width.
    assert width[0] > 0.75 * width[1]
    assert everybody.main.picture.auroc_ovr.value > everybody.pictures.picture.auroc_ovr.value


def test_one_picture_each_is_not_judged_twice(copy):
    path = copy / "cohorts/asan-test/predictions.parquet"
    frame = pd.read_parquet(path)
    frame.drop_duplicates("patient").to_parquet(path)
    group = one_run(source(copy), draws=50).cohorts[0].groups[0]
    assert group.main.unit == "pictures"
    assert group.pictures is None


def test_the_body_is_beside_every_number(made):
    for group in made.cohorts[0].groups:
        for sides in (group.main, group.pictures):
            for name in HEADLINE:
                seen, alone = (getattr(s, name).value for s in (sides.picture, sides.body))
                assert sides.difference[name].value == pytest.approx(seen - alone, abs=1e-12)
            gap = sides.difference["brier"].value
            assert gap == pytest.approx(sides.brier.value - sides.body_brier.value, abs=1e-12)
    assert made.body.where == "faces train and tune"
    assert made.body.people == 400
    assert made.cohorts[0].groups[0].main.body.auroc_ovr.low > 0.5  # bodies do tell


def test_a_model_that_reads_the_body_only_gains_nothing(copy):
    """Its probabilities are the body's own: every difference is 0."""
    from eval.classes.body import body_of

    model = body_of(Run.at(copy), ())
    frame = Run.at(copy).predictions("asan-test")
    said = dict(zip(COLUMNS, model.predict(frame).T, strict=True))
    change(copy, **{n: (lambda f, v=v: v) for n, v in said.items()})
    sides = one_run(source(copy), draws=50).cohorts[0].groups[0].main
    for name in HEADLINE:
        assert sides.difference[name].value == pytest.approx(0, abs=1e-12)


def test_by_sex_are_the_rows_of_that_sex(run, made):
    frame = Run.at(run).predictions("asan-test")
    names = [g.name for g in made.cohorts[0].groups]
    assert names == ["everybody", "women", "men"]
    for name, letter in (("women", "F"), ("men", "M")):
        rows = frame[frame["sex"] == letter].groupby("patient")
        group = made.cohorts[0].groups[names.index(name)]
        truth, P = rows["category"].first().to_numpy(int), rows[COLUMNS].mean().to_numpy()
        assert group.people_n == truth.size
        assert group.main.picture.auroc_ovr.value == pytest.approx(
            sk.roc_auc_score(truth, P, multi_class="ovr"), abs=1e-12
        )
        assert group.calibration.classes[2].n == (truth == 2).sum()


def test_few_men_are_kept_back_and_women_with_them(copy):
    def sex(frame):
        few = frame["patient"].isin(sorted(frame["patient"].unique())[:4])
        return np.where(few, "M", "F")

    change(copy, sex=sex)
    groups = one_run(source(copy), draws=50).cohorts[0].groups
    assert [(g.name, g.kept_back) for g in groups[1:]] == [("women", True), ("men", True)]
    assert groups[2].people_n is None
    assert groups[2].main is None


def test_people_of_two_classes_leave_pictures(copy):
    change(copy, category=lambda f: np.where(f.index == 0, (f["category"] + 1) % 3, f["category"]),
           label=lambda f: pd.array([pd.NA] * len(f), "Int64"))  # fmt: skip
    cohort = one_run(source(copy), draws=50).cohorts[0]
    assert "1 patients have pictures of different classes" in cohort.not_by_people
    assert cohort.groups[0].main.unit == "pictures"


def test_without_a_body_it_says_so(copy):
    for cohort in ("asan-test", "asan-tune"):
        change(copy, cohort, age=lambda f: np.nan, sex=lambda f: None, weight_kg=lambda f: np.nan)
    shutil.rmtree(copy / "packs")
    made = one_run(source(copy), draws=50)
    assert made.body is None
    assert made.no_body.startswith("asan-tune: age is not known of anybody here")
    assert made.cohorts[0].groups[0].main.body is None
    assert made.cohorts[0].groups[0].main.difference == {}


def test_only_tuning_cohorts_are_refused(copy):
    shutil.rmtree(copy / "cohorts/asan-test")
    with pytest.raises(ValueError, match="only tuning cohorts have categories"):
        one_run(source(copy))


def test_a_class_that_nobody_has_is_undefined_and_not_nought(copy):
    path = copy / "cohorts/asan-test/predictions.parquet"
    frame = pd.read_parquet(path)
    frame[frame["category"] < 2].to_parquet(path)
    main = one_run(source(copy), draws=50).cohorts[0].groups[0].main
    assert main.picture.f1_macro.value is None or main.picture.classes[2].answered
    assert main.picture.auroc_ovr.undefined == "osteoporosis has no rows"
    assert main.difference["auroc_ovr"].value is None


def test_json_is_read_back_and_the_same_again(run, made):
    text = made.model_dump_json()
    assert OneRun.model_validate_json(text) == made
    json.loads(text)
    assert one_run(source(run), draws=200) == made
