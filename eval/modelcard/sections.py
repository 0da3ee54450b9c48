"""The sections of a card that are made from files; what no file says is "undefined"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eval import foretold, wording
from eval.checklists.answers.method import (
    initialisation,
    model,
    output,
    software,
    training,
    updating,
)
from eval.checklists.evidence import Evidence, Missing, said
from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.gates import PAIR
from eval.learnt import DEFAULT, Learnt
from eval.modelcard import survival
from eval.modelcard.shapes import Figure, Section, Table
from eval.runs import is_tuning


def models(e: Evidence) -> Section:
    """Architecture, start, training and software."""
    each = {"": model, "start": initialisation, "training": training, "software": software}
    return Section("Model", points=tuple(_answers(e, each)))


def _answers(e: Evidence, functions: dict[str, Callable[[Evidence], str]]) -> list[str]:
    """The sentences of several answers, each with its name; or why there is none."""
    found = []
    for name, function in functions.items():
        try:
            sentences = said(function, e).split("\n")
        except Missing as why:
            sentences = [f"undefined: {why}"]
        found += [f"{name}: {s}" if name else s for s in sentences]
    return found


def data(e: Evidence) -> Section:
    """The packed datasets with their manifests."""
    try:
        datasets = e.datasets()
    except Missing as why:
        return Section("Data", (f"undefined: {why}",))
    lines = tuple(
        (
            d.name,
            d.manifest.role,
            d.manifest.policy or "none",
            ", ".join(f"{split} {n:,}" for split, n in d.splits.items()),
        )
        for d in datasets
    )
    return Section("Data", table=Table(("Dataset", "Role", "Label policy", "Pictures"), lines))


def worth(metrics: Sequence[Metrics]) -> Section:
    """Every model on every cohort, with intervals."""
    if foretold.fractures_only(metrics):
        return survival.worth(metrics)
    columns = {
        "Prevalence": "prevalence",
        "AUROC": "auroc",
        "Sensitivity": "sensitivity",
        "Specificity": "specificity",
        "PPV": "ppv",
        "NPV": "npv",
    }
    lines = tuple(
        (
            survival.name(m),
            x.model,
            f"{x.overall.n:,}",
            *(Figure(getattr(x.overall, c)) for c in columns.values()),
        )
        for m in metrics
        for x in m.models
    )
    level = (
        f"{100 * metrics[0].settings.confidence:g}% intervals beside each number."
        if metrics
        else ""
    )
    head = ("Cohort", "Model", "n", *columns)
    if not lines:
        return Section("Performance", ("undefined: no model was judged",))
    return Section("Performance", (level,), table=Table(head, lines))


def operating(e: Evidence, metrics: Sequence[Metrics]) -> Section:
    """Thresholds, temperatures and calibration."""
    points = _answers(e, {"threshold": output, "calibration": updating})
    if foretold.fractures_only(metrics):
        table = survival.calibration(metrics)
        return Section("Risks and calibration", points=tuple(points), table=table)
    lines = tuple(
        (
            survival.name(m),
            x.model,
            "undefined: none was frozen" if x.threshold is None else f"{x.threshold:.4g}",
            Figure(x.overall.brier_binary),
            Figure(x.calibration.ece_positive_class),
            Figure(x.calibration.in_the_large, 2),
            Figure(x.calibration.slope, 2),
        )
        for m in metrics
        for x in m.models
    )
    head = ("Cohort", "Model", "Threshold", "Brier", "ECE", "In the large (0)", "Slope (1)")
    return Section(
        "Operating point and calibration", points=tuple(points), table=Table(head, lines)
    )


def groups(metrics: Sequence[Metrics]) -> Section:
    """Groups of one characteristic in the cohort that the report leads with."""
    if foretold.fractures_only(metrics):
        return Section("Subgroups", ("undefined: fractures are not judged by group",))
    best = wording.headline(metrics)
    if best is None:
        return Section("Subgroups", ("undefined: no cohort outside tuning has a reference",))
    m, x = best
    lines = []
    for s in x.subgroups:
        if PAIR in s.by or s.by == "severity":  # a severity is of one class and has no AUROC
            continue
        if s.performance is None:
            lines.append((f"{s.by}: {s.level}", "kept back", str(s.suppressed), "", ""))
            continue
        gap = s.gap.auroc if s.gap else None
        difference = "nothing to compare with" if gap is None else Figure(gap)
        p = "" if gap is None or gap.p_holm is None else f"{gap.p_holm:.3f}"
        row = (f"{s.by}: {s.level}", f"{s.performance.n:,}", Figure(s.performance.auroc))
        lines.append((*row, difference, p))
    text = (
        f"{x.model} on {m.cohort}. A gap is the group's AUROC minus that of everybody else; p "
        f"after Holm for {x.comparisons:,} gaps tested. The rest is in metrics.json.",
    )
    head = ("Group", "n", "AUROC", "Gap to the rest", "p (Holm)")
    return Section("Subgroups and gaps", text, table=Table(head, tuple(lines)))


def limits(e: Evidence, metrics: Sequence[Metrics]) -> list[str]:
    """Limitations that the files themselves show."""
    found = []
    if not any("external" in m.cohort and m.models for m in metrics):
        found.append("No external cohort was judged: nothing is known of other hospitals.")
    for m in metrics:
        b = m.baseline
        if foretold.unlabelled(m):
            found += [] if is_tuning(m.cohort) else survival.small(m)
        elif not is_tuning(m.cohort) and min(b.normal, b.low_bone_mass) < 100:
            smaller = min(b.normal, b.low_bone_mass)
            found.append(
                f"{m.cohort} has {smaller:,} patients in its smaller class; with fewer than 100 an "
                "external validation says little (Vergouwe et al., J Clin Epidemiol 2005)."
            )
        found += [_miscalibrated(m, x) for x in m.models if _is_off(x.calibration.slope)]
    try:
        for d in e.datasets():
            if d.manifest.leaks:
                found.append(
                    f"{d.name}: {len(d.manifest.leaks):,} leaks between splits were allowed: its "
                    "figures are not to be trusted."
                )
    except Missing as why:
        found.append(f"Whether splits leak into each other is undefined: {why}.")
    return found


def _miscalibrated(m: Metrics, x: ModelMetrics) -> str:
    slope = x.calibration.slope
    return f"{m.cohort}, {x.model}: the calibration slope is {Figure(slope, 2)}, and 1 is right."


def _is_off(slope: Estimate) -> bool:
    """The interval leaves out 1."""
    return slope.low is not None and slope.high is not None and not slope.low <= 1 <= slope.high


def hashes(e: Evidence, metrics: Sequence[Metrics], learnt: Learnt = DEFAULT) -> Section:
    """What weights, data and predictions can be told by."""
    facts = []
    try:
        facts += [(f"weights of the {n}, SHA-256", e.hashed_weights(n)) for n in e.models()]
    except Missing as why:
        facts.append(("weights", f"undefined: {why}"))
    try:
        facts += [(f"manifest of {d.name}, SHA-256", d.manifest.hash) for d in e.datasets()]
    except Missing as why:
        facts.append(("manifests", f"undefined: {why}"))
    facts += [(f"predictions of {m.cohort}, SHA-256", m.predictions_sha256) for m in metrics]
    if foretold.fractures_only(metrics):
        return Section("Hashes", facts=tuple(facts))
    classes = f"classes: 0 {learnt.negative}, 1 {learnt.positive}"
    return Section(f"Hashes ({classes})", facts=tuple(facts))
