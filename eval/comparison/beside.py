"""The image models of a run and its clinical ones as one run, so that they are judged alike.

RUN/clinical/compared/ has cohorts/*/predictions.parquet with all of them, metrics, and the page.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from data_sharding.schema import canonical_json, check_predictions, write_atomic
from eval.runs import Run, read_parquet


def with_clinical(run: Run, clinical: Sequence[Path]) -> Path:
    """Write the folder and return it.

    Args:
        run: whose cohorts have predictions of image models.
        clinical: cohorts/COHORT/clinical.parquet files of it.

    Raises:
        ValueError: a file breaks the contract, or a model is in both.
    """
    folder = run.folder / "clinical" / "compared"
    cohorts = {path.parent.name: path for path in clinical}
    for gone in folder.glob("cohorts/*"):
        if gone.name not in cohorts:
            shutil.rmtree(gone)
    for cohort, path in cohorts.items():
        frames = [run.predictions(cohort), check_predictions(read_parquet(path), str(path))]
        both = check_predictions(pd.concat(frames, ignore_index=True), str(path))
        target, data = folder / "cohorts" / cohort / "predictions.parquet", io.BytesIO()
        target.parent.mkdir(parents=True, exist_ok=True)
        both.to_parquet(data, index=False)
        write_atomic(target, data.getvalue())
    name = run.facts.get("run_id") or run.folder.resolve().name
    facts = {"run_id": str(name), "recipe": "image models beside clinical ones"}
    facts["positive"] = run.learnt.positive
    write_atomic(folder / "run.json", canonical_json(facts) + "\n")
    return folder
