"""Several classes: the confusion matrix against its metrics, kappa's bound, and mixed averages."""

from __future__ import annotations

import numpy as np

from eval.linter.finding import AVERAGED, IMPOSSIBLE, MISPRINT, Finding
from eval.linter.granularity import not_a_proportion, smallest_n
from eval.linter.line import Line
from eval.linter.printed import cell, show


def multiclass(line: Line) -> list[Finding]:
    """Every contradiction of a row of averages over classes with itself."""
    found = _against_matrix(line) + _kappa(line)
    n, acc = line.counts.get("n"), line.metrics.get("accuracy")
    if n and acc and line.row.confusion is None:
        grim = not_a_proportion(line.name, "accuracy", acc.at, n)
        found += [grim] if grim else []
    recall = line.metrics.get("sensitivity")
    weighted = line.row.average == "weighted"
    if weighted and acc and recall and not recall.at.may_be(acc.at.low, acc.at.high):
        found.append(
            Finding(
                severity=IMPOSSIBLE,
                row=line.name,
                column="sensitivity",
                numbers={"sensitivity": recall.text, "accuracy": acc.text},
                rule="weighted recall is accuracy",
                sentence=f"Recall weighted by class size is accuracy by definition: "
                f"{recall.at.text} is not {acc.at.text}.",
                nearest=acc.at.text,
            )
        )
    return found


def _against_matrix(line: Line) -> list[Finding]:
    if line.row.confusion is None or not line.counts.get("n"):
        return []
    exact = matrix_metrics(np.array(line.row.confusion, float), line.row.average)
    wrong = [k for k, v in exact.items() if k in line.metrics and not line.metrics[k].at.may_be(v)]
    judged = sum(k in line.metrics for k in exact)
    severity = MISPRINT if len(wrong) == 1 and judged >= 3 else IMPOSSIBLE
    return [
        Finding(
            severity=severity,
            row=line.name,
            column=k,
            numbers={k: line.metrics[k].text, "confusion": str(line.row.confusion)[:200]},
            rule="metrics follow from the confusion matrix",
            sentence=f"The confusion matrix gives {k} {show(exact[k], line.metrics[k].at)}, "
            f"printed is {line.metrics[k].at.text}.",
            nearest=show(exact[k], line.metrics[k].at),
        )
        for k in wrong
    ]


def matrix_metrics(matrix: np.ndarray, average: str | None) -> dict[str, float]:
    """Accuracy, kappa and, where the average is known, PPV, sensitivity and F1 over classes.

    Args:
        matrix: counts [truth, prediction], not all 0.
        average: "macro", "weighted" or None. A class never predicted has PPV 0, as scikit-learn.
    """
    n = matrix.sum()
    truth, said, right = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    accuracy, chance = right.sum() / n, float(truth @ said) / n**2
    found = {"accuracy": float(accuracy)}
    if chance < 1:
        found["kappa"] = float((accuracy - chance) / (1 - chance))
    if average is not None:
        weight = truth / n if average == "weighted" else np.full(truth.size, 1 / truth.size)
        of = {"sensitivity": truth, "ppv": said, "f1": (truth + said) / 2}
        for k, total in of.items():
            each = np.divide(right, total, out=np.zeros(right.size), where=total > 0)
            found[k] = float(weight @ each)
    return found


def _kappa(line: Line) -> list[Finding]:
    """kappa = (accuracy - chance) / (1 - chance); the class sizes bound chance."""
    if not {"kappa", "accuracy"} <= set(line.metrics) or line.row.confusion is not None:
        return []
    kappa, acc = line.metrics["kappa"].at, line.metrics["accuracy"].at
    sizes = _sizes(line)
    least, most = chance_bounds(sizes, max(0.0, acc.low)) if sizes else (0.0, 1.0)
    high = _from_chance(min(acc.high, 1.0), least)
    low = _from_chance(max(acc.low, 0.0), most) if most < 1 else -1.0
    if kappa.may_be(low, high):
        return []
    given = "the class sizes" if sizes else "any class sizes"
    return [
        Finding(
            severity=IMPOSSIBLE,
            row=line.name,
            column="kappa",
            numbers={"kappa": kappa.text, "accuracy": acc.text},
            rule="kappa is bounded by accuracy and the class sizes",
            sentence=f"With accuracy {acc.text} and {given}, kappa lies between {low:.3f} and "
            f"{high:.3f}, not {kappa.text}.",
            nearest=show(low if kappa.value < low else high, kappa),
        )
    ]


