"""What a model says of a packed split, its calibration, and its operating point."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp, xlogy
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn

from data_sharding import order
from data_sharding.reader import ShardDataset
from training import watchdog
from training.preprocess import Preprocessor
from training.world import World


def margin(z_NC: np.ndarray) -> np.ndarray:
    """float64 [N]: log odds of all classes but the first, so of two classes z_1 - z_0."""
    return logsumexp(z_NC[:, 1:], axis=1) - z_NC[:, 0]


@torch.no_grad()
def predict(
    model: nn.Module,
    preprocessor: Preprocessor,
    data: ShardDataset,
    world: World,
    batch: int = 64,
    faces: np.ndarray | None = None,
) -> np.ndarray:
    """float64 [len(data), C]: the logits of each row, on every rank.

    `faces` float32 [len(data), 2, 512] are embeddings for a model that takes them beside pictures.
    Every rank takes the same number of steps; padding is masked, nothing is dropped or said twice.

    Raises:
        ValueError: pictures the weights were not made for, or an answer that is not finite.
    """
    preprocessor.accept(data.manifest)
    was_training = model.training
    model.eval()
    rows, logits = [], []
    for ids in order.sequential(len(data), batch, world.rank, world.size):
        watchdog.feed()
        at = np.maximum(np.asarray(ids, np.int64), 0)
        images = np.stack([preprocessor.resize(data.image(int(i))) for i in at])
        inputs = [preprocessor.normalise(torch.from_numpy(images).to(world.device))]
        if faces is not None:
            inputs.append(torch.from_numpy(faces[at, 0]).to(world.device))
        z_BC = model(*inputs).float()
        logits.append(z_BC.double())
        rows.append(torch.from_numpy(np.asarray(ids, np.int64)))
    model.train(was_training)
    all_rows = world.gather(torch.cat(rows).to(world.device)).flatten().cpu().numpy()
    all_logits = world.gather(torch.cat(logits)).flatten(0, -2).cpu().numpy()
    real = all_rows >= 0
    assert (np.sort(all_rows[real]) == np.arange(len(data))).all(), "each row exactly once"
    out = np.empty((len(data), all_logits.shape[1]))
    out[all_rows[real]] = all_logits[real]
    if not np.isfinite(out).all():
        raise ValueError(
            f"{data.manifest.name}: the model's answers are not finite; lower the rate"
        )
    return out


def auroc(label: np.ndarray, logit: np.ndarray) -> float | None:
    """AUROC, or None where one class is absent."""
    if len(np.unique(label)) < 2:
        return None
    return float(roc_auc_score(label, logit))


def fit_temperature(label: np.ndarray, logit: np.ndarray) -> dict[str, Any]:
    """Temperature scaling (Guo et al. 2017): the T that minimises the tune split's likelihood loss.

    `logit` is [N], of class 1; or [N, C], of all classes.

    Returns temperature, nll before and after, n; and a `reason` not to trust it, if there is one.
    """
    n = len(label)
    if len(np.unique(label)) < 2:
        return {"temperature": 1.0, "n": n, "reason": "the tune split has one class only"}

    def nll(log_t: float) -> float:
        if logit.ndim == 2:
            log_p = log_softmax(logit / np.exp(log_t), axis=1)
            return -float(np.mean(np.maximum(log_p[np.arange(n), label], np.log(1e-12))))
        p = np.clip(expit(logit / np.exp(log_t)), 1e-12, 1 - 1e-12)
        return float(-np.mean(xlogy(label, p) + xlogy(1 - label, 1 - p)))

    low, high = np.log(0.05), np.log(20)
    found = minimize_scalar(nll, bounds=(low, high), method="bounded")
    at_bound = min(found.x - low, high - found.x) < 0.01
    why = {"reason": "no temperature fits: the logits do not rank, or rank without a fault"}
    return (why if at_bound else {}) | {
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
    best = 1 + int(np.argmax((tpr - fpr)[1:]))  # the first calls nobody positive
    score = float(thresholds[best])
    below = probability[probability < score]
    middle = (score + float(below.max())) / 2 if len(below) else score
    threshold = middle if not len(below) or middle > below.max() else score
    called = probability >= threshold
    return {
        "threshold": threshold,
        "rule": "youden",
        "split": "tune",
        "n": len(label),
        "sensitivity": float(called[label == 1].mean()),
        "specificity": float(1 - called[label == 0].mean()),
    }
