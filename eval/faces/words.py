"""What was explained, and what came out, in sentences and in lines for the console."""

from __future__ import annotations

from eval.console import aligned
from eval.faces.shapes import OWN, Faces, Leading, OfClass, Table
from eval.reporting.text import minus


def explained(name: str, of: Faces) -> str:
    """What the values of a table speak for."""
    score = of.settings.score
    if name == OWN:
        return f"for the {score} of the class that DXA says, whatever the model answers"
    return f"for the {score} of {name}, whoever it is"


def heading(name: str) -> str:
    """Of what is explained."""
    return "For the patient's own class" if name == OWN else f"For {name}, in everybody"


def face(table: Table, of: OfClass) -> str:
    """A drawing in words, for who cannot see it."""
    told = ", ".join(
        f"{v.player} {minus(f'{v.mean.value:+.2f}')}"
        for v in of.values
        if v.mean.value is not None and v.player != "background"
    )
    return f"{of.name}: {told}"


def first(leading: Leading) -> str:
    """The region that is first most often."""
    known = [r for r in leading.regions if r.share.value is not None]
    if not known:
        return "–"
    most = max(known, key=lambda r: float(r.share))
    return f"{most.region} ({100 * float(most.share):.0f}%)"


def console(faces: Faces) -> str:
    """The lines that `python -m eval faces` prints."""
    rows = [("class", "patients answered rightly", "first region")]
    rows += [
        (x.name, "kept back" if x.patients is None else str(x.patients), first(x))
        for x in faces.leading
    ]
    s, a = faces.sanity, faces.additivity
    checked = {True: "passed", False: "failed", None: "cannot be told"}[s.passed]
    lines = [
        *aligned(rows),
        f"{faces.cohort}: {faces.pictures} pictures of {faces.patients} patients; explained is "
        f"the {faces.settings.score}; reference: {faces.references}",
        f"additivity: {a.regions:.1e} at most, where f(x) - f(reference) is {a.range:.2g} on "
        "average",
        f"random weights: {checked}; the same region is first in {s.same.text(2)}",
    ]
    if faces.no_pixels:
        lines.append(f"pixel SHAP: {faces.no_pixels}")
    if faces.not_shown:
        lines.append(f"no faces on the page: {faces.not_shown}")
    return "\n".join([*lines, *faces.notes])
