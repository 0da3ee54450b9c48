"""Sentences a clinician can repeat to a colleague, made from the numbers and never beyond them."""

from __future__ import annotations

from collections.abc import Sequence

from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.learnt import DEFAULT, Learnt
from eval.runs import is_tuning


def headline(metrics: Sequence[Metrics]) -> tuple[Metrics, ModelMetrics] | None:
    """The result to lead with, by rule and not by what it says.

    An external cohort before a test cohort, one with both classes before one without, then the one
    with most patients; in it the student before others. None where no cohort that was not used for
    tuning has labels.
    """
    ranked = sorted(
        (m for m in metrics if not is_tuning(m.cohort) and m.models),
        key=lambda m: (
            "external" not in m.cohort,
            not can_rank(m),
            -max(x.overall.patients for x in m.models),
            m.cohort,
        ),
    )
    for cohort in ranked:
        for model in sorted(cohort.models, key=lambda m: m.model != "student"):
            if model.overall.n:
                return cohort, model
    return None


def spoken(model: str) -> str:
    """A model in a sentence: the student, but the image model and not the image."""
    return f"{model} model" if model in ("image", "clinical", "combined") else model


def can_rank(metrics: Metrics) -> bool:
    """Whether some model has an AUROC in the cohort: it has labels, and of both classes."""
    return any(m.overall.auroc.value is not None for m in metrics.models)


def spread(metrics: Sequence[Metrics], best: tuple[Metrics, ModelMetrics]) -> str:
    """How the leading model does over all external cohorts: a sentence, '' where there is one."""
    found = sorted(
        (float(x.overall.auroc), m.cohort)
        for m in metrics
        for x in m.models
        if "external" in m.cohort and x.model == best[1].model and x.overall.auroc.value is not None
    )
    if len(found) < 2:
        return ""
    (low, worst), (high, finest) = found[0], found[-1]
    return (
        f"Over {len(found)} external cohorts the AUROC of the {spoken(best[1].model)} lies between "
        f"{low:.3f} ({worst}) and {high:.3f} ({finest})."
    )


def reading(metrics: Metrics, model: ModelMetrics, learnt: Learnt = DEFAULT) -> list[str]:
    """What the result on one cohort means in people, as sentences."""
    o, disease = model.overall, learnt.positive
    people = o.n == o.patients
    size = f"{o.n:,} people" if people else f"{o.n:,} pictures of {o.patients:,} people"
    common = f"{_of_100(o.prevalence)} in 100 with {disease} by DXA"
    place = f"In {metrics.cohort} ({size}, {common})"
    many, had = ("people", "had") if people else ("pictures", "were of people with")
    said = []
    if o.ppv.value is None:
        said.append(f"{place}, what a flag means is undefined: {o.ppv.undefined}.")
    else:
        said.append(
            f"{place}, of 100 {many} flagged by the {spoken(model.model)} "
            f"{_of_100(o.ppv)} {had} {disease}{_range(o.ppv)}."
        )
    if o.npv.value is not None and o.npv.low is not None and o.npv.high is not None:
        missed = Estimate(value=1 - o.npv.value, low=1 - o.npv.high, high=1 - o.npv.low)
        said.append(
            f"Of 100 not flagged, {_of_100(missed)} {had} {disease} all the same"
            f"{_range(missed)}: a negative answer does not rule it out."
        )
    if o.sensitivity.value is not None:
        said.append(
            f"Of 100 {many} with {disease} it found {_of_100(o.sensitivity)}"
            f"{_range(o.sensitivity)}."
        )
    return said


def _of_100(e: Estimate) -> str:
    return "?" if e.value is None else f"{100 * e.value:.0f}"


def _range(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return ""
    return f" (95% interval {100 * e.low:.0f} to {100 * e.high:.0f})"


#: Printed in every report, whatever the numbers say, after what `limitations` says of the disease.
LIMITATIONS = (
    "People in these cohorts had both a {picture} and a DXA. Those sent to DXA differ from those "
    "who are not, and no cohort here shows what happens among everybody with a {picture}.",
    "Grad-CAM shows where a picture moved the score. It is not evidence that the model reads bone, "
    "and the pictures shown were chosen by rule, for how sure and how wrong the model was.",
    "A gap that no test found is not a gap that is not there: small groups hide large ones. "
    "Corrections for many comparisons hold within one model on one cohort, not across the report.",
    "Net benefit, PPV and NPV say what happens if everybody flagged is offered a DXA and takes it.",
    "Numbers on a tuning cohort are optimistic: temperature and threshold were chosen there.",
)


def limitations(learnt: Learnt = DEFAULT, faces: bool = False) -> tuple[str, ...]:
    """`LIMITATIONS`, after those of what was learnt; of photographs of `faces`, or radiographs."""
    picture = "photograph" if faces else "radiograph"
    name = learnt.positive
    others = "fractures" if "osteoporosis" in name else "osteoporosis or fractures"
    return (
        f"{name[:1].upper()}{name[1:]} here means the DXA label policy named under each dataset. "
        "The model does not measure bone density, gives no T-score, and was not built to find "
        f"{others}.",
        f"PPV and NPV hold at the prevalence of the cohort they were measured in. Where {name} "
        "is rarer, fewer of those flagged will have it.",
        *(text.replace("{picture}", picture) for text in LIMITATIONS),
    )
