"""The forest plot as a table: every subgroup of a cohort, its AUROC, and its gap to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval import plots
from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.performance import Performance
from eval.reporting.text import minus
from eval.subgroups import Subgroup, Tested

#: A corrected p below this is pointed out, in words and not by colour alone.
SMALL_P = 0.05


def small(test: Tested | None) -> bool:
    """Whether a gap's corrected p is below `SMALL_P`."""
    return test is not None and test.p_holm is not None and test.p_holm < SMALL_P


@dataclass(frozen=True)
class Row:
    """One group under the model of the table, with a mark for every model in `strip`."""

    group: Subgroup
    strip: str

    @property
    def said(self) -> str:
        """The gaps to speak of, in words; '' where there are none."""
        gap = self.group.gap
        if gap is None:
            return ""
        tests = {"AUROC": gap.auroc, "sensitivity": gap.sensitivity, "specificity": gap.specificity}
        parts = [minus(f"{name} {float(t):+.2f}") for name, t in tests.items() if small(t)]
        level = self.group.level
        named = level if self.group.by in ("sex", "severity") else f"{self.group.by} {level}"
        return f"{named} ({', '.join(parts)})" if parts else ""


@dataclass(frozen=True)
class Forest:
    """One cohort's subgroups; `single` by one characteristic, `double` by two.

    model: whose numbers the columns state. models: who has a mark in the strips, with its `key`.
    axis: the scale of the strips. kept_back: how many groups are suppressed.
    """

    cohort: str
    model: ModelMetrics
    models: tuple[tuple[str, str], ...]
    axis: str
    everybody: str
    single: tuple[tuple[str, tuple[Row, ...]], ...]
    double: tuple[tuple[str, tuple[Row, ...]], ...]
    kept_back: int

    @property
    def standing_out(self) -> tuple[str, ...]:
        """What to say of the groups by one characteristic, and how many more there are by two."""
        one = [r.said for _, rows in self.single for r in rows if r.said]
        two = sum(bool(r.said) for _, rows in self.double for r in rows)
        return (*one, *([f"{two} more by two characteristics"] if two else []))


def forest(metrics: Metrics, model: ModelMetrics) -> Forest | None:
    """The table of one cohort; None where the model has no labelled row.

    Args:
        metrics: of the cohort.
        model: whose numbers are stated; the others are marks beside it.
    """
    if not model.overall.n:
        return None
    models = [m for m in metrics.models if m.overall.n]
    names = [m.model for m in models]
    pens = {m: plots.pen(m, names) for m in names}
    lookup = {(m.model, s.by, s.level): s.performance for m in models for s in m.subgroups}

    def estimates(by: str, level: str) -> list[Estimate]:
        return [_auroc(lookup.get((n, by, level))) for n in names]

    shown = [e for s in model.subgroups for e in estimates(s.by, s.level)]
    reference = model.overall.auroc.value
    scale = plots.scale_of([m.overall.auroc for m in models] + shown, 1.0, reference)

    def drawn(marks: Sequence[Estimate]) -> str:
        return plots.strip([(e, pens[n]) for e, n in zip(marks, names, strict=True)], scale)

    blocks: dict[str, list[Row]] = {}
    for s in model.subgroups:
        blocks.setdefault(s.by, []).append(Row(s, drawn(estimates(s.by, s.level))))
    single = tuple((by, tuple(rows)) for by, rows in blocks.items() if " x " not in by)
    double = tuple((by, tuple(rows)) for by, rows in blocks.items() if " x " in by)
    return Forest(
        cohort=metrics.cohort,
        model=model,
        models=tuple((n, plots.key(pens[n])) for n in names),
        axis=plots.axis(scale),
        everybody=drawn([m.overall.auroc for m in models]),
        single=single,
        double=double,
        kept_back=sum(s.suppressed is not None for s in model.subgroups),
    )


def _auroc(performance: Performance | None) -> Estimate:
    return Estimate() if performance is None else performance.auroc
