"""A model card: what the models of a run are for, what they are worth, and what they must not do.

    card(Run.at(folder), metrics).markdown()
    write_card(run, metrics)                   RUN/report/modelcard.md

After Mitchell et al., FAT* 2019. Every number is one of metrics.json, a manifest, run.json or the
files beside the weights; what no file says is "undefined".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_sharding.schema import CLASSES, write_atomic
from eval import wording
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
from eval.runs import Run, is_tuning

INTENDED = (
    "To point out, among people who have a chest radiograph anyway, those to whom bone "
    "densitometry (DXA) may be worth offering. Its answer is a probability of low bone mass, and a "
    "flag where that reaches the frozen threshold.",
    "For research by people who can read the intervals below. It is not a medical device.",
)
FORBIDDEN = (
    "to diagnose osteoporosis or low bone mass, or to treat anybody",
    "to decide that somebody needs no DXA: a probability below the threshold rules nothing out",
    "to give a T-score, a bone density or a risk of fracture",
    "on pictures of another kind, view or preparation than those it was trained on",
    "on people unlike those it was judged on: ages, sexes, devices and hospitals not listed below",
    "to prefer one person over another for insurance, work or anything but their own care",
)


@dataclass(frozen=True)
class Figure:
    """A cell that is an estimate, and the digits it is printed with."""

    estimate: Estimate
    digits: int = 3

    def __str__(self) -> str:
        return self.estimate.text(self.digits).replace("-", "−")


@dataclass(frozen=True)
class Table:
    """Lines of cells under a head, all of one width."""

    head: tuple[str, ...]
    lines: tuple[tuple[str | Figure, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading with sentences, a list, facts by name and a table, each of which may be empty."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Card:
    """The card of one run."""

    name: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """The card as Markdown, with a line at the end."""
        lines = [f"# Model card: {_escape(self.name)}", ""]
        for s in self.sections:
            lines += [f"## {s.title}", ""]
            lines += [line for text in s.sentences for line in (_escape(text), "")]
            lines += [*(f"- {_escape(p)}" for p in s.points), *[""] * bool(s.points)]
            lines += [
                *(f"- {_escape(k)}: `{_escape(v)}`" for k, v in s.facts),
                *[""] * bool(s.facts),
            ]
            if s.table is not None:
                rows = (s.table.head, ("---",) * len(s.table.head), *s.table.lines)
                lines += [
                    f"| {' | '.join(_escape(str(cell)) for cell in row)} |" for row in rows
                ] + [""]
        return "\n".join(lines)


def card(run: Run, metrics: Sequence[Metrics]) -> Card:
    """The card, from the run's files and its metrics (all cohorts)."""
    evidence = Evidence(run)
    try:
        name = str(evidence.facts().get("run_id") or "a run without a name")
    except Missing:
        name = "a run without a name"
    return Card(
        name,
        (
            Section("Intended use", INTENDED),
            Section("It must not be used", points=FORBIDDEN),
            _model(evidence),
            _data(evidence),
            _worth(metrics),
            _operating(evidence, metrics),
            _groups(metrics),
            Section("Limitations", points=(*_found(evidence, metrics), *wording.LIMITATIONS)),
            _hashes(evidence, metrics),
        ),
    )


def write_card(run: Run, metrics: Sequence[Metrics]) -> Path:
    """Write RUN/report/modelcard.md and return it."""
    path = run.folder / "report" / "modelcard.md"
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, card(run, metrics).markdown())
    return path


def _model(e: Evidence) -> Section:
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


def _data(e: Evidence) -> Section:
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


def _worth(metrics: Sequence[Metrics]) -> Section:
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
            _name(m),
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


def _operating(e: Evidence, metrics: Sequence[Metrics]) -> Section:
    points = _answers(e, {"threshold": output, "calibration": updating})
    lines = tuple(
        (
            _name(m),
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


def _groups(metrics: Sequence[Metrics]) -> Section:
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


def _found(e: Evidence, metrics: Sequence[Metrics]) -> list[str]:
    """Limitations that the files themselves show."""
    found = []
    if not any("external" in m.cohort and m.models for m in metrics):
        found.append("No external cohort was judged: nothing is known of other hospitals.")
    for m in metrics:
        b = m.baseline
        if not is_tuning(m.cohort) and min(b.normal, b.low_bone_mass) < 100:
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


def _hashes(e: Evidence, metrics: Sequence[Metrics]) -> Section:
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
    return Section(f"Hashes (classes: 0 {CLASSES[0]}, 1 {CLASSES[1]})", facts=tuple(facts))


def _name(m: Metrics) -> str:
    return f"{m.cohort} (chose the threshold: optimistic)" if is_tuning(m.cohort) else m.cohort


def _escape(text: str) -> str:
    """Nothing of the text acts as Markdown or HTML."""
    for sign in "\\|<>*_`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
