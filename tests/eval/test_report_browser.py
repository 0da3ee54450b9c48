"""The page in a real browser: nothing is wider than a phone or a desk but tables, which scroll."""

import html
import re
import shutil
import subprocess

import pytest

from eval.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = (390, 768, 1280)
MEASURE = """<script>
onload = () => document.title = [...document.querySelectorAll('iframe')].map(frame => {
  const page = frame.contentDocument, width = page.documentElement.clientWidth;
  const wide = [...page.body.querySelectorAll('*')].filter(e =>
    !(e.parentElement.closest('.scroll, svg')) && e.getBoundingClientRect().right > width + 1);
  return [frame.width, page.documentElement.scrollWidth - width, wide.length,
          page.querySelectorAll('table').length].join(' ');
}).join(';');
</script>"""


@pytest.fixture(scope="module")
def page(build, tmp_path_factory):
    return write_report(build(tmp_path_factory.mktemp("browser") / "run", 60), explain=False)


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome here to look with")
def test_no_page_scrolls_sideways(page, tmp_path):
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text())  # it forbids being measured
    frames = [
        f'<iframe width="{w}" height="900" srcdoc="{html.escape(text, quote=True)}"></iframe>'
        for w in WIDTHS
    ]
    (tmp_path / "frames.html").write_text(f"<!doctype html>{''.join(frames)}{MEASURE}")
    seen = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=9000",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{tmp_path / 'frames.html'}"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    (title,) = re.findall(r"<title>(\d[^<]*)</title>", seen)
    measured = [tuple(map(int, part.split())) for part in title.split(";")]
    assert [m[0] for m in measured] == list(WIDTHS)
    for width, beyond, wide, tables in measured:
        assert (beyond, wide) == (0, 0), f"at {width} pixels {wide} elements are too wide"
        assert tables > 10
