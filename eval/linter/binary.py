"""Two classes, one row: can one confusion matrix give all that is printed?

With class sizes known every (TP, TN) that prints like the sensitivity and the specificity is tried
against every other cell. If none fits, the row is searched for the cell at fault.
"""

from __future__ import annotations

import numpy as np

from eval.linter.confusion import DECIDED, auroc_bounds, fits, grid, metric, whole_range
from eval.linter.finding import AVERAGED, IMPOSSIBLE, MISPRINT, Finding
from eval.linter.granularity import not_a_proportion
from eval.linter.line import Line
from eval.linter.prevalence import implied
from eval.linter.printed import Printed, show

WORDS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "kappa": "kappa",
    "auroc": "AUROC",
}


def binary(line: Line) -> list[Finding]:
    """Every contradiction of the row with itself."""
    said = {k: c.at for k, c in line.metrics.items() if k in DECIDED or k == "auroc"}
    if not said:
        return []
    if (matrix := line.matrix) is not None:
        return _against_matrix(line, said, matrix)
    positives, negatives = line.counts.get("positives"), line.counts.get("negatives")
    if positives is None or negatives is None:
        grim = [
            f
            for k, p in said.items()
            if (of := line.denominator(k)) and (f := not_a_proportion(line.name, k, p, of))
        ]
        pair = _between(line, said) + _harmonic(line, said) + _two_point(line, said)
        return grim + pair + implied(line, said)
    if _possible(said, positives, negatives):
        return []
    return _diagnose(line, said, positives, negatives)


def _possible(said: dict[str, Printed], positives: int, negatives: int) -> bool:
    """Whether some (TP, TN) prints like every cell; True where the search would be too long."""
    tp = whole_range(said.get("sensitivity"), positives)
    tn = whole_range(said.get("specificity"), negatives)
    if tp[0] > tp[1] or tn[0] > tn[1]:
        return False
    cells = grid(tp, tn)
    if cells is None:
        return True
    masks = fits(said, *cells, positives, negatives)
    return bool(np.logical_and.reduce(list(masks.values())).any())


def _against_matrix(
    line: Line, said: dict[str, Printed], matrix: tuple[int, int, int, int]
) -> list[Finding]:
    tp, fp, fn, tn = matrix
    exact = {k: float(metric(k, tp, tn, tp + fn, fp + tn)) for k in said if k != "auroc"}
    wrong = [k for k, v in exact.items() if not said[k].may_be(v)]
    alone = len(wrong) == 1 and len(exact) >= 3
    found = [
        Finding(
            severity=MISPRINT if alone else IMPOSSIBLE,
            row=line.name,
            column=k,
            numbers={k: said[k].text, "tp, fp, fn, tn": f"{tp}, {fp}, {fn}, {tn}"},
            rule="metrics follow from the confusion matrix",
            sentence=f"The counts give {WORDS[k]} {show(exact[k], said[k])}, printed is "
            f"{said[k].text}.",
            nearest=show(exact[k], said[k]),
        )
        for k in wrong
    ]
    if "auroc" in said and tp + fn and fp + tn:
        low, high = auroc_bounds(tp / (tp + fn), tn / (fp + tn))
        found += _auroc(line.name, said["auroc"], low, high)
    return found


def _diagnose(
    line: Line, said: dict[str, Printed], positives: int, negatives: int
) -> list[Finding]:
    """Why no confusion matrix fits; never empty."""
    sizes = ((positives, negatives), (negatives, positives))
    both_ways = [_outside(line, said, *s, averaged=False) for s in sizes]
    if len(both_ways[0]) >= 2 and not both_ways[1]:
        return [
            Finding(
                severity=MISPRINT,
                row=line.name,
                column="positives, negatives",
                numbers={"positives": str(positives), "negatives": str(negatives)},
                rule="one confusion matrix gives all cells",
                sentence="Every metric of the row fits if positives and negatives change places: "
                "the two columns seem swapped.",
                nearest=f"positives {negatives}, negatives {positives}",
            )
        ]
    grim = [
        f
        for k, p in said.items()
        if (of := line.denominator(k)) and (f := not_a_proportion(line.name, k, p, of))
    ]
    found = grim + _between(line, said) + _harmonic(line, said)
    known = {f.column for f in found}
    found += [
        f
        for f in _outside(line, said, positives, negatives, bool(grim))
        if f.column not in known and not (f.column == "f1" and "f1" in known)
    ]
    if found:
        return found
    return [_together(line, said, positives, negatives)]


def _outside(
    line: Line, said: dict[str, Printed], positives: int, negatives: int, averaged: bool
) -> list[Finding]:
    """Cells outside what sensitivity, specificity and class sizes allow; all increase with both."""
    if not {"sensitivity", "specificity"} <= set(said) or not positives or not negatives:
        return []
    a, b = said["sensitivity"], said["specificity"]
    low = (max(a.low, 0.0) * positives, max(b.low, 0.0) * negatives)
    high = (min(a.high, 1.0) * positives, min(b.high, 1.0) * negatives)
    if low[0] > high[0] or low[1] > high[1]:
        return []
    found = []
    for k, p in said.items():
        if k in ("sensitivity", "specificity"):
            continue
        if k == "auroc":
            least, most = (
                auroc_bounds(low[0] / positives, low[1] / negatives)[0],
                (auroc_bounds(high[0] / positives, high[1] / negatives)[1]),
            )
            found += _auroc(line.name, p, least, most)
            continue
        least = float(metric(k, *low, positives, negatives))
        most = float(metric(k, *high, positives, negatives))
        if np.isnan(least) or np.isnan(most) or p.may_be(least, most):
            continue
        nearest = least if p.value < least else most
        # A mean of ratios is not the ratio of means; a mean of accuracies still is their mixture.
        soft = averaged and k != "accuracy"
        found.append(
            Finding(
                severity=AVERAGED if soft else IMPOSSIBLE,
                row=line.name,
                column=k,
                numbers={
                    k: p.text,
                    "sensitivity": a.text,
                    "specificity": b.text,
                    "positives": str(positives),
                    "negatives": str(negatives),
                },
                rule=f"{WORDS[k]} follows from sensitivity, specificity and prevalence",
                sentence=f"With {positives} positives and {negatives} negatives, sensitivity "
                f"{a.text} and specificity {b.text} give {WORDS[k]} between {least:.4g} and "
                f"{most:.4g}, not {p.text}.",
                nearest=show(nearest, p),
            )
        )
    return found


