"""metrics.json files of a run: written once, made again when the predictions change."""

import json

import pytest

from eval.cohort import Metrics, Settings, check_coherent, evaluate_cohort
from eval.evaluate import evaluate_run
from eval.runs import Run


def test_metrics_are_left_alone_until_predictions_change(run, make_cohort, save_cohort):
    evaluate_run(run)
    path = run / "cohorts/asan-test/metrics.json"
    before, made = path.read_bytes(), path.stat().st_mtime_ns
    evaluate_run(run)
    assert path.stat().st_mtime_ns == made
    save_cohort(run, make_cohort("asan-test", 60, 9), "asan-test")
    evaluate_run(run)
    assert path.read_bytes() != before
    path.write_text('{"torn')
    evaluate_run(run)
    assert json.loads(path.read_text())["cohort"] == "asan-test"


def test_tuning_cohorts_come_last(run):
    found = evaluate_run(run)
    assert [m.cohort for m in found] == ["asan-test", "north-external", "asan-tune"]
    # temperature was chosen on the last, which Hosmer and Lemeshow's test is to know
    assert [m.models[0].calibration.external for m in found] == [True, True, False]


def test_a_broken_cohort_is_named_and_the_others_are_written(run):
    (run / "cohorts/asan-test/predictions.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"asan-test/predictions\.parquet: not a readable"):
        evaluate_run(run)
    assert (run / "cohorts/north-external/metrics.json").is_file()


def test_metrics_that_contradict_themselves_are_not_reported(run):
    evaluate_run(run)
    path = run / "cohorts/asan-test/metrics.json"
    content = json.loads(path.read_text())
    content["models"][0]["overall"]["sensitivity"]["value"] -= 0.05
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"asan-test/metrics\.json: changed since.*sensitivity"):
        evaluate_run(run)
    path.unlink()
    evaluate_run(run)


def test_what_the_linter_finds_is_an_error_of_one_line(make_cohort):
    found = evaluate_cohort(make_cohort("c", 60, 0), "c", Settings(draws=20))
    check_coherent(found, "c")
    first, *others = found.models
    wrong = first.model_copy(update={"overall": first.overall.model_copy(update={"n": 61})})
    with pytest.raises(ValueError, match=r"adds up|give 60 patients") as e:
        check_coherent(found.model_copy(update={"models": (wrong, *others)}), "c: a fault")
    assert str(e.value).startswith("c: a fault: impossible: ")
    assert "\n" not in str(e.value)


def test_cohorts_side_by_side_give_the_bytes_of_one_alone(run, make_cohort):
    evaluate_run(run)
    written = {p.parent.name: p.read_text() for p in run.glob("cohorts/*/metrics.json")}
    for name, text in written.items():
        again = Metrics.model_validate_json(text)
        alone = evaluate_cohort(Run.at(run).predictions(name), name, None, again.predictions_sha256)
        assert alone == again


def test_odd_names_are_no_fault(make_cohort):
    frame = make_cohort("c", 80, 0)
    long = frame["model"].map({"teacher": "m" * 400 + "1", "student": "m" * 400 + "2"})
    sites = [f"{i % 2}" * 300 for i in range(len(frame))]
    found = evaluate_cohort(frame.assign(model=long, source=sites), "c", Settings(draws=20))
    assert len(found.models) == 2
