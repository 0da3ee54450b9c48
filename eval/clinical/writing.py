"""clinical.parquet: what the clinical models say of a cohort, in the shape of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit

from data_sharding.schema import OPTIONAL_PREDICTION_COLUMNS, check_predictions, sha256_file
from eval.clinical.beside import BESIDE, FILE
from eval.clinical.cohorts import Cohort
from eval.clinical.summary import ModelName
from eval.runs import Run

#: What an image model said, which its picture's clinical rows must not repeat.
OWN = ("logit", "threshold", "p_", "risk_")
#: The picture's own facts.
FACTS = tuple(c for c in OPTIONAL_PREDICTION_COLUMNS if not c.startswith(OWN))


def write_cohort(
    run: Run,
    cohort: Cohort,
    margins: Mapping[ModelName, NDArray[np.float64]],
    thresholds: Mapping[ModelName, float | None],
) -> Path:
    """Write the file beside the cohort's predictions.parquet, whose hash it keeps, and return it.

    Args:
        run: whose cohort it is.
        cohort: its rows [n].
        margins: model -> log odds [n], NaN for a row that it does not predict.
        thresholds: model -> frozen threshold.
    """
    frames = [
        cohort.rows[["cohort", "key", "patient", "label", *FACTS]].assign(
            model=model,
            logit=margin,
            probability=expit(margin),
            threshold=np.nan if thresholds[model] is None else thresholds[model],
        )[np.isfinite(margin)]
        for model, margin in margins.items()
    ]
    whole = check_predictions(pd.concat(frames, ignore_index=True), cohort.name)
    beside = sha256_file(run.cohort(cohort.name, "predictions.parquet")).encode()
    table = pa.Table.from_pandas(whole, preserve_index=False)
    table = table.replace_schema_metadata((table.schema.metadata or {}) | {BESIDE: beside})
    path = run.cohort(cohort.name, FILE)
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, temporary)
    temporary.replace(path)
    return path
