"""A table of results as it was printed: the schema ``osteoray-table/1``.

Numbers are text, exactly as printed, because 0.90 says more than 0.9. A share in per cent carries
its % sign. One row is one set of patients judged by one model.

    {"format": "osteoray-table/1", "title": "Table 2", "rows": [
      {"name": "Site A", "counts": {"tp": "592", "fn": "71", "negatives": "663"},
       "metrics": {"sensitivity": "0.89 (0.87-0.91)", "accuracy": "82.4%"}},
      {"name": "Site A, women", "part_of": "Site A", "by": "sex", "counts": {"n": "1,112"}}]}
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from data_sharding.schema import Strict
from eval.linter.claims import Claim
from eval.linter.printed import LONGEST, Rounding, cell
from eval.linter.stated_tests import StatedTest

CountName = Literal["n", "positives", "negatives", "tp", "fp", "fn", "tn", "flagged"]
MetricName = Literal[
    "auroc", "sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "kappa",
    "balanced_accuracy", "prevalence", "brier", "average_precision",
]  # fmt: skip
COUNTS: tuple[str, ...] = get_args(CountName)
METRICS: tuple[str, ...] = get_args(MetricName)
IntervalMethod = Literal["wilson", "hmisc-wilson", "clopper-pearson"]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _readable(text: str) -> str:
    cell(text)
    return text


Text = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_readable)]
Whole = Annotated[int, Field(ge=0, le=10**9)]


class Row(Strict):
    """One row.

    - name: unique in the table. source: where it is printed ("Table 2", "abstract").
    - population: rows with the same word count the same patients, so their counts must agree.
    - part_of, by: this row is one part of the row `part_of`, split `by` sex, age ...; all rows with
      the same two words together are the whole.
    - kind: "multiclass" where ppv, sensitivity and f1 are averages over classes, with `average`.
    - interval: the method the paper names for intervals of proportions, if it does.
    - counts: whole numbers of patients, each with its share of n if printed: "207 (48.9%)".
    - metrics: estimates, each with its interval if printed.
    - shares: any other complete split of n, such as severities: all parts, each "k (p%)" or "p%".
    - confusion: rows are the truth, columns the prediction; any number of classes.
    """

    name: Name
    source: Name | None = None
    population: Name | None = None
    part_of: Name | None = None
    by: Name | None = None
    kind: Literal["binary", "multiclass"] = "binary"
    average: Literal["macro", "weighted"] | None = None
    interval: IntervalMethod | None = None
    counts: dict[CountName, Text] = Field(default_factory=dict)
    metrics: dict[MetricName, Text] = Field(default_factory=dict)
    shares: dict[Name, Text] = Field(default_factory=dict)
    confusion: tuple[tuple[Whole, ...], ...] | None = Field(default=None, max_length=50)

    @model_validator(mode="after")
    def _whole(self) -> Row:
        if (self.part_of is None) != (self.by is None):
            raise ValueError(f"{self.name}: part_of and by go together")
        if self.confusion is not None and {len(r) for r in self.confusion} != {len(self.confusion)}:
            raise ValueError(f"{self.name}: a confusion matrix is square and not empty")
        return self


class Table(Strict):
    """A table, or all that one paper prints; `rounding` is "either" where digits may be cut."""

    format: Literal["osteoray-table/1"]
    title: Name = "table"
    rounding: Rounding = "round"
    rows: tuple[Row, ...] = Field(default=(), max_length=5_000)
    tests: tuple[StatedTest, ...] = Field(default=(), max_length=5_000)
    claims: tuple[Claim, ...] = Field(default=(), max_length=5_000)

    @model_validator(mode="after")
    def _named(self) -> Table:
        names = {row.name for row in self.rows}
        if len(names) < len(self.rows):
            raise ValueError("two rows have the same name: make names unique")
        for row in self.rows:
            if row.part_of is not None and (row.part_of not in names or row.part_of == row.name):
                raise ValueError(f"{row.name}: part_of names no other row: {row.part_of!r}")
        return self
