"""What prevalence does each cell imply, given sensitivity and specificity? They must agree."""

from __future__ import annotations

from eval.linter.finding import AVERAGED, IMPOSSIBLE, Finding
from eval.linter.line import Line
from eval.linter.printed import Printed

Range = tuple[float, float]
#: Implied prevalences closer than this may differ because ratios were averaged.
SMALL = 0.05


def implied(line: Line, said: dict[str, Printed]) -> list[Finding]:
    """A finding if no prevalence suits every cell (class sizes unknown, two classes)."""
    if not {"sensitivity", "specificity"} <= set(said):
        return []
    s, c = (_clip(said[k]) for k in ("sensitivity", "specificity"))
    by = {"ppv": _from_ppv, "npv": _from_npv, "accuracy": _from_accuracy, "f1": _from_f1}
    ranges = {k: f(_clip(said[k]), s, c) for k, f in by.items() if k in said}
    if (stated := line.metrics.get("prevalence")) is not None:
        ranges["prevalence"] = _clip(stated.at)
    if "accuracy" in ranges and ranges["accuracy"][0] > ranges["accuracy"][1]:
        del ranges["accuracy"]  # outside both: `binary` says so
    low = max(ranges, key=lambda k: ranges[k][0], default=None)
    high = min(ranges, key=lambda k: ranges[k][1], default=None)
    if low is None or high is None or ranges[low][0] <= ranges[high][1] + 1e-9:
        return []
    gap = ranges[low][0] - ranges[high][1]
    shown = {k: f"{a:.4f} to {b:.4f}" for k, (a, b) in ranges.items() if a <= b}
    return [
        Finding(
            severity=AVERAGED if gap < SMALL else IMPOSSIBLE,
            row=line.name,
            column=", ".join(dict.fromkeys((low, high))),
            numbers={k: said[k].text for k in ("sensitivity", "specificity")}
            | {f"prevalence implied by {k}": v for k, v in shown.items()},
            rule="PPV, NPV, accuracy and F1 imply one prevalence",
            sentence=f"Given sensitivity and specificity, {low} needs a prevalence of at least "
            f"{ranges[low][0]:.1%} and {high} of at most {max(ranges[high][1], 0):.1%}: they do "
            "not describe the same patients, or are means over models.",
        )
    ]


def _clip(p: Printed) -> Range:
    return max(p.low, 0.0), min(p.high, 1.0)


def _odds(p: float) -> float:
    return p / (1 - p) if p < 1 else float("inf")


def _risk(numerator: float, denominator: float) -> float:
    """The probability whose odds are numerator / denominator; 0/0 is refused by the caller."""
    if denominator == float("inf"):
        return 0.0
    return numerator / (numerator + denominator) if numerator != float("inf") else 1.0


def _solve(low: tuple[float, float], high: tuple[float, float]) -> Range:
    """A range of prevalence from odds given as fractions; 0/0 says nothing on that side."""
    a = 0.0 if low[0] <= 0 else _risk(*low)
    b = 1.0 if high[1] <= 0 else _risk(*high)
    return a, b


def _from_ppv(v: Range, s: Range, c: Range) -> Range:
    """odds(prevalence) = odds(PPV) (1 - spec) / sens"""
    return _solve((_odds(v[0]) * (1 - c[1]) if c[1] < 1 else 0.0, s[1]),
                  (_odds(v[1]) * (1 - c[0]) if c[0] < 1 else 0.0, s[0]))  # fmt: skip


def _from_npv(v: Range, s: Range, c: Range) -> Range:
    """odds(prevalence) = spec / ((1 - sens) odds(NPV))"""
    low = (c[0], (1 - s[0]) * _odds(v[1]) if s[0] < 1 else 0.0)
    high = (c[1], (1 - s[1]) * _odds(v[0]) if s[1] < 1 else 0.0)
    return _solve(low, high) if low[1] > 0 else (0.0, 1.0)


def _from_accuracy(v: Range, s: Range, c: Range) -> Range:
    """accuracy = prevalence sens + (1 - prevalence) spec: two linear inequalities."""
    a, b = 0.0, 1.0
    # offset + slope * prevalence <= 0
    for offset, slope in ((c[0] - v[1], s[0] - c[0]), (v[0] - c[1], c[1] - s[1])):
        if slope > 0:
            b = min(b, -offset / slope)
        elif slope < 0:
            a = max(a, -offset / slope)
        elif offset > 0:
            return 1.0, 0.0
    return a, b


def _from_f1(v: Range, s: Range, c: Range) -> Range:
    """F1 = 2 sens / (sens + 1 + (1 - spec) / odds(prevalence)), increasing in all three."""
    if v[0] <= 0 or s[0] <= 0:
        return 0.0, 1.0
    low, high = 2 * s[1] / v[0] - s[1] - 1, 2 * s[0] / v[1] - s[0] - 1
    if low < 0:
        return 1.0, 0.0
    a = 0.0 if c[1] >= 1 else _risk(1 - c[1], low)
    b = 1.0 if high <= 0 or c[0] >= 1 else _risk(1 - c[0], high)
    return a, b
