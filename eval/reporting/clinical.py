"""What the clinical models of a run learnt, for the report: of summary.json; nothing is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from data_sharding.schema import sha256_file
from eval import plots
from eval.clinical.beside import STALE
from eval.clinical.features import IMAGE
from eval.clinical.summary import ModelName, Part, Said, Summary
from eval.cohort import Metrics
from eval.plots import Push
from eval.runs import Run

#: As the page calls features and columns.
WORDS = {"height_cm": "height", "weight_kg": "weight", "bmi": "BMI", IMAGE: "image score"}
UNITS = {"age": "years", "height_cm": "cm", "weight_kg": "kg", "bmi": "kg/m²"}
TREES: tuple[ModelName, ...] = ("clinical", "combined")
#: Hollow and full, as `eval.clinical.shap` names them.
SEXES = ("women", "men")
DIRECTION = {1: "not fall", -1: "not rise"}


@dataclass(frozen=True)
class Clinical:
    """The section; without a summary `why` says so, and with neither there is no section.

    `figures` are (SVG, caption); `pushes` (model, feature, its parts) of the cohort `drawn`.
    """

    summary: Summary | None = None
    why: str = ""
    drawn: str = ""
    figures: tuple[tuple[str, str], ...] = ()
    pushes: tuple[tuple[str, str, tuple[Part, ...]], ...] = ()

    @property
    def there(self) -> bool:
        """Whether there is something to say."""
        return self.summary is not None or bool(self.why)


def clinical(run: Run, shown: Sequence[Metrics]) -> Clinical:
    """Read what `python -m eval clinical` left in the run.

    Args:
        run: the run.
        shown: the cohorts of the report that chose no threshold.
    """
    path = run.folder / "clinical" / "summary.json"
    if not path.is_file():
        return Clinical()
    try:
        summary = Summary.model_validate_json(path.read_bytes())
    except ValueError:
        return Clinical(
            why="clinical/summary.json is not of this version: run `python -m eval clinical` again"
        )
    if _stale(run, summary):
        return Clinical(why=STALE)
    drawn = _to_draw(summary, shown)
    models = summary.cohorts[drawn].models if drawn else {}
    found = [(name, models[name]) for name in TREES if name in models and models[name].importance]
    return Clinical(
        summary,
        drawn=drawn,
        figures=tuple(
            (draw_shap(name, said, drawn), f"What the {name} model makes of {drawn}.")
            for name, said in found
        ),
        pushes=tuple((name, f, said.parts[f]) for name, said in found for f in said.parts),
    )


def word(feature: str) -> str:
    """A feature or column as the page calls it."""
    return WORDS.get(feature, feature)


def directions(monotone: dict[str, int]) -> str:
    """``risk may not fall with age``, or that it may."""
    if not monotone:
        return "none"
    said = [f"risk may {DIRECTION[d]} with {word(f)}" for f, d in sorted(monotone.items())]
    return ", ".join(said)


def _stale(run: Run, summary: Summary) -> bool:
    """Whether it is about other cohorts than the run's, or about other predictions of them."""
    if set(run.cohorts) != {*summary.cohorts, *summary.unlabelled}:
        return True
    return any(
        c.predictions_sha256 != sha256_file(run.cohort(name, "predictions.parquet"))
        for name, c in summary.cohorts.items()
    )


def _to_draw(summary: Summary, shown: Sequence[Metrics]) -> str:
    """An internal cohort before an external one, as they come; '' where none has trees' answers."""
    names = [m.cohort for m in shown if m.cohort in summary.cohorts]
    return next(iter(sorted(names, key=lambda c: "external" in c)), "")


def draw_shap(name: str, said: Said, cohort: str) -> str:
    """What a model of trees makes of a cohort, as SVG."""
    features = {}
    for feature, size in said.importance.items():
        means = {p.label: p.mean for p in said.parts.get(feature, ())}
        unknown = means.pop("unknown", None)
        # a cohort of women alone has the hollow dot of women and no other
        known = [means.get(s, nan) for s in SEXES] if feature == "sex" else list(means.values())
        features[word(feature)] = Push(size, known, unknown)
    return plots.contributions(features, name, f"contributions {name} {cohort}")
