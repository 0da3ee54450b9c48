"""Late fusion: closed forms of two normal scores, and predictions that do not fit together."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from eval.__main__ import app
from eval.fusion import fuse
from eval.fusion.shapes import Fusion
from eval.fusion.text import markdown, table, write
from tests.eval.classes.photographs import packed
from tests.eval.fusion_runs import CXR, FACE, build, save


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    return build(tmp_path_factory.mktemp("fusion"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return build(tmp_path_factory.mktemp("small"), 200, 300, 2)


@pytest.fixture
def small(template, tmp_path):
    return tuple(shutil.copytree(r, tmp_path / r.name) for r in template)


def fused(runs, **how):
    return fuse(*map(str, runs), **how)


def change(run, cohort, of):
    path = run / "cohorts" / cohort / "predictions.parquet"
    of(pd.read_parquet(path)).to_parquet(path)


def scored(made, name):
    return next(s for s in made.cohorts[0].scores if s.name == name)


def test_areas_are_those_of_the_closed_form(big):
    """Independent normal scores: Phi(d / sqrt 2) each, Phi(sqrt(d1^2 + d2^2) / sqrt 2) together."""
    made, _ = fused(big)
    for name, d in (("face", FACE), ("CXR", CXR), ("face + CXR", np.hypot(FACE, CXR))):
        e = scored(made, name).auroc
        truth = norm.cdf(d / np.sqrt(2))
        assert e.low < truth < e.high, name
        assert e.value == pytest.approx(truth, abs=0.02)
    gain = {g.second: g for g in made.cohorts[0].gains}
    assert set(gain) == {"face", "CXR"}
    both = scored(made, "face + CXR").auroc.value
    for name, g in gain.items():
        assert g.difference.value == pytest.approx(both - scored(made, name).auroc.value)
        assert g.difference.low > 0
        assert g.p_holm < 0.001


def test_weights_are_near_1_and_the_fused_score_is_calibrated(big):
    """Log odds of independent calibrated scores add, less the log odds that both hold."""
    made, _ = fused(big)
    (stack,) = made.fitted
    assert stack.coefficients == pytest.approx({"face": 1.0, "CXR": 1.0}, abs=0.35)
    assert stack.intercept == pytest.approx(0, abs=0.35)
    fusion = scored(made, "face + CXR")
    assert abs(fusion.slope.value - 1) < 0.25
    assert fusion.brier.value < min(scored(made, n).brier.value for n in ("face", "CXR"))


def test_the_stack_is_scikit_learns_on_tune_and_nothing_of_test_moves_it(small):
    made, told = fused(small)
    tune = [pd.read_parquet(r / "cohorts/asan-tune/predictions.parquet") for r in small]
    face = tune[0].groupby("patient")
    p = np.column_stack([face["probability"].mean(), tune[1].set_index("patient")["probability"]])
    x = np.log(p / (1 - p))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    y = face["label"].first().to_numpy()
    model = LogisticRegression(C=1.0, tol=1e-10).fit(z, y)
    assert list(made.fitted[0].coefficients.values()) == pytest.approx(
        (model.coef_[0] / x.std(axis=0)).tolist(), abs=1e-4
    )
    said = {"probability": 0.5, "p_normal": 0.5, "p_low_bone_mass": 0.25, "p_osteoporosis": 0.25}
    change(small[0], "asan-test", lambda f: f.assign(**said))
    assert fused(small)[0].fitted == made.fitted
    both = told[told["model"] == "face + CXR"]
    assert roc_auc_score(both["label"], both["probability"]) == pytest.approx(
        scored(made, "face + CXR").auroc.value
    )


def test_people_with_several_photographs_are_one_row(small):
    made, told = fused(small)
    assert made.cohorts[0].n == 300
    assert (told.groupby("model").size() == 300).all()
    assert not told.duplicated(["model", "key"]).any()


def test_who_lacks_what_is_counted(small):
    change(small[0], "asan-tune", lambda f: f[f["patient"] >= "tune-00030"])
    change(small[1], "asan-test", lambda f: f[f["patient"] >= "test-00012"])
    unlabelled = ["test-00020", "test-00021"]

    def blank(frame):
        gone = frame["patient"].isin(unlabelled)
        return frame.assign(label=frame["label"].mask(gone), category=frame["category"].mask(gone))

    for run in small:
        change(run, "asan-test", blank)
    made, _ = fused(small)
    fitted, judged = made.met
    assert (fitted.role, fitted.both, fitted.only_cxr, fitted.only_face) == ("fitted", 170, 30, 0)
    assert (judged.both, judged.only_face, judged.unlabelled) == (286, 12, 2)
    assert made.fitted_on[0] == 170
    assert made.cohorts[0].n == 286
    text = table(made)
    assert "judged: 286 patients have both scores; 12 have one of the face only" in text
    assert "30 have one of the CXR only" in text


def test_a_patient_of_two_roles_is_never_fitted_and_judged(small):
    """Tuning in one run and test in the other: left out, or with --mixed fitted to."""
    move = [f"test-{i:05d}" for i in range(25)]
    face = {c: pd.read_parquet(small[0] / f"cohorts/{c}/predictions.parquet")
            for c in ("asan-tune", "asan-test")}  # fmt: skip
    moved = face["asan-test"][face["asan-test"]["patient"].isin(move)]
    save(small[0], {
        "asan-tune": pd.concat([face["asan-tune"], moved.assign(cohort="asan-tune")]),
        "asan-test": face["asan-test"].drop(moved.index),
    }, "three classes")  # fmt: skip
    made, told = fused(small)
    assert made.met[0].other_role == 25
    assert (made.fitted_on[0], made.cohorts[0].n) == (200, 275)
    assert not set(told["patient"]) & set(move)
    mixed, told = fused(small, mixed=True)
    assert (mixed.fitted_on[0], mixed.cohorts[0].n) == (225, 275)
    assert not set(told["patient"]) & set(move)
    assert "tuning data of one run and test data of the other" in table(mixed)


def test_a_patient_twice_in_one_run_is_refused(small):
    first = pd.read_parquet(small[1] / "cohorts/asan-test/predictions.parquet").iloc[:1]
    change(small[1], "asan-tune", lambda f: pd.concat([f, first.assign(cohort="asan-tune")]))
    with pytest.raises(ValueError, match="1 patients are in two cohorts, such as test-00000 in"):
        fused(small)


def test_patients_who_were_learnt_from_are_refused(small):
    packed(small[1], patients=["test-00007", *(f"learnt-{i:05d}" for i in range(399))])
    assert fused(small)[0].cohorts  # the first row of the index is tuning data
    shutil.rmtree(small[1] / "packs")
    packed(small[1], patients=["learnt-a", "test-00007", *(f"l-{i:05d}" for i in range(398))])
    with pytest.raises(ValueError, match=r"1 patients whom it learnt from .*such as test-00007"):
        fused(small)


def test_clinical_is_of_the_training_people_only(small):
    packed(small[0])
    made, told = fused(small)
    assert made.clinical.where == "faces train"
    assert made.clinical.people == 350
    names = [s.name for s in made.cohorts[0].scores]
    assert names == ["face", "CXR", "clinical", "face + CXR", "face + clinical", "CXR + clinical",
                     "face + CXR + clinical"]  # fmt: skip
    seconds = [g.second for g in made.cohorts[0].gains]
    assert seconds == [*names[:3], "face + CXR", "face + clinical", "CXR + clinical"]
    assert {g.first for g in made.cohorts[0].gains} == {names[-1]}
    assert scored(made, "clinical").auroc.value > 0.55
    assert set(told["model"]) == set(names)
    shutil.rmtree(small[0] / "packs")
    packed(small[0], patients=["a", "tune-00003", *(f"l-{i:05d}" for i in range(398))])
    change(small[0], "asan-tune", lambda f: f[f["patient"] != "tune-00003"])
    assert fused(small)[0].clinical is not None  # no more among those fitted to


def test_labels_of_something_else_are_refused(small):
    flip = lambda f: f.assign(label=1 - f["label"], category=pd.NA)  # noqa: E731
    for cohort in ("asan-tune", "asan-test"):
        change(small[1], cohort, flip)
    with pytest.raises(ValueError, match="have another label in each run"):
        fused(small)


def test_a_few_that_disagree_are_left_out_and_counted(small):
    def some(frame):
        odd = frame["patient"].isin([f"test-{i:05d}" for i in range(9)])
        return frame.assign(category=pd.NA, label=frame["label"].mask(odd, 1 - frame["label"]))

    change(small[1], "asan-test", some)
    made, _ = fused(small)
    known = pd.read_parquet(small[1] / "cohorts/asan-test/predictions.parquet").iloc[:9]
    odd = int(known["label"].notna().sum())
    assert made.met[1].disagree == odd > 0
    assert made.cohorts[0].n == 300 - odd
    assert f"{odd} patients with another label in each run are left out." in made.notes
    for run, policy in zip(small, ("face2bone/1", "three-class/1"), strict=True):
        packed(run, policy=policy)
    (said,) = (n for n in fused(small)[0].notes if f"{odd} patients with another label" in n)
    assert "faces are labelled by face2bone/1, radiographs by three-class/1" in said


@pytest.mark.parametrize(
    ("target", "why"),
    [("osteoporosis", "label|contradict"), ("fracture", "late fusion is of bone mass")],
)
def test_other_targets(small, target, why):
    facts = json.loads((small[1] / "run.json").read_text())
    (small[1] / "run.json").write_text(json.dumps(facts | {"target": target}))
    with pytest.raises(ValueError, match=why):
        fused(small)


def test_low_bone_mass_and_osteoporosis_are_not_one(small):
    for run, target in zip(small, ("osteoporosis", "low bone mass"), strict=True):
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(facts | {"target": target}))
    with pytest.raises(ValueError, match="their scores are not of one thing"):
        fused(small)


def test_osteoporosis_is_fused_where_both_tell_it(small):
    for cohort in ("asan-tune", "asan-test"):
        change(small[1], cohort, lambda f: f.assign(label=(f["category"] == 2).astype("Int64")))
    facts = json.loads((small[1] / "run.json").read_text())
    (small[1] / "run.json").write_text(json.dumps(facts | {"target": "osteoporosis"}))
    made, told = fused(small)
    assert made.event == "osteoporosis"
    frame = pd.read_parquet(small[0] / "cohorts/asan-test/predictions.parquet")
    assert made.cohorts[0].positives == (frame.groupby("patient")["category"].first() == 2).sum()
    face = told[told["model"] == "face"].set_index("patient")["probability"]
    expected = frame.groupby("patient")["p_osteoporosis"].mean()
    assert face.to_numpy() == pytest.approx(expected.loc[face.index].to_numpy())


def test_nobody_in_both_or_too_few(small):
    for cohort in ("asan-tune", "asan-test"):
        change(small[1], cohort, lambda f: f.assign(patient="x" + f["patient"]))
    with pytest.raises(ValueError, match="no patient is in both face and cxr: pack both"):
        fused(small)
    for cohort in ("asan-tune", "asan-test"):
        change(small[1], cohort, lambda f: f.assign(patient=f["patient"].str[1:]))
    change(small[1], "asan-tune", lambda f: f.iloc[:12])
    with pytest.raises(ValueError, match=r"10 of a kind .* fitted to; take more people.*--folds"):
        fused(small)
    place = small[1] / "cohorts"
    test = pd.read_parquet(place / "asan-test/predictions.parquet")
    some = test[test["patient"] < "test-00017"]
    change(small[1], "asan-tune", lambda f: pd.concat([f, some.assign(cohort="asan-tune")]))
    change(small[1], "asan-test", lambda f: f.drop(some.index))
    with pytest.raises(ValueError, match="--mixed would fit to 17 who are tuning data of one run"):
        fused(small)
    assert fused(small, mixed=True)[0].fitted_on[0] == 29
    shutil.rmtree(small[1] / "cohorts/asan-test")
    with pytest.raises(ValueError, match="is test data of both"):
        fused(small)


def test_one_class_among_the_judged_has_no_area(small):
    for run in small:
        change(run, "asan-test", lambda f: f[f["category"] == 0])
    made, _ = fused(small)
    assert "one class only" in scored(made, "face + CXR").auroc.undefined
    assert made.cohorts[0].gains[0].p is None
    assert "undefined" in markdown(made)


def test_the_command_writes_what_report_reads(small, tmp_path):
    out = tmp_path / "out"
    words = ["fusion", "--face", str(small[0]), "--cxr", str(small[1]), "--out", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"predictions: {out}/predictions.parquet"
    made = Fusion.model_validate_json((out / "fusion.json").read_text())
    assert scored(made, "face + CXR").auroc.text() in done.stdout
    assert scored(made, "face + CXR").auroc.text() in (out / "fusion.md").read_text()
    again = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(again.stdout) == json.loads((out / "fusion.json").read_text())
    shown = CliRunner().invoke(app, ["show", str(out / "predictions.parquet"), "--json"])
    rows = json.loads(shown.stdout)["rows"]
    areas = {r["model"]: r["auroc"]["value"] for r in rows}
    assert areas == pytest.approx({s.name: s.auroc.value for s in made.cohorts[0].scores})
    bad = CliRunner().invoke(app, [*words[:2], "/nowhere", *words[3:]])
    assert (bad.exit_code, bad.stderr.count("\n")) == (2, 1)
    assert str(tmp_path) not in (out / "fusion.json").read_text()


def test_somebody_elses_files_stay(small, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/fusion.md").write_text("mine")
    with pytest.raises(ValueError, match="is not of a fusion"):
        write(*fused(small), tmp_path / "mine")
    assert (tmp_path / "mine/fusion.md").read_text() == "mine"
