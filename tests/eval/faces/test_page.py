"""The page and the command: numbers are on it, it asks nothing of the network, faces only if."""

import html
import json
import re

import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from eval.faces.page import render, write_page
from eval.faces.portraits import portraits
from eval.faces.shapes import Faces
from eval.faces.words import console
from tests.eval.browser import check_fits, needs_browser

RUNNER = CliRunner()
FAST = ("--each", "5", "--people", "1", "--no-pixels", "--no-concepts")


def text(page):
    """What is read, without drawings."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", page)).replace("−", "-")


def test_every_mean_is_in_its_table(told):
    page = text(render(told.faces))
    for table in told.faces.tables:
        digits = 6 if table.measure.endswith("per pixel") else 2
        for of in table.classes:
            for v in of.values:
                if v.mean.value is not None:
                    assert f"{v.mean.value:+.{digits}f}" in page
    for x in told.faces.alikeness:
        for pair in (*x.found.within, *x.found.between) if x.found else ():
            assert f"{pair.mean.value:+.3f}" in page
    assert f"{told.faces.additivity.regions:.1e}" in page
    assert "this project's own partition" in page
    assert "2 other people (tune split), drawn blind to class" in page


def test_a_changed_value_changes_the_drawing(told):
    tree = told.faces.model_dump(mode="json")
    tree["tables"][0]["classes"][0]["values"][2]["mean"]["value"] = 77.25
    page = render(Faces.model_validate(tree))
    assert page.count("+77.25") == 1 + 3  # the table, the drawing twice (with its edge), in words
    assert render(told.faces).count("+77.25") == 0


def test_files_bytes_and_what_is_in_the_way(told, tmp_path):
    page, data = write_page(told, tmp_path / "out", concepts=False)
    assert Faces.model_validate_json(data.read_text()) == told.faces
    written = page.read_text()
    assert not re.search(r'(src|href)="http|<script', written)
    assert "default-src 'none'" in written
    assert write_page(told, tmp_path / "out", concepts=False)[0].read_text() == written
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "faces.html").write_text("mine")
    with pytest.raises(ValueError, match="is not of faces"):
        write_page(told, tmp_path / "mine", concepts=False)
    with pytest.raises(ValueError, match="is a file"):
        write_page(told, page, concepts=False)


def test_faces_are_on_the_page_only_where_they_may_be(told):
    shown = portraits(told)
    assert [bool(p.mean) for p in shown.classes] == [True] * 3
    assert all(len(people) == 3 for _, people in shown.examples)
    page = render(told.faces, shown=shown)
    images = page.count("<img")
    assert images >= 3 + 2 * 9
    closed = type(told)(told.faces, told.seen, told.values, show=False)
    assert portraits(closed).classes == ()
    assert "<img" not in render(told.faces)
    keys, people = set(told.seen.rows["key"]), set(told.seen.rows["patient"])
    data = told.faces.model_dump_json()
    assert not any(name in data for name in keys | people)


def test_the_command(run, tmp_path):
    done = RUNNER.invoke(app, ["faces", str(run), *FAST, "--out", str(tmp_path / "a")])
    assert done.exit_code == 0, done.output
    assert "report: " in done.output
    assert "no faces on the page: not asked for (--show-faces)" in done.output
    page = (tmp_path / "a" / "faces.html").read_text()
    assert "<img" not in page
    told = RUNNER.invoke(
        app, ["faces", str(run), *FAST, "--out", str(tmp_path / "b"), "--json", "--show-faces"]
    )
    faces = Faces.model_validate(json.loads(told.stdout))
    assert faces.not_shown is None
    assert "<img" in (tmp_path / "b" / "faces.html").read_text()
    assert "5 people: a mean face is shown of 10 or more" in text(
        (tmp_path / "b" / "faces.html").read_text()
    )
    assert console(faces)
    wrong = RUNNER.invoke(app, ["faces", str(tmp_path)])
    assert wrong.exit_code == 2


def test_names_cannot_act_as_html(told):
    tree = told.faces.model_dump(mode="json") | {"run": "<img src=x>", "notes": ["<b>x"]}
    page = render(Faces.model_validate(tree))
    assert "<img" not in page
    assert "<b>x" not in page


@needs_browser
def test_the_page_does_not_scroll_sideways(told, tmp_path):
    check_fits(render(told.faces, shown=portraits(told)), tmp_path)
