"""Numbers as the report prints them: one place for digits, minus signs and what is undefined.

AUROC and what is like it has three digits, other ratios two; p three, or "< 0.001".
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from eval.estimate import Estimate

WITH_SIGN = "{:+.{d}f}"


def minus(number: str) -> str:
    """With the minus sign that is as wide as a plus."""
    return number.replace("-", "−")


def estimate(e: Estimate, digits: int = 3, sign: bool = False) -> Markup:
    """An estimate as HTML: the value, its interval below; or the reason, in words."""
    if e.value is None:
        return Markup('<span class="undefined">undefined: {}</span>').format(e.undefined)
    form = WITH_SIGN if sign else "{:.{d}f}"
    value = Markup('<span class="value" title="{}">{}</span>').format(
        e.method, minus(form.format(e.value, d=digits))
    )
    if e.low is not None and e.high is not None:
        return value + Markup('<span class="interval">{}</span>').format(interval(e, digits, sign))
    if e.undefined:
        reason = Markup('<span class="undefined">interval undefined: {}</span>')
        return value + reason.format(e.undefined)
    return value


def interval(e: Estimate, digits: int = 3, sign: bool = False) -> str:
    """The limits of an estimate, or '' where there are none."""
    if e.low is None or e.high is None:
        return ""
    form = WITH_SIGN if sign else "{:.{d}f}"
    between = " to " if sign or e.low < 0 else "–"
    return minus(f"{form.format(e.low, d=digits)}{between}{form.format(e.high, d=digits)}")


def quantity(q: Any, digits: int = 1) -> str:
    """Mean ± SD, and of how many where not stated for all."""
    if q.kept_back:
        return "kept back"
    if q.mean is None:
        return "undefined: not recorded"
    sd = f" ± {q.sd:.{digits}f}" if q.sd is not None else " (one patient)"
    return minus(f"{q.mean:.{digits}f}{sd}")


def p_value(p: float | None) -> str:
    """As 0.012, or < 0.001; a dash where there is none."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int | None) -> str:
    """With commas between thousands; a dash for a number that is not there."""
    return "–" if n is None else f"{n:,}"


def rows(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested facts as (dotted name, text), in the order of their names."""
    if isinstance(value, dict):
        inner = [rows(v, f"{name}.{k}" if name else str(k)) for k, v in sorted(value.items())]
        return [pair for pairs in inner for pair in pairs]
    if isinstance(value, float):
        return [(name, f"{value:.6g}")]
    return [(name, str(value))] if value not in (None, "", []) else []
