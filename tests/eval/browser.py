"""A page in a real browser, in frames as wide as a phone, a tablet and a desk."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

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
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium or google-chrome here to look with"
)


def check_fits(page: str, folder: Path, tables: int = 10) -> None:
    """Nothing but what scrolls by itself is wider than the page, which holds more than `tables`.

    Args:
        page: HTML; its <details> are opened.
        folder: an empty one, for the browser's files.
        tables: fewer would not be the page that was meant.
    """
    page = re.sub(r"<meta http-equiv[^>]*>", "", page)  # it forbids being measured
    page = html.escape(page.replace("<details>", "<details open>"), quote=True)
    frames = [f'<iframe width="{w}" height="900" srcdoc="{page}"></iframe>' for w in WIDTHS]
    (folder / "frames.html").write_text(f"<!doctype html>{''.join(frames)}{MEASURE}")
    seen = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=9000",
         f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"{folder / 'frames.html'}"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    (title,) = re.findall(r"<title>(\d[^<]*)</title>", seen)
    measured = [tuple(map(int, part.split())) for part in title.split(";")]
    assert [m[0] for m in measured] == list(WIDTHS)
    for width, beyond, wide, found in measured:
        assert (beyond, wide) == (0, 0), f"at {width} pixels {wide} elements are too wide"
        assert found > tables
