"""metrics.jsonl: written, cut, torn, hostile."""

from __future__ import annotations

import json
import math

import pytest

from tests.training.tracking.conftest import record, write
from training.tracking import JsonlTracker
from training.tracking.records import numbers, read, summary_of, to_line

GOOD = [record(3), record(6)]


def lines(path) -> list[dict]:
    return [json.loads(x) for x in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"step": 9, "ep',
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"9",
        b'{"epoch": 1}',
        b'{"step": "9"}',
        b'{"step": true}',
        b'{"step": -1}',
        b'{"step": 9.5}',
        b'{"step": 6, "epoch": 2}',
        b'{"step": 3, "epoch": 1}',
        b'{"step": 9, "summary": 3}',
        b"[" * 100_000,
        b'{"step": 1' + b"0" * 5000 + b"}",
    ],
    ids=lambda b: b[:20].decode("latin1"),
)
def test_a_line_that_is_no_record_is_named_and_the_rest_is_read(tmp_path, bad):
    path = write(tmp_path, "teacher", 3, 6)
    path.write_bytes(path.read_bytes() + bad + b"\n" + to_line(record(12)).encode())
    found = read(path)
    assert found.records == [*GOOD, record(12)]
    assert len(found.problems) == 1
    assert found.problems[0].startswith("metrics.jsonl line 3 is passed over: ")


def test_no_file_and_an_empty_one_hold_nothing(tmp_path):
    assert read(tmp_path / "none").records == []
    (tmp_path / "empty").write_bytes(b"\n \n")
    assert read(tmp_path / "empty").problems == []


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_not_finite_is_left_out_and_said(tmp_path, word):
    path = write(tmp_path, "teacher", 3)
    path.write_text(path.read_text() + f'{{"step": 6, "a": {word}, "b": 2}}\n')
    found = read(path)
    assert numbers(found.records[1]) == {"step": 6, "b": 2}
    assert found.problems == ["metrics.jsonl line 2: what is not finite in it is left out"]


def test_numbers_leave_and_nothing_else_does():
    patient = "00112233445566778899"
    tree = {
        "a": 1,
        "b": {"c": 0.5, "d": {"e": True}},
        "text": "Mr Smith",
        "list": [1, 2],
        "none": None,
        "nan": math.nan,
        "huge": 10**400,
        patient: 1,
        "score": {f"teacher/{patient}": 0.9},
        "sha256": "ab" * 32,
    }
    assert numbers(tree) == {"a": 1, "b/c": 0.5, "b/d/e": True}
    # A hash is longer than a pseudonym, and no patient.
    assert numbers({"ab" * 32: 1}) == {"ab" * 32: 1}


def test_the_summary_names_the_best_epoch(tmp_path):
    path = tmp_path / "metrics.jsonl"
    scores = [0.6, 0.9, 0.9, 0.7]
    rows = [{"step": n, "epoch": n, "tune/auroc": x} for n, x in enumerate(scores, 1)]
    path.write_text("".join(map(to_line, rows)))
    assert summary_of(read(path)) == {"best/tune/auroc": 0.9, "best/epoch": 2}
    JsonlTracker(path, "eval", print).summary({"auroc": {"north": 0.8}})
    assert summary_of(read(path))["auroc/north"] == 0.8


def test_resume_cuts_back_and_says_what_was_torn(tmp_path):
    path = write(tmp_path, "teacher", 3, 6, 9)
    path.write_text(path.read_text() + '{"step": 12, "ep')
    said: list[str] = []
    tracker = JsonlTracker(path, "teacher", said.append)
    tracker.resume(6)
    assert lines(path) == GOOD
    assert said == [
        "teacher: metrics.jsonl line 4 is passed over: torn, or no JSON",
        "teacher: resuming at step 6",
    ]
    tracker.log(record(9))
    assert lines(path) == [*GOOD, record(9)]


def test_a_stage_begun_anew_forgets_its_summary_and_a_second_replaces_the_first(tmp_path):
    path = tmp_path / "pseudo" / "metrics.jsonl"
    tracker = JsonlTracker(path, "pseudo", lambda _: None)
    tracker.resume(0)
    tracker.summary({"counts": {"normal": 3}})
    tracker.summary({"counts": {"normal": 4}})
    assert lines(path) == [{"step": 0, "summary": {"counts": {"normal": 4}}}]
    tracker.resume(0)
    assert lines(path) == []


def test_a_number_that_is_not_finite_is_written_as_null_and_stops_nothing(tmp_path):
    said: list[str] = []
    tracker = JsonlTracker(tmp_path / "metrics.jsonl", "teacher", said.append)
    tracker.log({"step": 3, "epoch": 1, "a": math.nan, "b": 1.0, "c": {"d": math.inf}})
    assert lines(tracker.path) == [{"step": 3, "epoch": 1, "a": None, "b": 1.0, "c": {"d": None}}]
    assert said[-1] == "teacher: warning: not finite: a, c"
