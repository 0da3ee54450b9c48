"""The linter's rules against second ways of computing them."""

import json
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ttest_ind_from_stats
from sklearn import metrics as sk

from eval.evaluate import evaluate_run
from eval.linter import Table, from_metrics, lint, read_table
from eval.linter.confusion import auroc_bounds, metric, whole_range
from eval.linter.granularity import smallest_n
from eval.linter.multiclass import chance_bounds, matrix_metrics
from eval.linter.printed import cell
from eval.linter.stated_tests import hanley_mcneil, pearson
from tests.eval.conftest import cohort_frame, write_cohort

HEAD = {"format": "osteoray-table/1"}


def judged(*rows, **more):
    return lint(Table.model_validate(HEAD | {"rows": rows} | more))


def test_a_print_stands_for_every_number_that_is_printed_like_it():
    rng = np.random.default_rng(0)
    for x in rng.uniform(-1, 1, 2000):
        places = Decimal(1).scaleb(-int(rng.integers(1, 4)))
        exact = Decimal(float(x))
        for way in (ROUND_HALF_UP, ROUND_HALF_EVEN):
            text = str(exact.quantize(places, way))
            assert cell(text).at.may_be(float(x)), text
            assert cell(text, "either").at.may_be(float(x)), text
            assert not cell(text).at.may_be(float(x) + 1.01 * float(places))
        cut = str(exact.quantize(places, ROUND_DOWN))
        if cut.startswith("-") == (x < 0):
            assert cell(cut, "truncate").at.may_be(float(x)), (cut, x)
    assert cell("0.90").at.may_be(0.8951)
    assert not cell("0.90", "truncate").at.may_be(0.8951)


@pytest.mark.parametrize(
    ("text", "at", "low", "high", "share"),
    [
        ("0.90", 0.9, None, None, None),
        (".9", 0.9, None, None, None),
        ("84.01%", 0.8401, None, None, None),
        ("1,326", 1326, None, None, None),
        ("0.92 (0.90–0.94)", 0.92, 0.90, 0.94, None),
        ("0.92 [0.90, 0.94]", 0.92, 0.90, 0.94, None),
        ("92.1 (90.0-94.2)%", 0.921, 0.900, 0.942, None),
        ("92.1% (90.0% to 94.2%)", 0.921, 0.900, 0.942, None),
        ("-0.002 (−0.010 to 0.006)", -0.002, -0.010, 0.006, None),
        ("207 (48.9%)", 207, None, None, 0.489),
        ("1e-3", 0.001, None, None, None),
    ],
)
def test_cells_are_read(text, at, low, high, share):
    c = cell(text)
    found = [p and p.value for p in (c.at, c.low, c.high, c.share)]
    assert found == [pytest.approx(v) if v is not None else None for v in (at, low, high, share)]


@pytest.mark.parametrize(
    "text",
    ["", "nan", "inf", "0.9.1", "１２", "1e999", "207 (48.9)", "0.9 (0.8", "=1+1", "9" * 200],
)
def test_what_is_not_a_printed_number_is_refused(text):
    with pytest.raises(ValueError, match=r"printed number|% sign"):
        cell(text)


def test_small_p_is_an_upper_bound():
    assert cell("<0.001").at.may_be(1e-9)
    assert not cell("<0.001").at.may_be(0.002)


def test_metrics_of_counts_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    for _ in range(20):
        y, said = rng.random(60) < 0.4, rng.random(60) < 0.5
        tp, tn = int((y & said).sum()), int((~y & ~said).sum())
        names = ("accuracy", "ppv", "sensitivity", "f1", "kappa", "balanced_accuracy")
        ours = [metric(k, tp, tn, int(y.sum()), int((~y).sum())) for k in names]
        theirs = [f(y, said) for f in (sk.accuracy_score, sk.precision_score, sk.recall_score,
                  sk.f1_score, sk.cohen_kappa_score, sk.balanced_accuracy_score)]  # fmt: skip
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_several_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(4)
    y, said = rng.integers(0, 4, 80), rng.integers(0, 4, 80)
    for average in ("macro", "weighted"):
        ours = matrix_metrics(sk.confusion_matrix(y, said).astype(float), average)
        p, r, f, _ = sk.precision_recall_fscore_support(y, said, average=average)
        kappa = sk.cohen_kappa_score(y, said)
        assert [ours[k] for k in ("ppv", "sensitivity", "f1", "kappa")] == pytest.approx(
            [p, r, f, kappa]
        )


