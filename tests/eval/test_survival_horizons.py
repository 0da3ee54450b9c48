"""Dynamic AUROC, IPCW Brier and fracture-free curves against R and scikit-survival; bad input."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from eval.survival import FollowUp, baseline, dynamic_auc, kaplan_meier, survival_brier
from eval.survival.censoring import Censoring
from tests.eval.survival_cases import CASES, cohort

AT = [1.0, 2.0, 3.0]


def shares(score, times=AT):
    return np.exp(-np.outer(np.exp(np.asarray(score)), times) * 0.2)


def weights(time, event, t, of=None):
    """Who is a case and a control at t, and 1 / G of each, from products over patients.

    `of` [n] is how many patients each row is.
    """
    of = np.ones(time.size) if of is None else of

    def g(before):
        out = 1.0
        for u in np.unique(time[time < before]):
            gone, outlast = (time == u) & ~event, time > u
            risk = of[gone].sum() + of[outlast].sum()
            out *= 1 - of[gone].sum() / risk if risk else 1
        return out

    case, control = (time <= t) & event, time > t
    chance = [g(a) if c else g(np.nextafter(t, 99)) for a, c in zip(time, case, strict=True)]
    return case, control, 1 / np.array(chance)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_auc_is_risk_regressions_and_scikit_survivals(case):
    ours = dynamic_auc(case["time"], case["event"], case["score"], case["times"])
    said, n = case["R"]["risk_regression"], len(case["time"])
    assert ours.auc == pytest.approx(said["auc"], abs=1e-10)
    if "auc" in case["sksurv"]:
        assert ours.auc == pytest.approx(case["sksurv"]["auc"], abs=1e-10)
        assert ours.mean == pytest.approx(case["sksurv"]["mean_auc"], abs=1e-10)
    # theirs divides by n - 1
    assert ours.error * np.sqrt(n / (n - 1)) == pytest.approx(said["auc_error"], rel=2e-3)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_brier_is_risk_regressions_and_scikit_survivals(case):
    ours = survival_brier(case["time"], case["event"], case["share"], case["times"])
    said = case["R"]
    assert ours.brier == pytest.approx(said["risk_regression"]["brier"], abs=1e-10)
    assert ours.brier == pytest.approx(said["graf"], abs=1e-10)
    assert ours.null == pytest.approx(said["risk_regression"]["null"], abs=1e-10)
    assert ours.accuracy == pytest.approx(1 - ours.brier / ours.null)
    assert ours.integrated == pytest.approx(trapezoid(ours.brier, ours.times) / 5, abs=1e-12)
    if "brier" in case["sksurv"]:  # no ties, of which its errors know nothing
        n, theirs = len(case["time"]), said["risk_regression"]["brier_error"]
        assert ours.error * np.sqrt(n / (n - 1)) == pytest.approx(theirs, rel=1e-3)
        assert ours.brier == pytest.approx(case["sksurv"]["brier"], abs=1e-10)
        assert ours.integrated == pytest.approx(case["sksurv"]["integrated"], abs=1e-10)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_curves_are_rs(case, ties):
    fit = baseline(case["time"], case["event"], case["score"], ties)
    said = np.transpose(case["R"]["cox"][ties]["curves"])
    assert fit.curves(case["new"], case["times"]) == pytest.approx(said, abs=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_auc_and_brier_by_their_definitions(seed):
    time, event, score = cohort(40, seed, ties=True)
    auc, brier = dynamic_auc(time, event, score, AT), survival_brier(time, event, shares(score), AT)
    for k, t in enumerate(AT):
        case, control, w = weights(time, event, t)
        assert (auc.cases[k], auc.controls[k]) == (case.sum(), control.sum())
        gap = score[case][:, None] - score[control][None]
        wins = (w[case][:, None] * ((gap > 0) + 0.5 * (gap == 0))).sum()
        expected = wins / (w[case].sum() * control.sum())
        assert auc.auc[k] == pytest.approx(expected, abs=1e-12)
        s = shares(score)[:, k]
        loss = case * w * s**2 + control * w * (1 - s) ** 2
        assert brier.brier[k] == pytest.approx(loss.mean(), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_errors_are_the_derivatives_in_each_patients_weight(ties):
    """The jackknife, with G estimated anew from the moved weights."""
    time, event, score = cohort(40, 3, ties)
    s = shares(score, [2.0])[:, 0]

    def both(of):
        case, control, w = weights(time, event, 2.0, of)
        w = w * of
        gap = score[case][:, None] - score[control][None]
        wins = w[case] @ ((gap > 0) + 0.5 * (gap == 0)) @ w[control]
        loss = w * (case * s**2 + control * (1 - s) ** 2)
        return np.array([wins / (w[case].sum() * w[control].sum()), loss.sum() / of.sum()])

    nudge, ones = 1e-5, np.ones(40)
    slopes = [(both(ones + nudge * e) - both(ones - nudge * e)) / (2 * nudge) for e in np.eye(40)]
    auc, brier = np.sqrt(np.square(slopes).sum(axis=0))
    assert dynamic_auc(time, event, score, [2.0]).error[0] == pytest.approx(auc, rel=1e-7)
    ours = survival_brier(time, event, s[:, None], [2.0])
    assert ours.error[0] == pytest.approx(brier, rel=1e-7)


def test_without_censoring_they_are_the_ordinary_ones():
    from sklearn.metrics import brier_score_loss, roc_auc_score

    time, _, score = cohort(90, 0, ties=True)
    everyone = np.ones(90)
    auc = dynamic_auc(time, everyone, score, AT)
    brier = survival_brier(time, everyone, shares(score), AT)
    for k, t in enumerate(AT):
        y = time <= t
        assert auc.auc[k] == pytest.approx(roc_auc_score(y, score), abs=1e-12)
        expected = brier_score_loss(y, 1 - shares(score)[:, k])
        assert brier.brier[k] == pytest.approx(expected, abs=1e-12)
        assert brier.null[k] == pytest.approx(y.mean() * (1 - y.mean()), abs=1e-12)


def test_the_intervals_cover():
    """Against what 60,000 uncensored patients say."""
    rng = np.random.default_rng(3)

    def draw(n, censor=True):
        x = rng.normal(size=n)
        t = rng.exponential(np.exp(-x))
        last = rng.uniform(0, 3, n) if censor else np.full(n, 99.0)
        return np.minimum(t, last), t <= last, x

    def judge(sample):
        return (
            dynamic_auc(*sample, [1.0]),
            survival_brier(*sample[:2], shares(sample[2], [1.0]), [1.0]),
        )

    truth = [judge(draw(60_000, censor=False))[i] for i in (0, 1)]
    truths = truth[0].auc[0], truth[1].brier[0]
    hits = [
        [r.low[0] <= v <= r.high[0] for r, v in zip(judge(draw(200)), truths, strict=True)]
        for _ in range(400)
    ]
    auc, brier = np.mean(hits, axis=0)
    assert 0.92 < auc < 0.98
    assert 0.92 < brier < 0.98


def test_curves_where_all_are_alike_are_nelson_aalen():
    time, event, _ = cohort(50, 1, ties=True)
    curve = kaplan_meier(time, event)
    fit = baseline(time, event, np.zeros(50), "breslow")
    hazard = [np.sum((curve.events / curve.at_risk)[curve.times <= t]) for t in AT]
    assert fit.curves([0.0], AT)[0] == pytest.approx(np.exp(-np.array(hazard)), abs=1e-12)


def test_curves_fall_from_1_and_higher_risks_fall_faster():
    time, event, score = cohort(200, 2, ties=False)
    fit = baseline(time, event, score)
    curves = fit.curves([-1, 0, 2], np.linspace(0, fit.end, 30))
    assert (curves[:, 0] == 1).all()
    assert (np.diff(curves, axis=1) <= 0).all()
    assert (np.diff(curves, axis=0) <= 0).all()
    assert np.isnan(fit.curves([0], [fit.end * 1.01])).all()


def test_a_constant_in_the_log_risks_cancels_however_large():
    time, event, score = cohort(60, 3, ties=True)
    here = baseline(time, event, score).curves(score, AT)
    far = baseline(time, event, score + 5000).curves(score + 5000, AT)
    assert far == pytest.approx(here, abs=1e-10)


def test_log_risks_a_thousand_apart():
    fit = baseline([1, 2, 3], [1, 1, 0], [1000.0, -1000.0, 0.0])
    assert fit.curves([1000, 0, -1000], [1, 2]) == pytest.approx(
        np.array([[np.exp(-1), 0], [1, np.exp(-1)], [1, 1]])
    )


def test_undefined_says_why_at_each_time():
    time, event = [1.0, 2.0, 3.0, 4.0], [0, 1, 1, 0]
    ours = dynamic_auc(time, event, [0, 2, 1, 1], [1.5, 2.5, 4.0])
    assert np.isnan(ours.auc).tolist() == [True, False, True]
    assert ours.undefined[0] == "no fracture up to 1.5"
    assert "no variance" in ours.undefined[1]
    assert ours.undefined[2] == "nobody is followed beyond 4"
    assert ours.mean is None
    brier = survival_brier(time, event, np.arange(12).reshape(4, 3) / 12, [1.5, 2.5, 4.0])
    assert brier.undefined == (None, None, "nobody is followed beyond 4")
    assert (brier.integrated, brier.integrated_null) == (None, None)


def test_where_the_last_is_a_fracture_everybody_is_known():
    brier = survival_brier([1, 2, 3], [1, 1, 1], np.zeros((3, 1)), [5])
    assert brier.brier[0] == 0
    assert np.isnan([brier.error[0], brier.low[0], brier.high[0]]).all()
    assert "no variance" in brier.undefined[0]


def test_a_reference_that_was_followed_for_less():
    short = FollowUp.of([1.0, 2.0], [0, 1])
    args = ([1.0, 3.0, 4.0], [1, 1, 0])
    ours = dynamic_auc(*args, [3, 2, 1], [1.5, 3.5], reference=short)
    assert ours.undefined[1] == "nobody of the reference is followed beyond 3.5, as some here are"
    assert np.isnan(survival_brier(*args, np.ones((3, 1)), [3.5], reference=short).brier[0])


def test_g_at_ties_lets_fractures_go_first():
    g = Censoring.of(FollowUp.of([1, 1, 2, 2, 3], [1, 0, 1, 0, 0]))
    assert g.before([1, 2, 3]).tolist() == [1, 0.75, 0.375]
    assert g.after([0.5, 1, 2, 3]).tolist() == [1, 0.75, 0.375, 0]


@pytest.mark.parametrize(("time", "event"), [([], []), ([2.0], [0]), ([1.0, 2.0], [0, 0])])
def test_nobody_one_patient_and_nobody_breaks(time, event):
    n = len(time)
    auc = dynamic_auc(time, event, np.zeros(n), [1.5])
    assert np.isnan(auc.auc[0])
    assert auc.undefined[0] == "no fracture up to 1.5"
    brier = survival_brier(time, event, np.ones((n, 1)), [1.5])
    if n:
        assert brier.brier[0] == 0
        assert "no variance" in brier.undefined[0]
    else:
        assert np.isnan(brier.brier[0])
        assert brier.undefined[0] == "nobody was followed"
    fit = baseline(time, event, np.zeros(n))
    assert fit.undefined
    with pytest.raises(ValueError, match="no curves"):
        fit.curves([0.0], [1.0])


@pytest.mark.parametrize(
    "times", [[], [0], [-1], [2, 1], [1, 1], [np.nan], [np.inf], [[1, 2], [3, 4]]]
)
def test_refuses_times(times):
    with pytest.raises(ValueError, match="positive and ascending"):
        dynamic_auc([1, 2], [1, 0], [0, 1], times)


@pytest.mark.parametrize(
    ("share", "what"),
    [
        ([[0.5, 0.5]], r"\(patients, times\)"),
        ([[0.5], [1.5]], r"in \[0, 1\]"),
        ([[0.5], [np.nan]], r"in \[0, 1\]"),
    ],
)
def test_refuses_shares(share, what):
    with pytest.raises(ValueError, match=what):
        survival_brier([1, 2], [1, 0], share, [1])


def test_refuses_the_rest():
    with pytest.raises(ValueError, match="negative"):
        dynamic_auc([-1, 2], [1, 0], [0, 1], [1])
    with pytest.raises(ValueError, match="score"):
        dynamic_auc([1, 2], [1, 0], [0, np.nan], [1])
    with pytest.raises(ValueError, match="patients"):
        dynamic_auc([1, 2], [1, 0], [0, 1], [1], patient=[1])
    with pytest.raises(ValueError, match="log risk"):
        baseline([1, 2], [1, 0], [0, np.inf])
    with pytest.raises(ValueError, match="efron, breslow"):
        baseline([1, 2], [1, 0], [0, 0], "exact")  # pyright: ignore
    with pytest.raises(ValueError, match="times"):
        baseline([1, 2], [1, 0], [0, 0]).curves([0.0], [np.nan])
