"""variants.json, variants.md and the page; the page asks nothing of the network."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from data_sharding.schema import canonical_json, write_atomic
from eval.estimate import Estimate
from eval.plots.strip import axis, scale_of, strip
from eval.plots.style import pen
from eval.reporting.page import environment
from eval.runs import read_json
from eval.variants.shapes import Row, Table, Variants
from eval.variants.table import COLUMNS, NAME_OF, about, caption, markdown


def write_page(made: Variants, folder: Path) -> tuple[Path, Path, Path]:
    """Write variants.html, variants.json and variants.md into `folder`; return their paths.

    Raises:
        ValueError: a file of that name is there and is something else.
    """
    paths = (folder / "variants.html", folder / "variants.json", folder / "variants.md")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; --out names a folder")
    ours = read_json(paths[1]).get("format") == made.format
    if not ours and (there := [f for f in paths if f.exists()]):
        raise ValueError(f"{there[0]}: is not of variants; name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(paths[1], canonical_json(made.model_dump(mode="json")) + "\n")
    write_atomic(paths[2], markdown(made))
    write_atomic(paths[0], render(made))
    return paths


def render(made: Variants) -> str:
    """The page as text."""
    worth = scale_of([_worth(made, r) for t in made.tables for r in t.rows])
    names = [v.name for v in made.variants]

    def drawn(row: Row) -> Markup:
        return Markup(strip([(_worth(made, row), pen(row.name, names))], worth))

    return environment().get_template("variants.html.j2").render(
        made=made,
        columns=COLUMNS,
        tested=NAME_OF[made.tested],
        about=about(made),
        caption=lambda t: caption(made, t),
        axis=Markup(axis(worth)),
        strip=drawn,
        held=[_held(made, t) for t in made.tables],
    )  # fmt: skip


def _worth(made: Variants, row: Row) -> Estimate:
    return getattr(row.scores, made.tested)


def _held(made: Variants, t: Table) -> str:
    """Which rows are told from the first one after the correction, in a sentence."""
    alpha = 1 - made.confidence
    apart = [r.name for r in t.rows if r.p_holm is not None and r.p_holm < alpha]
    tested = sum(r.p is not None for r in t.rows)
    if not tested:
        return "No test was made."
    first = made.variants[0].name
    if not apart:
        return f"None of {tested} rows is told from {first} after the correction."
    return (
        f"{len(apart)} of {tested} rows are told from {first} after the correction: "
        f"{'; '.join(apart)}."
    )
