"""The folder of the whole: made of the folds' predictions, and again when one of them changed."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data_sharding.schema import check_predictions, sha256_file, write_atomic
from training.cohorts import HELD_OUT, TRAIN
from training.crossvalidate.per_fold import per_fold
from training.crossvalidate.plan import Plan
from training.crossvalidate.seen import check_run, check_unseen
from training.crossvalidate.together import mean_of, with_score
from training.crossvalidate.weights import link_weights
from training.folder import read_facts
from training.tracking import say
from training.validate import choose_threshold

#: Of fold 0's run.json what is not of the whole.
OWN = ("timings", "world", "resumed_with", "complete")


def make(plan: Plan) -> bool:
    """Write what is not there, or is no longer what the folds say; whether there was anything.

    ``run.json`` says that all is complete, and is written last.

    Raises:
        ValueError: a fold is not what it should be (`seen`), or folds differ in a cohort's facts.
    """
    names = _cohorts(plan)
    made_of = {
        str(fold.number): {c: sha256_file(_predictions(fold.folder, c)) for c in names}
        for fold in plan.folds
    }
    before = read_facts(plan.folder)
    if before.get("complete") and before.get("made_of") == made_of and _intact(plan, before):
        return False
    for fold in plan.folds:
        check_run(fold)
    _link(plan)
    facts = _facts(plan)
    write_atomic(plan.folder / "run.json", _json(facts))
    each = {ours: _each(plan, theirs) for theirs, ours in names.items()}
    frames, thresholds = _frames(plan, each)
    made = {name: _write(plan, name, frame) for name, frame in frames.items()}
    write_atomic(plan.folder / "per_fold.json", _json(per_fold(plan, each, frames)))
    link_weights(plan.folder, plan.config.models, thresholds, len(plan.folds))
    header = f"# All of the folds {', '.join(str(f.number) for f in plan.folds)}: see folds/.\n"
    write_atomic(plan.folder / "config.yaml", header + plan.config.to_yaml())
    facts |= {"made_of": made_of, "made": made, "complete": True}
    write_atomic(plan.folder / "run.json", _json(facts))
    say(f"{len(plan.folds)} folds put together: {', '.join(made)}")
    return True


def _cohorts(plan: Plan) -> dict[str, str]:
    """The folds' cohorts -> the whole's: what each holds out is, all together, the train split."""
    found = read_facts(plan.folds[0].folder)["cohorts"]
    held = f"-{HELD_OUT}"
    return {c: c.removesuffix(held) + TRAIN if c.endswith(held) else c for c in found}


def _predictions(folder: Path, cohort: str) -> Path:
    return folder / "cohorts" / cohort / "predictions.parquet"


def _intact(plan: Plan, facts: dict[str, Any]) -> bool:
    """Are the files there that were made?"""
    made = facts.get("made", {})
    paths = {_predictions(plan.folder, cohort): sha256 for cohort, sha256 in made.items()}
    return (plan.folder / "per_fold.json").is_file() and all(
        path.is_file() and sha256_file(path) == sha256 for path, sha256 in paths.items()
    )


def _link(plan: Plan) -> None:
    """``folds/<k>``, relative, so that the folder of runs may be moved."""
    place = plan.folder / "folds"
    place.mkdir(exist_ok=True)
    for fold in plan.folds:
        link, new = place / str(fold.number), place / f".{fold.number}.tmp"
        new.unlink(missing_ok=True)
        new.symlink_to(os.path.relpath(fold.folder, place))
        new.replace(link)


def _facts(plan: Plan) -> dict[str, Any]:
    """``run.json``, from fold 0's: places of datasets are relative to a folder beside this one."""
    first = read_facts(plan.folds[0].folder)
    whole = {
        "run_id": plan.folder.name,
        "identity": plan.identity,
        "cohorts": sorted(_cohorts(plan).values()),
        "folds": len(plan.folds),
        "fold_runs": [fold.folder.name for fold in plan.folds],
        "complete": False,
    }
    return {k: v for k, v in first.items() if k not in OWN} | whole


def _each(plan: Plan, cohort: str) -> dict[int, pd.DataFrame]:
    """Fold -> its predictions of a cohort."""
    paths = {fold.number: _predictions(fold.folder, cohort) for fold in plan.folds}
    return {k: check_predictions(pd.read_parquet(p), str(p)) for k, p in paths.items()}


def _frames(
    plan: Plan, each: dict[str, dict[int, pd.DataFrame]]
) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, Any]]]:
    """The whole's predictions by cohort, and each model's threshold."""
    frames, survival, train = {}, plan.config.fracture is not None, pd.DataFrame()
    for cohort, said in each.items():
        if cohort.endswith(TRAIN):
            check_unseen(plan, said)
            frame = pd.concat(said.values(), ignore_index=True)
        else:
            try:
                frame = mean_of(list(said.values()))
            except ValueError as e:
                raise ValueError(f"{plan.folder}: cohort {cohort}: {e}") from e
        frame = frame.assign(cohort=cohort, threshold=np.nan)
        frames[cohort] = check_predictions(with_score(frame, survival), cohort)
        train = frames[cohort] if cohort.endswith(TRAIN) else train
    if survival:
        why = {"reason": "a survival model: there is no label to choose by"}
        return frames, dict.fromkeys(plan.config.models, why)
    points = {model: _threshold(plan, train, model) for model in plan.config.models}
    by_model = {model: point["threshold"] for model, point in points.items()}
    return {c: f.assign(threshold=f["model"].map(by_model)) for c, f in frames.items()}, points


def _threshold(plan: Plan, train: pd.DataFrame, model: str) -> dict[str, Any]:
    """By ``operating_point``, on the out-of-fold rows."""
    rows = train.loc[(train["model"] == model) & train["label"].notna()]
    label, probability = rows["label"].to_numpy(np.int64), rows["probability"].to_numpy()
    found = choose_threshold(label, probability, plan.config.operating_point)
    return found | {"split": "train, out of fold"}


def _write(plan: Plan, cohort: str, frame: pd.DataFrame) -> str:
    """The same predictions, the same bytes; their SHA-256."""
    path = _predictions(plan.folder, cohort)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(check_predictions(frame, cohort)), file)
    write_atomic(path, file.getvalue())
    return sha256_file(path)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
