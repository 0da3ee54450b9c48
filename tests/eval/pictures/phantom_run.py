"""A run on a phantom's sites as training would leave it: random weights, and what they say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from data_sharding.reader import ShardDataset
from training.checkpoint import save_weights
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor
from training.validate import margin

SITES = {"asan": None, "north": "external", "public": "public"}
FACTS = ["key", "patient", "label", "age", "sex", "severity", "lowest_t"]


def predict_public(pack: Path, run: Path, config: Model, **input_) -> Path:
    """A run that met one unlabelled dataset, through a model called `image`."""
    (run.parent / "packs").mkdir()
    (run.parent / "packs" / "public").symlink_to(pack)
    return phantom_run(run.parent / "packs", run, config, "image", {"public": "public"}, **input_)


def phantom_run(
    packs: Path,
    run: Path,
    config: Model,
    name: str = "student",
    sites: Mapping[str, str | None] = SITES,
    **input_: Any,
) -> Path:
    """`packs`: a folder of the sites' packs; `input_`: of the preprocessing, beside its size."""
    torch.manual_seed(3)
    model, manifests = build(config).eval(), {}
    for site, split in sites.items():
        data = ShardDataset(packs / site, split)
        manifests[site] = {"path": str(packs / site), "role": data.manifest.role}
        made_as = {"pixels": data.manifest.settings["pixels"], "shape": (96, 96)}
        eyes = Preprocessor(**{"size": 64, "mean": 0.45, "std": 0.23} | made_as | input_)
        with torch.no_grad():
            z = model(eyes(np.stack([data.image(i) for i in range(len(data))])))
        p = expit(margin(z.double().numpy()))
        cohort = f"{site}-{split or 'test'}"
        frame = data.index[FACTS].assign(
            model=name, cohort=cohort, logit=0.0, probability=p, threshold=float(np.median(p))
        )
        (run / "cohorts" / cohort).mkdir(parents=True)
        frame.to_parquet(run / "cohorts" / cohort / "predictions.parquet")
    save_weights(run / name / "weights", model, config, eyes, {}, {})
    (run / "run.json").write_text(json.dumps({"manifests": manifests}))
    return run
