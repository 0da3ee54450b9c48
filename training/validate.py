"""What a model says of a packed split, its calibration, and its operating point."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, xlogy
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn

from data_sharding import order
from data_sharding.reader import ShardDataset
from training.preprocess import Preprocessor
from training.world import World


@torch.no_grad()
def predict(
    model: nn.Module, preprocessor: Preprocessor, data: ShardDataset, world: World, batch: int = 64
) -> np.ndarray:
    """float64 [len(data)]: the logit z(low bone mass) - z(normal) of each row, on every rank.

    Every rank takes the same number of steps; padding is masked, nothing is dropped or said twice.
    """
    was_training = model.training
    model.eval()
    rows, logits = [], []
    for ids in order.sequential(len(data), batch, world.rank, world.size):
        images = np.stack([preprocessor.resize(data.image(max(int(i), 0))) for i in ids])
        z_BC = model(preprocessor.normalise(images).to(world.device)).float()
        logits.append((z_BC[:, 1] - z_BC[:, 0]).double())
        rows.append(torch.from_numpy(np.asarray(ids, np.int64)))
    model.train(was_training)
    all_rows = world.gather(torch.cat(rows).to(world.device)).flatten().cpu().numpy()
    all_logits = world.gather(torch.cat(logits)).flatten().cpu().numpy()
    real = all_rows >= 0
    assert (np.sort(all_rows[real]) == np.arange(len(data))).all(), "each row exactly once"
    out = np.empty(len(data))
    out[all_rows[real]] = all_logits[real]
    return out


def auroc(label: np.ndarray, logit: np.ndarray) -> float | None:
    """AUROC, or None where one class is absent or a logit is not finite."""
    if len(np.unique(label)) < 2 or not np.isfinite(logit).all():
        return None
    return float(roc_auc_score(label, logit))


def fit_temperature(label: np.ndarray, logit: np.ndarray) -> dict[str, Any]:
    """Temperature scaling (Guo et al. 2017): the T that minimises the tune split's likelihood loss.

    Returns temperature, nll before and after, n; temperature 1 with a reason if a class is absent.
    """
    n = len(label)
    if len(np.unique(label)) < 2:
        return {"temperature": 1.0, "n": n, "reason": "the tune split has one class only"}

    def nll(log_t: float) -> float:
        p = np.clip(expit(logit / np.exp(log_t)), 1e-12, 1 - 1e-12)
        return float(-np.mean(xlogy(label, p) + xlogy(1 - label, 1 - p)))

    found = minimize_scalar(nll, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return {
        "temperature": float(np.exp(found.x)),
        "n": n,
        "nll_before": nll(0.0),
        "nll_after": float(found.fun),
    }


def choose_threshold(label: np.ndarray, probability: np.ndarray, rule: str) -> dict[str, Any]:
    """The operating point, fixed on the tune split and never touched again.

    `youden` maximises sensitivity + specificity - 1; `half` is the paper's .5. A sample is called
    positive when probability >= threshold; the threshold lies midway to the next score below.
    """
    if rule == "half" or len(np.unique(label)) < 2:
        why = {} if rule == "half" else {"reason": "the tune split has one class only"}
        return {"threshold": 0.5, "rule": "half", "split": "tune", "n": len(label)} | why
    fpr, tpr, thresholds = roc_curve(label, probability, drop_intermediate=False)
    best = int(np.argmax(tpr - fpr))
    score = min(float(thresholds[best]), 1.0)
    below = probability[probability < score]
    threshold = (score + float(below.max())) / 2 if len(below) else score
    return {
        "threshold": threshold,
        "rule": "youden",
        "split": "tune",
        "n": len(label),
        "sensitivity": float(tpr[best]),
        "specificity": float(1 - fpr[best]),
    }
