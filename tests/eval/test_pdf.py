"""The PDF: the page on paper, the same bytes, nothing fetched; and one line where there is none."""

import base64
import os
import re
import subprocess
import sys
import time
import zlib

import pytest

from eval.pdf import pdf
from eval.report import write_report

pytest.importorskip("plutoprint", reason="plutoprint is not for this platform")

PAGE = """<!doctype html><html><head><title>T &amp; U</title><style>
@page {{ size: A4; }} h1 {{ color: #0072b2; }}</style></head><body><h1 id="top">Low bone mass</h1>
<p><a href="#end">end</a> <a href="../run.json">file</a></p>{}
<p id="end">end</p></body></html>"""


def test_many_pages_by_one_process_and_it_ends_well():
    many = f"from eval.pdf import pdf\nfor _ in range(8): pdf({PAGE.format('')!r})"
    subprocess.run([sys.executable, "-c", many], check=True)


def streams(data):
    """The PDF with its compressed streams opened."""
    found = [data]
    for body in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL):
        try:
            found.append(zlib.decompress(body))
        except zlib.error:
            continue
    return b"\n".join(found)


def test_the_same_page_gives_the_same_bytes_whenever_it_is_made():
    first = pdf(PAGE.format(""))
    time.sleep(1.1)  # a date of its making would be another second
    assert pdf(PAGE.format("")) == first
    assert b"Date" not in streams(first)


def test_it_is_a_pdf_of_as_many_pages_as_it_needs():
    one, many = pdf(PAGE.format("")), pdf(PAGE.format("<p>a</p>" * 200))
    assert one.startswith(b"%PDF-")
    assert one.rstrip().endswith(b"%%EOF")
    pages = [len(re.findall(rb"/Type /Page\b", streams(d))) for d in (one, many)]
    assert pages[0] == 1
    assert pages[1] > 3


def test_links_within_the_page_stay_and_those_to_files_beside_it_go(capfd):
    made = streams(pdf(PAGE.format("")))
    assert b"run.json" not in made
    assert b"/Dest" in made or b"/GoTo" in made
    assert capfd.readouterr() == ("", "")


def test_nothing_is_fetched(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(base64.b64decode(DOT))
    without = len(pdf(PAGE.format("")))
    for address in (secret.as_uri(), "http://127.0.0.1:9/x.png", "../secret.png"):
        made = streams(pdf(PAGE.format(f'<img src="{address}" width="40" height="40">')))
        assert b"/Subtype /Image" not in made, address
    within = streams(pdf(PAGE.format(f'<img src="data:image/png;base64,{DOT}">')))
    assert b"/Subtype /Image" in within
    assert len(within) > without


#: A red dot, PNG of 5 x 5 pixels.
DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL"
    "0Y4OHwAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize("page", ["", "<", "\x00", "<svg><path d='M nan'/></svg>", "é" * 10_000])
def test_whatever_the_page_something_comes_out(page):
    assert pdf(page).startswith(b"%PDF-")


@pytest.fixture(scope="module")
def run(build, tmp_path_factory):
    return build(tmp_path_factory.mktemp("pdf") / "run", 40)


def test_the_report_has_one_beside_it_and_without_the_library_a_line_says_why(
    run, monkeypatch, capsys
):
    page = write_report(run, explain=False)
    made = page.with_name("report.pdf").read_bytes()
    assert made.startswith(b"%PDF-")
    assert write_report(run, explain=False) == page
    assert page.with_name("report.pdf").read_bytes() == made
    assert not capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "plutoprint", None)
    assert write_report(run, explain=False).is_file()
    assert not page.with_name("report.pdf").exists()  # nor that of the earlier report
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no report.pdf: ")
    assert "plutoprint" in line


def test_a_machine_without_fonts_prints_letters_all_the_same(tmp_path):
    (tmp_path / "fonts.conf").write_text(f"<fontconfig><dir>{tmp_path}</dir></fontconfig>")
    page = "<body style='font-family: Helvetica, \"DejaVu Sans\"'>Low bone mass</body>"
    code = f"import sys; from eval.pdf import pdf; sys.stdout.buffer.write(pdf({page!r}))"
    there = {"FONTCONFIG_FILE": str(tmp_path / "fonts.conf"), "FONTCONFIG_PATH": str(tmp_path)}
    made = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | there, capture_output=True, check=True
    ).stdout
    assert b"DejaVuSans" in streams(made)
