"""The page prints three_classes.json: every number of it, and nothing that is not in it."""

import json
import re
import shutil

import pytest

from eval.classes import three_classes
from eval.classes.drawing import error_bars
from eval.classes.page import render, write_page
from eval.classes.shapes import ThreeClasses
from tests.eval.browser import check_fits, needs_browser
from tests.eval.test_report_numbers import forms, leaves, matches

#: Decides which tests are counted as significant, and how many draws there were.
KEPT = ("confidence", "contrasts.*.p_holm", "contrasts.*.p")


@pytest.fixture(scope="module")
def made(template):
    first, second, *others = map(str, template)
    return three_classes(first, second, others, tuned=True, draws=60)


def text(made):
    """The page as it is read, without its drawings."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", render(made), flags=re.DOTALL)
    return re.sub(r"<[^>]*>", " ", page).replace(",", "").replace("−", "-")


def test_every_number_is_on_the_page(made):
    """Each is replaced by one that occurs nowhere else, all at once."""
    tree = made.model_dump(mode="json")
    put = {}
    for i, (name, holder, key) in enumerate(list(leaves(tree))):
        if not matches(name, KEPT):
            whole = isinstance(holder[key], int)
            put[name] = holder[key] = 1_000_001 + i if whole else 4001.25 + i
    printed = set(re.findall(r"\d+(?:\.\d+)?", text(ThreeClasses.model_validate(tree))))
    missing = [name for name, value in put.items() if forms(value).isdisjoint(printed)]
    assert not missing, f"{len(missing)} of {len(put)}, such as {missing[:12]}"
    assert len(put) > 1000


@pytest.mark.parametrize("field", ["p", "p_holm"])
def test_a_changed_p_is_on_the_page(made, field):
    tree = made.model_dump(mode="json")
    tree["contrasts"][5][field] = 0.987654
    assert "0.988" not in text(made)
    assert "0.988" in text(ThreeClasses.model_validate(tree))


def test_the_lead_counts_what_is_significant(made):
    tree = made.model_dump(mode="json")
    for i, c in enumerate(tree["contrasts"]):
        c["p"], c["p_holm"] = (0.01, 0.2) if i < 7 else (0.2, 0.3)
    tree["contrasts"][0]["p_holm"] = 0.04
    page = text(ThreeClasses.model_validate(tree))
    assert f"{len(tree['contrasts'])} tests were made between 5 systems" in page
    assert "7 would be called significant one at a time and 1 after" in page


@pytest.mark.parametrize("field", ["missed", "alarms", "below"])
def test_a_drawn_number_changes_its_bar(made, field):
    cohort = made.cohorts[0]
    tree = cohort.model_dump(mode="json")
    tree["systems"][0]["errors"][field] += 9
    letters = [s.letter for s in made.systems]
    other = cohort.__class__.model_validate(tree)
    assert error_bars(other, letters) != error_bars(cohort, letters)
    assert error_bars(cohort, letters) == error_bars(cohort, letters)


def test_files_and_bytes(made, tmp_path):
    page, data = write_page(made, tmp_path / "out")
    assert ThreeClasses.model_validate_json(data.read_text()) == made
    assert json.dumps(json.loads(data.read_text()), sort_keys=True, separators=(",", ":")) == (
        data.read_text().strip()
    )
    written = page.read_text()
    assert "Content-Security-Policy" in written
    assert not re.search(r'(src|href)="http|<script', written)
    assert write_page(made, tmp_path / "out")[0].read_text() == written
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "three_classes.html").write_text("mine")
    with pytest.raises(ValueError, match="is not of three classes"):
        write_page(made, tmp_path / "mine")
    assert (tmp_path / "mine" / "three_classes.html").read_text() == "mine"
    with pytest.raises(ValueError, match="is a file"):
        write_page(made, page)


def test_names_cannot_act_as_html(template, tmp_path):
    run = shutil.copytree(template[2], tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"run_id": "<img src=x>", "recipe": "<b>x"}))
    page = render(three_classes(None, None, [str(run)], draws=10))
    assert "<img" not in page
    assert "&lt;img src=x&gt;" in page
    assert "<b>x" not in page
    assert "1 system; no test was made." in page


@needs_browser
def test_the_page_does_not_scroll_sideways(made, tmp_path):
    check_fits(render(made), tmp_path)
