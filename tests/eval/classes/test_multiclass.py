"""Weighted kappa against scikit-learn and the delta method; answers that are not the top label."""

import numpy as np
import pytest
from sklearn import metrics as sk

from eval.multiclass import kappas, multiclass_metrics, quadratic


@pytest.fixture
def three():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 300)
    p = (
        rng.dirichlet([1, 1, 1], 300) * 0.6
        + 0.4 * np.eye(3)[np.clip(y + rng.integers(-1, 2, 300), 0, 2)]
    )
    return y, p


def test_quadratic_kappa_is_scikit_learns(three):
    y, p = three
    found = multiclass_metrics(y, p).kappa_quadratic
    expected = sk.cohen_kappa_score(y, p.argmax(axis=1), weights="quadratic")
    assert found.value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("agreement", [np.eye(3), quadratic(3)], ids=["plain", "quadratic"])
def test_the_error_of_kappa_is_the_delta_methods(three, agreement):
    """From the derivative of kappa by each cell's share, taken numerically."""
    y, p = three
    said = p.argmax(axis=1)
    cells = np.bincount(y * 3 + said, minlength=9) / y.size
    h = 1e-6
    slope = np.array(
        [
            (kappas((cells + h * e)[None], agreement) - kappas((cells - h * e)[None], agreement))[0]
            / (2 * h)
            for e in np.eye(9)
        ]
    )
    variance = ((cells * slope**2).sum() - (cells @ slope) ** 2) / y.size
    m = multiclass_metrics(y, p)
    e = m.kappa if agreement[0, 2] == agreement[0, 1] else m.kappa_quadratic
    assert (e.high - e.low) / 2 == pytest.approx(1.959963984540054 * variance**0.5, rel=1e-6)


def test_answers_may_be_others_than_the_most_probable_class(three):
    y, p = three
    said = np.where(p[:, 2] > 0.2, 2, 0)
    m = multiclass_metrics(y, p, said=said)
    assert np.array_equal(m.confusion, sk.confusion_matrix(y, said, labels=[0, 1, 2]))
    assert m.accuracy.value == pytest.approx(sk.accuracy_score(y, said))
    assert m.precision_macro.undefined == "class 1 was never predicted"
    assert m.auroc_ovr.value == multiclass_metrics(y, p).auroc_ovr.value


def test_a_missing_first_class_is_named_too():
    p = np.tile([0.2, 0.3, 0.5], (4, 1))
    m = multiclass_metrics([1, 1, 2, 2], p, names=("normal", "low", "osteoporosis"))
    assert m.auroc_ovo.undefined == m.auroc_ovr.undefined == "normal has no rows"
    with pytest.raises(ValueError, match="2 names for 3 classes"):
        multiclass_metrics([1, 2], p[:2], names=("a", "b"))
    with pytest.raises(ValueError, match=r"need \[n\]"):
        multiclass_metrics([1, 2], p[:2], said=[1])
