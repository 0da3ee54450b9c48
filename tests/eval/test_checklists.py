"""Checklists: every item once, every answer proved by a file, and withdrawn with it."""

import csv
import io
import json
import re
import shutil
from urllib.parse import unquote

import pytest

from eval.checklists import filled, standards, write_checklists
from eval.checklists.answers import ANSWERS
from eval.runs import Run
from tests.eval.whole_run import pack, whole

#: How the published checklists number their items.
TRIPOD = (
    "1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 "
    "16 17 18a 18b 18c 18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c"
)
STARD_PARTS = {15: "abcd", 16: "abc", 17: "ab", 26: "ab", 40: "ab"}
#: What a machine may answer from metadata; the rest is the author's, whatever lies there.
MAY = {
    "CLAIM 2024": {*range(7, 14), *range(19, 34), *range(35, 40), 43},
    "TRIPOD+AI": {5, 6, 7, *range(10, 16), 20, 21, 22, 23, 27},
    "STARD-AI": {7, 9, 11, 13, 14, 15, *range(18, 26), 30, 31, 40},
}


@pytest.fixture(scope="module")
def template(tmp_path_factory, build):
    return whole(build(tmp_path_factory.mktemp("whole") / "run", 80))


@pytest.fixture
def complete(template, tmp_path):
    shutil.copytree(template, tmp_path / "run")
    return tmp_path / "run"


def answers(run, name=None):
    """(checklist, number) -> Answer of those that have one."""
    return {
        (c.standard.name, f.item.number): f.answer
        for c in filled(Run.at(run))
        for f in c.items
        if f.answer is not None and name in (None, c.standard.name)
    }


def said(run, name, number):
    """The answer's text."""
    answer = of(run, name, number).answer
    assert answer is not None
    return answer.text


def of(run, name, number):
    return next(
        f
        for c in filled(Run.at(run))
        for f in c.items
        if (c.standard.name, f.item.number) == (name, number)
    )


def test_every_item_is_there_once_in_order():
    claim, tripod, stard = standards()
    assert [i.number for i in claim.items] == [str(n) for n in range(1, 45)]
    assert [i.number for i in tripod.items] == TRIPOD.split()
    expected = [f"{n}{part}" for n in range(1, 41) for part in STARD_PARTS.get(n, [""])]
    assert [i.number for i in stard.items] == expected
    for s in (claim, tripod, stard):
        main = {int(re.sub(r"\D", "", i.number)) for i in s.items}
        assert main == set(range(1, s.main_items + 1))
        assert len({i.text for i in s.items}) == len(s.items), "an item is there twice"
        assert all(i.text == i.text.strip() and not i.text.endswith(".") for i in s.items)
    assert (claim.main_items, tripod.main_items, stard.main_items) == (44, 27, 40)


def test_every_answer_has_a_function_and_every_function_an_item():
    named = {i.answer for s in standards() for i in s.items if i.answer}
    assert named == set(ANSWERS)


def test_only_what_metadata_can_say_is_ever_answered():
    for s in standards():
        can = {int(re.sub(r"\D", "", i.number)) for i in s.items if i.answer}
        assert can <= MAY[s.name]


def test_a_whole_run_answers_all_that_files_can_and_links_what_proves_it(complete):
    for c in filled(Run.at(complete)):
        for f in c.items:
            assert (f.answer is not None) == (f.item.answer is not None), (f.item.number, f.why)
            for address, name in f.answer.links if f.answer else []:
                assert (complete / "report" / unquote(address)).resolve().is_file(), name
    assert all(a.proofs for a in answers(complete).values())


def test_removing_a_file_withdraws_every_answer_that_it_proved(complete):
    before = answers(complete)
    proofs = {p for a in before.values() for p in a.proofs}
    assert len(proofs) > 20
    for proof in sorted(proofs):
        path = complete / proof
        data = path.read_bytes()
        path.unlink()
        after = answers(complete)
        for at, answer in before.items():
            if proof in answer.proofs:
                assert at not in after, (proof, at)
            else:
                # No more than what it proved: a dataset is gone from run.json's list alone.
                assert after.get(at) == answer, (proof, at)
        path.write_bytes(data)
    assert answers(complete) == before


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[]", b'{"model": []}'])
def test_broken_files_prove_nothing_and_break_nothing(complete, content):
    before = answers(complete)
    for proof in sorted({p for a in before.values() for p in a.proofs}):
        path = complete / proof
        data = path.read_bytes()
        path.write_bytes(content)
        after = answers(complete)
        for at, answer in before.items():
            if proof in answer.proofs and not proof.endswith(".safetensors"):
                assert at not in after or after[at].text != answer.text, (proof, at)
        path.write_bytes(data)


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_another_number_in_metrics_is_another_answer(complete):
    path = complete / "cohorts/north-external/metrics.json"
    assert "0.123" not in said(complete, "CLAIM 2024", "37")
    edit(path, lambda m: m["models"][1]["overall"]["auroc"].update(value=0.123))
    for name, number in (("CLAIM 2024", "33"), ("CLAIM 2024", "37"), ("TRIPOD+AI", "23a")):
        assert "north-external, student" in said(complete, name, number)
        assert "AUROC 0.123 [" in said(complete, name, number)
    edit(path, lambda m: m["models"][0]["overall"]["confusion"].update(fn=7777))
    assert "FN 7,777" in said(complete, "STARD-AI", "30")


