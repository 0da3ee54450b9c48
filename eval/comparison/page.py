"""The comparison as one HTML page and as JSON: RUN/report/compare.{html,json}.

The page asks nothing of the network and computes nothing: it prints compare.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from data_sharding.schema import canonical_json, write_atomic
from eval.comparison.gaps import widest
from eval.comparison.shapes import Comparison, Contrast, Drift, GroupGap, Row
from eval.estimate import Estimate
from eval.gates import Outcome
from eval.plots.strip import Scale, axis, scale_of, strip
from eval.plots.style import Pen, pen
from eval.reporting import text
from eval.runs import read_json

#: Beside each other in the table of results: heading, field, digits.
COLUMNS = (
    ("Prevalence", "prevalence", 2),
    ("Sensitivity", "sensitivity", 2),
    ("Specificity", "specificity", 2),
    ("PPV", "ppv", 2),
    ("NPV", "npv", 2),
    ("Brier", "brier", 3),
    ("ECE", "ece", 3),
    ("Slope", "slope", 2),
)
#: Of a drift: heading, field, digits.
DRIFT = (
    ("Scores higher there", "scores", 2),
    ("Distance of scores", "distance", 2),
    ("Prevalence", "prevalence", 2),
    ("Called positive", "called_positive", 2),
    ("Sensitivity", "sensitivity", 2),
    ("Specificity", "specificity", 2),
    ("In the large", "in_the_large", 2),
    ("Slope", "slope", 2),
    ("ECE", "ece", 3),
)
#: Of these, what is no difference and has no sign.
UNSIGNED = ("scores", "distance")
#: Of these, side by side, what a model without a threshold has not.
AT_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv")


def write_comparison(
    comparison: Comparison, folder: Path, outcomes: Sequence[Outcome] = ()
) -> tuple[Path, Path]:
    """Write compare.html and compare.json into `folder` and return their paths.

    Raises:
        ValueError: a file of that name is there and is not of a comparison.
    """
    page, data = folder / "compare.html", folder / "compare.json"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; --out names a folder")
    family = comparison.format.partition("/")[0]
    ours = str(read_json(data).get("format")).startswith(f"{family}/")
    if not ours and (there := [f for f in (page, data) if f.exists()]):
        raise ValueError(f"{there[0]}: is not of a comparison; name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(data, canonical_json(comparison.model_dump(mode="json")) + "\n")
    write_atomic(page, render(comparison, outcomes))
    return page, data


def render(comparison: Comparison, outcomes: Sequence[Outcome] = ()) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("eval"),
        autoescape=select_autoescape(["html", "j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "estimate": text.estimate,
        "p_value": text.p_value,
        "number": text.minus,
    }
    rows = comparison.rows
    each = {name: [c for c in comparison.contrasts if c.kind == name] for name in KINDS}
    worth = scale_of([r.auroc for r in rows], end=1.0)
    apart = {
        name: scale_of([c.difference for c in found], reference=0.0) for name, found in each.items()
    }
    away = scale_of([d.auroc for d in comparison.drift], reference=0.0)
    groups = scale_of([g.gap.auroc for g in comparison.gaps if g.gap], reference=0.0)
    pens, alpha = _pens(rows), 1 - comparison.confidence
    return environment.get_template("comparison.html.j2").render(
        comparison=comparison,
        learnt=" and ".join(dict.fromkeys(s.positive for s in comparison.sources)),
        columns=COLUMNS,
        at_threshold=AT_THRESHOLD,
        cohorts=[(c, list(found)) for c, found in groupby(rows, key=lambda r: r.cohort)],
        kinds=[(*KINDS[name], each[name]) for name in KINDS if each[name]],
        axis=Markup(axis(worth)),
        strip=lambda row: _strip(row.auroc, pens[row.run, row.model], worth),
        axes={name: Markup(axis(scale)) for name, scale in apart.items()},
        gap=lambda c: _strip(c.difference, pens[c.second.run, c.second.model], apart[c.kind]),
        letters=(letters := _letters(comparison)),
        lettered=lambda place: _lettered(place, letters),
        side=lambda contrast, which: side(contrast, which, letters),
        drift_columns=DRIFT,
        unsigned=UNSIGNED,
        drift=_by_cohort(comparison),
        drift_axis=Markup(axis(away)),
        drift_strip=lambda d: _strip(d.auroc, pens[d.run, d.model], away),
        gaps=[(c, _blocks(list(f))) for c, f in groupby(comparison.gaps, key=lambda g: g.cohort)],
        widest={c: list(f) for c, f in groupby(widest(comparison.gaps), key=lambda g: g.cohort)},
        gap_axis=Markup(axis(groups)),
        gap_strip=lambda g: _strip(g.gap.auroc, pens[g.run, g.model], groups),
        outcomes=outcomes,
        uncorrected=sum(c.p is not None and c.p < alpha for c in comparison.contrasts),
        held=sum(c.p_holm is not None and c.p_holm < alpha for c in comparison.contrasts),
    )


#: Kind -> itself, its heading, and what to know of it.
KINDS = {
    "paired": (
        "paired",
        "Models on the same pictures",
        "Both judged these pictures, so the difference is theirs. DeLong's paired test, with "
        "components summed within patients.",
    ),
    "unpaired": (
        "unpaired",
        "Cohorts of different people",
        "Unpaired: the people differ as well, so a difference may lie in who was sicker, older or "
        "imaged by another device. DeLong's unpaired test.",
    ),
}


def side(contrast: Contrast, which: str, letters: dict[str, str]) -> str:
    """One side of a test in words, runs by their letters."""
    s = getattr(contrast, which)
    name = f"{letters[s.run]} {s.model}"
    return name if contrast.kind == "paired" else f"{name} on {s.cohort}"


def _by_cohort(comparison: Comparison) -> list[tuple[str, list[Drift]]]:
    """Drift cohort by cohort, and within it run by run."""
    found: dict[str, list[Drift]] = {}
    for d in comparison.drift:
        found.setdefault(d.cohort, []).append(d)
    return sorted(found.items())


def _blocks(rows: list[GroupGap]) -> list[tuple[str, list[tuple[str, list[GroupGap]]]]]:
    """A cohort's groups: characteristic -> level -> rows of each run and model."""
    return [
        (by, [(level, list(found)) for level, found in groupby(of_by, key=lambda g: g.level)])
        for by, of_by in groupby(rows, key=lambda g: g.by)
    ]


def _letters(comparison: Comparison) -> dict[str, str]:
    """Run -> A, B, ... Z, A2, ..."""
    runs = [s.run for s in comparison.sources]
    return {run: f"{chr(65 + i % 26)}{i // 26 + 1 if i > 25 else ''}" for i, run in enumerate(runs)}


def _lettered(place: str, letters: dict[str, str]) -> str:
    """A place that starts with a run's name, with its letter instead."""
    for run in sorted(letters, key=len, reverse=True):
        if place.startswith(f"{run}, "):
            return letters[run] + place.removeprefix(run)
    return place


def _pens(rows: Sequence[Row]) -> dict[tuple[str, str], Pen]:
    """One pen for every model of every run."""
    names = list(dict.fromkeys((r.run, r.model) for r in rows))
    labels = ["student", "teacher", *(f"{run}/{model}" for run, model in names[2:])]
    return {name: pen(label, labels) for name, label in zip(names, labels, strict=False)}


def _strip(estimate: Estimate, with_pen: Pen, scale: Scale) -> Markup:
    return Markup(strip([(estimate, with_pen)], scale))
