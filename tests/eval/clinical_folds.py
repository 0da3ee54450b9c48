"""A cross-validated run made of rows with an image score. Data for tests."""

import json

import numpy as np
import pandas as pd
import yaml

from eval.clinical.folds import patient_folds
from tests.eval.test_clinical_run import cohort, pack, write

MODEL = "image"


def build_folds(run, parts, folds=3, change=lambda index: index, **facts):
    """The folder of a cross-validated run, and the fold of each training row.

    Args:
        run: its folder.
        parts: train, tune, test and the names of external cohorts -> rows of `clinical_cases.made`.
        folds: their number.
        change: what happened to the packed index.
        facts: of run.json.
    """
    index = pd.concat(
        [
            rows.drop(columns="image").assign(split=split)
            for split, rows in parts.items()
            if split in ("train", "tune", "test")
        ]
    )
    manifest = pack(run / "packs" / "asan", change(index))
    for name, rows in parts.items():
        named = f"asan-{name}" if name in ("train", "tune", "test") else f"{name}-external"
        write(run, cohort(rows, named, (MODEL,)), named)
    train = parts["train"]
    fold = patient_folds(train["patient"], train["label"].fillna(0), folds, 7)
    for k in range(folds):
        held = run / "folds" / str(k)
        write(held, cohort(train[fold == k], "asan-heldout", (MODEL,)), "asan-heldout")
        (held / "config.yaml").write_text(yaml.safe_dump({"data": {"folds": folds, "fold": k}}))
    entry = {"path": "packs/asan", "hash": manifest.hash, "role": "internal"}
    stated = {"manifests": {"asan": entry}, "folds": folds, "positive": "osteoporosis"} | facts
    (run / "run.json").write_text(json.dumps(stated))
    return np.asarray(fold)
