"""The clinical models of a run beside its image models, so that both are judged alike.

    judged(run, cohort).frame      predictions.parquet and, where it fits, clinical.parquet

clinical.parquet says which predictions.parquet it was made beside. Of others it is left out, and
`remark` says so: a combined model that read other scores is another model.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data_sharding.schema import check_predictions, sha256_file
from eval.frames import Frame
from eval.runs import Run, read_parquet

FILE = "clinical.parquet"
#: In the file's metadata: hash of the predictions.parquet it was made beside.
BESIDE = b"osteoray.predictions"
STALE = (
    "The clinical and combined models of this run were made beside other predictions, and are left "
    "out: run `python -m eval clinical` again."
)


@dataclass(frozen=True)
class Judged:
    """Every model of a cohort; `clinical` names those of clinical.parquet, `sha256` is its hash."""

    frame: Frame
    clinical: tuple[str, ...] = ()
    sha256: str = ""
    remark: str = ""


def judged(run: Run, cohort: str) -> Judged:
    """The predictions of a cohort, with those of the clinical models where they are up to date.

    Raises:
        ValueError: a file is unreadable or against the contract, or a model is in both.
    """
    frame, path = run.predictions(cohort), run.cohort(cohort, FILE)
    if not path.is_file():
        return Judged(frame)
    try:
        beside = (pq.read_schema(path).metadata or {}).get(BESIDE, b"").decode()
    except (pa.ArrowException, OSError) as e:
        raise ValueError(f"{path}: not a readable parquet file: {e}") from e
    sha256 = clinical_sha256(run, cohort)
    if beside != sha256_file(run.cohort(cohort, "predictions.parquet")):
        return Judged(frame, sha256=sha256, remark=STALE)
    clinical = check_predictions(read_parquet(path), str(path))
    names = tuple(sorted(clinical["model"].unique(), key=str.lower))
    if twice := sorted(set(names).intersection(frame["model"])):
        raise ValueError(
            f"{path}: {', '.join(twice)} is in predictions.parquet too: give one of them another "
            "name"
        )
    if strange := sorted(set(clinical["key"]) - set(frame["key"])):
        raise ValueError(
            f"{path}: {len(strange)} pictures that are not in predictions.parquet, such as "
            f"{strange[0]}: run `python -m eval clinical` again"
        )
    both = check_predictions(pd.concat([frame, clinical], ignore_index=True), str(path))
    return Judged(both, names, sha256)


def clinical_sha256(run: Run, cohort: str) -> str:
    """Hash of the cohort's clinical.parquet; '' where there is none."""
    path = run.cohort(cohort, FILE)
    return sha256_file(path) if path.is_file() else ""
