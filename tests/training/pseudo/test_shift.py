from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from training.config import Pseudo
from training.pseudo import ledger
from training.pseudo.shift import levels, lines, numbers, shift
from training.pseudo.sweep import lines as sweep_lines
from training.pseudo.sweep import sweep
from training.pseudo.thresholds import counted

RNG = np.random.default_rng(0)


def people(n, label=None):
    frame = pd.DataFrame(
        {
            "key": [f"k{i}" for i in range(n)],
            "patient": [f"p{i}" for i in range(n)],
            "source": np.where(np.arange(n) % 4 > 0, "nih", "chexpert"),
            "age": RNG.normal(62, 8, n).round(),
            "sex": np.where(RNG.random(n) < 0.6, "F", "M"),
        }
    ).astype({"sex": object})
    frame.loc[frame.index[: n // 10], "age"] = np.nan
    frame.loc[frame.index[: n // 12], "sex"] = None
    return frame if label is None else frame.assign(label=pd.array(label, "Int64"))


@pytest.fixture
def rows():
    frame = people(300)
    p = 1 / (1 + np.exp(-(frame["age"].fillna(60) - 62) / 4))  # the old are called positive
    return ledger.table(frame, p.to_numpy(), Pseudo(p_normal=0.8, p_lbm=0.7), "ab" * 32)


def test_ages_against_scipy():
    a, b = RNG.normal(60, 5, 40), RNG.normal(64, 9, 70)
    a[3] = np.nan
    found = numbers(a, b, b)
    x = a[~np.isnan(a)]
    assert found["a"] == {"n": 39, "missing": 1, "mean": x.mean(), "sd": x.std(ddof=1)}
    pooled = math.sqrt((np.var(x, ddof=1) + np.var(b, ddof=1)) / 2)
    assert found["difference"] == pytest.approx((x.mean() - b.mean()) / pooled)
    assert found["welch_p"] == pytest.approx(stats.ttest_ind(x, b, equal_var=False).pvalue)
    assert found["ks_p"] == pytest.approx(stats.ks_2samp(x, b).pvalue)


def test_counts_against_a_slow_chi_squared():
    a, b = ["F"] * 30 + ["M"] * 12, ["F"] * 20 + ["M"] * 38 + ["unknown"] * 9
    found = levels(a, b, b, ("F", "M"))
    table = {x: (a.count(x), b.count(x)) for x in ("F", "M", "unknown")}
    total = len(a) + len(b)
    chi2 = 0.0
    for m, n in table.values():
        for seen, side in ((m, len(a)), (n, len(b))):
            expected = (m + n) * side / total
            chi2 += (seen - expected) ** 2 / expected
    assert found["chi2"] == pytest.approx(chi2)
    assert found["df"] == 2
    assert found["chi2_p"] == pytest.approx(stats.chi2.sf(chi2, 2))
    p, q = 30 / 42, 20 / 67
    difference = (p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert found["levels"]["F"]["difference"] == pytest.approx(difference)
    assert "fewer than 5" in found["reason"]


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([], ["F"], "nobody"),
        (["F"], ["F"], "one level"),
        (["nih"], ["asan"], "no level in common"),
    ],
)
def test_no_test_where_there_is_none(a, b, reason):
    found = levels(a, b, b)
    assert reason in found["reason"]
    assert "chi2_p" not in found


def test_no_age_no_difference():
    nothing, one = np.array([np.nan]), np.array([60.0])
    assert numbers(nothing, one, one)["difference"] is None
    assert "fewer than two" in numbers(one, one, one)["reason"]
    same = numbers(np.full(5, 60.0), np.full(5, 60.0), np.full(5, 60.0))
    assert same["difference"] is None
    assert same["welch_p"] is None


def test_whom_the_filter_keeps_is_told(rows):
    labelled = people(200, RNG.integers(0, 2, 200))
    found = shift(rows, labelled)
    kept = rows[rows["decision"] != "dropped"]
    dropped = rows[rows["decision"] == "dropped"]
    offered = found["kept against offered"]
    assert offered["age"]["b"]["n"] == rows["age"].notna().sum()
    expected = stats.ks_2samp(kept["age"].dropna(), dropped["age"].dropna()).pvalue
    assert offered["age"]["ks_p"] == pytest.approx(expected)
    assert offered["sex"]["levels"]["unknown"]["b"] == rows["sex"].isna().sum()
    share = found["kept against labelled"]["class"]["levels"]["low bone mass"]
    assert share["a"] == (kept["decision"] == "low bone mass").sum()
    assert share["b"] == labelled["label"].sum()
    positives = found["proxy low bone mass against labelled low bone mass"]
    assert positives["age"]["difference"] > 1  # the old
    json.dumps(found, allow_nan=False)
    text = "\n".join(lines(found))
    assert "proxy normal against labelled normal" in text
    assert "chi-squared p" in text


def test_nobody_kept_is_a_shift_without_numbers(rows):
    labelled = people(50, RNG.integers(0, 2, 50))
    found = shift(rows.assign(decision="dropped"), labelled)
    json.dumps(found, allow_nan=False)
    assert lines(found)
    assert found["kept against offered"]["age"]["a"]["mean"] is None


def test_sweep_counts_and_expects():
    y = RNG.integers(0, 2, 500)
    tune_p = 1 / (1 + np.exp(-RNG.normal(2 * (2 * y - 1), 2)))
    p = RNG.random(1000)
    found = sweep(p, y, tune_p)
    assert [r["p_lbm"] for r in found] == [0.65, 0.75, 0.85]
    for row in found:
        lbm, normal = row["low bone mass"], row["normal"]
        assert lbm["kept"] == (p >= row["p_lbm"]).sum()
        assert normal["kept"] == (1 - p >= 0.99).sum()
        assert row["kept"] + row["dropped"] == 1000
        assert row["prevalence"] == lbm["kept"] / row["kept"]
        assert lbm["said"] == pytest.approx(p[p >= row["p_lbm"]].mean())
        assert (lbm["n"], lbm["right"]) == counted(1, y, tune_p, row["p_lbm"])
        exact = stats.binomtest(lbm["right"], lbm["n"]).proportion_ci(method="exact")
        assert (lbm["low"], lbm["high"]) == pytest.approx((exact.low, exact.high))
    assert len(sweep_lines(found)) == 4


def test_sweep_where_the_disease_is_rarer():
    y = np.arange(500) % 2
    tune_p = 1 / (1 + np.exp(-RNG.normal(2 * (2 * y - 1), 2)))
    here, there = (sweep(tune_p, y, tune_p, (0.7,), 0.8, v)[0] for v in (None, 0.1))
    hit, alarm = ((tune_p[y == c] >= 0.7).mean() for c in (1, 0))
    assert there["low bone mass"]["precision"] == pytest.approx(
        0.1 * hit / (0.1 * hit + 0.9 * alarm)
    )
    assert there["low bone mass"]["low"] < here["low bone mass"]["low"]
    assert there["normal"]["precision"] > here["normal"]["precision"]


def test_sweep_of_nothing():
    row = sweep(np.zeros(0), np.zeros(0, int), np.zeros(0), (0.7,))[0]
    assert row["prevalence"] is None
    assert row["low bone mass"]["precision"] is None
    assert "nobody on tune" in "\n".join(sweep_lines([row]))
    with pytest.raises(ValueError, match=r"above \.5"):
        sweep(np.zeros(0), np.zeros(0, int), np.zeros(0), (0.4,))
