"""python -m eval classes: what it prints, writes and refuses."""

import json
import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from eval.classes.shapes import ThreeClasses

runner = CliRunner()


def call(*words):
    return runner.invoke(app, ["classes", *map(str, words)])


@pytest.fixture
def asked(runs):
    first, second, softmax, ordinal = runs
    return ("--first", first, "--second", second, "--unified", softmax, "--unified", ordinal,
            "--draws", 60)  # fmt: skip


def test_prints_the_numbers_of_the_json_that_it_writes(asked, runs):
    done = call(*asked)
    assert done.exit_code == 0, done.output
    made = ThreeClasses.model_validate_json((runs[0] / "report/three_classes.json").read_text())
    lines = done.stdout.splitlines()
    assert lines[-1] == f"report: {runs[0]}/report/three_classes.html"
    assert lines[0].startswith("A: li2026, then ospenscreen (two stages): osteoporosis from 0.300")
    rows = [re.split(r"\s{2,}", line) for line in lines]
    for cohort in made.cohorts:
        name = cohort.cohort + ("*" if cohort.chose else "")
        for s in cohort.systems:
            (row,) = [r for r in rows if r[:2] == [name, s.system]]
            assert row[2] == str(cohort.n)
            assert row[5] == s.f1_macro.text()
            assert row[9:] == [str(n) for n in (s.errors.missed, s.errors.alarms, s.errors.below)]
    tests = [r for r in rows if len(r) == 6 and r[1] == "B - A"]
    assert len(tests) == 2 * 4
    assert tests[0][3] == made.contrasts[0].difference.text()


def test_json_is_the_file_and_nothing_else(asked, tmp_path):
    done = call(*asked, "--tuned", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == json.loads((tmp_path / "out/three_classes.json").read_text())


def test_one_line_and_exit_code_2(asked, runs):
    done = call("--first", runs[0])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "eval: two stages are two runs" in done.stderr
    assert call(*asked, "--cohort", "nowhere").exit_code == 2


def test_files_of_predictions_will_do(runs, tmp_path):
    """What somebody else's models said, as a spreadsheet."""
    files = []
    for run in runs[:2]:
        frames = [pd.read_parquet(p) for p in sorted(run.glob("cohorts/*/predictions.parquet"))]
        files.append(tmp_path / f"{run.name}.csv")
        pd.concat(frames).to_csv(files[-1], index=False)
    done = call("--first", files[0], "--second", files[1], "--draws", 40)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "li2026.csv.run/report/three_classes.html").is_file()
    assert "does not say what it learnt" in done.stdout
    same = call("--first", runs[0], "--second", runs[1], "--draws", 40)
    numbers = [re.findall(r"^\S+ +A .*$", out, re.MULTILINE) for out in (done.stdout, same.stdout)]
    assert numbers[0] == numbers[1]
    assert numbers[0]
