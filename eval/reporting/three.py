"""The report's section on three classes: what it shows of `eval.classes.single`, and its figures.

Runs that learnt three classes have it, of faces or of radiographs. RUN/report/classes.json holds
its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from data_sharding.schema import canonical_json, write_atomic
from eval import plots
from eval.classes.reading import Reading, readings
from eval.classes.shapes import NAMES
from eval.classes.single import HEADLINE, judged_on, one_run
from eval.classes.single_shapes import Group, OneCohort, OneRun, Sides
from eval.classes.sources import Source
from eval.curves import roc
from eval.estimate import Estimate
from eval.places import without_path, without_places
from eval.runs import Run

TARGET = "three classes"
#: Statistic -> its name on the page.
WORDS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Macro recall",
    "precision_macro": "Macro precision",
    "f1_macro": "Macro F1",
    "precision_weighted": "Weighted precision",
    "f1_weighted": "Weighted F1",
    "kappa": "Cohen's kappa",
    "kappa_quadratic": "Weighted kappa",
    "auroc_ovr": "AUROC, mean of three",
    "rps": "RPS",
}


@dataclass(frozen=True)
class Line:
    """One statistic: on pictures (where people have several), on what is judged, by body alone."""

    name: str
    pictures: Estimate | None
    main: Estimate
    body: Estimate | None
    difference: Estimate | None


@dataclass(frozen=True)
class Three:
    """The section; without `one` it says `why`, and with neither there is no section.

    `figures`: cohort -> (SVG or None, caption), as `macros.gallery` takes them.
    """

    one: OneRun | None = None
    why: str = ""
    figures: dict[str, list[tuple[str | None, str]]] = field(default_factory=dict)

    @property
    def there(self) -> bool:
        """Whether there is something to say."""
        return self.one is not None or bool(self.why)


#: Of a run that learnt something else.
NOTHING = Three()


def three(run: Run) -> Three:
    """Judge the run's model of three classes, if it has one."""
    if run.facts.get("target") != TARGET:
        return NOTHING
    try:
        source = Source.at(str(run.folder), TARGET)
        read = readings(source)
        one = one_run(source, read=read)
    except ValueError as e:
        return Three(why=without_places(without_path(str(e), run)))
    drawn = {c.cohort: _figures(c, r) for c, r in zip(one.cohorts, read[0], strict=True)}
    return Three(one, figures=drawn)


def write_json(made: Three, folder: Path) -> Path | None:
    """Write classes.json into `folder`, or take away that of an earlier report."""
    path = folder / "classes.json"
    if made.one is None:
        path.unlink(missing_ok=True)
        return None
    write_atomic(path, canonical_json(made.one.model_dump(mode="json")) + "\n")
    return path


def lines(group: Group) -> Iterator[Line]:
    """The headline numbers of a group, each beside what age, sex and BMI alone reach."""
    main, pictures = group.main, group.pictures
    if main is None:
        return
    for name in HEADLINE:
        yield Line(
            WORDS[name],
            None if pictures is None else getattr(pictures.picture, name),
            getattr(main.picture, name),
            None if main.body is None else getattr(main.body, name),
            main.difference.get(name),
        )
    over = None if pictures is None else pictures.brier
    yield Line("Brier", over, main.brier, main.body_brier, main.difference.get("brier"))


def answer(cohort: OneCohort) -> str:
    """What the picture adds to age, sex and BMI, in a sentence; '' where that is not known."""
    main = cohort.groups[0].main
    if main is None or main.body is None:
        return ""
    seen, alone = main.picture.accuracy, main.body.accuracy
    gap = main.difference["accuracy"]
    if seen.value is None or alone.value is None or gap.value is None:
        return ""
    limits = "" if gap.low is None or gap.high is None else _points(gap.low, gap.high)
    return (
        f"Of 100 {main.unit} the model tells {100 * seen.value:.0f} rightly; age, sex and BMI "
        f"alone tell {100 * alone.value:.0f}, without any picture{limits}."
    )


def _points(low: float, high: float) -> str:
    text = f"{100 * low:+.0f} to {100 * high:+.0f}".replace("-", "−")
    return f" (the model's gain: {text} in 100)"


def _figures(cohort: OneCohort, rows: Reading) -> list[tuple[str | None, str]]:
    """ROC of each class against the others, and reliability by class."""
    group = cohort.groups[0]
    assert group.main is not None
    assert group.calibration is not None
    on = judged_on(rows)
    curves = {
        _area(name, group.main, c): roc(on.truth == c, on.P[:, c]) for c, name in enumerate(NAMES)
    }
    drawn = {name: (k.fpr, k.tpr) for name, k in curves.items() if not k.undefined}
    where, unit = cohort.cohort, group.main.unit
    bins = {c.name: c.bins for c in group.calibration.classes}
    receiver = plots.roc(drawn, {}, f"classes {where}") if drawn else None
    why = "" if drawn else "; undefined: everybody is of one class"
    return [
        (receiver, f"{where}: each class against the others, on {unit}{why}."),
        (
            plots.reliability(bins, f"class reliability {where}", "the class"),
            f"{where}: ten bins (lo, hi] of each class's probability, on {unit}, with intervals.",
        ),
    ]


def _area(name: str, sides: Sides, c: int) -> str:
    e = sides.picture.classes[c].auroc
    return name if e.value is None else f"{name} {e.value:.3f}"
