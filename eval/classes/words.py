"""What a system is, and what its errors say, in sentences."""

from __future__ import annotations

from eval.classes.shapes import NAMES, Judged, System

STATISTICS = {
    "f1_macro": "Macro F1",
    "balanced_accuracy": "Balanced accuracy",
    "kappa_quadratic": "Weighted kappa",
    "rps": "RPS",
}


def kind(system: System) -> str:
    """Two stages, or one model and how it was trained."""
    if system.kind == "two stages":
        return "two stages"
    head = system.parts[0].head
    return f"one model, {head}" if head else "one model"


def rule(system: System) -> str:
    """How the system answers."""
    if system.thresholds is None:
        return "answers with the most probable class"
    first, second = (f"{t:.3f}" for t in system.thresholds)
    where = f" chosen here on {', '.join(system.chosen_on)}" if system.chosen_on else ""
    frozen = "" if system.chosen_on else ", frozen on tuning data"
    return f"{NAMES[2]} from {first}, among the rest {NAMES[1]} from {second}{where or frozen}"


def errors(judged: Judged) -> str:
    """Which stage of two the errors are."""
    e = judged.errors
    if not e.wrong:
        return f"{judged.system} made no error."
    first = e.missed + e.alarms
    return (
        f"Of {judged.system}'s {e.wrong:,} errors {first:,} ({_share(first, e.wrong)}) are the "
        f"first stage's and {e.below:,} ({_share(e.below, e.wrong)}) the second's. Of the first "
        f"one's {e.alarms:,} false alarms the second would have got {e.alarms_wrong_below:,} wrong "
        "too."
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%"
