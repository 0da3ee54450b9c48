"""python -m eval: what it prints, what it refuses, and how."""

import pytest
from typer.testing import CliRunner

from eval.__main__ import app

runner = CliRunner()


def call(*words):
    return runner.invoke(app, [str(w) for w in words])


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
    done = call("report", run, "--no-explain")
    assert done.exit_code == 0
    assert (run / "report/index.html").is_file()


@pytest.mark.parametrize("verb", ["metrics", "show", "report"])
def test_no_run_is_the_users_to_put_right(verb, tmp_path):
    done = call(verb, tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "nowhere: no such run folder" in done.stderr
    assert "Traceback" not in done.stderr
    done = call(verb, tmp_path)
    assert done.exit_code == 2
    assert "predictions.parquet: none there" in done.stderr


def test_broken_json_names_the_file(run):
    (run / "run.json").write_text("{")
    for verb in ("show", "report"):
        done = call(verb, run)
        assert done.exit_code == 2
        assert "run.json: not JSON" in done.stderr


def test_help_teaches():
    text = call("--help").stdout
    for verb in ("metrics", "show", "report"):
        assert verb in text
    assert "predictions.parquet" in text


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
