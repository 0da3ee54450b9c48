"""Against scipy and scikit-image, and where there is nothing to compare."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from eval.pictures.similarity import rank_correlation, ssim


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_the_libraries(seed, ties):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 31, 44))
    if ties:
        a, b = np.round(a, 1), np.maximum(b - 0.5, 0)
    b = 0.4 * a + 0.6 * b
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b, axis=None).statistic, abs=1e-12)
    expected = structural_similarity(
        a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b) == pytest.approx(expected, abs=1e-10)


def test_the_same_map_is_alike_and_its_reverse_is_not():
    a = np.random.default_rng(0).random((20, 20))
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, 1 - a) == pytest.approx(-1)
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a, 1 - a) < 0


def test_a_map_without_contrast_has_no_ranks():
    flat, a = np.zeros((12, 12)), np.random.default_rng(0).random((12, 12))
    assert math.isnan(rank_correlation(flat, a))
    assert math.isnan(rank_correlation(a, flat + 0.3))
    assert ssim(flat, flat) == pytest.approx(1)


@pytest.mark.parametrize("compare", [rank_correlation, ssim])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((3, 4)), np.zeros((4, 3))),
        (np.zeros((0, 4)), np.zeros((0, 4))),
        (np.zeros(4), np.zeros(4)),
        (np.full((3, 3), np.nan), np.zeros((3, 3))),
        (np.zeros((3, 3)), np.full((3, 3), np.inf)),
    ],
)
def test_what_cannot_be_compared_is_refused(compare, a, b):
    with pytest.raises(ValueError, match=r"maps of|not finite"):
        compare(a, b)


def test_ssim_wants_maps_between_0_and_1():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        ssim(np.full((3, 3), 2.0), np.zeros((3, 3)))
