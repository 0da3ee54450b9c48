"""Decision curves by counting, exact decimals, their coverage; NRI and IDI against R's Hmisc."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from eval.decision import decimal, idi, net_benefit, nri


def case(n=300, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(-0.5, 1.2, n)
    return (rng.random(n) < expit(z)).astype(int), np.round(expit(z), 2)


def test_net_benefit_by_counting():
    y, p = case()
    at = [i / 20 for i in range(20)]
    found = net_benefit(y, p, at)
    for i, t in enumerate(at):
        tp, fp = ((p >= t) & (y == 1)).sum(), ((p >= t) & (y == 0)).sum()
        assert found.net_benefit[i] == pytest.approx(tp / 300 - fp / 300 * t / (1 - t), abs=1e-12)
        everybody = y.mean() - (1 - y.mean()) * t / (1 - t)
        assert found.treat_all[i] == pytest.approx(everybody, abs=1e-12)
    assert found.net_benefit[0] == pytest.approx(found.treat_all[0])
    assert not found.treat_none.any()


def test_thresholds_are_the_decimals_they_were_meant_to_be():
    noisy = np.arange(1, 10) * 0.05
    assert 0.15000000000000002 in noisy
    assert decimal(noisy).tolist() == [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45]
    y, p = [1, 0, 1, 0], [0.15, 0.1, 0.15, 0.1]
    assert net_benefit(y, p, [0.15000000000000002]).net_benefit[0] == 0.5


def test_the_interval_is_that_of_a_mean_and_twins_count_once():
    y, p = case()
    found = net_benefit(y, p, [0.4])
    gain = (p >= 0.4) * np.where(y == 1, 1, -0.4 / 0.6)
    half = 1.959963984540054 * gain.std(ddof=1) / np.sqrt(300)
    assert found.high[0] - found.net_benefit[0] == pytest.approx(half, abs=1e-12)
    who = np.repeat(np.arange(300), 2)
    twins = net_benefit(np.repeat(y, 2), np.repeat(p, 2), [0.4], patients=who)
    assert twins.low[0] == pytest.approx(found.low[0], abs=1e-12)


def test_the_interval_covers():
    """1000 cohorts of 400; the truth is the net benefit of 2 million people."""
    y, p = case(2_000_000, 1)
    truth = net_benefit(y, p, [0.3]).net_benefit[0]
    found = [net_benefit(y[i : i + 400], p[i : i + 400], [0.3]) for i in range(0, 400_000, 400)]
    inside = np.mean([f.low[0] <= truth <= f.high[0] for f in found])
    assert 0.935 <= inside <= 0.965


@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_agrees_with_dcurves(reference, kind):
    made = json.loads((Path(__file__).parent / "reference" / "net_benefit.json").read_text())
    given = reference[kind]["input"]
    found = net_benefit(given["y"], given["a"], made["thresholds"])
    np.testing.assert_allclose(found.net_benefit, made[kind]["p"], atol=1e-10, rtol=0)
    np.testing.assert_allclose(found.treat_all, made[kind]["all"], atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", ["distinct", "tied"])
@pytest.mark.parametrize("with_cuts", [False, True])
def test_agrees_with_hmisc(reference, kind, with_cuts):
    given = reference[kind]["input"]
    r = reference[kind]["improve_cuts" if with_cuts else "improve"]
    found = nri(given["y"], given["a"], given["b"], given["cuts"] if with_cuts else None)
    theirs = [r[k] for k in ("nri", "se.nri", "z.nri", "nri.ev", "nri.ne")]
    ours = [found.value, found.error, found.z, found.events, found.nonevents]
    assert ours == pytest.approx(theirs, abs=1e-10)
    if not with_cuts:
        found = idi(given["y"], given["a"], given["b"])
        theirs = [r[k] for k in ("idi", "se.idi", "z.idi")]
        assert [found.value, found.error, found.z] == pytest.approx(theirs, abs=1e-10)


def test_undefined_says_why():
    assert net_benefit([], [], [0.2]).undefined == "no rows"
    assert np.isnan(net_benefit([], [], [0.2]).net_benefit).all()
    for compare in (nri, idi):
        assert "all 2 are positive" in compare([1, 1], [0.1, 0.2], [0.3, 0.4]).undefined
        assert compare([], [], []).undefined == "no rows"
        same = compare([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4])
        assert (same.value, same.p) == (0.0, None)
        assert "no variance" in same.undefined
    assert "no variance" in idi([0, 0, 1], [0.1, 0.2, 0.3], [0.3, 0.1, 0.4]).undefined


@pytest.mark.parametrize(
    ("p", "thresholds", "match"),
    [
        ([0.1, np.nan], [0.2], "NaN"),
        ([0.1, 1.2], [0.2], r"outside \[0, 1\], such as 1.2"),
        ([0.1], [0.2], "shape"),
        ([0.1, 0.2], [1.0], "thresholds"),
        ([0.1, 0.2], [np.nan], "thresholds"),
        ([0.1, 0.2], 0.3, "thresholds"),
    ],
)
def test_refuses(p, thresholds, match):
    with pytest.raises(ValueError, match=match):
        net_benefit([0, 1], p, thresholds)


def test_refuses_the_second_model_by_name():
    with pytest.raises(ValueError, match="second model"):
        nri([0, 1], [0.1, 0.2], [0.1, -0.2])
