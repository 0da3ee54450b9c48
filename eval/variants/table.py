"""The table as text: aligned columns for a terminal, Markdown to be pasted into a README."""

from __future__ import annotations

from eval.console import aligned
from eval.estimate import Estimate
from eval.reporting.text import p_value
from eval.variants.shapes import Row, Table, Variants

#: Heading and field of `Scores`, in the order of Face2Bone's tables 2 and 5.
COLUMNS = (
    ("Accuracy", "accuracy"),
    ("Macro precision", "precision_macro"),
    ("Macro recall", "balanced_accuracy"),
    ("Macro F1", "f1_macro"),
    ("Weighted precision", "precision_weighted"),
    ("Weighted F1", "f1_weighted"),
    ("AUROC", "auroc_ovr"),
    ("Kappa", "kappa"),
    ("Weighted kappa", "kappa_quadratic"),
)
#: Those of the first of the two tables in Markdown: a README is narrow.
NARROW = ("accuracy", "f1_macro", "auroc_ovr", "kappa", "kappa_quadratic")
NAME_OF = {field: name for name, field in COLUMNS}


def table(made: Variants) -> str:
    """As lines: every table, then what it is of."""
    lines: list[str] = []
    for t in made.tables:
        head = ("variant", *(name for name, _ in COLUMNS), *_test_head(made))
        body = [
            (r.name, *(_short(getattr(r.scores, f)) for _, f in COLUMNS), *_test(made, t, r))
            for r in t.rows
        ]
        lines += [caption(made, t), "", *aligned([head, *body]), ""]
    return "\n".join([*lines, *about(made)])


def markdown(made: Variants) -> str:
    """Two tables for each of the page's: what is read first with the test, then the averages."""
    parts = []
    for t in made.tables:
        first = [(NAME_OF[f], f) for f in NARROW]
        head = ("", *(n for n, _ in first), *_test_head(made))
        rows = [
            (r.name, *(_short(getattr(r.scores, f)) for _, f in first), *_test(made, t, r))
            for r in t.rows
        ]
        rest = [(n, f) for n, f in COLUMNS if f not in NARROW]
        others = [(r.name, *(_short(getattr(r.scores, f)) for _, f in rest)) for r in t.rows]
        parts += [
            caption(made, t),
            _grid(head, rows),
            _grid(("", *(n for n, _ in rest)), others),
        ]
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in about(made))]) + "\n"


def caption(made: Variants, t: Table) -> str:
    """What a table is of, in a line."""
    classes = ", ".join(f"{n:,} {name}" for n, name in zip(t.of_class, made.classes, strict=True))
    of = f" of {t.patients:,} people" if t.unit == "pictures" and t.patients < t.n else ""
    out = f"; {t.left_out:,} pictures without a class left out" if t.left_out else ""
    return f"{t.cohort}: {t.n:,} {t.unit}{of} ({classes}){out}"


def about(made: Variants) -> list[str]:
    """How the numbers were made, and what to beware of."""
    level, first = f"{100 * made.confidence:g}%", made.variants[0].name
    said = [
        f"In brackets the {level} interval of {made.draws:,} resamples of patients. Macro recall "
        "is the balanced accuracy; weighted recall is the accuracy. AUROC: mean of the three "
        "classes, each against the others. Weighted kappa: quadratic.",
        f"p: {first} against each other row on the {NAME_OF[made.tested]}, paired, by swapping "
        f"their answers patient by patient ({made.draws:,} swaps), corrected for the rows (Holm).",
    ]
    if any(t.unit == "people" for t in made.tables):
        said.append("On people: the mean probability over a person's pictures, one answer each.")
    if made.body is not None:
        said.append(
            f"{', '.join(made.body.used)} alone: a multinomial logistic model without any picture, "
            f"fitted to {made.body.people:,} people of {made.body.where}."
        )
    else:
        said.append(f"What age, sex and BMI alone reach is not known: {made.no_body}.")
    return [*said, *made.notes]


def _test_head(made: Variants) -> tuple[str, str]:
    return f"{NAME_OF[made.tested]} less {made.variants[0].name}", "p (Holm)"


def _test(made: Variants, t: Table, row: Row) -> tuple[str, str]:
    if row is t.rows[0]:
        return "", ""
    gap = _short(row.difference[made.tested], sign=True)
    return gap, row.no_test or p_value(row.p_holm)


def _short(e: Estimate, sign: bool = False) -> str:
    if e.value is None:
        return "undefined"
    form = "{:+.3f}" if sign else "{:.3f}"
    if e.low is None or e.high is None:
        return form.format(e.value)
    return " ".join([form.format(e.value), f"[{form.format(e.low)}, {form.format(e.high)}]"])


def _grid(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; a bar in a name would be a column."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
