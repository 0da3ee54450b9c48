"""Printed intervals: around their estimate, shaped like some usual method's, not too narrow.

Intervals of proportions need not be symmetric. Wald's is; Wilson's, Clopper-Pearson's and the logit
one reach further towards 1/2, and resampling lies between. So with one limit given, the other must
lie between the Wald and the logit or Wilson answer, give or take `NOISE` of an arm and half a
patient (resampling). Intervals allowing for repeated patients are wider: being wide is no fault.
"""

from __future__ import annotations

import math

from eval.intervals import binomial
from eval.linter.confusion import whole_range
from eval.linter.finding import IMPOSSIBLE, MISPRINT, Finding
from eval.linter.line import Line
from eval.linter.printed import Cell, Printed, show

#: Share of an arm by which resampling, or a method not thought of, may miss the usual shapes.
NOISE = 0.35
#: An interval is too narrow below this share of the narrowest usual one (95%).
NARROW = 0.7
Z = 1.959964
#: Proportions on [0, 1] whose intervals are judged by shape. AUROC and AP are resampled on the same
#: scale; kappa is not.
SHAPED = (
    "auroc", "sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "balanced_accuracy",
    "prevalence",
)  # fmt: skip


def limits(line: Line) -> list[Finding]:
    """Every contradiction between an estimate of the row and its interval, or its range."""
    found: list[Finding] = []
    for name, cell in line.metrics.items():
        least = -1.0 if name == "kappa" else 0.0
        if cell.at.high < least or cell.at.low > 1:
            found.append(_range(line, name, cell, least))
        elif cell.low is not None and cell.high is not None:
            found += _interval(line, name, cell, cell.low, cell.high)
    return found


def _range(line: Line, name: str, cell: Cell, least: float) -> Finding:
    percent = 1 < cell.at.value <= 100 and "%" not in cell.text
    return Finding(
        severity=IMPOSSIBLE,
        row=line.name,
        column=name,
        numbers={name: cell.text},
        rule="a proportion lies in [0, 1]",
        sentence=f"{name} {cell.at.text} lies outside {least:g} to 1."
        + (" Write the % sign if it is a percentage." if percent else ""),
        nearest=f"{cell.at.text}%" if percent else None,
    )


def _interval(line: Line, name: str, cell: Cell, low: Printed, high: Printed) -> list[Finding]:
    at, of = cell.at, line.denominator(name)
    exact = _exact(line, name, of)
    if low.low > high.high or at.high < low.low or at.low > high.high:
        return [_finding(line, name, cell, IMPOSSIBLE, "an interval holds its estimate",
                         f"{at.text} lies outside its own interval {low.text} to {high.text}.",
                         exact)]  # fmt: skip
    if line.row.interval is not None and of:
        return _stated(line, name, cell, low, high, of)
    if name in SHAPED and (arm := _off_centre(at, low, high)):
        return [_finding(line, name, cell, MISPRINT, "an interval is centred on its estimate",
                         f"The interval {low.text} to {high.text} hardly reaches {arm} {at.text}; "
                         "no usual method gives that: the estimate or a limit is not of this "
                         "calculation.", exact)]  # fmt: skip
    if name in ("sensitivity", "specificity") and of:
        return _narrow(line, name, cell, low, high, of)
    return []


def _exact(line: Line, name: str, of: int | None) -> str | None:
    """The estimate that the row's own counts give, to name beside an odd one."""
    if of is None or (m := line.matrix) is None:
        return None
    tp, _, _, tn = m
    hits = {
        "sensitivity": tp,
        "specificity": tn,
        "accuracy": tp + tn,
        "ppv": tp,
        "prevalence": None,
    }
    k = hits.get(name)
    return None if k is None or not of else f"{k / of:.4f} ({k}/{of}, from the counts)"


def _finding(
    line: Line,
    name: str,
    cell: Cell,
    severity: str,
    rule: str,
    sentence: str,
    nearest: str | None = None,
) -> Finding:
    return Finding.model_validate(
        {
            "severity": severity,
            "row": line.name,
            "column": name,
            "numbers": {name: cell.text},
            "rule": rule,
            "sentence": sentence,
            "nearest": nearest,
        }
    )


def _off_centre(at: Printed, low: Printed, high: Printed) -> str | None:
    """ "above" or "below" if the arm on that side is shorter than any usual method makes it."""
    # Most favourable reading of the rounding for each side in turn.
    if _short(at.low, low.high, high.high):
        return "above"
    if _short(1 - at.high, 1 - high.low, 1 - low.low):
        return "below"
    return None


def _short(p: float, near: float, far: float) -> bool:
    """Whether `far`, above p, is nearer than every method's limit when the one below is `near`."""
    if not 0 < near < p < 1 or far >= 1:
        return False
    arm = p - near
    inverse_n = arm * arm / (Z * Z * near * (1 - near))  # Wilson's lower limit solved for 1/n
    c = Z * Z * inverse_n
    wilson = (2 * p + c) / (1 + c) - near
    odds = p / (1 - p)
    logit = odds * odds * (1 - near) / near
    reach = min(p + arm, wilson, logit / (1 + logit))
    return far < reach - NOISE * (reach - p) - inverse_n / 2


def _narrow(
    line: Line, name: str, cell: Cell, low: Printed, high: Printed, of: int
) -> list[Finding]:
    """95% of one proportion of independent patients; extremes are left alone."""
    p = min(max(cell.at.value, 0.0), 1.0)
    if of * p < 8 or of * (1 - p) < 8:
        return []
    wald = 2 * Z * math.sqrt(p * (1 - p) / of)
    if high.high - low.low >= NARROW * wald:
        return []
    a, b = binomial(p * of, of, "wilson", 0.95)
    if high.high - low.low >= NARROW * (b - a):
        return []
    return [_finding(line, name, cell, MISPRINT, "an interval is not narrower than n allows",
                     f"{of} patients cannot give a 95% interval as narrow as {low.text} to "
                     f"{high.text}.", f"{show(a, low)} to {show(b, high)}")]  # fmt: skip


def _stated(
    line: Line, name: str, cell: Cell, low: Printed, high: Printed, of: int
) -> list[Finding]:
    """The limits must be those of the method that the paper names, for some count k of n."""
    assert line.row.interval is not None
    first, last = whole_range(cell.at, of)
    if (m := line.matrix) is not None and name in ("sensitivity", "specificity", "accuracy", "ppv"):
        tp, _, _, tn = m
        first = {"sensitivity": tp, "ppv": tp, "specificity": tn, "accuracy": tp + tn}[name]
        last = first
    if first > last or last - first > 2000:
        return []
    found = [binomial(k, of, line.row.interval, 0.95) for k in range(first, last + 1)]
    if any(low.may_be(a) and high.may_be(b) for a, b in found):
        return []
    a, b = found[len(found) // 2]
    nearest = f"{show(a, low)} to {show(b, high)}"
    return [_finding(line, name, cell, MISPRINT, "limits are those of the stated method",
                     f"{line.row.interval} limits for about {cell.at.text} of {of} are {nearest}, "
                     f"printed are {low.text} to {high.text}.", nearest)]  # fmt: skip
