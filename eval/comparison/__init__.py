"""Models and cohorts of several runs side by side, with the tests that may be made between them.

    python -m eval compare RUN RUN [...]          compare([Run.at(a), Run.at(b)])

Every metrics.json is brought up to date first. The numbers of a run are its own; the tests are
made here, on the predictions, and corrected together. `drift` sets each cohort against home, `gaps`
puts the runs' subgroup gaps side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.cohort import Metrics, Settings
from eval.comparison.contrasts import contrasts
from eval.comparison.drift import drifts
from eval.comparison.entries import entries
from eval.comparison.gaps import gaps
from eval.comparison.shapes import Comparison, Contrast, Drift, GroupGap, Row, Side, Source
from eval.evaluate import evaluate_run
from eval.runs import Run, is_tuning

__all__ = [
    "Comparison",
    "Contrast",
    "Drift",
    "GroupGap",
    "Row",
    "Side",
    "Source",
    "compare",
]


def compare(
    folders: Sequence[Path], settings: Settings | None = None, every_pair: bool = False
) -> Comparison:
    """Evaluate what has changed in each run and set the runs side by side.

    Args:
        folders: of the runs; names in the comparison are their run ids.
        settings: of the metrics.
        every_pair: test models of different names against each other between runs, too.

    Raises:
        ValueError: a folder is named twice, or a run cannot be evaluated.
    """
    settings = settings or Settings()
    runs = _named(folders)
    metrics = {name: evaluate_run(run.folder, settings) for name, run in runs.items()}
    rows = _rows(metrics)
    thresholds = {(r.run, r.cohort, r.model): r.threshold for r in rows}
    made = contrasts(entries(runs, thresholds), settings.confidence, every_pair)
    return Comparison(
        confidence=settings.confidence,
        sources=tuple(
            Source(
                run=name,
                recipe=str(run.facts.get("recipe") or ""),
                positive=run.learnt.positive,
                predictions_sha256={m.cohort: m.predictions_sha256 for m in metrics[name]},
            )
            for name, run in runs.items()
        ),
        rows=tuple(rows),
        contrasts=made,
        comparisons=sum(c.p is not None for c in made),
        notes=tuple(_notes(metrics)),
        drift=drifts(runs, metrics, made, settings.confidence),
        gaps=gaps(metrics),
    )


def _named(folders: Sequence[Path]) -> dict[str, Run]:
    """A name for each run: its id, or its folder's name; numbered where two are alike."""
    runs: dict[str, Run] = {}
    seen: set[Path] = set()
    for folder in folders:
        run = Run.at(folder)
        if folder.resolve() in seen:
            raise ValueError(f"{folder}: named twice; a run is compared with others")
        seen.add(folder.resolve())
        name = str(run.facts.get("run_id") or folder.resolve().name)
        number, free = 1, name
        while free in runs:
            number += 1
            free = f"{name} ({number})"
        runs[free] = run
    return runs


def _rows(metrics: dict[str, list[Metrics]]) -> list[Row]:
    """Cohort by cohort, and within it run by run; those that chose thresholds last."""
    cohorts = {m.cohort for found in metrics.values() for m in found}
    rows = []
    for cohort in sorted(cohorts, key=lambda c: (is_tuning(c), c)):
        for run, found in metrics.items():
            rows += [row for m in found if m.cohort == cohort for row in _of(run, m)]
    return rows


def _of(run: str, m: Metrics) -> list[Row]:
    return [
        Row(
            run=run,
            cohort=m.cohort,
            model=x.model,
            tuning=is_tuning(m.cohort),
            n=x.overall.n,
            patients=x.overall.patients,
            positives=x.overall.positives,
            threshold=x.threshold,
            prevalence=x.overall.prevalence,
            auroc=x.overall.auroc,
            average_precision=x.overall.average_precision,
            sensitivity=x.overall.sensitivity,
            specificity=x.overall.specificity,
            ppv=x.overall.ppv,
            npv=x.overall.npv,
            brier=x.overall.brier_binary,
            ece=x.calibration.ece_positive_class,
            slope=x.calibration.slope,
        )
        for x in m.models
    ]


def _notes(metrics: dict[str, list[Metrics]]) -> list[str]:
    found = []
    for run, cohorts in metrics.items():
        found += [f"{run}, {m.cohort}: {note}" for m in cohorts for note in m.notes]
        found += [f"{run}, {m.cohort}: no predictions." for m in cohorts if not m.models]
    return found
