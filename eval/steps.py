"""What the verbs of the command share: find the run, bring it up to date, hold it to its gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval import console
from eval.checklists import write_checklists
from eval.cohort import Metrics, Settings
from eval.comparison import Comparison
from eval.comparison import compare as compare_runs
from eval.console import emit as print_json
from eval.console import or_exit, quiet
from eval.evaluate import evaluate_cohorts, evaluate_run
from eval.gates import Gate, Outcome, check, parse, read_gates
from eval.modelcard import write_card
from eval.peer import as_run
from eval.report import write_report
from eval.reporting.contents import in_order, shown
from eval.reporting.tables import write_tables
from eval.runs import Run


def evaluated(
    run: Path, out: Path | None, asked: list[Gate], as_json: bool
) -> tuple[Path, list[Metrics], list[Outcome]]:
    """The run's folder, its metrics, and the gates at them."""
    with quiet(as_json):
        folder = or_exit(lambda: run_folder(run, out))
        found = or_exit(lambda: evaluate_run(folder))
    return folder, found, or_exit(lambda: check(asked, found))


def compared(
    runs: Sequence[Path], asked: list[Gate], as_json: bool, every_pair: bool = False
) -> tuple[Comparison, list[Outcome]]:
    """The comparison, and the gates at every run, each place with the run's name."""
    with quiet(as_json):
        folders = or_exit(lambda: [as_run(run) for run in runs])
        made = or_exit(lambda: compare_runs(folders, every_pair=every_pair))
        each = [or_exit(lambda f=f: evaluate_run(f)) for f in folders]
    everything = [m for found in each for m in found]
    outcomes = [
        replace(o, cohort=f"{source.run}, {o.cohort}")
        for source, found in zip(made.sources, each, strict=True)
        for o in or_exit(lambda f=found: check(asked, f, everything))
    ]
    return made, outcomes


def reported(folder: Path, explain: bool, world: Path | None) -> dict[str, Path]:
    """Write the report and what lies beside it; return the paths by name."""
    page = write_report(folder, explain, world)
    run = Run.at(folder)
    metrics = evaluate_cohorts(run, Settings())[0]
    card = write_card(run, metrics)
    first, second = write_tables(page.parent, in_order(metrics), shown(metrics), run.learnt)
    data, sheet = write_checklists(run)
    files = {"report": page, "pdf": page.with_name("report.pdf"), "modelcard": card}
    files |= {"table1": first, "table2": second}
    return files | {"checklists": data, "checklists_csv": sheet}


def run_folder(run: Path, out: Path | None) -> Path:
    """The run's folder, made in `out` of a file of predictions.

    Raises:
        ValueError: `out` is given for a folder, which needs none.
    """
    if out is not None and run.is_dir():
        raise ValueError("--out is for a file of predictions, or for several runs")
    return as_run(run, out)


def asked_gates(given: list[str] | None, file: Path | None) -> list[Gate]:
    """Every gate that was asked for; exits where one is not a gate."""
    return or_exit(lambda: [*map(parse, given or ()), *(read_gates(file) if file else ())])


def emit(name: str, outcomes: Sequence[Outcome], **value: Any) -> None:
    """One JSON object on stdout, with its format and the gates."""
    print_json({"format": name, **value, "gates": console.passed(outcomes)})
