"""Every cohort of a run: predictions.parquet -> metrics.json, again only if something changed.

Models of a clinical.parquet beside it, which `python -m eval clinical` makes, are judged with them.

Cohorts are computed side by side in threads: their heavy loops are compiled or numpy's and let each
other run. No metrics.json is written, and none is reported, that contradicts itself (`linter`).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from threadpoolctl import threadpool_limits

from data_sharding.schema import canonical_json, sha256_file, write_atomic
from eval.clinical.beside import clinical_sha256, judged
from eval.cohort import Beside, Metrics, Settings, check_coherent, evaluate_cohort
from eval.runs import Run

#: Cohorts at once: each holds its resampled patients, 2 bytes a draw and patient.
AT_ONCE = min(4, os.cpu_count() or 1)


def evaluate_run(run: Path, settings: Settings | None = None) -> list[Metrics]:
    """Write metrics.json beside every predictions.parquet of a run and return them all.

    A broken cohort does not keep the others from being written.

    Raises:
        ValueError: there is no cohort, or at least one could not be evaluated (all are named).
    """
    found, problems = evaluate_cohorts(Run.at(run), settings or Settings())
    if problems:
        raise ValueError("\n".join(problems))
    return found


def evaluate_cohorts(run: Run, settings: Settings) -> tuple[list[Metrics], list[str]]:
    """Metrics of the cohorts that can be evaluated, and why the others cannot.

    Raises:
        ValueError: no cohort has predictions.
    """
    if not run.cohorts:
        wanted = run.folder / "cohorts" / "COHORT" / "predictions.parquet"
        raise ValueError(f"{wanted}: none there. Let training predict a cohort first")

    def one(cohort: str) -> Metrics | str:
        try:
            return _evaluate(run, cohort, settings)
        except ValueError as e:
            return _one_line(e, run.cohort(cohort, "predictions.parquet"))

    # cohorts are the threads: those of a matrix product would only be in their way
    with threadpool_limits(1), ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(one, run.cohorts))
    return [m for m in found if isinstance(m, Metrics)], [e for e in found if isinstance(e, str)]


def _evaluate(run: Run, cohort: str, settings: Settings) -> Metrics:
    path, target = run.cohort(cohort, "predictions.parquet"), run.cohort(cohort, "metrics.json")
    sha256 = sha256_file(path)
    if kept := _fresh(target, (sha256, clinical_sha256(run, cohort)), settings):
        check_coherent(kept, f"{target}: changed since it was made: remove it")
        return kept
    found = judged(run, cohort)
    beside = Beside(found.clinical, found.sha256, (found.remark,) if found.remark else ())
    metrics = evaluate_cohort(found.frame, cohort, settings, sha256, beside)
    write_atomic(target, canonical_json(metrics.model_dump(mode="json")) + "\n")
    return metrics


def _fresh(target: Path, sha256: tuple[str, str], settings: Settings) -> Metrics | None:
    """The metrics already written, if these predictions and settings made them."""
    if not target.is_file():
        return None
    try:
        kept = Metrics.model_validate_json(target.read_bytes())
    except ValueError:
        return None  # of an older format, or torn: made again
    same = (kept.predictions_sha256, kept.clinical_sha256) == sha256 and kept.settings == settings
    return kept if same else None


def _one_line(error: ValueError, path: Path) -> str:
    """The message on one line, which names the file."""
    text = " ".join(str(error).split())
    return text if str(path.parent) in text else f"{path}: {text}"
