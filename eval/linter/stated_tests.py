"""Tests as printed: statistics and p values against the counts, means and intervals beside them."""

from __future__ import annotations

import math
from itertools import product
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator
from scipy.stats import chi2, norm, t

from data_sharding.schema import Strict
from eval.linter.finding import IMPOSSIBLE, MISPRINT, Finding
from eval.linter.printed import LONGEST, Cell, Printed, Rounding, cell, show


def _readable(text: str) -> str:
    cell(text)
    return text


Number = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_readable)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
Whole = Annotated[int, Field(ge=0, le=10**9)]
Sized = Annotated[int, Field(ge=2, le=10**9)]
#: Two models judged on the same patients are rarely correlated more than this.
ALIKE = 0.99


class Group(Strict):
    """One group's mean, standard deviation and n."""

    mean: Number
    sd: Number
    n: Sized


class Quartiles(Strict):
    """One group's median, quartiles and n."""

    median: Number
    q1: Number
    q3: Number
    n: Sized


class ChiSquared(Strict):
    """Pearson's test of a table of counts (with or without Yates); no statistic: p alone."""

    kind: Literal["chi-squared"]
    quantity: Name
    counts: tuple[tuple[Whole, ...], ...] = Field(min_length=2, max_length=50)
    statistic: Number | None = None
    p: Number | None = None

    @model_validator(mode="after")
    def _table(self) -> ChiSquared:
        if len({len(r) for r in self.counts}) != 1 or len(self.counts[0]) < 2:
            raise ValueError(f"{self.quantity}: counts must be at least two rows of equal length")
        return self


class TTest(Strict):
    """Student's or Welch's test of two means; the sign of t is not judged."""

    kind: Literal["t"]
    quantity: Name
    first: Group
    second: Group
    statistic: Number | None = None
    p: Number | None = None


class Medians(Strict):
    """A test of two medians; judged roughly, as if quartiles were those of normal values."""

    kind: Literal["medians"]
    quantity: Name
    first: Quartiles
    second: Quartiles
    p: Number


class HosmerLemeshow(Strict):
    """df = groups - 2 (groups on external data); ten groups unless the paper says otherwise."""

    kind: Literal["hosmer-lemeshow"]
    quantity: Name
    statistic: Number
    p: Number
    groups: Annotated[int, Field(ge=3, le=1000)] | None = None
    external: bool = False


class Difference(Strict):
    """A difference (or, with null "1", a ratio) with its 95% interval and p."""

    kind: Literal["difference"]
    quantity: Name
    estimate: Number
    p: Number
    null: Literal["0", "1"] = "0"


class AurocTest(Strict):
    """Two AUROCs on the same patients: the p value, and which is said to be better."""

    kind: Literal["auroc"]
    quantity: Name
    first: Number
    second: Number
    positives: Sized
    negatives: Sized
    p: Number | None = None
    better: Literal["first", "second"] | None = None


StatedTest = Annotated[
    ChiSquared | TTest | Medians | HosmerLemeshow | Difference | AurocTest,
    Field(discriminator="kind"),
]


def judge(test: StatedTest, rounding: Rounding) -> list[Finding]:
    """What is wrong with a test; empty if nothing is."""
    match test:
        case ChiSquared():
            return _chi_squared(test, rounding)
        case TTest():
            return _t(test, rounding)
        case Medians():
            return _medians(test, rounding)
        case HosmerLemeshow():
            return _hosmer_lemeshow(test, rounding)
        case Difference():
            return _difference(test, cell(test.estimate, rounding), cell(test.p, rounding).at)
        case AurocTest():
            return _auroc(test, rounding)


def _finding(
    test: StatedTest,
    severity: str,
    column: str,
    rule: str,
    sentence: str,
    numbers: dict[str, str],
    nearest: str | None = None,
) -> Finding:
    facts = {"severity": severity, "row": test.quantity, "column": column, "rule": rule}
    facts |= {"sentence": sentence, "numbers": numbers, "nearest": nearest}
    return Finding.model_validate(facts)


def pearson(counts: np.ndarray, yates: bool = False) -> tuple[float, int]:
    """Chi-squared and df of a table of counts; NaN where a margin is 0."""
    rows, columns, n = counts.sum(1, keepdims=True), counts.sum(0, keepdims=True), counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = rows * columns / n
        gap = np.abs(counts - expected)
        gap = gap - np.minimum(0.5, gap) if yates else gap
        df = (counts.shape[0] - 1) * (counts.shape[1] - 1)
        return float((gap**2 / expected).sum()), df


