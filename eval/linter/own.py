"""Our own metrics.json as a table, so that a report can be judged before it is written.

Takes plain JSON, not the models that wrote it: what is judged is the file that others will read.
Numbers are handed over with all their digits, so each must follow from the counts to 1e-9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eval.linter.table import METRICS, Table

#: metrics.json -> table, where names differ.
NAMES = {"brier_binary": "brier"}
CONFUSION = ("tp", "fp", "fn", "tn")
#: Ratios of counts, whose intervals have a shape to be judged; one by resampling may have any.
SHAPED = ("prevalence", "sensitivity", "specificity", "ppv", "npv", "accuracy")
LONGEST = 150


def from_metrics(metrics: Mapping[str, Any], confidence: float = 0.95) -> Table:
    """The rows of one cohort's metrics.json: each model, and its subgroups as parts of it.

    Undefined estimates are left out, and so are groups that were kept back; a split is set against
    the whole where none was. Tests go with their p: models against each other, gaps of subgroups,
    Hosmer-Lemeshow, and those of the baseline table. Fields that are not known are not judged.

    Args:
        metrics: the parsed file.
        confidence: intervals of another level are not set against p values.

    Raises:
        ValueError: it has no models, or a part of it is not what it should be; says which.
    """
    try:
        cohort = _short(str(metrics["cohort"]) or "cohort")
        rows: list[dict[str, Any]] = []
        tests: list[dict[str, Any]] = []
        intervals = metrics.get("settings", {}).get("confidence", confidence) == 0.95
        for i, model in enumerate(metrics["models"]):
            # two long names may begin alike
            name = f"{cohort}, {_short(str(model['model']))}"
            name += f" ({i})" if any(r["name"] == name for r in rows) else ""
            rows += _model(name, model)
            tests += _goodness(name, model.get("calibration") or {})
            tests += _gaps(name, model) if intervals else ()
        for d in metrics.get("differences", ()) if intervals else ():
            quantity = f"{_short(d['first'])} against {_short(d['second'])}"
            tests += _difference(quantity, d.get("delong") or {}, d.get("p"))
        tests += _baseline(metrics.get("baseline") or {})
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"not a metrics.json of this project: {type(e).__name__} {e}") from None
    return Table.model_validate(
        {"format": "osteoray-table/1", "title": cohort, "rows": rows, "tests": tests}
    )


def _model(name: str, model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield _row(name, model["overall"], {"population": name})
    splits: dict[str, list[Mapping[str, Any]]] = {}
    for sub in model.get("subgroups", ()):
        splits.setdefault(str(sub["by"]), []).append(sub)
    for by, subs in splits.items():
        shown = [s for s in subs if isinstance(s.get("performance"), Mapping)]
        at = {"part_of": name, "by": by} if len(shown) == len(subs) else {}
        for i, sub in enumerate(shown):
            # A group of nobody has no estimates; it would hide the others' mixture.
            if sub["performance"]["n"]:
                level = f"{by} {_short(str(sub['level']))}"
                level += f" ({i})" if len(str(sub["level"])) > LONGEST // 3 else ""
                yield _row(f"{name}, {level}", sub["performance"], at)


def _row(name: str, performance: Mapping[str, Any], at: dict[str, str]) -> dict[str, Any]:
    counts = {k: str(performance[k]) for k in ("n", "positives", "negatives")}
    counts |= {k: str(v) for k, v in (performance.get("confusion") or {}).items() if k in CONFUSION}
    metrics = {}
    for key, estimate in performance.items():
        column = NAMES.get(key, key)
        if column in METRICS and isinstance(estimate, Mapping):
            text = _text(estimate, column in SHAPED)
            if text is not None:
                metrics[column] = text
    return {"name": name, "counts": counts, "metrics": metrics, **at}


def _text(estimate: Mapping[str, Any], with_interval: bool = True) -> str | None:
    if estimate.get("value") is None:
        return None
    value = _digits(estimate["value"])
    if not with_interval or estimate.get("low") is None or estimate.get("high") is None:
        return value
    return f"{value} ({_digits(estimate['low'])} to {_digits(estimate['high'])})"


def _digits(value: float) -> str:
    """All that matters of a float, as a plain decimal; refuses NaN and infinity by its shape."""
    return f"{float(value):.15f}"


def _rounded(value: float) -> str:
    """As many digits as survive being computed in another order."""
    return f"{float(value):.5f}"


def _printable(*values: float | None) -> bool:
    """Whether a table could hold these; what has more digits is not judged."""
    return all(v is not None and abs(v) < 1e9 for v in values)


def _short(words: str) -> str:
    """Of names that others chose, what fits in a row's."""
    return words if len(words) <= LONGEST // 3 else words[: LONGEST // 3 - 1] + "…"


def _difference(
    quantity: str, estimate: Mapping[str, Any], p: float | None
) -> Iterator[dict[str, Any]]:
    """A test, if it has an interval made with it."""
    text = _text(estimate)
    if p is not None and text is not None and "(" in text:
        yield {"kind": "difference", "quantity": quantity, "estimate": text, "p": _digits(p)}


def _gaps(name: str, model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for sub in model.get("subgroups", ()):
        for metric, tested in (sub.get("gap") or {}).items():
            quantity = f"{name}, {sub['by']} {_short(str(sub['level']))}, {metric}"
            yield from _difference(quantity, tested, tested.get("p"))


def _goodness(name: str, calibration: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    test = calibration.get("hosmer_lemeshow") or {}
    if test.get("p") is not None and _printable(test["chi2"]):
        yield {
            "kind": "hosmer-lemeshow",
            "quantity": f"{name}, calibration",
            "statistic": _rounded(test["chi2"]),
            "p": _rounded(test["p"]),
            "groups": test["groups"],
            "external": bool(calibration.get("external")),
        }


def _baseline(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Welch's t and Pearson's chi-squared where all that they follow from is shown."""
    for row in table.get("measures", ()):
        sides, test = [row["normal"], row["low_bone_mass"]], row["contrast"]
        facts = [s[k] for s in sides for k in ("mean", "sd")] + [test["statistic"]]
        if test.get("p") is not None and _printable(*facts):
            first, second = (
                {"mean": _digits(s["mean"]), "sd": _digits(s["sd"]), "n": s["known"]} for s in sides
            )
            yield {"kind": "t", "quantity": row["name"], "first": first, "second": second,
                   "statistic": _rounded(test["statistic"]), "p": _rounded(test["p"])}  # fmt: skip
    for split in table.get("splits", ()):
        levels = [r for r in split["levels"] if r["level"] != "unknown"]
        test = split["contrast"]
        if test.get("p") is not None and all(r["everybody"] is not None for r in levels):
            counts = [[r[side] for r in levels if r["normal"] or r["low_bone_mass"]]
                      for side in ("normal", "low_bone_mass")]  # fmt: skip
            yield {"kind": "chi-squared", "quantity": split["name"], "counts": counts,
                   "statistic": _rounded(test["statistic"]), "p": _rounded(test["p"])}  # fmt: skip
