"""Our own metrics.json as a table, so that a report can be judged before it is written.

Takes plain JSON, not the models that wrote it: what is judged is the file that others will read.
Numbers are handed over with all their digits, so each must follow from the counts to 1e-9.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.linter.table import METRICS, Row, Table

#: metrics.json -> table, where names differ.
NAMES = {"brier_binary": "brier"}
CONFUSION = ("tp", "fp", "fn", "tn")
#: Splits that have a level for everybody, so that their counts must add up.
SPLITS = ("sex", "age")


def from_metrics(metrics: Mapping[str, Any], confidence: float = 0.95) -> Table:
    """The rows of one cohort's metrics.json: each model, and its subgroups as parts of it.

    Undefined estimates are left out; an interval where there is one; p values of the paired tests
    beside their intervals. Fields that are not known are not judged.

    Args:
        metrics: the parsed file.
        confidence: intervals of another level are not set against p values.

    Raises:
        ValueError: it has no models, or a part of it is not what it should be; says which.
    """
    try:
        cohort = str(metrics["cohort"])
        rows: list[Row] = []
        for model in metrics["models"]:
            rows += _model(cohort, model)
        tests = [
            test
            for d in metrics.get("differences", ())
            if metrics.get("settings", {}).get("confidence", confidence) == 0.95
            if (test := _difference(d)) is not None
        ]
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"not a metrics.json of this project: {type(e).__name__} {e}") from None
    return Table.model_validate(
        {"format": "osteoray-table/1", "title": cohort or "cohort", "rows": rows, "tests": tests}
    )


def _model(cohort: str, model: Mapping[str, Any]) -> list[Row]:
    name = f"{cohort}, {model['model']}"
    overall = _row(name, model["overall"], {"population": f"{cohort}, {model['model']}"})
    splits: dict[str, list[Mapping[str, Any]]] = {}
    for sub in model.get("subgroups", ()):
        splits.setdefault(str(sub["by"]), []).append(sub)
    rows = [overall]
    for by, subs in splits.items():
        shown = [s for s in subs if isinstance(s.get("performance"), Mapping)]
        total = sum(int(s["performance"]["n"]) for s in shown)
        # Groups may be kept back, or a split may leave people out; then its rows stand alone.
        whole = len(shown) == len(subs) and (by in SPLITS or total == model["overall"]["n"])
        at = {"part_of": name, "by": by} if whole else {}
        for sub in shown:
            # A group of nobody has no estimates; it would hide the others' mixture.
            if sub["performance"]["n"]:
                rows.append(_row(f"{name}, {by} {sub['level']}", sub["performance"], at))
    return rows


def _row(name: str, performance: Mapping[str, Any], at: dict[str, str]) -> Row:
    counts = {k: str(performance[k]) for k in ("n", "positives", "negatives")}
    counts |= {k: str(v) for k, v in (performance.get("confusion") or {}).items() if k in CONFUSION}
    metrics = {}
    for key, estimate in performance.items():
        column = NAMES.get(key, key)
        if column in METRICS and isinstance(estimate, Mapping):
            text = _text(estimate)
            if text is not None:
                metrics[column] = text
    return Row.model_validate({"name": name, "counts": counts, "metrics": metrics, **at})


def _text(estimate: Mapping[str, Any]) -> str | None:
    if estimate.get("value") is None:
        return None
    value = _digits(estimate["value"])
    if estimate.get("low") is None or estimate.get("high") is None:
        return value
    return f"{value} ({_digits(estimate['low'])} to {_digits(estimate['high'])})"


def _digits(value: float) -> str:
    """All that matters of a float, as a plain decimal; refuses NaN and infinity by its shape."""
    return f"{float(value):.15f}"


def _difference(difference: Mapping[str, Any]) -> dict[str, str] | None:
    """The paired test, if it has an interval made with it."""
    delong, p = difference.get("delong") or {}, difference.get("p")
    text = _text(delong)
    if p is None or text is None or "(" not in text:
        return None
    quantity = f"{difference['first']} against {difference['second']}"
    return {"kind": "difference", "quantity": quantity, "estimate": text, "p": _digits(p)}
