"""What may not be compared: one clear line for whatever is wrong with the runs given."""

import json

import numpy as np
import pandas as pd
import pytest

from eval.classes import three_classes
from tests.eval.classes.cases import first_stage, people, second_stage, unified, write

COHORT = "here-test"


def judge(runs, **how):
    first, second, *others = map(str, runs)
    return three_classes(first, second, others, draws=40, **how)


def change(run, edit, cohort=COHORT):
    path = run / "cohorts" / cohort / "predictions.parquet"
    edit(pd.read_parquet(path)).to_parquet(path)


def some(frame, column, value, n=3):
    """The first n rows changed."""
    frame[column] = frame[column].where(np.arange(len(frame)) >= n, value)
    return frame


@pytest.mark.parametrize(
    ("which", "edit", "message"),
    [
        (
            1,
            lambda f: f[f["category"] != 2],
            "here-test: not the same pictures: {n} only in li2026, such as here-test-0",
        ),
        (
            1,
            lambda f: f.assign(key="x" + f["key"]),
            "240 only in li2026, such as here-test-00000; 240 only in ospenscreen, such as xhere",
        ),
        (
            2,
            lambda f: some(f, "category", 2, 300),
            "pictures have another category, such as here-test-0",
        ),
        (
            1,
            lambda f: some(f, "patient", "somebody"),
            "3 of 240 pictures have another patient, such as here-test-00000: here-test-p00000 in "
            "li2026, somebody in ospenscreen",
        ),
        (
            1,
            lambda f: some(f, "patient", None),
            "column patient may not be empty, as in 3 rows",
        ),
        (1, lambda f: some(f, "key", None, 1), "column key may not be empty, as in 1 rows"),
        (0, lambda f: f.drop(columns="threshold"), "240 of 240 rows of model student have no"),
        (1, lambda f: some(f, "threshold", np.nan), "3 of 240 rows of model student have no"),
        (1, lambda f: some(f, "threshold", 0.9), "ospenscreen: 2 thresholds of model student"),
        (0, lambda f: f.assign(probability=np.nan), "240 probabilities are missing or not in"),
        (0, lambda f: f.drop(columns="probability"), "columns missing: probability"),
        (2, lambda f: f.drop(columns="p_normal"), "240 of 240 rows lack p_normal, p_low_bone"),
        (2, lambda f: some(f, "p_osteoporosis", np.nan), "3 of 240 rows lack p_normal"),
        (2, lambda f: some(f, "p_osteoporosis", -0.5), "are no probabilities that sum to 1"),
        (2, lambda f: some(f, "p_osteoporosis", 1.0), "are no probabilities that sum to 1"),
        (2, lambda f: some(f, "category", 7), "category 7; it is 0 normal, 1 low bone mass or 2"),
        (0, lambda f: f.assign(label=1 - f["label"]), "240 labels contradict the category"),
        (1, lambda f: f.assign(label=1 - f["label"]), "Is this the model of low bone mass?"),
        (2, lambda f: f.assign(label=1 - f["label"]), "Is this the model of three classes?"),
        (1, lambda f: f.iloc[:0], "not the same cohorts: ospenscreen lacks here-test"),
    ],
)
def test_one_line_says_what_is_wrong(runs, which, edit, message):
    change(runs[which], edit)
    with pytest.raises(ValueError, match=r".") as caught:
        judge(runs)
    n = int(
        (
            pd.read_parquet(runs[0] / "cohorts" / COHORT / "predictions.parquet")["category"] == 2
        ).sum()
    )
    assert message.format(n=n) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_threshold_must_be_the_same_in_every_cohort_and_a_probability(runs):
    change(runs[0], lambda f: f.assign(threshold=0.31))
    with pytest.raises(ValueError, match="li2026: 2 thresholds"):
        judge(runs)
    for cohort in ("here-test", "here-tune", "there-external"):
        change(runs[0], lambda f: f.assign(threshold=np.inf), cohort)
    with pytest.raises(ValueError, match="threshold inf is not a probability"):
        judge(runs)


def test_runs_that_learnt_something_else(runs):
    first, second, softmax, _ = map(str, runs)
    with pytest.raises(ValueError, match="learnt low bone mass; here a model of osteoporosis"):
        three_classes(second, first)
    with pytest.raises(ValueError, match="learnt three classes; here a model of low bone mass"):
        three_classes(first, softmax)
    (runs[1] / "run.json").unlink()
    (runs[0] / "run.json").unlink()
    with pytest.raises(ValueError, match="Is this the model of osteoporosis"):
        three_classes(second, first)
    made = three_classes(first, second, draws=20)
    assert sum("does not say what it learnt" in n for n in made.notes) == 2


