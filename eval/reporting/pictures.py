"""Grad-CAM for the page: pictures by group as data addresses, or why there are none."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from data_sharding.schema import CLASSES
from eval import explain
from eval.runs import Run


@dataclass(frozen=True)
class Pictures:
    """Groups of (address, caption), by heading; where there are none `why` is the reason."""

    groups: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    why: str = ""


def pictures(run: Run) -> Pictures:
    """Make what can be made; training and the packed pixels are needed."""
    try:
        made = explain.panels(run.folder)
    except (ImportError, ValueError, OSError, RuntimeError) as e:
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        return Pictures(why=reason.replace(f"{run.folder}/", ""))
    groups: dict[str, list[tuple[str, str]]] = {}
    for panel in made:
        for name in CLASSES[::-1]:  # both classes have a heading, whoever qualified
            groups.setdefault(f"{panel.where}: {name}", [])
        address = f"data:image/png;base64,{base64.b64encode(panel.png).decode()}"
        groups[f"{panel.where}: {panel.name}"].append((address, panel.caption))
    return Pictures(groups, "" if groups else "no picture qualified")
