"""The section of a report that shows what CRAFT found, and craft.json with its numbers.

    section(found)          # <section id="concepts">, safe HTML for a page with report.css
    section("why not")      # the same, saying so
    write_json(found.craft, folder)

Faces are on it only where `Subjects.pictures` was given, which is where they may be shown.
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from data_sharding.schema import canonical_json, write_atomic
from eval.craft.drawing import crop_strip, map_picture
from eval.craft.explain import Found
from eval.craft.shapes import Concept, Craft, OfClass
from eval.craft.sobol import LEAST
from eval.craft.stability import NEAR, OFTEN
from eval.plots.strip import axis, scale_of, strip
from eval.plots.style import pen
from eval.reporting.page import environment

FILE = "craft.json"
#: Where fewer pictures than this are called the same, the section says what that means.
KEPT = 0.9
#: Concepts of a class whose pictures are not folded away.
FIRST = 5


def section(found: Found | str) -> Markup:
    """The section as HTML; of a reason, the section that says it.

    Args:
        found: by `explain`, or why nothing was.
    """
    template = environment().get_template("craft.html.j2")
    if isinstance(found, str):
        return Markup(template.render(craft=None, why=found))
    craft = found.craft
    every = [c.importance for k in craft.classes for c in k.concepts]
    scale = scale_of(every, reference=0.0) if any(e.value is not None for e in every) else None
    blue = pen("student", ["student"])
    return Markup(
        template.render(
            craft=craft,
            why="",
            axis=Markup("" if scale is None else axis(scale)),
            strip=lambda e: Markup("" if scale is None else strip([(e, blue)], scale)),
            panels={k.name: _panels(found, k) for k in craft.classes},
            unstable={k.name: [c.name for c in k.concepts if not c.stable] for k in craft.classes},
            notes={name: drawn.why for name, drawn in found.drawings.items()},
            whole=_whole,
            first=FIRST,
            least_kept=KEPT,
            least_points=LEAST,
            near=NEAR,
            often=OFTEN,
        )
    )


def write_json(craft: Craft, folder: Path) -> Path:
    """Write craft.json into `folder`; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / FILE, canonical_json(craft.model_dump(mode="json")) + "\n")
    return folder / FILE


def _panels(found: Found, of: OfClass) -> dict[str, dict[str, str]]:
    """Of each concept and child: `map` and `crops` as data addresses, where there are any."""
    drawn = found.drawings.get(of.name)
    if drawn is None:
        return {}
    made: dict[str, dict[str, str]] = {}
    for i, concept in enumerate(of.concepts):
        panel = made.setdefault(concept.name, {})
        if drawn.maps is not None and drawn.maps[i].any():
            panel["map"] = map_picture(drawn.maps[i], drawn.outline, drawn.face)
    for name, crops in drawn.crops.items():
        if crops:
            made.setdefault(name, {})["crops"] = crop_strip(crops)
    return made


def _whole(concept: Concept) -> str:
    """Where a concept lies, in words: the two regions that have most for their size."""
    return ", ".join(
        f"{s.region} {100 * s.share:.0f}% (area {100 * s.area:.0f}%)" for s in concept.where[:2]
    )
