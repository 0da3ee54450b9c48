"""SHAP in the report: what is kept of it, the directions in words, and dots."""

import numpy as np
import pytest

from eval import plots
from eval.clinical.model import fit_clinical
from eval.clinical.summary import Part, Said
from eval.clinical.summing import shap_of
from eval.reporting.clinical import directions, draw_shap
from tests.eval.clinical_cases import made


def test_directions_in_words():
    assert directions({}) == "none"
    said = directions({"age": 1, "weight_kg": -1})
    assert said == "risk may not fall with age, risk may not rise with weight"


def test_of_a_cohort_of_four_people_no_shap_is_kept():
    rows = made(60, 8)
    model = fit_clinical(rows)
    few = rows[:4]
    assert shap_of(model, few, "here") == ({}, {})
    importance, shares = shap_of(model, rows, "here")
    assert importance == pytest.approx(model.importance(rows))
    assert set(shares) == set(importance)


def test_women_alone_have_the_hollow_dot(monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "contributions", lambda f, *_: drawn.update(f) or "")
    one = (Part(label="women", rows=9, mean=0.2),)
    importance = {"sex": 0.2, "age": 0.3}
    draw_shap("clinical", Said(rows=9, left_out=0, outside={}, importance=importance,
                               parts={"sex": one}), "asan-test")  # fmt: skip
    assert drawn["sex"].means[0] == 0.2
    assert np.isnan(drawn["sex"].means[1])
    assert list(drawn["age"].means) == []  # a summary without its parts is no crash
