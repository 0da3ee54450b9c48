"""three_classes.json and the page that prints it; the page asks nothing of the network."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from data_sharding.schema import canonical_json, write_atomic
from eval.classes import words
from eval.classes.drawing import KINDS, error_bars
from eval.classes.shapes import ThreeClasses
from eval.estimate import Estimate
from eval.plots.strip import Scale, axis, scale_of, strip
from eval.plots.style import Pen, pen
from eval.reporting.page import environment
from eval.runs import read_json

#: Beside each other in the table of results: heading, field, digits.
COLUMNS = (
    ("Accuracy", "accuracy", 3),
    ("Balanced accuracy", "balanced_accuracy", 3),
    ("Macro F1", "f1_macro", 3),
    ("Weighted kappa", "kappa_quadratic", 3),
    ("RPS", "rps", 3),
    ("AUROC", "auroc_ovr", 3),
    ("Ordinal c", "c_ordinal", 3),
    ("ECE", "ece_top_label", 3),
)
AVERAGES = (
    ("Macro precision", "precision_macro", 3),
    ("Weighted precision", "precision_weighted", 3),
    ("Weighted F1", "f1_weighted", 3),
    ("Cohen's kappa", "kappa", 3),
)
ORACLES = COLUMNS[:5]
#: What is drawn beside the table of results.
DRAWN = "kappa_quadratic"


def write_page(made: ThreeClasses, folder: Path) -> tuple[Path, Path]:
    """Write three_classes.html and three_classes.json into `folder`; return their paths.

    Raises:
        ValueError: a file of that name is there and is something else.
    """
    page, data = folder / "three_classes.html", folder / "three_classes.json"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; --out names a folder")
    ours = read_json(data).get("format") == made.format
    if not ours and (there := [f for f in (page, data) if f.exists()]):
        raise ValueError(f"{there[0]}: is not of three classes; name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(data, canonical_json(made.model_dump(mode="json")) + "\n")
    write_atomic(page, render(made))
    return page, data


def render(made: ThreeClasses) -> str:
    """The page as text."""
    pens = _pens(made)
    worth = scale_of([getattr(s, DRAWN) for c in made.cohorts for s in c.systems], end=1.0)
    apart = scale_of([c.difference for c in made.contrasts], reference=0.0)
    alpha = 1 - made.confidence
    return environment().get_template("classes.html.j2").render(
        made=made,
        words=words,
        by_letter={s.letter: s for s in made.systems},
        columns=COLUMNS,
        averages=AVERAGES,
        oracle_columns=ORACLES,
        kinds=KINDS,
        axis=Markup(axis(worth)),
        strip=lambda judged: _strip(getattr(judged, DRAWN), pens[judged.system], worth),
        gap_axis=Markup(axis(apart)),
        gap=lambda contrast: _strip(contrast.difference, pens[contrast.second], apart),
        bars={c.cohort: error_bars(c, [s.letter for s in made.systems]) for c in made.cohorts},
        tests=[(c, list(found)) for c, found in groupby(made.contrasts, lambda t: t.cohort)],
        uncorrected=sum(c.p is not None and c.p < alpha for c in made.contrasts),
        held=sum(c.p_holm is not None and c.p_holm < alpha for c in made.contrasts),
    )  # fmt: skip


def _pens(made: ThreeClasses) -> dict[str, Pen]:
    letters = [s.letter for s in made.systems]
    labels = ["student", "teacher", *letters[2:]]
    return {a: pen(b, labels) for a, b in zip(letters, labels, strict=False)}


def _strip(estimate: Estimate, with_pen: Pen, scale: Scale) -> Markup:
    return Markup(strip([(estimate, with_pen)], scale))
