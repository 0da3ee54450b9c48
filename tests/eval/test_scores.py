"""What is said of everybody: counts and quantiles by hand, and cohorts without labels."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from eval.cohort import evaluate_cohort
from eval.console import rows, table
from eval.evaluate import evaluate_run
from eval.plots import tenths
from eval.report import write_report
from eval.runs import Run
from eval.scores import QUANTILES, scores

EVERYBODY = np.arange(200)


def test_by_hand():
    p = np.random.default_rng(0).random(200).round(2)
    p[:3] = (0.0, 1.0, 0.1)
    found = scores(p, EVERYBODY, 0.3)
    assert (found.pictures, found.patients) == (200, 200)
    ordered = sorted(p)
    for share, stated in zip(QUANTILES, found.quantiles, strict=True):
        at = share * 199  # linear between neighbours
        low = int(at)
        here, there = ordered[low], ordered[min(low + 1, 199)]
        assert stated == pytest.approx(here + (at - low) * (there - here))
    counts = [sum(i / 10 <= x < (i + 1) / 10 for x in p) for i in range(9)]
    assert list(found.tenths) == [*counts, sum(x >= 0.9 for x in p)]
    k = sum(x >= 0.3 for x in p)
    low, high = binomtest(k, 200).proportion_ci(method="wilson")
    assert found.called_positive.value == k / 200
    assert found.called_positive.low == pytest.approx(low)
    assert found.called_positive.high == pytest.approx(high)
    assert found.called_positive.method == "wilson"


def test_pictures_of_one_patient_are_not_so_many_people():
    p = np.repeat(np.linspace(0, 1, 40), 5)
    alone = scores(p, EVERYBODY, 0.5).called_positive
    together = scores(p, np.repeat(np.arange(40), 5), 0.5).called_positive
    assert together.value == alone.value
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_of_few_patients_and_without_a_threshold_it_says_why():
    few = scores(np.linspace(0, 1, 9), np.arange(9) // 3, 0.5)
    assert (few.quantiles, few.tenths) == ((), ())
    assert few.undefined == few.called_positive.undefined == "kept back: fewer than 5 patients"
    none = scores(np.linspace(0, 1, 9), np.arange(9), None)
    assert none.called_positive.undefined == "no threshold was frozen for this model"
    assert sum(none.tenths) == 9
    assert scores(np.empty(0), np.empty(0, int), 0.5).undefined == "no predictions"


@pytest.fixture
def unlabelled(run, make_cohort, save_cohort):
    """A run with a public set beside its labelled cohorts."""
    frame = make_cohort("nih-public", 120, repeats=2)
    nobody = {"label": pd.NA, "severity": None, "lowest_t": np.nan}
    save_cohort(run, frame.assign(**nobody), "nih-public")
    return run


def test_a_cohort_without_labels_is_evaluated_like_any(unlabelled):
    found = {m.cohort: m for m in evaluate_run(unlabelled)}
    public = found["nih-public"]
    frame = Run.at(unlabelled).predictions("nih-public")
    for x in public.models:
        mine = frame[frame["model"] == x.model]
        assert x.overall.n == 0
        assert x.overall.auroc.value is None
        assert x.overall.auroc.undefined
        assert x.unlabelled == x.scores.pictures == len(mine)
        called = (mine["probability"] >= mine["threshold"]).mean()
        assert x.scores.called_positive.value == pytest.approx(called)
    assert "No picture of this cohort has a reference label." in public.notes
    stored = json.loads(Run.at(unlabelled).cohort("nih-public", "metrics.json").read_text())
    assert stored["models"][0]["scores"]["pictures"] == public.models[0].scores.pictures
    # labelled cohorts have the same, of all of their pictures
    for m in found.values():
        for x in m.models:
            assert x.scores.pictures == x.overall.n + x.unlabelled


def test_the_table_says_what_there_is_to_say(unlabelled):
    found = evaluate_run(unlabelled)
    lines = [x for x in table(found, {}).splitlines() if x.startswith("nih-public")]
    assert lines
    for line in lines:
        assert re.search(r"no label; of 2\d\d pictures called positive: 0\.\d+ \[", line)
        assert "undefined" not in line
    told = [r for r in rows(found, {}) if r["cohort"] == "nih-public"]
    assert all(r["called_positive"]["value"] is not None and r["n"] == 0 for r in told)


def test_the_page_tells_it_and_keeps_the_others_as_they_are(unlabelled):
    page = write_report(unlabelled, explain=False).read_text()
    section = re.search(r'<section id="scores">.*?</section>', page, re.DOTALL)
    assert section
    for cohort in ("nih-public", "north-external", "asan-test"):
        assert f'colspan="7">{cohort}' in section[0]
    assert "Called positive" in section[0]
    metrics = {m.cohort: m for m in evaluate_run(unlabelled)}
    share = metrics["nih-public"].models[0].scores.called_positive
    assert f"{share.value:.2f}" in section[0]
    # the lead is of a cohort with labels
    assert "on north-external" in page
    assert 'href="#scores"' in page


def test_a_run_that_only_met_unlabelled_pictures_has_a_page(tmp_path, make_cohort, save_cohort):
    frame = make_cohort("nih-public", 60, models=("image",))
    nobody = {"label": pd.NA, "severity": None, "lowest_t": np.nan}
    save_cohort(tmp_path / "run", frame.assign(**nobody), "nih-public")
    page = write_report(tmp_path / "run", explain=False).read_text()
    assert "There is no result to lead with" in page
    assert 'colspan="7">nih-public' in page


def test_less_than_five_people_are_not_described(make_cohort):
    frame = make_cohort("nih-public", 4).assign(label=pd.NA, severity=None, lowest_t=np.nan)
    found = evaluate_cohort(frame, "nih-public")
    assert all(x.scores.undefined and not x.scores.quantiles for x in found.models)


def test_bars_are_as_high_as_their_counts():
    drawn = tenths((1, 2, 4, 0, 0, 0, 0, 0, 0, 0), 0.5)
    heights = [float(h) for h in re.findall(r'<rect[^>]* height="([\d.]+)"', drawn)]
    assert heights[:4] == [7.5, 15.0, 30.0, 0.0]
    assert 'x1="95.0"' in drawn  # the middle
    assert "dasharray" not in tenths((1, 1), None)
