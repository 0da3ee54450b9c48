"""python -m eval: what it prints, what it refuses, and how."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from tests.eval.test_clinical_run import build as build_clinical

runner = CliRunner()
ROOT = Path(__file__).resolve().parents[2]


def call(*words):
    return runner.invoke(app, [str(w) for w in words])


@pytest.fixture(scope="module")
def template(tmp_path_factory, build):
    """A run whose metrics are written."""
    run = build(tmp_path_factory.mktemp("command") / "run", 60)
    assert call("metrics", run).exit_code == 0
    return run


@pytest.fixture
def run(template, tmp_path):
    return shutil.copytree(template, tmp_path / "run")


@pytest.fixture
def other(run, tmp_path):
    """The same cohorts judged by slightly other models."""
    other = shutil.copytree(run, tmp_path / "other")
    for path in other.glob("cohorts/*/predictions.parquet"):
        frame = pd.read_parquet(path)
        frame["probability"] = frame["probability"].rank(pct=True) ** 1.5 * 0.98
        frame.to_parquet(path)
    facts = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(facts | {"run_id": "other"}))
    return other


def test_metrics_then_show(run):
    done = call("metrics", run)
    assert done.exit_code == 0
    assert (run / "cohorts/asan-test/metrics.json").is_file()
    shown = call("show", run).stdout.splitlines()
    assert shown[0].split("  ")[0] == "cohort"
    assert shown[0].endswith("ceiling")
    assert [line.split()[:2] for line in shown[1:3]] == [
        ["asan-test", m] for m in ("teacher", "student")
    ]
    assert shown[1].endswith("0.951")
    assert "optimistic" in shown[-1]


def test_report(run):
    done = call("report", run, "--no-explain", "--json")
    assert done.exit_code == 0
    for name in (
        *("index.html", "modelcard.md", "checklists.json", "checklists.csv"),
        *("table1.csv", "table2.csv"),
    ):
        assert (run / "report" / name).is_file()
    value = json.loads(done.stdout)
    assert value["report"] == f"{run}/report/index.html"
    assert value["checklists"] == f"{run}/report/checklists.json"
    assert (value["pdf"] is None) == (not (run / "report/report.pdf").is_file())
    assert len(value["rows"]) == 6


def test_json_is_what_metrics_json_holds_and_nothing_else_is_printed(run):
    value = json.loads(call("metrics", run, "--json").stdout)
    assert value["format"] == "osteoray-evaluation/1"
    for m in value["metrics"]:
        assert m == json.loads((run / "cohorts" / m["cohort"] / "metrics.json").read_text())
    rows = json.loads(call("show", run, "--json").stdout)["rows"]
    first = value["metrics"][0]["models"][0]["overall"]
    assert rows[0]["auroc"] == first["auroc"]
    assert rows[0]["ceiling"] == 0.951
    assert [r["cohort"] for r in rows if r["tuning"]] == ["asan-tune"] * 2


def test_gates_end_with_5_and_a_line_each(run):
    done = call("show", run, "--gate", "auroc_low>=0", "--gate", "n>=60")
    assert done.exit_code == 0
    assert done.stderr == ""
    done = call("show", run, "--gate", "auroc_low>=0.9999", "--gate", "n>=60", "--json")
    assert done.exit_code == 5
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("gate failed: asan-test/teacher: auroc_low>=0.9999: 0.")
    gates = json.loads(done.stdout)["gates"]
    assert [g["passed"] for g in gates] == [False] * 4 + [True] * 4
    file = run / "gates.yaml"
    file.write_text("- auroc_low>=0.9999\n- north-external: n>=1\n")
    done = call("metrics", run, "--gates", file)
    assert done.exit_code == 5
    assert len(done.stderr.splitlines()) == 4


def test_gates_are_read_before_anything_is_computed(tmp_path):
    done = call("metrics", tmp_path / "nowhere", "--gate", "aurok>=1")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "eval: gate 'aurok>=1': no quantity 'aurok': did you mean auroc?"
    ]


def test_several_runs_are_one_page(run, other, tmp_path):
    done = call("report", run, other)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == f"report: {run}/report/compare.html"
    done = call("report", run, other, "--out", tmp_path / "out", "--json")
    value = json.loads(done.stdout)
    assert Path(value["report"]) == tmp_path / "out" / "compare.html"
    assert json.loads(Path(value["comparison"]).read_text())["comparisons"] > 0
    failing = call("report", run, other, "--gate", "other-cohort: auroc>0")
    assert failing.exit_code == 2
    assert "no cohort 'other-cohort'" in failing.stderr


def test_compare_prints_tests_and_writes_only_where_told(run, other, tmp_path):
    done = call("compare", run, other)
    assert done.exit_code == 0
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    # Two models a run, within each and of one name between them, on two cohorts.
    assert kinds.count("paired") == 2 * (2 + 2)
    assert kinds.count("unpaired") == 4
    assert not (run / "report").exists()
    value = json.loads(call("compare", run, other, "--json", "--every-pair").stdout)
    assert value["format"] == "osteoray-comparison/2"
    assert len(value["contrasts"]) == 2 * 6 + 4
    done = call("compare", run, other, "--out", tmp_path / "out", "--gate", "n>=61")
    assert done.exit_code == 5
    assert "gate failed: a1b2c3d4, asan-test/teacher: n>=61: 60" in done.stderr
    assert "gate failed: other, asan-test/teacher: n>=61: 60" in done.stderr
    assert "failed" in (tmp_path / "out" / "compare.html").read_text()


def test_a_spreadsheet_is_a_run(make_cohort, tmp_path):
    path = tmp_path / "peer.csv"
    make_cohort("there", 60, 1, models=("peer",)).to_csv(path, index=False)
    done = call("show", path)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split()[:2] == ["there", "peer"]
    assert (tmp_path / "peer.csv.run/cohorts/there/metrics.json").is_file()
    done = call("metrics", path, "--out", tmp_path / "made")
    assert done.stdout.split() == [f"{tmp_path}/made/cohorts/there/metrics.json"]
    done = call("report", path, "--no-explain", "--out", tmp_path / "made")
    assert done.exit_code == 0
    assert (tmp_path / "made/report/index.html").is_file()
    assert done.stdout.splitlines()[-1] == f"report: {tmp_path}/made/report/index.html"


def test_a_spreadsheet_against_a_run(run, tmp_path):
    frame = pd.read_parquet(run / "cohorts/asan-test/predictions.parquet")
    peer = frame[frame["model"] == "teacher"].assign(model="peer")
    columns = ["model", "cohort", "key", "patient", "label", "probability"]
    peer[columns].to_csv(tmp_path / "peer.csv", index=False)
    value = json.loads(call("compare", run, tmp_path / "peer.csv", "--json").stdout)
    (same,) = [
        c
        for c in value["contrasts"]
        if (c["first"]["model"], c["second"]["model"]) == ("teacher", "peer")
        and c["kind"] == "paired"
    ]
    assert same["p"] == 1.0
    assert same["nri_at_threshold"]["undefined"] == "no threshold was frozen for one of the models"


def test_out_is_not_for_a_folder(run, tmp_path):
    done = call("show", run, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "--out is for a file of predictions" in done.stderr


def test_clinical_models_are_tested_against_the_image_models(tmp_path):
    run = tmp_path / "run"
    build_clinical(run)
    done = call("clinical", run, "--json")
    assert done.exit_code == 0, done.stderr
    value = json.loads(done.stdout)
    assert {r["model"] for r in value["rows"]} >= {"student", "clinical", "combined", "OST"}
    made = json.loads(Path(value["comparison"]).read_text())
    pairs = {(c["first"]["model"], c["second"]["model"]) for c in made["contrasts"]}
    assert ("student", "clinical") in pairs
    assert Path(value["report"]).is_file()


@pytest.mark.parametrize("verb", ["metrics", "show", "report", "compare", "clinical"])
def test_no_run_is_the_users_to_put_right(verb, tmp_path):
    done = call(verb, tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "nowhere: no such run folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if verb != "clinical":
        done = call(verb, tmp_path)
        assert done.exit_code == 2
        assert "predictions.parquet: none there" in done.stderr


def test_broken_json_names_the_file(run):
    (run / "run.json").write_text("{")
    for verb in ("show", "report", "compare"):
        done = call(verb, run)
        assert done.exit_code == 2
        assert "run.json: not JSON" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_help_teaches():
    text = call("--help").stdout
    for verb in ("metrics", "show", "report", "compare", "clinical", "lint"):
        assert verb in text
    assert "predictions.parquet" in text
    assert "Exit codes" in text


def test_it_starts_without_torch_ray_and_trees(run):
    code = (
        "import sys; from eval.__main__ import app;"
        "app(['show', sys.argv[1]], standalone_mode=False);"
        "print([m for m in ('torch', 'ray', 'xgboost', 'training') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_table_that_contradicts_itself_ends_with_5(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("name,n,tp,fn,tn,fp,accuracy\nwomen,100,40,10,30,20,0.90\n")
    run = CliRunner().invoke
    found = run(app, ["lint", str(path)])
    assert found.exit_code == 5, found.output
    assert "accuracy" in found.output
    path.write_text("name,n,tp,fn,tn,fp,accuracy\nwomen,100,40,10,30,20,0.70\n")
    assert run(app, ["lint", str(path)]).exit_code == 0
    assert run(app, ["lint", str(tmp_path / "none.csv")]).exit_code == 2
