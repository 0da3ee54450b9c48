from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit

from data_sharding.reader import ShardDataset
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor
from training.validate import choose_threshold, fit_temperature, predict
from training.world import alone


def test_temperature_is_recovered_from_overconfident_logits():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, 40_000)
    label = (rng.random(true.size) < expit(true)).astype(int)
    found = fit_temperature(label, 3 * true)
    assert found["temperature"] == pytest.approx(3, rel=0.05)
    assert found["nll_after"] < found["nll_before"]


def test_one_class_gives_no_temperature_and_no_youden_and_says_why():
    assert "one class" in fit_temperature(np.ones(5), np.arange(5.0))["reason"]
    point = choose_threshold(np.ones(5), np.linspace(0, 1, 5), "youden")
    assert point["threshold"] == 0.5
    assert "one class" in point["reason"]


def test_a_temperature_at_its_bound_is_not_trusted():
    label = np.array([0, 1] * 20)
    assert "no temperature fits" in fit_temperature(label, np.where(label, -3.0, 3.0))["reason"]
    assert "no temperature fits" in fit_temperature(label, np.where(label, 0.5, -0.5))["reason"]


def test_youden_of_a_useless_score_says_what_its_rule_does():
    label, p = np.array([1, 1, 0, 0]), np.array([0.1, 0.2, 0.8, 0.9])
    point = choose_threshold(label, p, "youden")
    called = p >= point["threshold"]
    assert point["sensitivity"] == called[label == 1].mean()
    assert point["specificity"] == 1 - called[label == 0].mean()


def test_youden_by_brute_force():
    rng = np.random.default_rng(1)
    for _ in range(20):
        label = rng.integers(0, 2, 60)
        p = np.round(expit(rng.normal(label, 1)), 2)  # ties
        point = choose_threshold(label, p, "youden")
        j = [(p[label == 1] >= t).mean() - (p[label == 0] >= t).mean() for t in [*p, 1.1]]
        called = p >= point["threshold"]
        assert called[label == 1].mean() - called[label == 0].mean() == pytest.approx(max(j))
        assert called[label == 1].mean() == pytest.approx(point["sensitivity"])


def test_predictions_do_not_depend_on_the_batch(packs):
    torch.manual_seed(0)
    model = build(Model(name="test_convnext", pretrained="none"))
    data = ShardDataset(packs["external"])
    pre = Preprocessor(size=48, mean=0.449, std=0.226, pixels="drawn/1", shape=(48, 48))
    whole = predict(model, pre, data, alone(), batch=64)
    assert whole.shape == (21, 2)
    np.testing.assert_allclose(predict(model, pre, data, alone(), batch=4), whole, atol=1e-5)
