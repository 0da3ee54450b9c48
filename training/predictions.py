"""``cohorts/<source>-<split>/predictions.parquet``: what teacher and student say of each cohort.

Each file carries the hashes of what it was predicted with: other weights, another temperature or
threshold, and it is made again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from data_sharding.reader import ShardDataset
from data_sharding.schema import canonical_json, check_predictions
from training.checkpoint import load_weights
from training.config import weights_sha256
from training.learn import Run
from training.packs import same_as_before
from training.tracking import summarise
from training.validate import auroc, predict

MODELS = ("teacher", "student")
#: What is beside a model's weights, and decides what it says as they do.
USES = ("preprocessor", "calibration", "operating_point")
#: Where a parquet file's metadata says what it was predicted with.
MADE_WITH = b"osteoray.weights"


def predictions(run: Run) -> None:
    """Write those that are not there, of tune, test and every external site.

    Raises:
        ValueError: a dataset has been packed again since the run began, or weights are damaged.
    """
    paths, world = run.config.paths, run.world
    weights = world.on_main(lambda: _weights(run.folder))
    cohorts = [ShardDataset(paths.internal, s) for s in ("tune", "test")]
    cohorts += [ShardDataset(p, "external") for p in paths.external]
    for data in [same_as_before(run.folder, data) for data in cohorts]:
        cohort = f"{data.manifest.name}-{data.split}"
        path = run.folder / "cohorts" / cohort / "predictions.parquet"
        if world.on_main(lambda p=path: _made_with(p) == weights):
            continue
        run.breathe()
        frames = [_of(run, model, cohort, data) for model in MODELS]
        whole = check_predictions(pd.concat(frames, ignore_index=True), cohort)
        world.on_main(lambda p=path, w=whole: _write(p, w, weights))
    if world.main:
        found = sorted((run.folder / "cohorts").glob("*/predictions.parquet"))
        values = {"auroc": {p.parent.name: _aurocs(p) for p in found}}
        summarise(run.folder, "eval", run.config, True, values)


def _of(run: Run, name: str, cohort: str, data: ShardDataset) -> pd.DataFrame:
    weights = run.folder / name / "weights"
    model, preprocessor = load_weights(weights)
    logit = predict(model.to(run.world.device), preprocessor, data, run.world)
    temperature = json.loads((weights / "calibration.json").read_text())["temperature"]
    threshold = json.loads((weights / "operating_point.json").read_text())["threshold"]
    columns = ["key", "patient", "label", "age", "sex", "severity", "lowest_t"]
    frame = data.index[[*columns, "height_cm", "weight_kg", "source", "vendor"]].copy()
    return frame.assign(
        model=name,
        cohort=cohort,
        logit=logit,
        probability=expit(logit / temperature),
        threshold=threshold,
    )


def _aurocs(path: Path) -> dict[str, float | None]:
    """By model; `python -m eval` gives them intervals."""
    frame = pd.read_parquet(path, columns=["model", "label", "logit"])
    return {
        str(model): auroc(rows["label"].to_numpy(), rows["logit"].to_numpy())
        for model, rows in frame.groupby("model")
    }


def _weights(folder: Path) -> bytes:
    """SHA-256 of all that decides what each model says, as JSON: its weights' among it."""
    said = {}
    for name in MODELS:
        weights = folder / name / "weights"
        try:
            uses = [json.loads((weights / f"{use}.json").read_text()) for use in USES]
            text = canonical_json([weights_sha256(weights), *uses])
        except (OSError, ValueError) as e:
            raise ValueError(f"{weights}: not usable weights: {e}") from e
        said[name] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(said).encode()


def _made_with(path: Path) -> bytes | None:
    """`_weights` of the predictions that are there; None where there are none to be read."""
    try:
        return (pq.read_schema(path).metadata or {}).get(MADE_WITH)
    except (OSError, pa.ArrowException):
        return None


def _write(path: Path, frame: pd.DataFrame, weights: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    table = pa.Table.from_pandas(frame)
    metadata = (table.schema.metadata or {}) | {MADE_WITH: weights}
    pq.write_table(table.replace_schema_metadata(metadata), temporary)
    temporary.replace(path)
