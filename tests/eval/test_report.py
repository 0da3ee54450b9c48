"""The page: one file, self-contained, escaped, the same bytes for the same inputs, and honest."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from data_sharding.schema import Manifest
from eval.figures import training_figures
from eval.report import write_report
from eval.runs import Run


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


@pytest.fixture(scope="module")
def run(build, tmp_path_factory):
    return build(tmp_path_factory.mktemp("report") / "run", 150)


@pytest.fixture(scope="module")
def page(run):
    return write_report(run, explain=False).read_text()


def test_asks_nothing_of_the_network(page):
    parsed = Page(page)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    for name, value in parsed.attributes:
        if name.split(":")[-1] in ("src", "href", "action", "data", "srcset"):
            linked = name == "href" and value.startswith("../")  # a file of the run, if clicked
            assert linked or value.startswith(("#", "data:image/jpeg;base64,")), (name, value)
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
    config = run / "config.yaml"
    text = config.read_text()
    config.write_text(f"{text}paths:\n  internal: /home/dr-who/shards/asan\n  runs: s3://b/runs\n")
    try:
        again = write_report(run, explain=False).read_text()
    finally:
        config.write_text(text)
    assert "dr-who" not in again
    assert "internal: …/asan" in again
    assert "s3://b/runs" in again
    for made in elsewhere.glob("cohorts/*/metrics.json"):
        assert made.read_bytes() == (run / made.relative_to(elsewhere)).read_bytes()


EVIL = "<script>alert(1)</script>$x$&amp;"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, make_cohort, save_cohort):
    """The page of a run in which everything that can be wrong is."""
    run = tmp_path_factory.mktemp("hostile") / "run"
    frame = make_cohort("x", 40)
    save_cohort(run, frame[frame["label"] == 1].assign(cohort="a-external"), "a-external")
    save_cohort(run, frame.iloc[:0].assign(cohort="b-external"), "b-external")
    save_cohort(run, frame.assign(cohort="c-external", label=pd.NA), "c-external")
    save_cohort(run, frame.assign(cohort="d-external", probability=0.5), "d-external")
    save_cohort(run, make_cohort("e-external", 40, models=("teacher", EVIL)), "e-external")
    save_cohort(run, frame, "broken").write_bytes(b"PAR1 not really")
    save_cohort(run, frame.assign(cohort="nan", probability=np.nan), "nan")
    pack = {"path": EVIL, "role": EVIL, "hash": EVIL}
    facts = {"recipe": EVIL, "world": {EVIL: EVIL}, "manifests": {EVIL: pack, "list": []}}
    (run / "run.json").write_text(json.dumps(facts))
    (run / "config.yaml").write_text(EVIL)
    (run / "pseudo").mkdir()
    pd.DataFrame({"key": ["a"]}).to_parquet(run / "pseudo/pseudo_labels.parquet")
    return write_report(run, explain=False).read_text()


def test_names_are_text_not_markup(hostile):
    assert "<script" not in hostile
    assert hostile.count("&lt;script&gt;alert(1)") > 8
    assert "$x$" in hostile
    assert not Page(hostile).unbalanced


@pytest.mark.parametrize(
    "told",
    [
        "undefined: one class only: all",
        "undefined: no predictions",
        "undefined: nobody with a label (40 pictures without a reference)",
        "every prediction is the same",
        "cohorts/broken/predictions.parquet: not a readable parquet file",
        "cohorts/nan/predictions.parquet: 80 probabilities are missing or not in [0, 1]",
        "pseudo_labels.parquet: columns missing: age, decision",
        "run.json gives no path for it",
    ],
)
def test_what_is_wrong_is_told_not_hidden(hostile, told):
    assert told in hostile


def test_a_run_with_one_cohort_and_nothing_else(tmp_path, make_cohort, save_cohort):
    run = tmp_path / "bare"
    save_cohort(run, make_cohort("here-test", 60, models=("student",)), "here-test")
    page = write_report(run).read_text()
    assert "undefined: run.json names no packed dataset" in page
    assert "undefined: this run made no proxy labels" in page
    assert "no weights there to explain" in page
    assert "synthetic" not in page


def test_a_missing_or_changed_pack_is_stated(page, build, tmp_path):
    assert "no readable manifest at the path that run.json gives" in page
    run = build(tmp_path / "run", 20)
    facts = json.loads((run / "run.json").read_text())
    facts["manifests"]["asan"]["hash"] = "0" * 64
    (run / "run.json").write_text(json.dumps(facts))
    (pack, missing) = Run.at(run).packs
    assert (pack.name, pack.problem) == ("asan", "the manifest has changed since this run used it")
    assert missing.manifest is None


def test_allowed_leaks_are_shown_in_red(build, page, tmp_path):
    assert "Leaks were allowed" not in page
    run = build(tmp_path / "run", 20)
    pack, facts = run / "packs" / "asan", json.loads((run / "run.json").read_text())
    pair = "asan/train/0a = asan/test/1b: flipped (<score> 0.99)"
    manifest = Manifest.load(pack).model_copy(update={"leaks": (pair,) * 30})
    manifest.save(pack)
    facts["manifests"]["asan"]["hash"] = manifest.hash
    (run / "run.json").write_text(json.dumps(facts))
    said = write_report(run, explain=False).read_text()
    (notice,) = re.findall(r'<div class="warning leak">.*?</div>', said, re.DOTALL)
    assert "Leaks were allowed in asan" in notice
    assert "30 pairs" in notice
    assert notice.count("flipped (&lt;score&gt; 0.99)") == 20
    assert "and 10 more" in notice
    assert re.search(r"\.leak \{[^}]*color: #b00020", said)


def test_proxy_table_counts(page, run):
    frame = pd.read_parquet(run / "pseudo/pseudo_labels.parquet")
    kept = frame[frame["decision"] != "dropped"]
    women = kept[kept["sex"] == "F"]
    positive = (women["decision"] == "low bone mass").sum()
    row = re.search(r"<tr><th>women</th><td>([\d,]+)</td><td>([\d,]+)</td><td>([\d.]+)%", page)
    assert row.groups() == (str(len(women)), str(positive), f"{100 * positive / len(women):.1f}")


def test_training_curves_survive_gaps_and_nan(build, tmp_path):
    run = build(tmp_path / "run", 20)
    with (run / "student/metrics.jsonl").open("a") as f:
        f.write('\n{"step": 70, "train/loss": NaN}\n[1]\n{"train/loss": 1}\n')
    assert "tuning AUROC" in "".join(training_figures(Run.at(run)))
