"""Sentences a clinician can repeat to a colleague, made from the numbers and never beyond them."""

from __future__ import annotations

from collections.abc import Sequence

from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.runs import is_tuning


def headline(metrics: Sequence[Metrics]) -> tuple[Metrics, ModelMetrics] | None:
    """The result to lead with: an external cohort before a test cohort, the student before others.

    None where no cohort that was not used for tuning has labels.
    """
    ranked = sorted(
        (m for m in metrics if not is_tuning(m.cohort) and m.models),
        key=lambda m: ("external" not in m.cohort, m.cohort),
    )
    for cohort in ranked:
        for model in sorted(cohort.models, key=lambda m: m.model != "student"):
            if model.overall.n:
                return cohort, model
    return None


def reading(metrics: Metrics, model: ModelMetrics) -> list[str]:
    """What the result on one cohort means in people, as sentences."""
    o = model.overall
    people = o.n == o.patients
    size = f"{o.n:,} people" if people else f"{o.n:,} pictures of {o.patients:,} people"
    common = f"{_of_100(o.prevalence)} in 100 with low bone mass by DXA"
    place = f"In {metrics.cohort} ({size}, {common})"
    many, had = ("people", "had") if people else ("pictures", "were of people with")
    said = []
    if o.ppv.value is None:
        said.append(f"{place}, what a flag means is undefined: {o.ppv.undefined}.")
    else:
        said.append(
            f"{place}, of 100 {many} flagged by the {model.model} "
            f"{_of_100(o.ppv)} {had} low bone mass{_range(o.ppv)}."
        )
    if o.npv.value is not None and o.npv.low is not None and o.npv.high is not None:
        missed = Estimate(value=1 - o.npv.value, low=1 - o.npv.high, high=1 - o.npv.low)
        said.append(
            f"Of 100 not flagged, {_of_100(missed)} {had} low bone mass all the same"
            f"{_range(missed)}: a negative answer does not rule it out."
        )
    if o.sensitivity.value is not None:
        said.append(
            f"Of 100 {many} with low bone mass it found {_of_100(o.sensitivity)}"
            f"{_range(o.sensitivity)}."
        )
    return said


def comparison(metrics: Metrics) -> list[str]:
    """What may be said of one model against another, and what may not."""
    said = []
    for d in metrics.differences:
        names = f"{metrics.cohort}, {d.second} against {d.first}"
        if d.delong.value is None:
            said.append(f"{names}: undefined: {d.delong.undefined}.")
            continue
        p = f"p {_p(d.p)}" if d.p is not None else f"p undefined: {d.delong.undefined}"
        if d.comparisons > 1 and d.p_bonferroni is not None:
            p += f", {_p(d.p_bonferroni)} after Bonferroni for {d.comparisons} comparisons"
        said.append(
            f"{names}: AUROC difference {_signed(d.delong)} (DeLong, {p}); "
            f"by resampling patients {_signed(d.bootstrap)}."
        )
    return said


def _of_100(e: Estimate) -> str:
    return "?" if e.value is None else f"{100 * e.value:.0f}"


def _range(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return ""
    return f" (95% interval {100 * e.low:.0f} to {100 * e.high:.0f})"


def _signed(e: Estimate) -> str:
    if e.value is None:
        return f"undefined: {e.undefined}"
    if e.low is None or e.high is None:
        return f"{e.value:+.3f}"
    return f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]".replace("-", "−")


def _p(p: float | None) -> str:
    if p is None:
        return "undefined"
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


#: Printed in every report, whatever the numbers say.
LIMITATIONS = (
    "Low bone mass here means the DXA label policy named under each dataset. The model does not "
    "measure bone density, gives no T-score, and was not built to find osteoporosis or fractures.",
    "PPV and NPV hold at the prevalence of the cohort they were measured in. Where low bone mass "
    "is rarer, fewer of those flagged will have it.",
    "People in these cohorts had both a radiograph and a DXA. Those sent to DXA differ from those "
    "who are not, and no cohort here shows what happens among everybody with a radiograph.",
    "Grad-CAM shows where a picture moved the score. It is not evidence that the model reads bone, "
    "and the pictures shown were chosen by rule, for how sure and how wrong the model was.",
    "A gap that no test found is not a gap that is not there: small groups hide large ones. "
    "Corrections for many comparisons hold within one model on one cohort, not across the report.",
    "Net benefit, PPV and NPV say what happens if everybody flagged is offered a DXA and takes it.",
    "Numbers on a tuning cohort are optimistic: temperature and threshold were chosen there.",
)
