"""Predictions that are not as they should be: one clear line and exit code 2, never a traceback.

What is merely little (no rows, one class) is no error: it is undefined, with the reason.
"""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from eval.__main__ import app


def swapped(frame):
    """One patient's second picture says the other thing."""
    pair = frame.index[frame["patient"] == frame["patient"].iloc[0]]
    return frame.assign(label=frame["label"].mask(frame.index == pair[1], 1 - frame["label"]))


BROKEN = {
    "NaN scores": (
        lambda f: f.assign(probability=f["probability"].where(f.index > 2)),
        "3 probabilities are missing or not in [0, 1], such as of c-00000, c-00001, c-00002",
    ),
    "probabilities above 1": (
        lambda f: f.assign(probability=f["probability"] * 100),
        "probabilities are missing or not in [0, 1]",
    ),
    "negative probabilities": (
        lambda f: f.assign(probability=-f["probability"]),
        "probabilities are missing or not in [0, 1]",
    ),
    "scores as words": (
        lambda f: f.assign(probability="high"),
        "column probability must hold numbers",
    ),
    "conflicting labels": (
        swapped,
        "duplicate patients with conflicting labels: one patient: 1 with more than one label, such "
        "as c-p00000: give each patient one label",
    ),
    "a missing column": (lambda f: f.drop(columns="label"), "columns missing: label"),
    "two cohorts": (
        lambda f: f.assign(cohort=f["cohort"].where(f.index % 2 == 0, "elsewhere")),
        "the file also holds rows of elsewhere: give each cohort its own file",
    ),
    "a picture twice": (lambda f: pd.concat([f, f.head(1)]), "two predictions for one key"),
    "labels of three classes": (
        lambda f: f.assign(label=np.arange(len(f)) // 2 % 3),
        "labels must be 0, 1 (positive) or empty",
    ),
    "no patient": (lambda f: f.assign(patient=pd.NA), "may not be empty"),
    "a patient without a name": (
        lambda f: f.assign(patient=f["patient"].where(f.index > 0)),
        "column patient may not be empty, as in 1 rows",
    ),
    "two thresholds": (
        lambda f: f.assign(threshold=np.linspace(0.1, 0.9, len(f))),
        "40 thresholds; a model has one",
    ),
    "a threshold of a logit": (
        lambda f: f.assign(threshold=1.5),
        "the threshold 1.5 is outside [0, 1], where probabilities are: is it of a logit?",
    ),
    "sexes in words": (
        lambda f: f.assign(sex="female"),
        "rows says something else than F, M, such as female: write it like that, or leave it",
    ),
    "another word for a severity": (
        lambda f: f.assign(severity="bad"),
        "else than normal, mild, moderate, advanced, such as bad",
    ),
    "an infinite threshold": (lambda f: f.assign(threshold=np.inf), "threshold is infinite"),
    "a fracture that is no answer": (
        lambda f: f.assign(fracture=3, followup_days=100.0),
        "fracture that is not 0 or 1",
    ),
}


@pytest.fixture
def frame(make_cohort):
    return make_cohort("c", 20, 0, repeats=2, models=("student",))


def call(verb, run):
    return CliRunner().invoke(app, [verb, str(run)])


def one_line(done, says):
    assert done.exit_code == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert says in lines[0]
    assert "cohorts/c" in lines[0].replace("\\", "/")
    return lines[0]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_predictions_are_one_line(name, frame, tmp_path, save_cohort):
    change, says = BROKEN[name]
    path = save_cohort(tmp_path, change(frame), "c")
    line = one_line(call("metrics", tmp_path), says)
    assert len(line) < 500
    assert not (path.parent / "metrics.json").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" + b"\0" * 200 + b"PAR1", b"key,label\n1,0\n", b"\xff" * 4096]
)
def test_unreadable_parquet_is_one_line(content, frame, tmp_path, save_cohort):
    save_cohort(tmp_path, frame, "c").write_bytes(content)
    one_line(call("metrics", tmp_path), "predictions.parquet: not a readable parquet file")


def test_hostile_names_stay_on_the_line(frame, tmp_path, save_cohort):
    odd = frame.assign(cohort=["a\nb" * 500, *["c"] * (len(frame) - 1)])
    save_cohort(tmp_path, odd, "c")
    one_line(call("metrics", tmp_path), "also holds rows of a b")


def test_a_cohort_of_nobody_is_no_error(frame, tmp_path, save_cohort):
    save_cohort(tmp_path, frame.iloc[:0], "c")
    assert call("metrics", tmp_path).exit_code == 0
    found = json.loads((tmp_path / "cohorts/c/metrics.json").read_text())
    assert found["notes"] == ["The predictions file has no rows."]
    assert (found["models"], found["spectrum"], found["baseline"]["patients"]) == ([], None, 0)


@pytest.mark.parametrize(("label", "what"), [(0, "has a negative one"), (1, "has a positive one")])
def test_one_class_is_undefined_with_the_reason(label, what, frame, tmp_path, save_cohort):
    save_cohort(tmp_path, frame.assign(label=label), "c")
    assert call("metrics", tmp_path).exit_code == 0
    found = json.loads((tmp_path / "cohorts/c/metrics.json").read_text())
    assert f"Everybody with a reference label {what}: nothing can be ranked." in found["notes"]
    model = found["models"][0]
    for estimate in (
        model["overall"]["auroc"],
        model["overall"]["f1"],
        model["calibration"]["slope"],
        model["calibration"]["ici"],
    ):
        assert estimate["value"] is None
        assert "one class only" in estimate["undefined"]
    assert "one class only" in model["decision"]["undefined"]
    assert "one class only" in model["calibration"]["hosmer_lemeshow"]["undefined"]
    assert model["comparisons"] >= 0
    assert found["baseline"]["splits"][0]["contrast"]["undefined"] == "one group has nobody"
