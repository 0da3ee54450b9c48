from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest

from training.pseudo import bounds


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("k", "n"), [(0, 7), (1, 7), (6, 7), (7, 7), (188, 200), (1, 1)])
def test_bounds_are_scipys(k, n, confidence):
    one = binomtest(k, n, alternative="greater").proportion_ci(confidence, method="exact")
    assert bounds.lower(k, n, confidence) == pytest.approx(one.low, abs=1e-12)
    other = binomtest(k, n, alternative="less").proportion_ci(confidence, method="exact")
    assert bounds.upper(k, n, confidence) == pytest.approx(other.high, abs=1e-12)
    both = binomtest(k, n).proportion_ci(confidence, method="exact")
    assert bounds.interval(k, n, confidence) == pytest.approx((both.low, both.high), abs=1e-12)


def test_arrays_are_beta_quantiles():
    n = np.arange(1, 60)
    k = n // 2
    expected = [beta.ppf(0.05, a, b - a + 1) if a else 0.0 for a, b in zip(k, n, strict=True)]
    np.testing.assert_allclose(bounds.lower(k, n, 0.95), expected, atol=1e-12)


def test_of_nothing_there_is_no_interval():
    assert bounds.interval(0, 0) is None
    assert bounds.lower(0, 0, 0.95) == 0


@pytest.mark.parametrize("n", [1, 8, 40, 150])
@pytest.mark.parametrize("truth", [0.05, 0.5, 0.9, 0.97])
def test_the_bound_lies_above_the_truth_in_at_most_one_of_twenty(n, truth):
    k = np.arange(n + 1)
    above = bounds.lower(k, np.full(n + 1, n), 0.95) > truth
    assert binom.pmf(k, n, truth)[above].sum() <= 0.05


@pytest.mark.parametrize(("target", "confidence"), [(0.9, 0.95), (0.75, 0.9), (0.99, 0.95)])
def test_sizes_are_the_smallest_that_allow_their_mistakes(target, confidence):
    allowed = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48]
    found = bounds.sizes(target, confidence, 800)
    for n, mistakes in zip(found, allowed, strict=False):
        tests = [binomtest(m - mistakes, m, target, "greater").pvalue for m in (n, n - 1)]
        assert tests[0] <= 1 - confidence < tests[1]
    assert found == bounds.sizes(target, confidence, 2000)[: len(found)]
    assert bounds.sizes(target, confidence, found[0] - 1) == ()
