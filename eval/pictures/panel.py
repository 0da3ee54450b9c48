"""One picture of the report with its heat map, and the folder where such pictures are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_sharding.schema import write_atomic


@dataclass(frozen=True)
class Panel:
    """A PNG of the picture beside its heat map, which explains class `name`, the model's answer.

    `where` is the cohort and `group` why it was chosen; together they are the `heading`. `tiles`: a
    third picture shows how much each tile counts.
    """

    where: str
    group: str
    name: str
    caption: str
    file: str
    png: bytes
    tiles: bool = False

    @property
    def heading(self) -> str:
        """The group's name on the page; panels of one group follow each other."""
        return f"{self.where}: {self.group}"


def kept_panels(folder: Path, stamp: str) -> list[Panel] | None:
    """The panels of that stamp; None if there are none, or others, or not all of them."""
    try:
        index = json.loads((folder / "panels.json").read_bytes())
        if index["stamp"] != stamp:
            return None
        if not all(re.fullmatch(r"\d+\.png", p["file"]) for p in index["panels"]):
            return None  # not written by us: it may point anywhere
        return [Panel(**p, png=(folder / p["file"]).read_bytes()) for p in index["panels"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none there, or torn: made again


def keep_panels(folder: Path, stamp: str, panels: Sequence[Panel]) -> None:
    """Write the pictures, and panels.json last; what it does not name is taken away."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "panels.json").unlink(missing_ok=True)
    for panel in panels:
        write_atomic(folder / panel.file, panel.png)
    for old in set(folder.glob("*.png")) - {folder / p.file for p in panels}:
        old.unlink()
    index = [{k: v for k, v in vars(p).items() if k != "png"} for p in panels]
    write_atomic(folder / "panels.json", json.dumps({"stamp": stamp, "panels": index}, indent=1))
