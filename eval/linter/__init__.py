"""The linter: does a table of results contradict itself?

    python -m eval lint FILE        a typed-in table (.json, .csv), or our own metrics.json

Judges any table, ours or typed in from a paper (`table.Table` has the schema, `reading` the files).
Every printed number is taken as all the values it may stand for, and a finding is raised only if
none of them fits, so that an honest table raises none. What is judged: counts and their sums,
percentages of counts, k/n granularity, one confusion matrix behind a row (sensitivity, specificity,
PPV, NPV, accuracy, F1, kappa, and AUROC's bounds), one prevalence behind it where class sizes are
not printed, parts against wholes, rows about the same patients, intervals against their estimates,
p values against statistics, intervals and counts, and numbers that the text repeats.
"""

from __future__ import annotations

from eval.linter.binary import binary
from eval.linter.claims import judge as judge_claim
from eval.linter.finding import Finding
from eval.linter.limits import limits
from eval.linter.line import Line, read
from eval.linter.multiclass import averages, denominators, multiclass
from eval.linter.own import from_metrics
from eval.linter.parts import copies, partitions, populations, shares
from eval.linter.reading import from_csv, from_json, read_table
from eval.linter.stated_tests import judge as judge_test
from eval.linter.table import Row, Table

__all__ = [
    "Finding",
    "Row",
    "Table",
    "from_csv",
    "from_json",
    "from_metrics",
    "lint",
    "read_table",
]


def lint(table: Table) -> list[Finding]:
    """Every contradiction in the table, in the order of its rows; empty if it is coherent.

    Raises:
        ValueError: a test or claim lacks what it needs to be judged.
    """
    found: list[Finding] = []
    lines: list[Line] = []
    at_fault: set[str] = set()
    for row in table.rows:
        line, wrong = read(row, table.rounding)
        lines.append(line)
        found += wrong + shares(line, table.rounding)
        inside = binary(line) if row.kind == "binary" else multiclass(line)
        if inside and line.matrix is not None:
            at_fault.add(row.name)
        found += inside + limits(line)
    found += partitions(lines) + populations(lines) + copies(lines, at_fault)
    found += averages(lines) + denominators(lines)
    for test in table.tests:
        found += judge_test(test, table.rounding)
    for claim in table.claims:
        found += judge_claim(claim, table.rounding)
    return found
