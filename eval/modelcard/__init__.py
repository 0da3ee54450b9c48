"""A model card: what the models of a run are for, what they are worth, and what they must not do.

    card(Run.at(folder), metrics).markdown()
    write_card(run, metrics)                   RUN/report/modelcard.md

After Mitchell et al., FAT* 2019. Every number is one of metrics.json, a manifest, run.json or the
files beside the weights; what no file says is "undefined".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_sharding.schema import write_atomic
from eval import foretold, wording
from eval.checklists.evidence import Evidence, Missing
from eval.cohort import Metrics
from eval.learnt import POSITIVE
from eval.modelcard import sections, survival
from eval.modelcard.shapes import Card, Figure, Section, Table
from eval.runs import Run

__all__ = ["FORBIDDEN", "INTENDED", "Card", "Figure", "Section", "Table", "card", "write_card"]

RADIOGRAPH, FACE = "chest radiograph", "photograph of their face"
_RESEARCH = "For research by people who can read the intervals below. It is not a medical device."
_USE = (
    "To point out, among people who have a {} anyway, those to whom bone "
    "densitometry (DXA) may be worth offering. Its answer is a probability of {}, and a "
    "flag where that reaches the frozen threshold."
)
INTENDED = (_USE.format(RADIOGRAPH, POSITIVE), _RESEARCH)
FORBIDDEN = (
    "to diagnose osteoporosis or low bone mass, or to treat anybody",
    "to decide that somebody needs no DXA: a probability below the threshold rules nothing out",
    "to give a T-score, a bone density or a risk of fracture",
    "on pictures of another kind, view or preparation than those it was trained on",
    "on people unlike those it was judged on: ages, sexes, devices and hospitals not listed below",
    "to prefer one person over another for insurance, work or anything but their own care",
)
#: Of a run that foretells fractures: its answer is such a risk, and there is no threshold.
FORBIDDEN_SURVIVAL = (
    "to diagnose osteoporosis or low bone mass, to decide on treatment, or to treat anybody",
    "to decide that somebody needs no DXA: a low risk rules nothing out",
    "to give a T-score or a bone density",
    *FORBIDDEN[3:],
)


def card(run: Run, metrics: Sequence[Metrics]) -> Card:
    """The card, from the run's files and its metrics (all cohorts)."""
    evidence = Evidence(run)
    try:
        name = str(evidence.facts().get("run_id") or "a run without a name")
    except Missing:
        name = "a run without a name"
    found = survival.survivors(evidence)
    fractures = bool(found) and foretold.no_labels(metrics)
    risks = [survival.intended(evidence, model) for model in found]
    learnt = run.learnt
    picture = FACE if run.faces else RADIOGRAPH
    use = risks if fractures else [_USE.format(picture, learnt.positive), *risks]
    never = FORBIDDEN_SURVIVAL if fractures else FORBIDDEN
    general = foretold.LIMITATIONS if fractures else wording.limitations(learnt, run.faces)
    return Card(
        name,
        (
            Section("Intended use", (*use, _RESEARCH)),
            Section("It must not be used", points=never),
            sections.models(evidence),
            sections.data(evidence),
            sections.worth(metrics),
            sections.operating(evidence, metrics),
            sections.groups(metrics),
            Section("Limitations", points=(*sections.limits(evidence, metrics), *general)),
            sections.hashes(evidence, metrics, learnt),
        ),
    )


def write_card(run: Run, metrics: Sequence[Metrics]) -> Path:
    """Write RUN/report/modelcard.md and return it."""
    path = run.folder / "report" / "modelcard.md"
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, card(run, metrics).markdown())
    return path