def test_auroc_never_leaves_its_bounds_and_reaches_them():
    rng = np.random.default_rng(5)
    for _ in range(300):
        y = np.r_[0, 1, rng.random(12) < 0.5].astype(int)
        score = rng.integers(0, 4, y.size)  # many ties
        auroc = sk.roc_auc_score(y, score)
        for cut in range(5):
            low, high = auroc_bounds((score[y == 1] >= cut).mean(), (score[y == 0] < cut).mean())
            assert low - 1e-12 <= auroc <= high + 1e-12
    y, score = np.array([1, 0, 1, 0]), np.array([3, 4, 1, 2])  # sens 1/2, spec 1/2 at 3
    assert sk.roc_auc_score(y, score) == auroc_bounds(0.5, 0.5)[0]


def test_whole_range_lists_the_counts_that_print_alike():
    for n in (7, 13, 63, 250):
        for text in ("0.5", "0.99", "0.00", "1.00", "52.9%", "0.643"):
            first, last = whole_range(cell(text).at, n)
            assert list(range(first, last + 1)) == [
                k for k in range(n + 1) if cell(text).at.may_be(k / n)
            ]


def test_smallest_n_by_trying():
    said = [cell(t).at for t in ("0.8713", "0.8316", "0.8583", "0.8782", "0.9285", "0.6134")]
    n = smallest_n(said)
    fits = [m for m in range(1, 1610)
            if all(any(p.may_be(k / m) for k in range(int(p.low * m), int(p.high * m) + 2))
                   for p in said)]  # fmt: skip
    assert n == fits[0]
    assert smallest_n([cell("0.8713").at]) is None  # some n fits any one number


def test_chance_agreement_stays_in_its_bounds():
    rng = np.random.default_rng(6)
    for _ in range(500):
        m = rng.dirichlet(np.full(9, 0.3)).reshape(3, 3)
        low, high = chance_bounds(list(m.sum(1)), float(np.trace(m)))
        assert low - 1e-12 <= float(m.sum(1) @ m.sum(0)) <= high + 1e-12


def test_statistics_are_those_of_scipy():
    counts = np.array([[206, 1312], [840, 1920]])
    for yates in (True, False):
        theirs = chi2_contingency(counts, correction=yates)
        assert pearson(counts.astype(float), yates)[0] == pytest.approx(theirs.statistic)
    table = {"kind": "t", "quantity": "age", "first": {"mean": "71.1", "sd": "8.9", "n": 1518},
             "second": {"mean": "58.8", "sd": "11.3", "n": 2760}}  # fmt: skip
    for same in (True, False):
        t = ttest_ind_from_stats(71.1, 8.9, 1518, 58.8, 11.3, 2760, equal_var=same).statistic
        for said, wrong in ((t, False), (-t, False), (0.9 * t, True)):
            found = judged(tests=[table | {"statistic": f"{said:.3f}", "p": "<0.001"}])
            assert bool(found) is wrong, found


def test_variance_of_auroc_is_exact_for_exponential_scores():
    rng = np.random.default_rng(7)
    ill, well = rng.exponential(4, (8000, 20, 1)), rng.exponential(1, (8000, 1, 30))
    seen = (ill > well).mean((1, 2))
    assert seen.mean() == pytest.approx(4 / 5, abs=0.003)
    assert hanley_mcneil(4 / 5, 20, 30) ** 0.5 == pytest.approx(seen.std(), rel=0.03)


