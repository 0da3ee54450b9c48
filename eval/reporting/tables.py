"""Tables 1 and 2 in the layout of Li et al. (Chin J Med Imaging Technol 2026;42:403-407).

    RUN/report/table1.csv      who was studied, by the reference: Welch t, Pearson chi-squared
    RUN/report/table2.csv      what each model is worth on each cohort

Every cell is a number of metrics.json. Where the paper has BMD in g/cm2, the predictions know the
lowest T-score. The paper's internal data set is the training and the test set together; here each
split has its own rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_sharding.schema import write_atomic
from eval.baseline import Baseline, Level, Measure, Quantity, Split
from eval.cohort import Metrics, ModelMetrics
from eval.contrast import Contrast
from eval.estimate import Estimate
from eval.learnt import Learnt
from eval.reporting.text import p_value

#: Heading, measure of the baseline, digits.
MEASURES = (("BMI (kg/m²)", "BMI", 1), ("Lowest T-score (SD)", "lowest T-score", 2))
#: Heading, field of `Performance`; in per cent.
SHARES = (
    ("Sensitivity (%)", "sensitivity"),
    ("Specificity (%)", "specificity"),
    ("Accuracy (%)", "accuracy"),
    ("PPV (%)", "ppv"),
    ("NPV (%)", "npv"),
)
COMBINED = "combined"
NOT_KNOWN = "not recorded"


@dataclass(frozen=True)
class Printed:
    """A table as text: its heading, and rows as wide as it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def csv(self) -> str:
        """As a file, in UTF-8."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([self.head, *self.rows])
        return out.getvalue()


def write_tables(
    folder: Path, everybody: Sequence[Metrics], judged: Sequence[Metrics], learnt: Learnt
) -> tuple[Path, Path]:
    """Write both into `folder` and return their paths.

    Args:
        folder: where.
        everybody: the cohorts of table 1.
        judged: those of table 2, which chose no threshold.
        learnt: what a positive label is of.
    """
    paths = folder / "table1.csv", folder / "table2.csv"
    for path, table in zip(paths, (table1(everybody, learnt), table2(judged)), strict=True):
        write_atomic(path, table.csv())
    return paths


def table1(metrics: Sequence[Metrics], learnt: Learnt) -> Printed:
    """Baseline by the reference; four rows a cohort: two groups, the statistic, and P."""
    head = ("Set", "Group", "Age (years)", "Men", "Women", *(name for name, _, _ in MEASURES))
    rows: list[tuple[str, ...]] = []
    for m in metrics:
        b = m.baseline
        n = b.normal + b.low_bone_mass
        if not n:
            continue
        columns = [
            _means(b, "age", 1),
            *_sexes(b),
            *(_means(b, name, digits) for _, name, digits in MEASURES),
        ]
        groups = (
            f"{learnt.positive} (n={b.low_bone_mass})",
            f"{learnt.negative} (n={b.normal})",
            *("χ²/t", "P"),
        )
        for i, group in enumerate(groups):
            rows.append((f"{m.cohort} (n={n})", group, *(column[i] for column in columns)))
    return Printed(head, tuple(rows))


def table2(metrics: Sequence[Metrics]) -> Printed:
    """What each model is worth on each cohort that has a reference; P against combined is DeLong's,
    of one test at a time as in the paper.
    """
    head = (
        *("Set", "Model", "AUC (95% CI)"),
        *(name for name, _ in SHARES),
        *("F1", "P against combined"),
    )
    rows = [
        (
            m.cohort,
            x.model,
            _auc(x.overall.auroc),
            *(_percent(getattr(x.overall, field)) for _, field in SHARES),
            _number(x.overall.f1, 3),
            _against(m, x),
        )
        for m in metrics
        for x in m.models
        if x.overall.n
    ]
    return Printed(head, tuple(rows))


def _means(b: Baseline, name: str, digits: int) -> tuple[str, str, str, str]:
    found: Measure | None = next((m for m in b.measures if m.name == name), None)
    if found is None:
        return NOT_KNOWN, NOT_KNOWN, "", ""
    statistic, p = _test(found.contrast)
    return _mean(found.low_bone_mass, digits), _mean(found.normal, digits), statistic, p


def _mean(q: Quantity, digits: int) -> str:
    if q.kept_back:
        return "kept back"
    if q.mean is None:
        return NOT_KNOWN
    return f"{q.mean:.{digits}f}" + (f"±{q.sd:.{digits}f}" if q.sd is not None else "")


def _sexes(b: Baseline) -> list[tuple[str, str, str, str]]:
    """Men and women; the test of both stands under men."""
    found: Split | None = next((s for s in b.splits if s.name == "sex"), None)
    if found is None:
        return [(NOT_KNOWN, NOT_KNOWN, "", "")] * 2
    by = {row.level: row for row in found.levels}
    nobody = Level(level="", everybody=0, normal=0, low_bone_mass=0)
    men, women = by.get("men", nobody), by.get("women", nobody)
    return [
        (_count(men.low_bone_mass), _count(men.normal), *_test(found.contrast)),
        (_count(women.low_bone_mass), _count(women.normal), "", ""),
    ]


def _count(n: int | None) -> str:
    return "kept back" if n is None else f"{n}"


def _test(c: Contrast) -> tuple[str, str]:
    if c.statistic is None:
        return f"undefined: {c.undefined}", ""
    return f"{c.statistic:.3f}", p_value(c.p).replace("< ", "<")


def _auc(e: Estimate) -> str:
    limits = f" ({e.low:.3f}–{e.high:.3f})" if e.low is not None and e.high is not None else ""
    return _number(e, 3) + limits


def _percent(e: Estimate) -> str:
    return _number(e, 2, lambda v: 100 * v)


def _number(e: Estimate, digits: int, of: Callable[[float], float] = float) -> str:
    return f"undefined: {e.undefined}" if e.value is None else f"{of(e.value):.{digits}f}"


def _against(m: Metrics, x: ModelMetrics) -> str:
    if x.model == COMBINED:
        return ""
    pair = {x.model, COMBINED}
    found = next((d for d in m.differences if {d.first, d.second} == pair), None)
    if found is None:
        return ""
    return p_value(found.p).replace("< ", "<")
