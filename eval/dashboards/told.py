"""What is told of one evaluated run: numbers, tables and pictures by key.

    told = of_run(folder, line="0123456789")
    told.numbers["eval/asan-test/auroc"]

The keys are documented in `eval.dashboards`; here they are made. Everything comes of metrics.json
and of the predictions, and what is of too few people is withheld on its way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.clinical.beside import judged
from eval.cohort import Metrics, ModelMetrics, Settings
from eval.comparison import compare
from eval.comparison.drift import QUANTITIES
from eval.comparison.shapes import Drift
from eval.dashboards import curves
from eval.dashboards.groups import GAPS, Group, gap_numbers, groups
from eval.dashboards.measures import LABELLED, MEASURES, PLAIN, measures, plain
from eval.dashboards.names import Words, last_model, slug, slugs
from eval.dashboards.withheld import EVERYTHING, LABELS, most_pictures, reasons
from eval.estimate import Estimate
from eval.evaluate import evaluate_run
from eval.frames import Frame
from eval.runs import Run, is_tuning

Cell = str | float | int | bool | None
COHORTS, DRIFT, WITHHELD = "eval/cohorts", "eval/drift", "eval/withheld"


def _three(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(column for n in names for column in (n, f"{n}_lo", f"{n}_hi"))


#: Key, or its last part -> columns.
COLUMNS = {
    COHORTS: ("line", "cohort", "model", "tuning", *_three(MEASURES), *PLAIN),
    DRIFT: ("line", "home", "cohort", "model", *_three(QUANTITIES)),
    WITHHELD: ("line", "cohort", "model", "what", "why"),
    "roc": ("line", "fpr", "tpr"),
    "pr": ("line", "recall", "precision"),
    "calibration": ("line", "predicted", "observed", "observed_lo", "observed_hi"),
    "scores": ("line", "low", "high", "share"),
    "subgroups": (
        *("line", "by", "level", "patients", *_three(GAPS)),
        *(c for n in GAPS for c in (*_three([f"{n}_gap"]), f"{n}_gap_p_holm")),
    ),
}


@dataclass
class Told:
    """All that leaves, by key; `line` begins the name of this run's lines in tables.

    - tables: key -> rows; the columns are `COLUMNS` of the key or of its last part.
    - pictures: key -> (PNG, caption).
    """

    line: str
    numbers: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[tuple[Cell, ...]]] = field(default_factory=dict)
    pictures: dict[str, list[tuple[bytes, str]]] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """All that is logged."""
        return {*self.numbers, *self.tables, *self.pictures}

    @property
    def withheld(self) -> list[str]:
        """What is not told, and why, for people."""
        rows = self.tables.get(WITHHELD, [])
        return [
            f"{cohort}, {model}: withheld: {what} ({why})" for _, cohort, model, what, why in rows
        ]

    def estimate(self, key: str, e: Estimate) -> None:
        """A number and its limits, as far as there are any."""
        named = zip((key, f"{key}_lo", f"{key}_hi"), (e.value, e.low, e.high), strict=True)
        self.numbers |= {k: float(v) for k, v in named if v is not None and np.isfinite(v)}

    def row(self, key: str, *cells: Cell) -> None:
        """Add a row to a table, which is there as soon as it has one."""
        assert len(cells) == len(columns(key)), key
        self.tables.setdefault(key, []).append(cells)


def columns(key: str) -> tuple[str, ...]:
    """Of the table under that key."""
    return COLUMNS.get(key) or COLUMNS[key.rsplit("/", 1)[-1]]


def of_run(folder: Path, line: str, settings: Settings | None = None) -> Told:
    """Bring the evaluation up to date and say what may leave of it.

    Args:
        folder: of the run.
        line: how its lines are called in tables, such as the run's hash.
        settings: of the metrics.

    Raises:
        ValueError: the run cannot be evaluated, or a cohort or model is named by a pseudonym.
    """
    run, metrics = Run.at(folder), evaluate_run(folder, settings)
    told = Told(line)
    names = _Names(
        slugs(m.cohort for m in metrics),
        slugs(x.model for m in metrics for x in m.models),
        last_model(metrics),
    )
    kept = {}
    for m in metrics:
        frame = judged(run, m.cohort).frame
        most = most_pictures(frame)
        for x in m.models:
            rows = frame[frame["model"] == x.model]
            kept[m.cohort, x.model] = why = reasons(rows, m.settings.smallest_group)
            _model(told, names, m, x, rows, why, Words(run, x.subgroups), most)
    for d in compare([folder], settings).drift:
        why = kept[d.home, d.model] | kept[d.cohort, d.model]
        if EVERYTHING not in why:
            _drift(told, names, d, LABELS not in why)
    return told


@dataclass(frozen=True)
class _Names:
    cohorts: Mapping[str, str]
    models: Mapping[str, str]
    last: str | None

    def prefix(self, cohort: str, model: str) -> str:
        """Where a model's numbers are."""
        at = f"eval/{self.cohorts[cohort]}"
        return at if model == self.last else f"{at}/{self.models[model]}"


