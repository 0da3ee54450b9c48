"""One row of the table, read: its cells as ranges and its counts completed by addition."""

from __future__ import annotations

from dataclasses import dataclass

from eval.linter.finding import AVERAGED, IMPOSSIBLE, Finding
from eval.linter.printed import Cell, Rounding, cell
from eval.linter.table import Row

#: whole = part + part, for the counts of a two-class row.
SUMS = (
    ("n", "positives", "negatives"),
    ("positives", "tp", "fn"),
    ("negatives", "fp", "tn"),
    ("flagged", "tp", "fp"),
)


@dataclass(frozen=True)
class Line:
    """A row with its counts (printed ones first, others deduced) and its metrics as cells."""

    row: Row
    counts: dict[str, int]
    printed: dict[str, Cell]
    metrics: dict[str, Cell]

    @property
    def name(self) -> str:
        """The row's."""
        return self.row.name

    @property
    def matrix(self) -> tuple[int, int, int, int] | None:
        """TP, FP, FN, TN if all are known."""
        names = ("tp", "fp", "fn", "tn")
        if not all(k in self.counts for k in names):
            return None
        tp, fp, fn, tn = (self.counts[k] for k in names)
        return tp, fp, fn, tn

    def denominator(self, metric: str) -> int | None:
        """The count that a proportion is out of, if it is known."""
        if self.row.kind == "multiclass":
            return self.counts.get("n") if metric == "accuracy" else None
        of = {
            "sensitivity": "positives",
            "specificity": "negatives",
            "accuracy": "n",
            "prevalence": "n",
            "ppv": "flagged",
        }
        return self.counts.get(of.get(metric, ""))


def read(row: Row, rounding: Rounding) -> tuple[Line, list[Finding]]:
    """The line, and what is wrong with its counts alone."""
    printed = {k: cell(v, rounding) for k, v in row.counts.items()}
    findings = [
        Finding(
            severity=AVERAGED if c.at.value > 0 else IMPOSSIBLE,
            row=row.name,
            column=k,
            numbers={k: c.text},
            rule="a count is a whole number",
            sentence=f"{c.text} patients cannot be counted; it may be a mean over repetitions.",
            nearest=str(max(0, round(c.at.value))),
        )
        for k, c in printed.items()
        if c.at.value < 0 or c.at.value != int(c.at.value)
    ]
    counts = {k: int(c.at.value) for k, c in printed.items()} if not findings else {}
    if row.confusion is not None:
        counts.setdefault("n", sum(map(sum, row.confusion)))
    findings += _complete(row.name, counts)
    return Line(row, counts, printed, {k: cell(v, rounding) for k, v in row.metrics.items()}), (
        findings
    )


def _complete(name: str, counts: dict[str, int]) -> list[Finding]:
    """Deduce what follows by addition, in place; report each sum that does not add up."""
    wrong: dict[str, Finding] = {}
    for _ in SUMS:
        for whole, a, b in SUMS:
            if a in counts and b in counts:
                total = counts[a] + counts[b]
                if counts.setdefault(whole, total) != total and whole not in wrong:
                    wrong[whole] = _sum(name, whole, counts[whole], {a: counts[a], b: counts[b]})
            elif whole in counts and (a in counts or b in counts):
                known, other = (a, b) if a in counts else (b, a)
                if counts[known] > counts[whole]:
                    wrong.setdefault(
                        whole, _sum(name, whole, counts[whole], {known: counts[known]})
                    )
                else:
                    counts[other] = counts[whole] - counts[known]
    return list(wrong.values())


def _sum(name: str, whole: str, said: int, parts: dict[str, int]) -> Finding:
    total = sum(parts.values())
    names = " and ".join(parts)
    return Finding(
        severity=IMPOSSIBLE,
        row=name,
        column=whole,
        numbers={whole: str(said), **{k: str(v) for k, v in parts.items()}},
        rule="counts add up",
        sentence=f"{names} give {total} patients, but {whole} says {said}.",
        nearest=str(total),
    )