def _between(line: Line, said: dict[str, Printed]) -> list[Finding]:
    """Accuracy is a weighted mean of sensitivity and specificity, whatever the prevalence."""
    if not {"accuracy", "sensitivity", "specificity"} <= set(said):
        return []
    acc, a, b = said["accuracy"], said["sensitivity"], said["specificity"]
    low, high = min(a.low, b.low), max(a.high, b.high)
    if acc.may_be(low, high):
        return []
    return [
        Finding(
            severity=IMPOSSIBLE,
            row=line.name,
            column="accuracy",
            numbers={"accuracy": acc.text, "sensitivity": a.text, "specificity": b.text},
            rule="accuracy lies between sensitivity and specificity",
            sentence=f"Accuracy {acc.text} lies outside sensitivity {a.text} and specificity "
            f"{b.text}; no mix of ill and healthy people gives that.",
            nearest=min(a, b, key=lambda p: abs(p.value - acc.value)).text,
        )
    ]


def _harmonic(line: Line, said: dict[str, Printed]) -> list[Finding]:
    """F1 of one class is the harmonic mean of PPV and sensitivity."""
    if not {"f1", "ppv", "sensitivity"} <= set(said):
        return []
    f1, p, r = said["f1"], said["ppv"], said["sensitivity"]
    ends = [2 * max(x, 0) * max(y, 0) / s if (s := x + y) > 0 else 0.0
            for x, y in ((p.low, r.low), (p.high, r.high))]  # fmt: skip
    if f1.may_be(*ends):
        return []
    nearest = ends[0] if f1.value < ends[0] else ends[1]
    return [
        Finding(
            severity=AVERAGED,
            row=line.name,
            column="f1",
            numbers={"f1": f1.text, "ppv": p.text, "sensitivity": r.text},
            rule="F1 is the harmonic mean of PPV and sensitivity",
            sentence=f"PPV {p.text} and sensitivity {r.text} give F1 {ends[0]:.4g} to "
            f"{ends[1]:.4g}, not {f1.text}: a mean of several F1 values, or a misprint.",
            nearest=show(nearest, f1),
        )
    ]


def _two_point(line: Line, said: dict[str, Printed]) -> list[Finding]:
    """AUROC against printed sensitivity and specificity, class sizes unknown."""
    if not {"auroc", "sensitivity", "specificity"} <= set(said):
        return []
    a, b = said["sensitivity"], said["specificity"]
    low = auroc_bounds(max(a.low, 0.0), max(b.low, 0.0))[0]
    high = auroc_bounds(min(a.high, 1.0), min(b.high, 1.0))[1]
    return _auroc(line.name, said["auroc"], low, high)


def _auroc(row: str, said: Printed, low: float, high: float) -> list[Finding]:
    if said.may_be(low, high):
        return []
    return [
        Finding(
            severity=IMPOSSIBLE,
            row=row,
            column="auroc",
            numbers={"auroc": said.text, "bounds": f"{low:.4g} to {high:.4g}"},
            rule="AUROC lies between sens x spec and 1 - (1 - sens)(1 - spec)",
            sentence=f"The printed sensitivity and specificity are one point of the ROC curve; the "
            f"area under any curve through it is {low:.3g} to {high:.3g}, not {said.text}.",
            nearest=show(low if said.value < low else high, said),
        )
    ]


def _together(line: Line, said: dict[str, Printed], positives: int, negatives: int) -> Finding:
    """Each cell may be right, all together may not: which single cell would free the others?"""
    suspects: dict[str, str] = {}
    for k, p in said.items():
        rest = {m: q for m, q in said.items() if m != k}
        tp = whole_range(rest.get("sensitivity"), positives)
        tn = whole_range(rest.get("specificity"), negatives)
        cells = grid(tp, tn, 2_000_000)
        if cells is None or not rest:
            continue
        mask = np.logical_and.reduce(list(fits(rest, *cells, positives, negatives).values()))
        if not mask.any():
            continue
        if k == "auroc":
            suspects[k] = ""
            continue
        value = np.broadcast_to(metric(k, *cells, positives, negatives), mask.shape)[mask]
        value = value[np.isfinite(value)]
        if value.size:
            suspects[k] = show(float(value[np.abs(value - p.value).argmin()]), p)
    one = next(iter(suspects)) if len(suspects) == 1 else None
    names = ", ".join(WORDS[k] for k in suspects)
    hint = f" It would fit if {names} were otherwise (any one of them)." if suspects else ""
    return Finding(
        severity=MISPRINT if one else IMPOSSIBLE,
        row=line.name,
        column=one or ", ".join(said),
        numbers={k: p.text for k, p in said.items()}
        | {"positives": str(positives), "negatives": str(negatives)},
        rule="one confusion matrix gives all cells",
        sentence=f"No count of right and wrong answers among {positives} positives and "
        f"{negatives} negatives gives all these numbers together.{hint}",
        nearest="; ".join(f"{WORDS[k]} {v}" for k, v in suspects.items() if v) or None,
    )
