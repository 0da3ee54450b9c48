"""Where files lie on this machine is nobody's business who reads a report."""

from __future__ import annotations

import re

from eval.runs import Run

#: All of an absolute path but its last name; not of a URL.
_PLACE = re.compile(r"(?<![\w:/.~-])/(?:[^/\s'\",\]]+/)+")


def without_places(text: str) -> str:
    """The text with the last name of each absolute path only."""
    return _PLACE.sub("…/", text)


def without_path(text: str, run: Run) -> str:
    """The message without the folder's place on this machine."""
    return text.replace(f"{run.folder}/", "")
