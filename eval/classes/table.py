"""What `python -m eval classes` prints: aligned columns, and the tests."""

from __future__ import annotations

from eval.classes import words
from eval.classes.shapes import Cohort, Contrast, Judged, ThreeClasses
from eval.console import aligned
from eval.reporting.text import p_value

HEAD = (
    *("cohort", "system", "n", "accuracy", "balanced accuracy [95%]", "macro F1 [95%]"),
    *("weighted kappa [95%]", "RPS [95%]", "AUROC [95%]", "missed", "false", "confused"),
)
TESTS = ("cohort", "test", "statistic", "difference [95%]", "p", "p Holm")


def table(made: ThreeClasses) -> str:
    """Systems by cohorts, then the tests, as lines."""
    level = f"{100 * made.confidence:g}%"
    systems = [f"{s.letter}: {s.name} ({words.kind(s)}): {words.rule(s)}" for s in made.systems]
    rows = [_row(c, s) for c in made.cohorts for s in c.systems]
    lines = [*systems, "", *aligned([tuple(h.replace("95%", level) for h in HEAD), *rows])]
    if any(c.chose for c in made.cohorts):
        lines.append("* chose thresholds: optimistic, and not tested.")
    lines.append(
        "missed: osteoporosis not found; false: taken for osteoporosis; confused: normal and low "
        "bone mass. Of two stages the first two are the first one's errors, the last the second's."
    )
    lines += made.notes
    if made.contrasts:
        head = tuple(h.replace("95%", level) for h in TESTS)
        lines += ["", *aligned([head, *map(_test, made.contrasts)])]
        lines.append(f"{made.comparisons} tests have a p; Holm's is corrected for all of them.")
    return "\n".join(lines)


def _row(c: Cohort, s: Judged) -> tuple[str, ...]:
    estimates = (s.balanced_accuracy, s.f1_macro, s.kappa_quadratic, s.rps, s.auroc_ovr)
    e = s.errors
    return (
        c.cohort + ("*" if c.chose else ""),
        s.system,
        str(c.n),
        f"{float(s.accuracy):.3f}",
        *(x.text() for x in estimates),
        *(str(n) for n in (e.missed, e.alarms, e.below)),
    )


def _test(c: Contrast) -> tuple[str, ...]:
    name = words.STATISTICS[c.statistic]
    p, holm = (p_value(x).replace("–", "-") for x in (c.p, c.p_holm))
    return (c.cohort, f"{c.second} - {c.first}", name, c.difference.text(), p, holm)
