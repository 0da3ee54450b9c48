"""Numbers that the text states about the tables: the same number twice, sums, changes, orders."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from data_sharding.schema import Strict
from eval.linter.finding import IMPOSSIBLE, MISPRINT, Finding
from eval.linter.printed import LONGEST, Printed, Rounding, cell, show


def _readable(text: str) -> str:
    cell(text)
    return text


Number = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_readable)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
Named = Annotated[dict[Name, Number], Field(min_length=2, max_length=1000)]


class Same(Strict):
    """One quantity printed in several places."""

    kind: Literal["same"]
    quantity: Name
    printed: Named


class Sum(Strict):
    """A whole and its parts; a part with a minus sign is taken away."""

    kind: Literal["sum"]
    quantity: Name
    whole: Number
    parts: Named


class Share(Strict):
    """A part that is said to be so many per cent of a whole."""

    kind: Literal["share"]
    quantity: Name
    part: Number
    whole: Number
    percent: Number


class Mean(Strict):
    """A mean over everybody, and each group's mean and n as ``mean`` and ``n`` side by side."""

    kind: Literal["mean"]
    quantity: Name
    whole: Number
    means: Named
    n: Named


class Change(Strict):
    """ "From A to B, a fall of p%": relative to A, or in points."""

    kind: Literal["change"]
    quantity: Name
    before: Number
    after: Number
    percent: Number
    scale: Literal["relative", "points"]


class Order(Strict):
    """Values said to increase, or to decrease, strictly, in the order given."""

    kind: Literal["order"]
    quantity: Name
    claim: Literal["increasing", "decreasing"]
    values: Named


class Alike(Strict):
    """Values of one size: one that fits only with its decimal point moved is a misprint."""

    kind: Literal["alike"]
    quantity: Name
    values: Named


Claim = Annotated[Same | Sum | Share | Mean | Change | Order | Alike, Field(discriminator="kind")]


def judge(claim: Claim, rounding: Rounding) -> list[Finding]:
    """What is wrong with a claim; empty if nothing is."""
    match claim:
        case Same():
            return _same(claim, _all(claim.printed, rounding))
        case Sum():
            return _sum(claim, cell(claim.whole, rounding).at, _all(claim.parts, rounding))
        case Share():
            return _share(claim, rounding)
        case Mean():
            return _mean(claim, rounding)
        case Change():
            return _change(claim, rounding)
        case Order():
            return _order(claim, _all(claim.values, rounding))
        case Alike():
            return _alike(claim, _all(claim.values, rounding))


def _all(texts: dict[str, str], rounding: Rounding) -> dict[str, Printed]:
    return {k: cell(v, rounding).at for k, v in texts.items()}


def _finding(
    claim: Claim,
    severity: str,
    rule: str,
    sentence: str,
    numbers: dict[str, str],
    nearest: str | None = None,
) -> list[Finding]:
    facts = {"severity": severity, "row": claim.quantity, "column": claim.kind, "rule": rule}
    facts |= {"sentence": sentence, "numbers": numbers, "nearest": nearest}
    return [Finding.model_validate(facts)]


def _same(claim: Same, said: dict[str, Printed]) -> list[Finding]:
    if max(p.low for p in said.values()) <= min(p.high for p in said.values()):
        return []
    values = ", ".join(f"{p.text} ({k})" for k, p in said.items())
    return _finding(
        claim, MISPRINT, "one number is printed once", f"{claim.quantity} is printed as {values}.",
        claim.printed,
    )  # fmt: skip


def _sum(claim: Sum, whole: Printed, parts: dict[str, Printed]) -> list[Finding]:
    low, high = sum(p.low for p in parts.values()), sum(p.high for p in parts.values())
    # Whole numbers are counts: exact.
    if all("." not in p.text for p in (whole, *parts.values())):
        low = high = sum(p.value for p in parts.values())
        fits = whole.value == low
    else:
        fits = whole.may_be(low, high)
    if fits:
        return []
    total = f"{sum(p.value for p in parts.values()):g}" if low != high else f"{low:.0f}"
    return _finding(
        claim, IMPOSSIBLE, "parts add up to the whole",
        f"The parts of {claim.quantity} give {total}, printed is {whole.text}.",
        {"whole": whole.text} | claim.parts, total,
    )  # fmt: skip