@pytest.mark.parametrize(
    ("estimate", "p", "severity"),
    [
        ("0.02 (0.01 to 0.03)", "<0.001", None),
        ("0.02 (0.01 to 0.03)", "0.40", "impossible"),
        ("0.02 (-0.01 to 0.05)", "0.19", None),
        ("0.02 (-0.01 to 0.05)", "<0.001", "impossible"),
        ("0.020 (-0.001 to 0.041)", "0.048", "misprint?"),
    ],
)
def test_p_against_interval(estimate, p, severity):
    test = {"kind": "difference", "quantity": "AUROC", "estimate": estimate, "p": p}
    assert [f.severity for f in judged(tests=[test])] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("kappa", "shares", "wrong"),
    [("0.80", {}, False), ("0.95", {}, True), ("0.88", {"a": "90", "b": "10"}, True)],
)
def test_kappa_against_accuracy(kappa, shares, wrong):
    row = {"name": "r", "kind": "multiclass", "counts": {"n": "100"}, "shares": shares,
           "metrics": {"accuracy": "0.90", "kappa": kappa}}  # fmt: skip
    assert [f.column for f in judged(row)] == (["kappa"] if wrong else [])


def test_shares_that_do_not_sum():
    row = {"name": "r", "shares": {"mild": "40.0%", "moderate": "35.0%", "advanced": "27.0%"}}
    assert [f.severity for f in judged(row)] == ["misprint?"]
    row["shares"]["advanced"] = "25.1%"
    assert judged(row) == []


def test_two_point_bound_and_ranges():
    low = {"name": "r", "metrics": {"sensitivity": "0.90", "specificity": "0.90", "auroc": "0.75"}}
    counted = low | {"counts": {"positives": "100", "negatives": "100"}}
    assert [f.column for f in judged(counted)] == ["auroc"]
    assert [f.column for f in judged(low)] == ["auroc"]
    beyond = {"name": "r", "metrics": {"sensitivity": "92.0"}}
    assert [f.nearest for f in judged(beyond)] == ["92.0%"]


def test_an_interval_too_narrow_for_n():
    row = {
        "name": "r",
        "counts": {"positives": "50"},
        "metrics": {"sensitivity": "0.80 (0.78-0.82)"},
    }
    (found,) = judged(row)
    assert found.rule == "an interval is not narrower than n allows"
    assert judged(row | {"counts": {"positives": "2000"}}) == []


def test_rounding_of_the_table_decides():
    row = {"name": "r", "counts": {"tp": "2", "fn": "1"}, "metrics": {"sensitivity": "0.66"}}
    assert [f.nearest for f in judged(row)] == ["0.67 (2/3)"]
    assert judged(row, rounding="truncate") == judged(row, rounding="either") == []


def test_own_metrics_pass_and_a_changed_cell_does_not(tmp_path):
    for seed, repeats in ((0, 1), (1, 2)):
        write_cohort(tmp_path, cohort_frame(f"c{seed}", 150, seed, 0.4, repeats), f"c{seed}")
    evaluate_run(tmp_path)
    for path in sorted(tmp_path.glob("cohorts/*/metrics.json")):
        content = json.loads(path.read_text())
        table = from_metrics(content)
        assert len(table.rows) >= 12
        assert lint(table) == []
        assert read_table(path) == table
        for part in ("overall", "subgroups"):
            changed = json.loads(path.read_text())
            model = changed["models"][0]
            at = model[part] if part == "overall" else model[part][0]["performance"]
            at["ppv"]["value"] -= 0.001
            assert "ppv" in {f.column for f in lint(from_metrics(changed))}
        changed = json.loads(path.read_text())
        changed["models"][1]["subgroups"][0]["performance"]["n"] += 1
        assert lint(from_metrics(changed))


@pytest.mark.parametrize(
    "content", [{}, {"cohort": "c", "models": [{}]}, {"cohort": "c", "models": 3}]
)
def test_other_json_is_not_metrics(content):
    with pytest.raises(ValueError, match=r"not a metrics\.json"):
        from_metrics(content)
