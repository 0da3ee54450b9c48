"""Parts and wholes: subgroups of a row, shares of n, and rows about the same patients."""

from __future__ import annotations

from collections import defaultdict

from eval.linter.finding import IMPOSSIBLE, MISPRINT, Finding
from eval.linter.line import Line
from eval.linter.printed import Cell, Rounding, cell, show

#: Means over patients (or ratios of such sums): the whole lies among its parts. Kappa and AUROC do
#: not: people of two sexes are compared with each other as well.
MIXED = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "prevalence", "brier", "f1")
#: What weighs each part where the whole is a plain weighted mean.
WEIGHT = {
    "accuracy": "n",
    "brier": "n",
    "prevalence": "n",
    "sensitivity": "positives",
    "specificity": "negatives",
    "ppv": "flagged",
}
COUNTED = ("n", "positives", "negatives", "tp", "fp", "fn", "tn", "flagged")


def partitions(lines: list[Line]) -> list[Finding]:
    """Each whole against the parts that are said to make it up."""
    by_name = {line.name: line for line in lines}
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line.row.part_of is not None and line.row.by is not None:
            groups[line.row.part_of, line.row.by].append(line)
    found = []
    for (whole, by), parts in groups.items():
        found += _sums(by_name[whole], by, parts)
        found += _mixtures(by_name[whole], by, parts)
    return found


def _sums(whole: Line, by: str, parts: list[Line]) -> list[Finding]:
    found = []
    for k in COUNTED:
        if k not in whole.counts or not all(k in p.counts for p in parts):
            continue
        total = sum(p.counts[k] for p in parts)
        if total != whole.counts[k]:
            found.append(
                Finding(
                    severity=IMPOSSIBLE,
                    row=whole.name,
                    column=k,
                    numbers={whole.name: str(whole.counts[k])}
                    | {p.name: str(p.counts[k]) for p in parts},
                    rule="parts add up to the whole",
                    sentence=f"By {by}, {k} adds up to {total}; the whole has {whole.counts[k]}: "
                    "these are not all, or not the same, patients.",
                    nearest=str(total),
                )
            )
    return found


def _mixtures(whole: Line, by: str, parts: list[Line]) -> list[Finding]:
    found = []
    for k in MIXED:
        if k not in whole.metrics or not all(k in p.metrics for p in parts):
            continue
        if k == "f1" and {p.row.kind for p in (whole, *parts)} != {"binary"}:
            continue
        if k in ("sensitivity", "ppv") and whole.row.average == "macro":
            continue
        said = whole.metrics[k].at
        cells = [p.metrics[k].at for p in parts]
        low, high = min(c.low for c in cells), max(c.high for c in cells)
        rule, weighted = "the whole lies among its parts", ""
        weights = [p.counts.get(WEIGHT.get(k, ""), 0) for p in parts]
        if said.may_be(low, high) and all(weights) and whole.row.kind == "binary":
            total = sum(weights)
            low = sum(w * c.low for w, c in zip(weights, cells, strict=True)) / total
            high = sum(w * c.high for w, c in zip(weights, cells, strict=True)) / total
            rule, weighted = "the whole is the weighted mean of its parts", ", weighted by patients"
        if said.may_be(low, high):
            continue
        found.append(
            Finding(
                severity=IMPOSSIBLE,
                row=whole.name,
                column=k,
                numbers={whole.name: said.text}
                | {p.name: c.text for p, c in zip(parts, cells, strict=True)},
                rule=rule,
                sentence=f"By {by}, {k} of the parts{weighted} gives {low:.4g} to {high:.4g}; the "
                f"whole says {said.text}. They cannot be parts of the same patients.",
                nearest=show(low if said.value < low else high, said),
            )
        )
    return found


def populations(lines: list[Line]) -> list[Finding]:
    """Rows about the same patients must state the same n, positives and negatives."""
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.row.population is not None:
            groups[line.row.population].append(line)
    found = []
    for population, rows in groups.items():
        for k in ("n", "positives", "negatives"):
            said = {r.name: r.counts[k] for r in rows if k in r.counts}
            if len(set(said.values())) > 1:
                values = ", ".join(f"{v} ({name})" for name, v in said.items())
                found.append(
                    Finding(
                        severity=IMPOSSIBLE,
                        row=", ".join(said),
                        column=k,
                        numbers={name: str(v) for name, v in said.items()},
                        rule="the same patients are counted once",
                        sentence=f"{k} of {population} is stated differently: {values}.",
                    )
                )
    return found


def shares(line: Line, rounding: Rounding) -> list[Finding]:
    """Shares of n: each count gives its percentage, all together give n and 100%."""
    n = line.counts.get("n")
    found = []
    for name, c in line.printed.items():
        found += _share(line.name, name, c, n)
    parts = {name: cell(text, rounding) for name, text in line.row.shares.items()}
    for name, c in parts.items():
        found += _share(line.name, name, c, n)
    counted = [c for c in parts.values() if "%" not in c.at.text]
    if parts and len(counted) == len(parts) and n is not None:
        total = sum(c.at.value for c in counted)
        if total != n:
            found.append(
                Finding(
                    severity=IMPOSSIBLE,
                    row=line.name,
                    column=", ".join(parts),
                    numbers={k: c.text for k, c in parts.items()} | {"n": str(n)},
                    rule="parts add up to the whole",
                    sentence=f"The parts hold {total:g} patients, n is {n}.",
                    nearest=f"n {total:g}",
                )
            )
    percents = [c.share or c.at for c in parts.values() if c.share or "%" in c.at.text]
    if parts and len(percents) == len(parts):
        low, high = sum(p.low for p in percents), sum(p.high for p in percents)
        if not low <= 1 <= high:
            found.append(
                Finding(
                    severity=MISPRINT,
                    row=line.name,
                    column=", ".join(parts),
                    numbers={k: c.text for k, c in parts.items()},
                    rule="percentages of all parts sum to 100",
                    sentence=f"The parts sum to {sum(p.value for p in percents):.1%}, which "
                    "rounding does not explain: a part is missing, or counted twice.",
                )
            )
    return found


def _share(row: str, name: str, c: Cell, n: int | None) -> list[Finding]:
    if c.share is None or not n or c.share.may_be(c.at.value / n):
        return []
    exact = show(c.at.value / n, c.share)
    return [
        Finding(
            severity=MISPRINT,
            row=row,
            column=name,
            numbers={name: c.text, "n": str(n)},
            rule="a percentage is its count out of n",
            sentence=f"{c.at.text} of {n} is {exact}, printed is {c.share.text}.",
            nearest=f"{c.at.text} ({exact})",
        )
    ]


def copies(lines: list[Line], at_fault: set[str]) -> list[Finding]:
    """A row that contradicts its counts and repeats another row's cells was copied from it."""
    if not at_fault:
        return []
    holders: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        for k, c in line.metrics.items():
            holders[k, c.at.text].append(line)
    found = []
    for row in (line for line in lines if line.name in at_fault):
        same: dict[str, list[str]] = defaultdict(list)
        for k, c in row.metrics.items():
            for other in holders[k, c.at.text]:
                if other is not row:
                    same[other.name].append(k)
        name, columns = max(same.items(), key=lambda i: len(i[1]), default=("", []))
        if len(columns) >= 5:
            found.append(
                Finding(
                    severity=MISPRINT,
                    row=row.name,
                    column=", ".join(columns),
                    numbers={k: row.metrics[k].text for k in columns},
                    rule="cells are not another row's",
                    sentence="These cells do not follow from the counts and equal those of row "
                    f"{name}: copied?",
                )
            )
    return found
