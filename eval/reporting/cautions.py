"""What to beware of before the numbers are carried elsewhere: spectrum, prevalence, size, in words.

Sensitivity rises with severity and PPV with prevalence, so a result travels only to people like
those it was measured in (Ransohoff & Feinstein, NEJM 1978).
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.learnt import DEFAULT, POSITIVE, Learnt
from eval.reporting.groups import small
from eval.reporting.prevalence import Reweighted
from eval.reporting.text import p_value
from eval.runs import Pack
from eval.wording import spoken

#: Fewer with or without the condition leave an external validation imprecise (Collins, Ogundimu &
#: Altman, Stat Med 2016).
ENOUGH = 100


def cautions(
    best: tuple[Metrics, ModelMetrics] | None,
    shown: Sequence[Metrics],
    internal: Metrics | None,
    packs: Sequence[Pack],
    learnt: Learnt = DEFAULT,
) -> list[str]:
    """Sentences, the gravest first; each names its cohort and its numbers.

    Args:
        best: the result that the report leads with.
        shown: the cohorts of the report that chose no threshold.
        internal: the labelled cohort of where the model was made, to compare the others with.
        packs: the datasets of the run, whose ledgers say who was left out by the label policy.
        learnt: what a positive label is of.
    """
    said = _worse_for(*best, learnt) if best else []
    said += _left_out(packs)
    for metrics in shown:
        if internal is not None and metrics.cohort != internal.cohort:
            said += _against(metrics, internal, learnt)
    return said + _size(shown, learnt)


def _worse_for(metrics: Metrics, model: ModelMetrics, learnt: Learnt) -> list[str]:
    """Groups by one characteristic whom the leading model finds, or spares, less than the rest."""
    said = []
    for s in model.subgroups:
        if s.gap is None or s.performance is None or s.by == "severity" or " x " in s.by:
            continue
        for what, here, gap in (
            (
                f"finds fewer of those with {learnt.positive}",
                s.performance.sensitivity,
                s.gap.sensitivity,
            ),
            (f"spares fewer of {learnt.others}", s.performance.specificity, s.gap.specificity),
        ):
            if small(gap) and float(gap) < 0:
                who = s.level if s.by == "sex" else f"{s.by} {s.level}"
                rest = float(here) - float(gap)
                said.append(
                    f"In {metrics.cohort} the {spoken(model.model)} {what} among {who}: "
                    f"{100 * float(here):.0f} of 100, against {100 * rest:.0f} among the rest "
                    f"(corrected p {_p(gap.p_holm)})."
                )
    return said


def _left_out(packs: Sequence[Pack]) -> list[str]:
    """Those whom the policy takes no label from, though they are the sickest."""
    found = {}
    for pack in packs:
        flow = pack.manifest.flow if pack.manifest else ()
        counts = [n for s in flow for r, n in s.excluded.items() if r.startswith("osteoporosis")]
        if sum(counts):
            found[pack.name] = sum(counts)
    if not found:
        return []
    where = " and ".join(f"{n:,} of {name}" for name, n in found.items())
    return [
        f"People with osteoporosis were left out by the label policy ({where}). What the model "
        "does with them, whom a missed answer harms most, was not measured."
    ]


def _against(metrics: Metrics, internal: Metrics, learnt: Learnt) -> list[str]:
    """Where two cohorts differ by more than chance: intervals that do not meet."""
    here, there = metrics.spectrum, internal.spectrum
    if here is None or there is None:
        return []
    pairs = [
        (f"people with {learnt.positive}", here.prevalence, there.prevalence,
         "PPV and NPV of the two cannot be compared."),
        ("women", here.women, there.women, "Compare within sexes."),
        ("people of 65 and older", here.aged_65, there.aged_65, "Compare within age bands."),
    ]  # fmt: skip
    mix = sorted(set(here.severities) & set(there.severities))
    pairs += [
        (f"{s} cases among those with {POSITIVE}", here.severities[s], there.severities[s],
         "Sensitivity follows severity.")
        for s in mix
    ]  # fmt: skip
    return [
        f"{metrics.cohort} has {_more(a, b)} {what} than {internal.cohort}, where the model was "
        f"made: {_percent(a)} against {_percent(b)}. {so}"
        for what, a, b, so in pairs
        if _apart(a, b)
    ]


def _size(shown: Sequence[Metrics], learnt: Learnt) -> list[str]:
    few = []
    for metrics in shown:
        base = metrics.baseline
        sides = ((base.low_bone_mass, f"with {learnt.positive}"), (base.normal, "without"))
        if parts := [f"{n:,} {side}" for n, side in sides if 0 < n < ENOUGH]:
            few.append(f"{metrics.cohort} ({' and '.join(parts)})")
    if not few:
        return []
    return [
        f"Fewer people than the {ENOUGH} with and {ENOUGH} without that a validation wants: "
        f"{', '.join(few)}. Intervals are wide; calibration and subgroups can say little."
    ]


def elsewhere(found: Reweighted, learnt: Learnt = DEFAULT) -> str:
    """What a flag would mean where the condition is rarer: one sentence of the rarest stated.

    '' where that has no interval: nobody was flagged in vain, which few people prove little by.
    """
    at = found.at[0]
    if at.ppv.value is None or at.ppv.low is None or at.ppv.high is None:
        return ""
    return (
        f"Where {100 * at.prevalence:.0f} in 100 have {learnt.positive}, "
        f"{100 * at.ppv.value:.0f} of 100 flagged would have it (95% interval "
        f"{100 * at.ppv.low:.0f} to {100 * at.ppv.high:.0f}), if the model found and spared people "
        "as it did here."
    )


def _apart(a: Estimate, b: Estimate) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low > b.high or b.low > a.high


def _more(a: Estimate, b: Estimate) -> str:
    return "more" if float(a) > float(b) else "fewer"


def _p(p: float | None) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _percent(e: Estimate) -> str:
    return f"{100 * float(e):.0f}% ({100 * (e.low or 0.0):.0f} to {100 * (e.high or 0.0):.0f})"