def _chi_squared(test: ChiSquared, rounding: Rounding) -> list[Finding]:
    counts = np.array(test.counts, float)
    plain, df = pearson(counts)
    if math.isnan(plain):
        return []
    values = [plain, pearson(counts, yates=True)[0]] if counts.shape == (2, 2) else [plain]
    found = []
    said = cell(test.statistic, rounding).at if test.statistic else None
    if said and said.high < 0:
        found.append(
            _finding(test, IMPOSSIBLE, "statistic", "chi-squared is not negative",
                     f"Chi-squared is a sum of squares; {said.text} cannot be.",
                     {"statistic": said.text}, show(plain, said))
        )  # fmt: skip
    elif said and not any(said.may_be(v) for v in values):
        found.append(
            _finding(test, IMPOSSIBLE, "statistic", "chi-squared follows from the counts",
                     f"The counts give chi-squared {show(plain, said)}, printed is {said.text}.",
                     {"statistic": said.text, "counts": str(test.counts)}, show(plain, said))
        )  # fmt: skip
    p = cell(test.p, rounding).at if test.p else None
    implied = [float(chi2.sf(v, df)) for v in values]
    if p and not any(p.may_be(v) for v in implied):
        found.append(_p(test, p, min(implied), max(implied), "counts"))
    return found


def _p(test: StatedTest, p: Printed, low: float, high: float, source: str) -> Finding:
    shown = f"{low:.3g}" if high - low < 1e-3 * high else f"{low:.3g} to {high:.3g}"
    crossed = (p.low > 0.05) != (low > 0.05) and (p.high > 0.05) != (high > 0.05)
    return _finding(
        test, IMPOSSIBLE if crossed else MISPRINT, "p", "p follows from what it tests",
        f"The {source} give p = {shown}, printed is {p.text}.", {"p": p.text, "implied p": shown},
        shown,
    )  # fmt: skip


def _t(test: TTest, rounding: Rounding) -> list[Finding]:
    a, b = test.first, test.second
    mean = [cell(g.mean, rounding).at for g in (a, b)]
    sd = [cell(g.sd, rounding).at for g in (a, b)]
    gaps = mean[0].low - mean[1].high, mean[0].high - mean[1].low
    errors = []
    for s, u in product(*[(max(x.low, 0.0), max(x.high, 0.0)) for x in sd]):
        errors.append(math.sqrt(s * s / a.n + u * u / b.n))
        pooled = ((a.n - 1) * s * s + (b.n - 1) * u * u) / (a.n + b.n - 2)
        errors.append(math.sqrt(pooled * (1 / a.n + 1 / b.n)))
    if min(errors) <= 0:
        return []
    sizes = [abs(g) / e for g in gaps for e in errors]
    low, high = (0.0 if gaps[0] <= 0 <= gaps[1] else min(sizes)), max(sizes)
    found = []
    said = cell(test.statistic, rounding).at if test.statistic else None
    if said and not (said.may_be(low, high) or said.may_be(-high, -low)):
        found.append(
            _finding(test, IMPOSSIBLE, "statistic", "t follows from means, SDs and n",
                     f"Means, SDs and n give t of {low:.4g} to {high:.4g} in size, printed is "
                     f"{said.text}.", {"statistic": said.text}, f"{(low + high) / 2:.4g}")
        )  # fmt: skip
    p = cell(test.p, rounding).at if test.p else None
    least = float(2 * t.sf(high, a.n + b.n - 2))
    most = float(2 * t.sf(low, min(a.n, b.n) - 1))
    if p and not p.may_be(least, most):
        found.append(_p(test, p, least, most, "means, SDs and n"))
    return found


def _medians(test: Medians, rounding: Rounding) -> list[Finding]:
    """Only a gross clash is reported: the implied p is approximate."""
    centre, variance = [], 0.0
    for g in (test.first, test.second):
        q1, m, q3 = (cell(x, rounding).at for x in (g.q1, g.median, g.q3))
        if q3.high < q1.low or m.high < q1.low or m.low > q3.high:
            return [_finding(test, IMPOSSIBLE, "quartiles", "quartiles are in order",
                             f"{g.q1}, {g.median}, {g.q3} are not in order.",
                             {"q1": g.q1, "median": g.median, "q3": g.q3})]  # fmt: skip
        centre.append(m)
        variance += ((q3.high - q1.low) / 1.349) ** 2 / g.n
    gap = max(0.0, centre[0].low - centre[1].high, centre[1].low - centre[0].high)
    widest = abs(centre[0].value - centre[1].value) + 0.5
    likely = float(2 * norm.sf(gap / math.sqrt(variance)))
    least = float(2 * norm.sf(widest / math.sqrt(variance) * 1.5))
    p = cell(test.p, rounding).at
    if (likely < 1e-4 and p.low > 0.05) or (least > 0.2 and p.high < 1e-3):
        return [_p(test, p, min(least, likely), likely, "medians, quartiles and n (roughly)")]
    return []