def _model(
    told: Told,
    names: _Names,
    m: Metrics,
    x: ModelMetrics,
    rows: Frame,
    why: Mapping[str, str],
    words: Words,
    most: int,
) -> None:
    cohort, model, least = names.cohorts[m.cohort], names.models[x.model], m.settings.smallest_group
    for what, reason in why.items():
        told.row(WITHHELD, told.line, cohort, model, what, reason)
    if EVERYTHING in why:
        return
    line, prefix, labels = (
        f"{told.line} {model}",
        names.prefix(m.cohort, x.model),
        LABELS not in why,
    )
    found, rest = measures(x, labels, least), plain(x, least)
    for name, e in found.items():
        told.estimate(f"{prefix}/{name}", e)
    told.numbers |= {f"{prefix}/{name}": float(v) for name, v in rest.items()}
    cells = (c for name in MEASURES for c in _cells(found.get(name)))
    last = (rest.get(name) for name in PLAIN)
    told.row(COHORTS, line, cohort, model, is_tuning(m.cohort), *cells, *last)
    for name, points, away in _curves(x, rows, labels, least):
        for point in points:
            told.row(f"eval/{cohort}/{name}", line, *point)
        if away:
            said = f"{away} of 10 bins of {name}"
            told.row(
                WITHHELD, told.line, cohort, model, said, f"fewer than {least} patients in one"
            )
    if labels:
        _groups(told, cohort, line, list(groups(x, words, least, most)), x.model == names.last)


def _curves(
    x: ModelMetrics, rows: Frame, labels: bool, least: int
) -> list[tuple[str, list[curves.Point], int]]:
    """(name, points, bins left out)."""
    score, who = rows["probability"].to_numpy(float), rows["patient"].to_numpy(str)
    found = [("scores", *curves.score_points(score, who, least))]
    if labels:
        known = rows["label"].notna().to_numpy()
        label, score, who = rows["label"].to_numpy()[known].astype(int), score[known], who[known]
        bins = x.calibration.bins
        found += [
            ("roc", curves.roc_points(label, score), 0),
            ("pr", curves.pr_points(label, score), 0),
            ("calibration", *curves.calibration_points(bins, score, who, least)),
        ]
    return found


def _groups(told: Told, cohort: str, line: str, found: list[Group], last: bool) -> None:
    for g in found:
        gaps = (getattr(g.gap, name) if g.gap else None for name in GAPS)
        cells = (c for name in GAPS for c in _cells(getattr(g, name)))
        more = (c for t in gaps for c in (*_cells(t), t.p_holm if t else None))
        told.row(f"eval/{cohort}/subgroups", line, g.by, g.level, g.patients, *cells, *more)
    if not last:
        return
    numbers, widest = gap_numbers(found)
    for (by, level, name), e in numbers.items():
        told.estimate(f"gap/{cohort}/{slug(by)}/{slug(level)}/{name}", e)
    if widest is not None:
        told.numbers[f"gap/{cohort}/widest"] = widest


def _drift(told: Told, names: _Names, d: Drift, labels: bool) -> None:
    needs = {*LABELLED} & {*QUANTITIES}
    shown = {n: getattr(d, n) if labels or n not in needs else None for n in QUANTITIES}
    cohort, model = names.cohorts[d.cohort], names.models[d.model]
    cells = (c for e in shown.values() for c in _cells(e))
    told.row(DRIFT, f"{told.line} {model}", names.cohorts[d.home], cohort, model, *cells)
    if d.model == names.last:
        for name, e in shown.items():
            if e is not None:
                told.estimate(f"drift/{cohort}/{name}", e)


def _cells(e: Estimate | None) -> tuple[Cell, Cell, Cell]:
    return (None, None, None) if e is None else (e.value, e.low, e.high)
