"""The page: one file, self-contained, escaped, the same bytes for the same inputs, and honest."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from eval.evaluate import evaluate_run
from eval.report import write_report


class Page(HTMLParser):
    """Tags, attributes, and whether every element that was opened is closed."""

    VOID = ("meta", "img", "br", "hr", "link", "input", "col")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.unbalanced = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


@pytest.fixture
def page(run):
    return write_report(run, explain=False).read_text()


def test_asks_nothing_of_the_network(page):
    parsed = Page(page)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    for name, value in parsed.attributes:
        if name.split(":")[-1] in ("src", "href", "action", "data", "srcset"):
            assert value.startswith(("#", "data:image/png;base64,")), (name, value)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page


def test_is_whole(page, run):
    parsed = Page(page)
    assert not parsed.unbalanced
    assert not parsed.open
    assert parsed.tags.count("table") >= 8
    assert parsed.tags.count("svg") >= 10
    told_of = ("not a medical device", "north-external", "no DXA within 180 days", "Proxy labels")
    for told in (*told_of, "Limitations", "ceiling of AUROC 0.951", "2.15.0", "youden"):
        assert told in page, told
    ids = [v for k, v in parsed.attributes if k == "id"]
    links = [v[1:] for k, v in parsed.attributes if k == "href" and v.startswith("#")]
    assert set(links) <= set(ids)


def test_numbers_of_the_table_are_those_of_metrics_json(page, run):
    found = json.loads((run / "cohorts/north-external/metrics.json").read_text())
    for model in found["models"]:
        auroc = model["overall"]["auroc"]
        assert f">{auroc['value']:.3f}<" in page
        assert f">{auroc['low']:.3f}–{auroc['high']:.3f}<" in page


def test_the_plain_sentence_says_what_the_ppv_is(page, run):
    found = json.loads((run / "cohorts/north-external/metrics.json").read_text())
    ppv = next(m for m in found["models"] if m["model"] == "student")["overall"]["ppv"]
    assert re.search(rf"of 100 pictures flagged by the student {100 * ppv['value']:.0f} were", page)


def test_same_inputs_same_bytes_wherever_they_lie(run, page, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, elsewhere)
    for made in elsewhere.glob("cohorts/*/metrics.json"):
        made.unlink()
    assert write_report(elsewhere, explain=False).read_text() == page
    assert str(tmp_path) not in page
    for made in elsewhere.glob("cohorts/*/metrics.json"):
        assert made.read_bytes() == (run / made.relative_to(elsewhere)).read_bytes()


def test_metrics_are_left_alone_until_predictions_change(run, make_cohort, save_cohort):
    evaluate_run(run)
    path = run / "cohorts/asan-test/metrics.json"
    before, made = path.read_bytes(), path.stat().st_mtime_ns
    evaluate_run(run)
    assert path.stat().st_mtime_ns == made
    save_cohort(run, make_cohort("asan-test", 100, 9), "asan-test")
    evaluate_run(run)
    assert path.read_bytes() != before
    path.write_text('{"torn')
    evaluate_run(run)
    assert json.loads(path.read_text())["cohort"] == "asan-test"


EVIL = "<script>alert(1)</script>$x$&amp;"


def test_names_are_text_not_markup(run, make_cohort, save_cohort):
    folder = "evil-external"
    frame = make_cohort(folder, 80, models=("teacher", EVIL))
    save_cohort(run, frame, folder)
    facts = json.loads((run / "run.json").read_text())
    facts |= {"recipe": EVIL, "world": {EVIL: EVIL}}
    facts["manifests"][EVIL] = {"path": EVIL, "role": EVIL, "hash": EVIL}
    (run / "run.json").write_text(json.dumps(facts))
    (run / "config.yaml").write_text(EVIL)
    page = write_report(run, explain=False).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)") > 8
    assert "$x$" in page


def test_a_run_with_one_cohort_and_nothing_else(tmp_path, make_cohort, save_cohort):
    run = tmp_path / "bare"
    save_cohort(run, make_cohort("here-test", 60, models=("student",)), "here-test")
    page = write_report(run).read_text()
    assert "undefined: run.json names no packed dataset" in page
    assert "undefined: this run made no proxy labels" in page
    assert "no weights there to explain" in page
    assert "synthetic" not in page


def test_one_class_and_empty_and_unlabelled_cohorts_are_told_not_hidden(
    run, make_cohort, save_cohort
):
    frame = make_cohort("x", 60)
    save_cohort(run, frame[frame["label"] == 1].assign(cohort="a-external"), "a-external")
    save_cohort(run, frame.iloc[:0].assign(cohort="b-external"), "b-external")
    save_cohort(run, frame.assign(cohort="c-external", label=pd.NA), "c-external")
    page = write_report(run, explain=False).read_text()
    assert "undefined: one class only: all" in page
    assert "undefined: no predictions" in page
    assert "undefined: nobody with a label (60 pictures without a reference)" in page


def test_a_broken_cohort_is_named_and_the_others_reported(run):
    (run / "cohorts/asan-test/predictions.parquet").write_bytes(b"PAR1 not really")
    page = write_report(run, explain=False).read_text()
    assert "cohorts/asan-test/predictions.parquet: not a readable parquet file" in page
    assert "north-external" in page
    with pytest.raises(ValueError, match=r"asan-test/predictions\.parquet"):
        evaluate_run(run)


def test_a_missing_or_changed_pack_is_stated(run, page):
    assert "no readable manifest at the path that run.json gives" in page
    facts = json.loads((run / "run.json").read_text())
    facts["manifests"]["asan"]["hash"] = "0" * 64
    (run / "run.json").write_text(json.dumps(facts))
    changed = write_report(run, explain=False).read_text()
    assert "the manifest has changed since this run used it" in changed


def test_broken_proxy_labels_are_stated(run):
    pd.DataFrame({"key": ["a"]}).to_parquet(run / "pseudo/pseudo_labels.parquet")
    page = write_report(run, explain=False).read_text()
    assert "columns missing: age, decision" in page


def test_proxy_table_counts(run):
    frame = pd.read_parquet(run / "pseudo/pseudo_labels.parquet")
    page = write_report(run, explain=False).read_text()
    kept = frame[frame["decision"] != "dropped"]
    women = kept[kept["sex"] == "F"]
    positive = (women["decision"] == "low bone mass").sum()
    row = re.search(r"<tr><th>women</th><td>([\d,]+)</td><td>([\d,]+)</td><td>([\d.]+)%", page)
    assert row.groups() == (str(len(women)), str(positive), f"{100 * positive / len(women):.1f}")


def test_training_curves_survive_gaps_and_nan(run):
    with (run / "student/metrics.jsonl").open("a") as f:
        f.write('\n{"step": 70, "train/loss": NaN}\n[1]\n{"train/loss": 1}\n')
    assert "tuning AUROC" in write_report(run, explain=False).read_text()


def test_all_scores_equal_still_draws(run, make_cohort, save_cohort):
    frame = make_cohort("flat-external", 50).assign(probability=0.5, logit=0.0)
    save_cohort(run, frame, "flat-external")
    page = write_report(run, explain=False).read_text()
    assert np.isclose(0.5, float(re.search(r'class="value"[^>]*>(0\.500)<', page).group(1)))
    assert "every prediction is the same" in page
