"""The table of variants: numbers by scikit-learn, pairing, refusals, and what it writes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from typer.testing import CliRunner

from eval.__main__ import app
from eval.comparison.multiple import holm
from eval.runs import Run
from eval.variants import variants
from eval.variants.page import render, write_page
from eval.variants.shapes import Scores, Variants
from eval.variants.table import COLUMNS, markdown, table
from tests.eval.browser import check_fits, needs_browser
from tests.eval.classes.photographs import face_run, packed

NAMES = ("Face2Bone", "-FSA", "<b>VGG|16</b>")
COLUMNS_OF_P = ["p_normal", "p_low_bone_mass", "p_osteoporosis"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("variants")
    made = [
        face_run(root, f"run{i}", 2, 150, i == 0, f"seed: {i // 2}\nmodel: {{fsa: {i != 1}}}\n",
                 noise, 20 + i)
        for i, noise in enumerate((0.5, 0.6, 1.5))
    ]  # fmt: skip
    for other in made[1:]:  # made with the same data
        facts = json.loads((other / "run.json").read_text())
        first = json.loads((made[0] / "run.json").read_text())
        (other / "run.json").write_text(json.dumps(facts | {"manifests": first["manifests"]}))
    return [str(r) for r in made]


@pytest.fixture(scope="module")
def made(runs):
    return variants(runs, NAMES, draws=150)


@pytest.fixture
def copies(runs, tmp_path):
    return [shutil.copytree(r, tmp_path / f"c{i}") for i, r in enumerate(runs)]


def change(run, cohort="asan-test", **columns):
    path = run / "cohorts" / cohort / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame.assign(**{n: of(frame) for n, of in columns.items()}).to_parquet(path)


def test_rows_are_scikit_learns_on_people_and_on_pictures(runs, made):
    assert [t.unit for t in made.tables] == ["people", "pictures"]
    for t in made.tables:
        assert [r.name for r in t.rows] == [*NAMES, "age, sex, BMI alone"]
        for run, row in zip(runs, t.rows, strict=False):
            frame = Run.at(Path(run)).predictions("asan-test")
            by = frame.groupby("patient" if t.unit == "people" else "key")
            truth, P = by["category"].first().to_numpy(int), by[COLUMNS_OF_P].mean().to_numpy()
            said = P.argmax(axis=1)
            expected = {
                "accuracy": sk.accuracy_score(truth, said),
                "precision_macro": sk.precision_score(truth, said, average="macro"),
                "balanced_accuracy": sk.recall_score(truth, said, average="macro"),
                "f1_macro": sk.f1_score(truth, said, average="macro"),
                "precision_weighted": sk.precision_score(truth, said, average="weighted"),
                "f1_weighted": sk.f1_score(truth, said, average="weighted"),
                "auroc_ovr": sk.roc_auc_score(truth, P, multi_class="ovr"),
                "kappa": sk.cohen_kappa_score(truth, said),
                "kappa_quadratic": sk.cohen_kappa_score(truth, said, weights="quadratic"),
            }
            assert set(expected) == set(Scores.model_fields)
            found = {n: getattr(row.scores, n).value for n in expected}
            assert found == pytest.approx(expected, abs=1e-12)
            assert "bootstrap of patients" in row.scores.accuracy.method


def test_differences_are_paired_and_p_is_corrected_for_the_rows(made):
    for t in made.tables:
        first, *others = t.rows
        assert (first.difference, first.p) == ({}, None)
        for row in others:
            for name, gap in row.difference.items():
                expected = getattr(row.scores, name).value - getattr(first.scores, name).value
                assert gap.value == pytest.approx(expected, abs=1e-12)
        assert [r.p_holm for r in others] == pytest.approx(holm([r.p for r in others]))
    close, far = made.tables[0].rows[1:3]
    assert close.p > 0.05 > far.p_holm
    apart = far.difference["auroc_ovr"]
    assert apart.high < 0
    # paired: narrower than two intervals of their own would make it
    widths = [r.scores.auroc_ovr.high - r.scores.auroc_ovr.low for r in made.tables[0].rows[:2]]
    gap = close.difference["auroc_ovr"]
    assert gap.high - gap.low < np.hypot(*widths)


def test_a_model_beside_itself_is_not_tested(runs, copies):
    made = variants([runs[0], str(copies[0])], draws=50)
    for t in made.tables:
        assert t.rows[1].p is None
        assert t.rows[1].no_test == "says the same of everybody"
        assert t.rows[1].difference["auroc_ovr"].value == 0
        assert t.rows[2].p == t.rows[2].p_holm  # the body's alone is a test


def test_what_else_was_changed_is_said(runs, made):
    assert made.variants[1].changed == (("model.fsa", "True", "False"),)
    assert made.variants[2].changed == (("seed", "0", "1"),)
    assert any("VGG|16</b> differs from Face2Bone in more than its model: seed" in n
               for n in made.notes)  # fmt: skip
    assert not any("-FSA differs" in n for n in made.notes)
    assert any("ask for --draws" in n for n in variants(runs, draws=20).notes)


def other_label(frame):
    return np.where(
        frame["patient"] == "asan-test-p00003", 2 - frame["category"], frame["category"]
    )


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"key": lambda f: "x" + f["key"]}, "not the same pictures: 300 only in"),
        ({"patient": lambda f: "x" + f["patient"]}, "300 of 300 pictures have another patient"),
        ({"category": other_label}, "another category|contradict the category"),
        ({"p_normal": lambda f: np.nan}, "300 of 300 rows lack p_normal"),
        ({"p_normal": lambda f: f["p_normal"] + 0.5}, "no probabilities that sum to 1"),
    ],
)
def test_runs_of_other_people_or_labels_are_refused(copies, broken, why):
    change(copies[1], **broken)
    with pytest.raises(ValueError, match=why):
        variants([str(copies[0]), str(copies[1])], draws=20)


def test_fewer_rows_are_refused(copies):
    path = copies[1] / "cohorts/asan-test/predictions.parquet"
    pd.read_parquet(path).iloc[:-1].to_parquet(path)
    with pytest.raises(ValueError, match="1 only in run0, such as"):
        variants([str(copies[0]), str(copies[1])], draws=20)


def test_asked_wrongly(runs, copies):
    for args, why in (
        ({"runs": runs[:1]}, "one run is no table"),
        ({"runs": [runs[0], runs[0]]}, "named twice"),
        ({"runs": runs, "names": ["a", "b"]}, "2 names for 3 runs"),
        ({"runs": runs, "names": ["a", " a ", "b"]}, "names must differ"),
        ({"runs": runs, "names": ["a", "", "b"]}, "names must differ"),
        ({"runs": runs, "tested": "luck"}, "luck: no statistic to test; there are auroc_ovr"),
        ({"runs": runs, "draws": 0}, "0 resamples"),
        ({"runs": runs, "level": 1.0}, "level"),
        ({"runs": runs, "cohorts": ["asan-tune"]}, "models were chosen there"),
        ({"runs": runs, "cohorts": ["nowhere"]}, "no cohort nowhere"),
        ({"runs": [runs[0], "/nowhere"]}, "no such run folder"),
    ):
        with pytest.raises(ValueError, match=why):
            variants(**args)
    facts = json.loads((copies[1] / "run.json").read_text())
    (copies[1] / "run.json").write_text(json.dumps(facts | {"target": "osteoporosis"}))
    with pytest.raises(ValueError, match="learnt osteoporosis"):
        variants([runs[0], str(copies[1])])


def test_without_a_body_the_table_says_so(copies):
    shutil.rmtree(copies[0] / "packs")
    packed(copies[0], patients=[f"asan-test-p{i:05d}" for i in range(400)])
    made = variants([str(copies[0]), str(copies[1])], draws=20)
    assert made.body is None
    assert [r.name for r in made.tables[0].rows] == ["run0", "run1"]
    assert "What age, sex and BMI alone reach is not known" in table(made)
    assert "150 of the patients judged are in faces train and tune" in markdown(made)


def test_markdown_and_page_print_the_numbers(made):
    text, page = markdown(made), render(made)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.count(" | ") for line in rows} == {7, 4}
    assert "&lt;b>VGG\\|16&lt;/b>" in text
    assert "<b>VGG" not in page
    plain = re.sub(r"<[^>]*>", " ", re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL))
    for t in made.tables:
        for row in t.rows:
            for _, field in COLUMNS:
                e = getattr(row.scores, field)
                assert f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" in text
                assert f"{e.value:.3f}" in plain
                assert f"{e.low:.3f}–{e.high:.3f}" in plain
    assert not re.search(r'(src|href)="http|<script', page)


def test_files_are_ours_and_the_same_again(made, runs, tmp_path):
    paths = write_page(made, tmp_path / "out")
    assert Variants.model_validate_json(paths[1].read_text()) == made
    first = [p.read_bytes() for p in paths]
    write_page(variants(runs, NAMES, draws=150), tmp_path / "out")
    assert [p.read_bytes() for p in paths] == first
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/variants.md").write_text("mine")
    with pytest.raises(ValueError, match="is not of variants"):
        write_page(made, tmp_path / "mine")
    assert (tmp_path / "mine/variants.md").read_text() == "mine"
    with pytest.raises(ValueError, match="is a file"):
        write_page(made, paths[0])


def test_the_command(runs, tmp_path):
    words = ["variants", *runs, "--names", "a,-b,c", "--draws", "30", "--test", "accuracy"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"report: {tmp_path}/variants.html"
    assert "Accuracy less a" in done.stdout
    as_json = CliRunner().invoke(app, [*words, "--out", str(tmp_path), "--json"])
    assert json.loads(as_json.stdout) == json.loads((tmp_path / "variants.json").read_text())
    bad = CliRunner().invoke(app, ["variants", runs[0]])
    assert (bad.exit_code, bad.stderr.count("\n")) == (2, 1)


@needs_browser
def test_the_page_does_not_scroll_sideways(made, tmp_path):
    check_fits(render(made), tmp_path, tables=4)
