"""Tests of the baseline table against R 4.2.2, and standardised differences in closed form."""

import numpy as np
import pytest

from eval.contrast import of_means, of_shares

#: statistic, df, p
WELCH = (0.920131212221786, 7.08250273604237, 0.387769526949282)
PEARSON = (9.22001265929614, 2, 0.00995175531654022)
PEARSON_2X2 = (2.43057551968156, 1, 0.118989205532145)
A, B = (1, 2, 3.5, 4, 9), (2, 8, 7, 6.5, 5, 4)


def test_welch_is_rs():
    found = of_means(A, B)  # t.test(b, a)
    assert found.test == "Welch t"
    assert (found.statistic, found.df, found.p) == pytest.approx(WELCH, rel=1e-12)
    spread = np.sqrt((np.var(A, ddof=1) + np.var(B, ddof=1)) / 2)
    assert found.smd == pytest.approx((np.mean(B) - np.mean(A)) / spread)


def test_pearson_is_rs_without_yates():
    found = of_shares([[12, 7, 22], [5, 9, 3]])  # chisq.test(m, correct=FALSE)
    assert (found.statistic, found.df, found.p) == pytest.approx(PEARSON, rel=1e-12)
    assert found.note == "2 of 6 expected counts are below 5"
    assert of_shares([[12, 17], [15, 9]]).note is None
    two = of_shares([[12, 7, 0], [5, 9, 0]])  # a level of nobody is no level
    assert (two.statistic, two.df, two.p) == pytest.approx(PEARSON_2X2, rel=1e-12)


def test_difference_of_two_shares_in_standard_deviations():
    found = of_shares([[30, 70], [50, 50]]).smd
    spread = np.sqrt((0.3 * 0.7 + 0.5 * 0.5) / 2)
    assert found == pytest.approx(0.2 / spread)


def test_multinomial_difference_does_not_depend_on_the_order_of_levels():
    table = np.array([[30, 50, 20], [40, 10, 50]])
    assert of_shares(table).smd == pytest.approx(of_shares(table[:, [2, 0, 1]]).smd)
    assert of_shares(table * 7).smd == pytest.approx(of_shares(table).smd)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (of_means([1.0], [2.0, 3.0]), "two of each"),
        (of_means([], []), "two of each"),
        (of_means([2.0, 2.0], [2.0, 2.0]), "same value"),
        (of_means([1e308, -1e308], [1e308, 0.0]), "too large"),
        (of_shares([[3, 4], [0, 0]]), "one group has nobody"),
        (of_shares([[3, 0], [4, 0]]), "one level only"),
        (of_shares(np.zeros((2, 0))), "one group has nobody"),
    ],
)
def test_undefined_says_why(found, reason):
    assert reason in found.undefined
    assert (found.statistic, found.p, found.smd) == (None, None, None)