def test_what_is_asked_for(runs, tmp_path):
    first, second, softmax, ordinal = map(str, runs)
    for how, message in (
        ((first, None), "give --first and --second"),
        ((None, None), "nothing to judge"),
        ((first, second, [softmax, softmax]), "named twice"),
        ((first, second, [str(tmp_path / "no")]), "no such run folder"),
        ((f"{first}:teacher", second), "no model teacher; there is student"),
    ):
        with pytest.raises(ValueError, match=message):
            three_classes(*how, draws=10)
    with pytest.raises(ValueError, match="0 resamples"):
        three_classes(first, second, draws=0)
    with pytest.raises(ValueError, match="no cohort nowhere; there is here-test"):
        three_classes(first, second, cohorts=["nowhere"])
    alone = three_classes(None, None, [softmax, ordinal], draws=20)
    assert [s.kind for s in alone.systems] == ["one model"] * 2
    assert alone.comparisons == 2 * 4


def test_one_cohort_that_all_have(runs):
    for file in (runs[2] / "cohorts" / "there-external").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"softmax lacks there-external; judge .* --cohort here-"):
        judge(runs)
    made = judge(runs, cohorts=["here-test"])
    assert [c.cohort for c in made.cohorts] == ["here-test"]


def test_unlabelled_rows_are_counted_and_cohorts_of_them_left_out(runs):
    for run in runs:
        change(run, lambda f: some(f, "category", pd.NA, 7))
        change(run, lambda f: f.assign(category=pd.NA, label=pd.NA), "there-external")
    made = judge(runs)
    assert [(c.cohort, c.n, c.left_out) for c in made.cohorts] == [
        ("here-test", 233, 7),
        ("here-tune", 120, 0),
    ]
    assert "there-external: left out, no picture has a category." in made.notes
    for run in runs:
        for cohort in ("here-test", "here-tune"):
            change(run, lambda f: f.assign(category=pd.NA, label=pd.NA), cohort)
    with pytest.raises(ValueError, match=r"no picture of .* has a category"):
        judge(runs)


def test_a_category_that_one_file_tells_holds_for_all(runs):
    before = judge(runs)
    change(runs[0], lambda f: f.assign(category=f["category"].where(f["category"] == 2)))
    change(runs[3], lambda f: f.drop(columns="category"))
    after = judge(runs)
    assert after.cohorts == before.cohorts


def test_one_class_only_is_undefined_and_said_so(tmp_path):
    who = people(300, 3)
    keep = np.flatnonzero(who.category == 0)[:50]
    made = []
    for name, make in (("f", first_stage), ("s", second_stage), ("u", unified)):
        frame = make(COHORT, who).iloc[keep]
        made.append(write(tmp_path / name, {COHORT: frame}))
    found = judge(made)
    (cohort,) = found.cohorts
    for judged in cohort.systems:
        assert judged.auroc_ovr.undefined == "normal has all the rows"
        assert judged.balanced_accuracy.undefined == "low bone mass has no rows"
        assert judged.accuracy.value is not None
        assert judged.rps.low is not None
    assert {t.statistic for t in found.contrasts if t.p is not None} == {"rps"}
    assert found.comparisons == 1
    with pytest.raises(ValueError, match="no tuning cohort with categories"):
        judge(made, tuned=True)


def test_thresholds_cannot_be_chosen_without_a_class(runs):
    for run in runs:
        change(run, lambda f: f[f["category"] != 2], "here-tune")
    with pytest.raises(
        ValueError, match="no threshold for osteoporosis can be chosen on here-tune"
    ):
        judge(runs, tuned=True)


def test_models_are_chosen_by_name(runs):
    change(runs[2], lambda f: pd.concat([f, f.assign(model="teacher")]))
    assert judge(runs).systems[1].parts[0].model == "student"
    named = three_classes(None, None, [f"{runs[2]}:teacher", str(runs[2])], [COHORT], draws=20)
    assert [s.name for s in named.systems] == ["softmax, teacher", "softmax"]
    assert named.contrasts[0].p is None
    assert named.contrasts[0].difference.undefined == "every resample gives the same value"
    for cohort in ("here-test", "here-tune", "there-external"):
        change(
            runs[2],
            lambda f: f.assign(model=f["model"].map({"student": "a", "teacher": "b"})),
            cohort,
        )
    with pytest.raises(ValueError, match=r"has a, b.*; name one as .*softmax:a"):
        three_classes(None, None, [str(runs[2])], [COHORT])


def test_runs_of_one_name_are_numbered(runs):
    for run in runs[2:]:
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(facts | {"run_id": "same"}))
    assert [s.name for s in judge(runs).systems[1:]] == ["same", "same (2)"]
