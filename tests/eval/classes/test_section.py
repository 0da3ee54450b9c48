"""The report's section on three classes prints classes.json, and other runs have none."""

import json
import re
import shutil

import pandas as pd
import pytest

from eval.classes.single_shapes import OneRun
from eval.report import write_report
from eval.reporting.page import environment
from eval.reporting.pictures import pictures
from eval.reporting.three import NOTHING, Three, answer, lines, three, write_json
from eval.runs import Run
from tests.eval.browser import check_fits, needs_browser
from tests.eval.classes.photographs import face_run
from tests.eval.test_report_numbers import forms, leaves, matches

#: In classes.json and not on the page: what only stages have, averages that stand elsewhere, what
#: is drawn, classes of the body but for their AUROC, and of the sexes.
KEPT = (
    "confidence", "seed", "*.errors.*", "*.c_ordinal.*", "*.ece_top_label.*", "*.bins.*", "*.fit.p",
    *(f"*.picture.classes.*.{k}" for k in ("mean_predicted",)),
    *(f"*.body.classes.*.{k}*" for k in ("n", "answered", "mean", "precision", "recall", "f1")),
    "*.pictures.picture.classes.*", "*.pictures.body.*", "*.pictures.body_brier.*",
    "*.pictures.difference.*",
    *(f"cohorts.*.groups.{g}.*.{k}.*" for g in (1, 2) for k in ("confusion", "picture.classes",
                                                                  "body.classes")),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return face_run(tmp_path_factory.mktemp("section"))


@pytest.fixture(scope="module")
def made(run):
    return three(Run.at(run))


@pytest.fixture(scope="module")
def page(run):
    return write_report(run, explain=False).read_text()


def section(page):
    found = page[page.index('<section id="three">') :]
    return found[: found.index("</section>")]


def read(text):
    text = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", " ", text).replace(",", "").replace("−", "-")


def test_the_section_is_there_and_in_the_contents(run, page):
    assert '<a href="#three">Three classes</a>' in page
    told = read(section(page))
    for words in ("Age sex BMI alone", "On 660 pictures", "On 220 people", "Hosmer-Lemeshow"):
        assert words in told, words
    assert (run / "report/classes.json").is_file()
    assert not re.search(r'(src|href)="http|<script', section(page))


def test_a_report_on_faces_does_not_speak_of_x_rays(page):
    head = page[: page.index('<section id="results">')]
    assert "photographs of faces" in head
    assert "X-ray" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert "radiograph" not in page
    assert "AUROC of age, sex, BMI alone" in head


def printed(made):
    """The section alone, as it is read."""
    frame = environment().from_string(
        '{% from "macros.html.j2" import gallery, scroll, missing, gap, matrix %}'
        '{% include "three.html.j2" %}'
    )
    return read(frame.render(three=made, three_lines=lines, three_answer=answer))


def alone(one):
    """The section of any numbers."""
    return printed(Three(one, figures={c.cohort: [] for c in one.cohorts}))


def test_no_face_is_in_a_report(run, page, tmp_path, monkeypatch):
    """Not even asked for: faces are shown where people agreed, by another command."""

    def shown(*_):
        raise AssertionError("a picture of a face was asked for")

    for name in ("panels", "attention_of", "quality_of"):
        monkeypatch.setattr(f"eval.pictures.explain.{name}", shown)
    assert "faces are not shown here" in pictures(Run.at(run)).why
    assert "data:image" not in page
    other = shutil.copytree(run, tmp_path / "other")
    facts = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(facts | {"manifests": {}}))
    with pytest.raises(AssertionError, match="a picture of a face was asked for"):
        pictures(Run.at(other))  # pictures of anything else are


def test_every_number_is_on_the_page_or_known_not_to_be(made):
    """Each is replaced by one that occurs nowhere else, all at once."""
    tree = made.one.model_dump(mode="json")
    put = {}
    for i, (name, holder, key) in enumerate(list(leaves(tree))):
        if not matches(name, KEPT):
            whole = isinstance(holder[key], int)
            put[name] = holder[key] = 1_000_001 + i if whole else 4001.25 + i
    found = set(re.findall(r"\d+(?:\.\d+)?", alone(OneRun.model_validate(tree))))
    missing = [name for name, value in put.items() if forms(value).isdisjoint(found)]
    assert not missing, f"{len(missing)} of {len(put)}, such as {missing[:12]}"
    assert len(put) > 250


def test_a_changed_p_is_on_the_page(made):
    tree = made.one.model_dump(mode="json")
    tree["cohorts"][0]["groups"][1]["calibration"]["fit"]["p"] = 0.9876
    assert "0.988" not in alone(made.one)
    assert "0.988" in alone(OneRun.model_validate(tree))


def test_the_sentence_is_of_the_numbers(made):
    one = made.one
    main = one.cohorts[0].groups[0].main
    said = answer(one.cohorts[0])
    assert f"tells {100 * main.picture.accuracy.value:.0f} rightly" in said
    assert f"alone tell {100 * main.body.accuracy.value:.0f}" in said


def test_other_runs_have_no_section(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    facts = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(facts | {"target": "low bone mass"}))
    made = three(Run.at(other))
    assert made == NOTHING
    assert not made.there
    write_json(made, other / "report")
    assert not (other / "report/classes.json").exists()  # that of the earlier target is gone


def test_what_cannot_be_judged_says_why_without_places(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    path = other / "cohorts/asan-test/predictions.parquet"
    pd.read_parquet(path).assign(p_normal=0.9).to_parquet(path)
    made = three(Run.at(other))
    assert made.there
    assert made.one is None
    assert "no probabilities that sum to 1" in made.why
    assert str(tmp_path) not in made.why
    assert "no probabilities that sum to 1" in printed(made)
    assert write_json(made, tmp_path) is None


def test_same_bytes_wherever_it_lies(run, page, made, tmp_path):
    other = shutil.copytree(run, tmp_path / "there" / run.name)
    shutil.rmtree(other / "report")
    there = three(Run.at(other))
    assert there == made
    path = write_json(there, tmp_path)
    assert path.read_bytes() == (run / "report/classes.json").read_bytes()


@needs_browser
def test_the_page_does_not_scroll_sideways(page, tmp_path):
    check_fits(page, tmp_path)
