"""Several runs side by side: the tests against their definitions, and what may not be tested."""

import json
import re
import shutil

import numpy as np
import pytest

from eval import comparison
from eval.cohort import Settings
from eval.comparison.multiple import bonferroni, holm
from eval.comparison.page import render, write_comparison
from eval.delong import delong_test, delong_unpaired
from eval.gates import Outcome
from eval.runs import Run
from tests.eval.conftest import cohort_frame, write_cohort


def make_run(folder, cohorts, run_id=None):
    for name, frame in cohorts.items():
        write_cohort(folder, frame, name)
    (folder / "run.json").write_text(json.dumps({"run_id": run_id or folder.name}))
    return folder


def other_model(frame, seed, noise=0.5):
    """The same pictures, judged by somebody else."""
    rng = np.random.default_rng(seed)
    logit = frame["logit"] + noise * rng.normal(size=len(frame))
    return frame.assign(logit=logit, probability=1 / (1 + np.exp(-logit)))


def compare(folders, every_pair=True):
    """With few draws: the intervals of single models are tested elsewhere."""
    return comparison.compare(folders, Settings(draws=40), every_pair)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two runs on the same cohorts, evaluated."""
    tmp_path = tmp_path_factory.mktemp("two")
    here = cohort_frame("here-test", 120, 1)
    there = cohort_frame("there-external", 90, 2, 0.7, repeats=2)
    tuned = cohort_frame("here-tune", 60, 3)
    first = make_run(
        tmp_path / "a", {"here-test": here, "there-external": there, "here-tune": tuned}
    )
    judged = {"here-test": other_model(here, 5), "there-external": other_model(there, 6)}
    folders = first, make_run(tmp_path / "b", judged)
    compare(folders)
    return folders


@pytest.fixture
def two(template, tmp_path):
    return tuple(shutil.copytree(run, tmp_path / run.name) for run in template)


@pytest.fixture(scope="module")
def made_once(template):
    return compare(template)


def contrast(made, kind, first, second):
    (found,) = [
        c
        for c in made.contrasts
        if (c.kind, (c.first.run, c.first.cohort, c.first.model)) == (kind, first)
        and (c.second.run, c.second.cohort, c.second.model) == second
    ]
    return found


def test_between_runs_models_of_one_name_are_tested_or_all_where_none_is_shared(two):
    def across(made):
        return [
            (c.first.model, c.second.model)
            for c in made.contrasts
            if c.kind == "paired" and c.first.run != c.second.run
        ]

    made = compare(two, every_pair=False)
    assert across(made) == [("teacher", "teacher"), ("student", "student")] * 2
    assert len([c for c in made.contrasts if c.kind == "paired"]) == 2 * (2 + 2)
    for cohort in ("here-test", "there-external"):
        frame = Run.at(two[1]).predictions(cohort)
        frame["model"] = "peer " + frame["model"]
        write_cohort(two[1], frame, cohort)
    assert len(across(compare(two, every_pair=False))) == 2 * 4


def rows_of(run, cohort, model):
    frame = Run.at(run).predictions(cohort)
    return frame[frame["model"] == model].set_index("key").sort_index()


def test_every_pair_that_may_be_tested_is_there_once(made_once):
    made = made_once
    pairs = [(c.kind, c.first, c.second) for c in made.contrasts]
    # Two runs of two models on two cohorts: six pairs a cohort; each model between its cohorts.
    assert sum(kind == "paired" for kind, *_ in pairs) == 12
    assert sum(kind == "unpaired" for kind, *_ in pairs) == 4
    assert len({str(p) for p in pairs}) == len(pairs)
    assert all("tune" not in s.cohort for _, *sides in pairs for s in sides)
    assert [(r.run, r.cohort) for r in made.rows if r.tuning] == [("a", "here-tune")] * 2


def test_paired_is_delong_on_the_common_pictures_with_patients(two, made_once):
    made = made_once
    found = contrast(
        made, "paired", ("a", "there-external", "teacher"), ("b", "there-external", "student")
    )
    x = rows_of(two[0], "there-external", "teacher")
    y = rows_of(two[1], "there-external", "student")
    label = x["label"].to_numpy(int)
    who = x["patient"].to_numpy(str)
    test = delong_test(label, y["probability"], x["probability"], patients=who)
    assert found.difference.value == pytest.approx(test.difference, abs=1e-12)
    assert (found.p, found.z) == pytest.approx((test.p, test.z), abs=1e-12)
    assert (found.first.n, found.first.patients) == (180, 90)
    rowwise = delong_test(label, y["probability"], x["probability"])
    assert found.p != pytest.approx(rowwise.p, rel=1e-3)


def test_unpaired_is_delong_between_cohorts(two, made_once):
    made = made_once
    at = ("b", "here-test", "student"), ("b", "there-external", "student")
    found = contrast(made, "unpaired", *at)
    x, y = (rows_of(two[1], c, "student") for c in ("here-test", "there-external"))
    test = delong_unpaired(
        y["label"].to_numpy(int),
        y["probability"],
        x["label"].to_numpy(int),
        x["probability"],
        patients1=y["patient"].to_numpy(str),
        patients2=x["patient"].to_numpy(str),
    )
    assert found.difference.value == pytest.approx(test.difference, abs=1e-12)
    assert (found.p, found.D, found.df) == pytest.approx((test.p, test.D, test.df), abs=1e-10)
    assert found.nri is None


def test_rows_are_the_runs_own_metrics(two, made_once):
    made = made_once
    for row in made.rows:
        run = two[0] if row.run == "a" else two[1]
        metrics = json.loads((run / "cohorts" / row.cohort / "metrics.json").read_text())
        (model,) = [m for m in metrics["models"] if m["model"] == row.model]
        plain = row.model_dump(mode="json")
        assert plain["auroc"] == model["overall"]["auroc"]
        assert plain["ece"] == model["calibration"]["ece_positive_class"]
        assert plain["n"] == model["overall"]["n"]


def test_nri_at_the_thresholds_is_the_gain_in_sensitivity_and_specificity(made_once):
    made = made_once
    rows = {(r.run, r.cohort, r.model): r for r in made.rows}
    for c in made.contrasts:
        if c.kind == "unpaired":
            continue
        sides = [rows[s.run, s.cohort, s.model] for s in (c.first, c.second)]
        sensitivity, specificity = (
            [getattr(side, name).value for side in sides] for name in ("sensitivity", "specificity")
        )
        gain = sensitivity[1] - sensitivity[0] + specificity[1] - specificity[0]
        assert c.nri_at_threshold is not None
        assert c.nri_at_threshold.value == pytest.approx(gain, abs=1e-12)


def slow_holm(p):
    """Reject one by one, as the procedure is written: the smallest level at which each falls."""
    out = []
    for mine in p:
        level = max(min(1.0, other * sum(x >= other for x in p)) for other in p if other <= mine)
        out.append(level)
    return out


def test_corrections(made_once):
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 40):
        p = rng.random(n) ** 3
        assert holm(p.tolist()) == pytest.approx(slow_holm(p), abs=1e-12)
        assert bonferroni(p.tolist()) == pytest.approx(np.minimum(1, p * n), abs=1e-12)
    assert holm([]) == []
    # R 4.2: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    made = made_once
    p = [c.p for c in made.contrasts if c.p is not None]
    assert made.comparisons == len(p) == 16
    assert [c.p_holm for c in made.contrasts if c.p is not None] == pytest.approx(slow_holm(p))


def test_only_common_pictures_are_paired_and_it_is_said(two):
    frame = Run.at(two[1]).predictions("here-test")
    write_cohort(two[1], frame[~frame["key"].isin(frame["key"].unique()[:20])], "here-test")
    made = compare(two)
    found = contrast(made, "paired", ("a", "here-test", "student"), ("b", "here-test", "student"))
    assert found.first.n == found.second.n == 100
    assert found.note == "on 100 pictures that both judged, of 120 and 100"
    x, y = (rows_of(run, "here-test", "student") for run in two)
    both = x.index.intersection(y.index)
    test = delong_test(
        x.loc[both, "label"].to_numpy(int),
        y.loc[both, "probability"],
        x.loc[both, "probability"],
        patients=x.loc[both, "patient"].to_numpy(str),
    )
    assert found.p == pytest.approx(test.p, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda f: f.assign(
                label=f["label"].where(f["key"] != "here-test-00003", 1 - f["label"])
            ),
            "1 of 120 common pictures have another label",
        ),
        (
            lambda f: f.assign(patient=f["patient"].str.replace("p00003", "p99")),
            "1 of 120 common pictures are of another patient",
        ),
        (lambda f: f.assign(key="x" + f["key"]), "no picture with a reference is in both"),
    ],
)
def test_what_may_not_be_paired_says_why(two, change, reason):
    write_cohort(two[1], change(Run.at(two[1]).predictions("here-test")), "here-test")
    made = compare(two)
    found = contrast(made, "paired", ("a", "here-test", "teacher"), ("b", "here-test", "teacher"))
    assert found.p is None
    assert reason in str(found.difference.undefined)
    # Within each run the models are still comparable, and only tests with a p are counted.
    within = contrast(made, "paired", ("b", "here-test", "teacher"), ("b", "here-test", "student"))
    assert within.p is not None
    assert made.comparisons == sum(c.p is not None for c in made.contrasts) == 12


def test_cohorts_that_share_people_are_not_tested_unpaired(tmp_path):
    here = cohort_frame("here-test", 100, 1)
    there = cohort_frame("there-external", 100, 2)
    there.loc[there["key"] == "there-external-00000", "patient"] = "here-test-p00007"
    made = compare([make_run(tmp_path / "a", {"here-test": here, "there-external": there})])
    found = contrast(
        made, "unpaired", ("a", "here-test", "teacher"), ("a", "there-external", "teacher")
    )
    assert found.p is None
    assert found.difference.undefined == "1 patients are in both cohorts: neither test holds"


def test_runs_without_a_common_cohort_are_tested_unpaired(tmp_path):
    a = make_run(tmp_path / "a", {"one": cohort_frame("one", 90, 1)})
    b = make_run(tmp_path / "b", {"two": cohort_frame("two", 90, 2)})
    made = compare([a, b])
    across = [c for c in made.contrasts if c.first.run != c.second.run]
    assert {c.kind for c in across} == {"unpaired"}
    assert len(across) == 4


def test_one_class_and_empty_cohorts_are_undefined(tmp_path):
    one = cohort_frame("one", 60, 1).assign(label=1)
    none = cohort_frame("none", 60, 2).iloc[:0]
    unlabelled = cohort_frame("unlabelled", 60, 3).assign(label=None)
    run = make_run(tmp_path / "a", {"one": one, "none": none, "unlabelled": unlabelled})
    made = compare([run])
    assert made.comparisons == 0
    assert all(c.p is None and c.difference.undefined for c in made.contrasts)
    assert any("no predictions" in n for n in made.notes)
    assert "No test could be made" in render(made)


def test_names(two, tmp_path):
    with pytest.raises(ValueError, match="named twice"):
        compare([two[0], two[0]])
    (tmp_path / "latest").symlink_to(two[0])
    with pytest.raises(ValueError, match="named twice"):
        compare([two[0], tmp_path / "latest"])
    shutil.copytree(two[0], tmp_path / "copy")
    made = compare([two[0], tmp_path / "copy"])
    assert [s.run for s in made.sources] == ["a", "a (2)"]
    same = [
        c for c in made.contrasts if c.first.run != c.second.run and c.first.model == c.second.model
    ]
    paired = [c for c in same if c.kind == "paired"]
    assert [c.p for c in paired] == [1.0] * 4
    assert {c.note for c in paired} == {"the same probabilities for every picture"}


def test_the_page_prints_the_numbers_and_changes_with_them(template, made_once, tmp_path):
    two, made = template, made_once
    page, data = write_comparison(made, tmp_path / "out")
    text = page.read_text()
    assert json.loads(data.read_text())["comparisons"] == made.comparisons
    assert not re.search(r'(src|href)="http', text)
    assert "Content-Security-Policy" in text
    assert str(two[0].parent) not in text
    row = made.rows[0]
    assert f"{row.auroc.value:.3f}" in text
    auroc = row.auroc.__class__(value=7.123456, low=7.1, high=7.2)
    other = made.model_copy(
        update={"rows": (row.model_copy(update={"auroc": auroc}), *made.rows[1:])}
    )
    assert "7.123" not in text
    assert "7.123" in render(other)
    assert write_comparison(made, tmp_path / "out")[0].read_text() == text


def test_gates_that_failed_are_on_the_page(made_once):
    def outcome(passed):
        return Outcome("n>=9", "a, here-test", "student", 5.0, passed, f"found {passed}")

    text = render(made_once, [outcome(True), outcome(False)])
    assert "1 of 2 failed." in text
    assert text.index("found False") < text.index("1 passed") < text.index("found True")
    assert "<td>A, here-test, student</td>" in text
    assert "Gates" not in render(made_once)


def test_names_cannot_act_as_html(tmp_path):
    frame = cohort_frame("here", 60, 1).replace({"model": {"student": "<script>alert(1)</script>"}})
    run = make_run(tmp_path / "a", {"here": frame}, "<img src=x>")
    text = render(compare([run]))
    assert "<script>" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text


def test_foreign_files_are_left_alone(made_once, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "compare.html").write_text("mine")
    with pytest.raises(ValueError, match="is not of a comparison"):
        write_comparison(made_once, tmp_path / "out")
    assert (tmp_path / "out" / "compare.html").read_text() == "mine"
    with pytest.raises(ValueError, match="is a file; --out names a folder"):
        write_comparison(made_once, tmp_path / "out" / "compare.html")
