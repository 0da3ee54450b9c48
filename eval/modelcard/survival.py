"""The sections of a card whose models foretell fractures: no label, no threshold, no flag."""

from __future__ import annotations

from collections.abc import Sequence

from eval import foretold
from eval.checklists.evidence import Evidence, Missing
from eval.cohort import Metrics
from eval.modelcard.shapes import Figure, Section, Table

#: Fewer events leave a validation imprecise (Collins, Ogundimu & Altman, Stat Med 2016).
ENOUGH = 100


def survivors(e: Evidence) -> list[str]:
    """The models of the run that have a baseline hazard beside their weights."""
    try:
        return [n for n in e.models() if (e.run.folder / n / "weights/survival.json").is_file()]
    except Missing:
        return []


def intended(e: Evidence, model: str) -> str:
    """What a survival model's answer is, with its horizon."""
    days = _horizon(e, model)
    within = f"within {days:,} days" if days else "within the horizon of its configuration"
    return (
        f"The answer of the {model} model is the risk of a first fracture {within} of the "
        "radiograph; there is no threshold. It is to study who, among people who have a chest "
        "radiograph anyway, is at risk."
    )


def worth(metrics: Sequence[Metrics]) -> Section:
    """Harrell's and Uno's C of every model on every cohort."""
    head = ("Cohort", "Model", "Followed", "Fractures", "Harrell's C", "Uno's C")
    lines = tuple(
        (name(m), x.model, f"{f.n:,}", f"{f.fractures:,}", Figure(f.harrell_c), Figure(f.uno_c))
        for m in metrics
        for x in m.models
        if (f := foretold.foretells(x))
    )
    level = f"{100 * metrics[0].settings.confidence:g}% intervals beside each number."
    said = f"{level} As {foretold.NO_LABEL}, there is no AUROC of low bone mass."
    return Section("Performance", (said,), table=Table(head, lines))


def calibration(metrics: Sequence[Metrics]) -> Table:
    """Risks against what came, at every horizon with predicted risks."""
    head = ("Cohort", "Model", "Within", "Mean predicted", "Observed", "Ratio (1)", "Brier")
    lines = tuple(
        (
            name(m),
            x.model,
            f"{h.days:,} days",
            f"{h.mean_predicted:.3f}",
            Figure(h.observed),
            Figure(h.observed_to_predicted, 2),
            Figure(h.brier),
        )
        for m in metrics
        for x in m.models
        if (f := foretold.foretells(x))
        for h in f.horizons
        if h.mean_predicted is not None
    )
    return Table(head, lines)


def small(m: Metrics) -> list[str]:
    """A sentence for each model with few fractures to be judged by."""
    return [
        f"{m.cohort}, {x.model}: {f.fractures:,} fractures among {f.n:,} followed; a validation "
        f"wants at least {ENOUGH} (Collins, Ogundimu & Altman, Stat Med 2016)."
        for x in m.models
        if (f := foretold.foretells(x)) and f.fractures < ENOUGH
    ]


def name(m: Metrics) -> str:
    """The cohort, with a warning where it is a tuning cohort."""
    remark = foretold.remark(m)
    return f"{m.cohort} ({remark})" if remark else m.cohort


def _horizon(e: Evidence, model: str) -> int | None:
    """Days from survival.json, or else the configuration."""
    for read in (
        lambda: e.weights(model, "survival.json"),
        lambda: e.config()[model],
    ):
        try:
            days = read()["horizon_days"]
        except (Missing, KeyError, TypeError):
            continue
        if isinstance(days, int) and not isinstance(days, bool) and days > 0:
            return days
    return None
