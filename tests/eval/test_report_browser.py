"""The report in a real browser: nothing is wider than a phone or a desk but what scrolls."""

import pytest

from eval.report import write_report
from tests.eval.browser import check_fits, needs_browser


@needs_browser
def test_no_page_scrolls_sideways(build, tmp_path):
    page = write_report(build(tmp_path / "run", 60), explain=False)
    check_fits(page.read_text(), tmp_path)


@needs_browser
def test_what_is_too_wide_is_seen(tmp_path):
    wide = "<!doctype html><p style='width:1000px'>.</p>"
    with pytest.raises(AssertionError, match="at 390 pixels"):
        check_fits(wide, tmp_path, tables=-1)
