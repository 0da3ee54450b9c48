"""Jensen-Shannon divergence against closed forms and scipy; its interval and p under the null."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import xlogy

from eval.craft.divergence import divergences, inside, jensen_shannon

NAMES = ("normal", "osteopenia", "osteoporosis")


def test_closed_forms():
    p = np.array([0.2, 0.3, 0.5])
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(p, 7 * p) == pytest.approx(0, abs=1e-15), "only shares count"
    assert jensen_shannon([1, 0, 0, 0], [0, 0, 2, 5]) == 1, "disjoint is one bit"
    # one half of the places shared: p uniform on {0, 1}, q on {1, 2}
    assert jensen_shannon([1, 1, 0], [0, 1, 1]) == pytest.approx(0.5)
    # p = (1, 0), q = (1/2, 1/2): H(3/4, 1/4) - H(1/2, 1/2) / 2
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert jensen_shannon([1, 0], [1, 1]) == pytest.approx(entropy - 0.5)


def test_scipy_squared_in_bits_and_entropies():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(40) * 0.2, 20), rng.dirichlet(np.ones(40) * 0.2, 20)
    found = jensen_shannon(p, q)
    np.testing.assert_allclose(found, jensenshannon(p, q, base=2, axis=1) ** 2, atol=1e-12)
    np.testing.assert_allclose(found, jensen_shannon(q, p), atol=1e-15)

    def entropy(x):
        return -xlogy(x, x).sum(axis=1) / np.log(2)

    np.testing.assert_allclose(found, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)


@pytest.mark.parametrize("bad", [[-1, 2], [np.nan, 1], [0, 0], [np.inf, 1]])
def test_what_is_no_distribution_is_refused(bad):
    with pytest.raises(ValueError, match="a distribution is"):
        jensen_shannon(bad, [1, 1])


def test_only_what_lies_inside_the_face_counts():
    rng = np.random.default_rng(1)
    maps = rng.random((5, 8, 8))
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:6] = True
    shares = inside(maps, mask)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    other = maps.copy()
    other[:, ~mask] = 99
    np.testing.assert_array_equal(inside(other, mask), shares)
    maps[3, mask] = 0
    assert np.isnan(inside(maps, mask)[3]).all(), "a map of nothing has no shares"
    with pytest.raises(ValueError, match="negative"):
        inside(maps - 2, mask)
    with pytest.raises(ValueError, match="empty"):
        inside(maps, mask & False)
    with pytest.raises(ValueError, match="mask of"):
        inside(maps, np.ones((4, 4), bool))


def people(per_class, shift, seed, places=30, each=2):
    """`each` maps of every patient, three classes; the third looks elsewhere by `shift`."""
    rng = np.random.default_rng(seed)
    base = np.ones((3, places)) / places
    base[2, : places // 2] *= 1 + shift
    base[2, places // 2 :] *= 1 - shift
    shares, label, patient = [], [], []
    for k in range(3):
        for i in range(per_class):
            own = rng.dirichlet(base[k] * 60)
            for _ in range(each):
                shares.append(rng.dirichlet(own * 200 + 1e-3))
                label.append(k)
                patient.append(f"{k}-{i}")
    return np.array(shares), np.array(label), np.array(patient)


def test_everybody_counts_alike_however_many_pictures_they_have():
    shares, label, patient = people(6, 0.5, 0)
    twice = np.concatenate([shares, shares[:2], shares[:2]])
    labels, patients = np.r_[label, label[:2], label[:2]], np.r_[patient, patient[:2], patient[:2]]
    one = divergences(shares, label, patient, NAMES, 200)
    more = divergences(twice, labels, patients, NAMES, 200)
    for a, b in zip(one, more, strict=True):
        assert a.patients == b.patients == (6, 6)
        assert a.bits.value == pytest.approx(b.bits.value)
    means = [
        np.mean([shares[patient == p].mean(axis=0) for p in np.unique(patient[label == k])], axis=0)
        for k in range(3)
    ]
    assert one[1].bits.value == pytest.approx(jensenshannon(means[0], means[2], base=2) ** 2)


def test_a_difference_is_seen_and_none_is_not():
    found = divergences(*people(25, 0.6, 1), NAMES, 400)
    assert [(d.first, d.second) for d in found] == [NAMES[:2], NAMES[::2], NAMES[1:]]
    null, real, also = found
    assert null.p > 0.05
    assert null.bits.low == pytest.approx(0, abs=0.002)
    for d in (real, also):
        assert d.p == pytest.approx(1 / 401)
        assert d.bits.low > d.expected
        assert d.bits.low <= d.bits.value <= d.bits.high


def test_p_is_uniform_where_there_is_nothing():
    """With several pictures a patient: shuffling pictures would call far too much significant."""
    p = [
        d.p
        for seed in range(60)
        for d in divergences(*people(8, 0.0, seed, places=12, each=4), NAMES, 100, seed)
    ]
    assert 0.005 <= np.mean(np.array(p) <= 0.05) <= 0.11
    assert 0.4 < np.mean(p) < 0.6


def test_too_few_people_and_classes_nobody_was_called():
    shares, label, patient = people(3, 0.5, 2)
    alone = divergences(shares, label, np.where(label == 2, "only", patient), NAMES, 100)
    assert alone[1].bits.value is not None
    assert "too few patients" in alone[1].bits.undefined
    assert alone[1].p is None
    gone = divergences(shares[label < 2], label[label < 2], patient[label < 2], NAMES, 100)
    assert gone[1].bits.undefined == "nobody was called osteoporosis"
    assert gone[0].p is not None
    shares[label == 1] = np.nan
    empty = divergences(shares, label, patient, NAMES, 100)
    assert empty[0].bits.undefined == "nobody was called osteopenia"
    with pytest.raises(ValueError, match="beside"):
        divergences(shares, label, patient[:3], NAMES)


def test_the_same_seed_gives_the_same():
    case = people(8, 0.3, 4)
    assert divergences(*case, NAMES, 100, 5) == divergences(*case, NAMES, 100, 5)
    assert divergences(*case, NAMES, 100, 5) != divergences(*case, NAMES, 100, 6)