def _from_chance(accuracy: float, chance: float) -> float:
    return (accuracy - chance) / (1 - chance) if chance < 1 else 1.0


def _sizes(line: Line) -> list[float]:
    """Class sizes as shares of n: from `shares` when they are counts, else from the two classes."""
    shares = [cell(text).at for text in line.row.shares.values()]
    if shares and line.row.kind == "multiclass" and not any("%" in p.text for p in shares):
        values = [p.value for p in shares]
    else:
        values = [float(line.counts.get(k, 0)) for k in ("positives", "negatives")]
    total = sum(values)
    return [v / total for v in values] if min(values) >= 0 and total > 0 else []


def chance_bounds(sizes: list[float], accuracy: float) -> tuple[float, float]:
    """Bounds on chance agreement, sum of size x predicted share, for class `sizes` summing to 1.

    Answers that are wrong, 1 - accuracy of all, leave their class and go to another; the bound
    sends them all to the largest (or smallest) class and takes them from the others in order, which
    no confusion matrix exceeds.
    """
    wrong, agree = 1 - accuracy, sum(s * s for s in sizes)

    def extreme(order: list[float]) -> float:
        left, change = wrong, wrong * order[-1]
        for s in order:
            taken = min(left, s)
            change -= taken * s
            left -= taken
        return agree + change

    return extreme(sorted(sizes, reverse=True)), extreme(sorted(sizes))


def averages(lines: list[Line]) -> list[Finding]:
    """Rows of one column averaged in two ways: recall equals accuracy (weighted) in some only."""
    rows = [r for r in lines if r.row.kind == "multiclass" and r.row.average is None
            and {"accuracy", "sensitivity"} <= set(r.metrics)]  # fmt: skip
    weighted = [
        r for r in rows if r.metrics["accuracy"].at.text == r.metrics["sensitivity"].at.text
    ]
    others = [
        r
        for r in rows
        if not r.metrics["sensitivity"].at.may_be(
            r.metrics["accuracy"].at.low, r.metrics["accuracy"].at.high
        )
    ]
    if not weighted or not others:
        return []
    return [
        Finding(
            severity=AVERAGED,
            row=", ".join(r.name for r in others),
            column="ppv, sensitivity, f1",
            numbers={r.name: r.metrics["sensitivity"].text for r in rows},
            rule="one column, one average",
            sentence=f"Recall equals accuracy in {', '.join(r.name for r in weighted)} (weighted "
            "by class size) and not in the other rows: they are averaged differently and cannot be "
            "compared.",
        )
    ]


def denominators(lines: list[Line]) -> list[Finding]:
    """Rows of n patients whose accuracies are no shares of n: which n would fit them all?"""
    rows = [r for r in lines if r.counts.get("n") and "accuracy" in r.metrics]
    found = []
    for n in dict.fromkeys(r.counts["n"] for r in rows):
        said = {r.name: r.metrics["accuracy"].at for r in rows if r.counts["n"] == n}
        bad = [k for k, p in said.items() if not_a_proportion(k, "accuracy", p, n)]
        if len(bad) < 3:
            continue
        fit = smallest_n(list(said.values()))
        if fit is None or fit == n:
            continue
        found.append(
            Finding(
                severity=AVERAGED,
                row=", ".join(bad),
                column="accuracy",
                numbers={k: p.text for k, p in said.items()} | {"n": str(n)},
                rule="a proportion is a whole number out of n",
                sentence=f"{len(bad)} of {len(said)} accuracies are not shares of {n}; the "
                f"smallest number of which all are is {fit}: counted in pictures, or in copies?",
                nearest=f"n {fit}",
            )
        )
    return found
