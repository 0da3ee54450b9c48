"""Binomial intervals against scipy and R's Hmisc; the design effect against its law; coverage."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from eval.intervals import (
    binconf,
    binomial,
    clopper_pearson,
    design_effect,
    proportion,
    wilson,
)

COUNTS = [(k, n) for n in (1, 2, 7, 40, 3133) for k in {0, 1, n // 2, n - 1, n}]


@pytest.mark.parametrize(("k", "n"), COUNTS)
@pytest.mark.parametrize(("ours", "scipys"), [("wilson", "wilson"), ("clopper-pearson", "exact")])
def test_agrees_with_scipy(k, n, ours, scipys):
    theirs = binomtest(k, n).proportion_ci(0.95, method=scipys)
    assert binomial(k, n, ours) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 9), (4, 9), (9, 9), (17, 200)])
def test_hmisc_equals_wilson_away_from_the_edges(k, n):
    assert binomial(k, n, "hmisc-wilson") == binomial(k, n)


def test_hmisc_at_one_and_at_all_but_one():
    # R: Hmisc::binconf(1, 20, method="wilson") and binconf(19, 20, method="wilson")
    low, high = binomial(1, 20, "hmisc-wilson")
    assert low == pytest.approx(-math.log(0.95) / 20, abs=1e-15)
    assert high == binomial(1, 20)[1]
    low, high = binomial(19, 20, "hmisc-wilson")
    assert high == pytest.approx(1 + math.log(0.95) / 20, abs=1e-15)
    assert low == binomial(19, 20)[0]


@pytest.mark.parametrize(("k", "n", "method"), [(2, 1, "wilson"), (0, 0, "wilson"), (1, 2, "wald")])
def test_refuses(k, n, method):
    with pytest.raises(ValueError, match=r"proportion|choose one of"):
        binomial(k, n, method)


def test_twins_count_once():
    """Every row doubled within its patient tells nothing new: the interval of half the rows."""
    rng = np.random.default_rng(0)
    once = rng.random(400) < 0.3
    patient = np.arange(400)
    alone = proportion(once, patient, "")
    twins = proportion(np.repeat(once, 2), np.repeat(patient, 2), "")
    assert twins.value == alone.value
    assert design_effect(np.repeat(once, 2), np.repeat(patient, 2)) == pytest.approx(2 * 400 / 399)
    assert (twins.low, twins.high) == pytest.approx((alone.low, alone.high), abs=2e-4)


def test_repeated_patients_who_all_agree_are_counted_by_patient():
    e = proportion(np.ones(20, bool), np.repeat(np.arange(5), 4), "")
    assert (e.low, e.high) == pytest.approx(binomial(5, 5))


def test_covers_clustered_truth():
    """Coverage under strong clustering: the naive interval fails where this one holds."""
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(60), 5)
    hits = naive = 0
    for _ in range(400):
        p = rng.beta(0.6, 1.4, 60)  # mean 0.3
        success = rng.random(300) < p[patient]
        e = proportion(success, patient, "")
        low, high = binomial(success.sum(), 300)
        hits += e.low <= 0.3 <= e.high
        naive += low <= 0.3 <= high
    assert hits / 400 > 0.92 > 0.85 > naive / 400


def test_nobody_is_undefined_with_the_reason():
    e = proportion([], [], "nobody was flagged")
    assert e.value is None
    assert e.text() == "undefined: nobody was flagged"


@pytest.mark.parametrize(("ours", "theirs"), [(binconf, "wilson"), (clopper_pearson, "exact")])
def test_agrees_with_hmisc(reference, ours, theirs):
    r = reference["binconf"]
    for x, n, low, high in zip(r["x"], r["n"], *r[theirs].values(), strict=True):
        found = ours(x, n)
        assert (found.value, found.low, found.high) == pytest.approx((x / n, low, high), abs=1e-10)


def test_wilson_covers():
    """1000 samples of 200 at each of three shares."""
    rng = np.random.default_rng(2)
    inside = []
    for p in (0.3, 0.5, 0.62):
        drawn = rng.binomial(200, p, 1000)
        limits = {k: wilson(k, 200) for k in set(drawn.tolist())}
        inside.append(np.mean([limits[k].low <= p <= limits[k].high for k in drawn.tolist()]))
    assert all(0.935 <= share <= 0.965 for share in inside)


@pytest.mark.parametrize("interval", [wilson, binconf, clopper_pearson])
def test_none_of_none_is_undefined_and_impossible_counts_are_refused(interval):
    assert interval(0, 0).undefined == "0 of 0 is not a proportion"
    for x, n in ((3, 2), (-1, 5), (math.nan, 5), (1, 0)):
        with pytest.raises(ValueError, match="not a proportion"):
            interval(x, n)
    with pytest.raises(ValueError, match="level"):
        interval(1, 2, level=95)