@pytest.mark.parametrize(
    ("file", "old", "new", "at"),
    [
        ("config.yaml", "epochs: 24", "epochs: 25", ("CLAIM 2024", "25", "epochs 25")),
        ("config.yaml", "select: last", "select: best", ("CLAIM 2024", "26", "teacher: the epoch")),
        ("config.yaml", "teachers: []", "teachers: [a, b]", ("CLAIM 2024", "27", "by 3 teachers")),
        ("run.json", "2.15.0", "2.16.1", ("CLAIM 2024", "23", "torch 2.16.1")),
        ("pseudo/summary.json", "389", "390", ("CLAIM 2024", "25", "for 390 public")),
        ("student/weights/preprocessor.json", "128", "96", ("STARD-AI", "14", "96 pixels")),
        ("student/weights/config.json", '"tiny"', '"big"', ("CLAIM 2024", "22", "student: big")),
        ("student/weights/operating_point.json", "0.42", "0.4", ("TRIPOD+AI", "15", "of 0.4 or")),
        ("student/weights/calibration.json", "1.31", "1.5", ("TRIPOD+AI", "12f", "of 1.5")),
        (
            "report/gradcam/panels.json",
            '{"key": "b"}',
            "{}, {}",
            ("CLAIM 2024", "31", "3 pictures"),
        ),
    ],
)
def test_another_number_in_a_file_is_another_answer(complete, file, old, new, at):
    name, number, expected = at
    assert expected not in said(complete, name, number)
    path = complete / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert expected in said(complete, name, number)


def test_metrics_of_other_predictions_prove_nothing(complete, make_cohort, save_cohort):
    save_cohort(complete, make_cohort("asan-test", 60, 9), "asan-test")
    found = of(complete, "CLAIM 2024", "37")
    assert found.answer is None
    assert "was made from other predictions" in str(found.why)
    # The external cohort is judged apart, and its metrics are still those of its predictions.
    assert of(complete, "CLAIM 2024", "33").answer is not None


def test_a_dataset_packed_again_is_not_the_one_the_run_used(complete):
    before = said(complete, "CLAIM 2024", "35")
    assert "120 patients in, 100 on (too young 20)" in before
    facts = (complete / "run.json").read_bytes()
    pack(complete, "asan", "internal", excluded=21)
    assert "121 patients in" in said(complete, "CLAIM 2024", "35")
    (complete / "run.json").write_bytes(facts)
    found = of(complete, "CLAIM 2024", "35")
    assert found.answer is None
    assert "changed since this run" in str(found.why)


def test_disjoint_is_counted_from_the_index_and_the_predictions(complete, make_cohort, save_cohort):
    text = said(complete, "CLAIM 2024", "20")
    assert "asan: of 30 patients, 0 in more than one split." in text
    assert "0 patients in more than one of 3" in text
    pack(complete, "asan", "internal", {"p1": "train", "p2": "tune", "p2#": "test", "p3": "test"})
    other = make_cohort("asan-test", 60, 9)
    other.loc[:3, "patient"] = "north-external-p00001"
    save_cohort(complete, other, "asan-test")
    text = said(complete, "CLAIM 2024", "20")
    assert "asan: of 3 patients, 1 in more than one split." in text
    assert "1 patients in more than one of 3" in text


def test_a_threshold_other_than_the_frozen_one_is_told(complete):
    assert "The same in the predictions of 3 cohorts" in said(complete, "STARD-AI", "15c")
    edit(complete / "student/weights/operating_point.json", lambda p: p.update(threshold=0.5))
    text = said(complete, "STARD-AI", "15c")
    assert "Judged at another threshold: asan-test, student; north-external, student" in text


def test_only_pictures_count_as_poor_input(complete):
    text = said(complete, "TRIPOD+AI", "27a")
    assert "asan: 3 files or pictures refused (lateral view 3)." in text
    assert "the patient was excluded" not in said(complete, "CLAIM 2024", "8")
    assert "too young 20" in said(complete, "CLAIM 2024", "8")


def test_an_empty_run_is_the_authors(tmp_path):
    assert answers(tmp_path) == {}
    assert of(tmp_path, "CLAIM 2024", "23").why == "run.json: not there"
    assert of(tmp_path, "CLAIM 2024", "1").why is None


def test_files_for_machines_say_the_same(complete):
    as_json, as_csv = write_checklists(Run.at(complete))
    lists = json.loads(as_json.read_text())["checklists"]
    assert [len(c["items"]) for c in lists] == [44, 52, 48]
    table = list(csv.DictReader(io.StringIO(as_csv.read_text())))
    assert len(table) == 144
    plain = [i for c in lists for i in c["items"]]
    for row, item in zip(table, plain, strict=True):
        assert row["answer"] == (item["answer"] or "")
        assert bool(row["answer"]) == bool(row["proved by"]) == bool(item["proved_by"])
        assert (row["status"] == "author to complete") == (item["answer"] is None)
    first = as_json.read_bytes(), as_csv.read_bytes()
    write_checklists(Run.at(complete))
    assert (as_json.read_bytes(), as_csv.read_bytes()) == first
