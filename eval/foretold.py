"""A model judged by fractures alone: no row of it has a DXA label, and people were followed.

Such are the runs that train for the time to a first fracture. They have no AUROC, no threshold and
no prevalence of low bone mass; they are led with Harrell's C, and what is said of labels elsewhere
must not be said of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.runs import is_tuning
from eval.survival.shapes import FractureMetrics

#: Said where a count of labels would be 0 of 0.
NO_LABEL = "no DXA label is used"
#: Of a tuning cohort without labels, which cannot have chosen a threshold.
OPTIMISTIC = "a tuning cohort: optimistic"
CHOSE = "chose the threshold: optimistic"
#: In place of `wording.LIMITATIONS`, most of which are of labels, flags and thresholds.
LIMITATIONS = (
    "The risk is of a first recorded fracture. Fractures that were treated elsewhere or never came "
    "to a doctor count as none, and death is not told from the end of being followed.",
    "Risks hold where fractures are as common as in the split that the baseline hazard was fitted "
    "to. Elsewhere the ranking may hold and the risks may not.",
    "The model does not measure bone density, gives no T-score and has no threshold: a low risk "
    "rules nothing out.",
    "Grad-CAM shows where a picture moved the score. It is not evidence that the model reads bone, "
    "and the pictures shown were chosen by rule, for how sure and how wrong the model was.",
    "Fractures are not judged by sex, age or device: what the model does in such groups was not "
    "measured.",
    "Numbers on a tuning cohort are optimistic: the model was made with its help.",
)


def unlabelled(m: Metrics) -> bool:
    """Whether no prediction of the cohort has a DXA label."""
    b = m.baseline
    return b.patients > 0 and b.unlabelled == b.patients


def foretells(x: ModelMetrics) -> FractureMetrics | None:
    """What is known of the model by fractures, where nothing is known of it by labels."""
    return None if x.overall.n else x.fracture


def fractures_only(metrics: Sequence[Metrics]) -> bool:
    """Whether no cohort has a label, and some model was judged by fractures."""
    return no_labels(metrics) and any(foretells(x) for m in metrics for x in m.models)


def no_labels(metrics: Sequence[Metrics]) -> bool:
    """Whether no prediction of any cohort has a DXA label."""
    return all(unlabelled(m) or not m.baseline.patients for m in metrics)


def leading(metrics: Sequence[Metrics]) -> tuple[Metrics, ModelMetrics] | None:
    """The cohort and model whose Harrell's C leads; None where a model has labels, or none has a C.

    By rule: no tuning cohort, an external before an internal one, then the one with most people
    followed, then by name.
    """
    if not fractures_only(metrics):
        return None
    found = [
        ("external" not in m.cohort, -f.patients, m.cohort, x.model, m, x)
        for m in metrics
        for x in m.models
        if not is_tuning(m.cohort) and (f := foretells(x)) and f.harrell_c.value is not None
    ]
    return min(found, key=lambda row: row[:4])[4:] if found else None


def reading(m: Metrics, x: ModelMetrics) -> list[str]:
    """What the leading C means, as sentences."""
    f = x.fracture
    assert f is not None
    said = [
        f"In {m.cohort}, {followed(f)}: of two people of whom one is known to have broken a bone "
        f"sooner, the {x.model} model gave that one the higher risk in "
        f"{100 * float(f.harrell_c):.0f} of 100 pairs{_range(f.harrell_c)}."
    ]
    if f.harrell_c.low is not None and f.harrell_c.low <= 0.5:
        said.append("The interval does not leave out 50, which a coin would reach.")
    return said


def followed(f: FractureMetrics) -> str:
    """``71 people followed, 12 fractures``, with the pictures where they are more."""
    pictures = f" ({f.n:,} pictures)" if f.n != f.patients else ""
    fractures = f"{f.fractures:,} fracture{'' if f.fractures == 1 else 's'}"
    return f"{f.patients:,} people followed{pictures}, {fractures}"


def told(x: ModelMetrics) -> str:
    """Harrell's C of a model without labels with those it is of; '' of any other."""
    f = foretells(x)
    return "" if f is None else f"{followed(f)}, Harrell's C {f.harrell_c.text()}"


def seen(x: ModelMetrics) -> str:
    """Who was followed, of a model without labels; '' of any other."""
    f = foretells(x)
    return "" if f is None else followed(f)


def remark(m: Metrics) -> str:
    """What to beware of in a tuning cohort's row; '' of another cohort."""
    if not is_tuning(m.cohort):
        return ""
    return OPTIMISTIC if unlabelled(m) else CHOSE


def _range(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return ""
    return f" (95% interval {100 * e.low:.0f} to {100 * e.high:.0f})"
