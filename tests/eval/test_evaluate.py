"""metrics.json files of a run: written once, made again when the predictions change."""

import json

import pytest

from eval.evaluate import evaluate_run


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
    names = [m.cohort for m in evaluate_run(run)]
    assert names == ["asan-test", "north-external", "asan-tune"]


def test_a_broken_cohort_is_named_and_the_others_are_written(run):
    (run / "cohorts/asan-test/predictions.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"asan-test/predictions\.parquet: not a readable"):
        evaluate_run(run)
    assert (run / "cohorts/north-external/metrics.json").is_file()
