"""The decision curve of metrics.json is `eval.decision`'s, with one class undefined."""

import numpy as np
import pytest

from eval.bootstrap import PatientDraws
from eval.decision import net_benefit
from eval.net_benefit import THRESHOLDS, decision_curve
from eval.performance import Cases


def cases(y, p):
    return Cases(np.arange(len(y)) // 2, np.array(y), np.array(p), 0.5, PatientDraws.of(len(y), 2))


def test_the_curve_by_hand():
    found = decision_curve(cases([1, 1, 0, 0], [0.9, 0.3, 0.3, 0.1]))
    assert found.thresholds == THRESHOLDS
    at = found.thresholds.index(0.2)
    assert found.net_benefit[at].value == pytest.approx(2 / 4 - 1 / 4 * 0.2 / 0.8)
    assert found.treat_all[at] == pytest.approx(0.5 - 0.5 * 0.25)
    theirs = net_benefit([1, 1, 0, 0], [0.9, 0.3, 0.3, 0.1], THRESHOLDS, [0, 0, 1, 1])
    assert found.net_benefit[at].low == theirs.low[at]


def test_one_patient_has_no_interval():
    found = decision_curve(cases([1, 0], [0.9, 0.3]))
    assert found.net_benefit[0].low is None
    assert "one patient" in found.net_benefit[0].undefined


def test_one_class_is_undefined():
    found = decision_curve(cases([0, 0], [0.9, 0.3]))
    assert found.net_benefit == ()
    assert "one class only" in found.undefined