def _hosmer_lemeshow(test: HosmerLemeshow, rounding: Rounding) -> list[Finding]:
    x, p = cell(test.statistic, rounding).at, cell(test.p, rounding).at
    groups = test.groups or 10
    df = groups if test.external else groups - 2
    fits = [d for d in range(1, 101)
            if p.may_be(float(chi2.sf(x.high, d)), float(chi2.sf(max(x.low, 0.0), d)))]  # fmt: skip
    if df in fits:
        return []
    said = f"{groups} groups" if test.groups else "the usual 10 groups (none are stated)"
    real = " or ".join(map(str, fits)) or "no"
    return [
        _finding(
            test, MISPRINT, "p", "p follows from chi-squared and the groups",
            f"Chi-squared {x.text} with p {p.text} belongs to {real} degrees of freedom; {said} "
            f"have {df}.", {"statistic": x.text, "p": p.text, "df": str(df)},
            ", ".join(f"{d if test.external else d + 2} groups" for d in fits) or None,
        )
    ]  # fmt: skip


def _difference(test: Difference, c: Cell, p: Printed) -> list[Finding]:
    if c.low is None or c.high is None:
        raise ValueError(f"{test.quantity}: give the interval, as in 0.02 (0.01 to 0.03)")
    null = float(test.null)
    outside = c.low.low > null or c.high.high < null
    inside = c.low.high < null < c.high.low
    if (outside and p.low > 0.05) or (inside and p.high < 0.05):
        # Interval and test may be of two methods: near 0.05 they may part.
        scale = math.log if test.null == "1" else float
        try:
            width = (scale(c.high.value) - scale(c.low.value)) / (2 * 1.959964)
            z = abs(scale(c.at.value) - scale(null)) / width
        except (ValueError, ZeroDivisionError):
            return []
        implied = float(2 * norm.sf(z))
        far = not p.may_be(implied / 3, implied * 3)
        holds = "leaves out" if outside else "holds"
        return [
            _finding(
                test, IMPOSSIBLE if far else MISPRINT, "p", "p agrees with the interval",
                f"The 95% interval {c.text} {holds} {test.null}, so p is "
                f"{'below' if outside else 'above'} 0.05 (about {implied:.2g}), printed is "
                f"{p.text}.", {"estimate": c.text, "p": p.text}, f"{implied:.2g}",
            )
        ]  # fmt: skip
    return []


def _auroc(test: AurocTest, rounding: Rounding) -> list[Finding]:
    a, b = (cell(x, rounding).at for x in (test.first, test.second))
    found = []
    if test.better:
        best, other = (a, b) if test.better == "first" else (b, a)
        if best.value < other.value:
            found.append(
                _finding(test, IMPOSSIBLE, "better", "the better AUROC is the larger",
                         f"The {test.better} is said to be better, with {best.text} against "
                         f"{other.text}.", {"first": a.text, "second": b.text})
            )  # fmt: skip
    p = cell(test.p, rounding).at if test.p else None
    if p is None or not 0 < p.high <= 0.1:
        return found
    gap = max(a.high - b.low, b.high - a.low)
    z = float(norm.isf(p.high / 2))
    va, vb = (hanley_mcneil(min(x.value, 1.0), test.positives, test.negatives) for x in (a, b))
    if va <= 0 or vb <= 0:
        return found
    needed = (va + vb - (gap / z) ** 2) / (2 * math.sqrt(va * vb))
    if needed > ALIKE:
        found.append(
            _finding(test, MISPRINT, "p", "p agrees with AUROCs and n",
                     f"A difference of at most {gap:.3g} among {test.positives} positives and "
                     f"{test.negatives} negatives has p {p.text} only if the two AUROCs are "
                     f"correlated above {needed:.3f}: hardly different models, or not this test.",
                     {"first": a.text, "second": b.text, "p": p.text})
        )  # fmt: skip
    return found


def hanley_mcneil(auroc: float, positives: int, negatives: int) -> float:
    """Variance of an AUROC (Hanley & McNeil, Radiology 1982, equation 2)."""
    q1, q2, square = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc), auroc**2
    top = auroc * (1 - auroc) + (positives - 1) * (q1 - square) + (negatives - 1) * (q2 - square)
    return max(top, 0.0) / (positives * negatives)