def _share(claim: Share, rounding: Rounding) -> list[Finding]:
    part, whole, percent = (cell(t, rounding).at for t in (claim.part, claim.whole, claim.percent))
    if not whole.value or percent.may_be(part.value / whole.value):
        return []
    exact = show(part.value / whole.value, percent)
    return _finding(
        claim, MISPRINT, "a percentage is its count out of n",
        f"{part.text} of {whole.text} is {exact}, printed is {percent.text}.",
        {"part": part.text, "whole": whole.text, "percent": percent.text}, exact,
    )  # fmt: skip


def _mean(claim: Mean, rounding: Rounding) -> list[Finding]:
    whole, means, n = cell(claim.whole, rounding).at, _all(claim.means, rounding), claim.n
    weights = {k: cell(v).at.value for k, v in n.items()}
    total = sum(weights.values())
    if set(means) != set(weights) or total <= 0:
        raise ValueError(f"{claim.quantity}: give the mean and the n of the same groups")
    low, high = (sum(weights[k] * getattr(means[k], side) for k in means) / total
                 for side in ("low", "high"))  # fmt: skip
    if whole.may_be(low, high):
        return []
    return _finding(
        claim, IMPOSSIBLE, "the whole is the weighted mean of its parts",
        f"The groups' means give {low:.4g} to {high:.4g}, printed is {whole.text}.",
        {"whole": whole.text} | claim.means, show((low + high) / 2, whole),
    )  # fmt: skip


def _change(claim: Change, rounding: Rounding) -> list[Finding]:
    before, after, said = (cell(t, rounding).at for t in (claim.before, claim.after, claim.percent))
    size = abs(said.value)
    relative = claim.scale == "relative"
    ends = [
        abs(b - a) / (a if relative else 1.0)
        for a in (before.low, before.high)
        for b in (after.low, after.high)
        if a > 0
    ]
    half = said.high - said.value
    if not ends or min(ends) - half <= size <= max(ends) + half:
        return []
    exact = abs(after.value - before.value) / (before.value if claim.scale == "relative" else 1.0)
    return _finding(
        claim, MISPRINT, "a change follows from its two ends",
        f"From {before.text} to {after.text} is a change of {exact:.2%} ({claim.scale}), not "
        f"{said.text}.",
        {"before": before.text, "after": after.text, "change": said.text}, show(exact, said),
    )  # fmt: skip


def _order(claim: Order, said: dict[str, Printed]) -> list[Finding]:
    names, sign = list(said), 1 if claim.claim == "increasing" else -1
    wrong = [
        (a, b)
        for a, b in pairwise(names)
        if sign * said[b].value < sign * said[a].value or said[a].value == said[b].value
    ]
    if not wrong:
        return []
    pairs = "; ".join(f"{a} {said[a].text}, then {b} {said[b].text}" for a, b in wrong)
    return _finding(
        claim, IMPOSSIBLE, "values are in the stated order",
        f"{claim.quantity} is said to be {claim.claim}, but: {pairs}.", claim.values,
    )  # fmt: skip


def _alike(claim: Alike, said: dict[str, Printed]) -> list[Finding]:
    sizes = {k: abs(p.value) for k, p in said.items() if p.value}
    if len(sizes) < 4:
        return []
    found = []
    for k, size in sizes.items():
        others = [v for m, v in sizes.items() if m != k]
        middle = statistics.median(others)
        low, high = min(others) / 2, max(others) * 2
        for factor, way in ((10.0, "too large"), (0.1, "too small")):
            apart = size > 10 * middle if factor > 1 else size < middle / 10
            if apart and not low <= size <= high and low <= size / factor <= high:
                found += _finding(
                    claim, MISPRINT, "values of one column are of one size",
                    f"{k}, {said[k].text}, is about ten times {way} beside the others "
                    f"({min(others):.3g} to {max(others):.3g}): a decimal point moved?",
                    claim.values, f"{said[k].value / factor:.6g}",
                )  # fmt: skip
    return found
