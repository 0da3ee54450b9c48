"""A run that foretells fractures: nothing is said of labels, flags and thresholds it has not."""

import csv
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from eval.checklists import write_checklists
from eval.cohort import Settings
from eval.evaluate import evaluate_run
from eval.foretold import fractures_only, leading
from eval.gates import check, parse
from eval.modelcard import FORBIDDEN, FORBIDDEN_SURVIVAL, card
from eval.report import render
from eval.reporting.pictures import Pictures
from eval.runs import Run

REASON = "a survival model: survival.json has its baseline hazard"


@pytest.fixture(scope="module")
def template(tmp_path_factory, make_cohort, save_cohort):
    """Followed people whose score tells something, without labels, laid out as training does."""
    run = tmp_path_factory.mktemp("followed") / "run"
    rng = np.random.default_rng(3)
    for seed, name in enumerate(("asan-test", "asan-tune", "north-external")):
        frame = make_cohort(name, 80, seed, models=("fracture",))
        days = rng.exponential(900 * np.exp(-frame["logit"] / 3)).round() + 1
        frame["fracture"] = (days <= 1500).astype(int)
        frame["followup_days"] = np.minimum(days, 1500)
        frame["label"], frame["threshold"] = np.nan, np.nan
        frame = frame.assign(**{f"risk_{y}y": frame["probability"] for y in (1, 2, 3, 5)})
        save_cohort(run, frame, name)
    weights = run / "fracture" / "weights"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    for name, value in {
        "survival": {"horizon_days": 1825, "split": "tune"},
        "operating_point": {"threshold": None, "reason": REASON},
        "calibration": {"reason": REASON},
        "config": {"model": {"name": "tiny", "pretrained": "none"}},
        "preprocessor": {"size": 48, "mean": 0.4, "std": 0.2},
    }.items():
        (weights / f"{name}.json").write_text(json.dumps(value))
    (run / "config.yaml").write_text("seed: 0\nfracture: {epochs: 2, horizon_days: 99}\n")
    (run / "run.json").write_text('{"run_id": "f1", "recipe": "fracture:smoke"}')
    evaluate_run(run)
    return run


@pytest.fixture
def followed(template, tmp_path):
    shutil.copytree(template, tmp_path / "followed")
    return tmp_path / "followed"


def html(run):
    metrics = evaluate_run(run, Settings())
    return render(Run.at(run), metrics, [], Pictures(why="not asked", no_attention="not asked"))


def test_the_card_is_of_a_risk_of_fracture(followed):
    text = card(Run.at(followed), evaluate_run(followed)).markdown()
    assert "the risk of a first fracture within 1,825 days of the radiograph; there is" in text
    assert "densitometry (DXA) may be worth offering" not in text
    assert "risk of fracture" not in " ".join(FORBIDDEN_SURVIVAL)
    assert any("treatment" in line for line in FORBIDDEN_SURVIVAL)
    assert all(f"- {line}\n" in text for line in FORBIDDEN_SURVIVAL)
    assert f"threshold: fracture: no threshold: {REASON}." in text
    assert f"calibration: fracture: no temperature: {REASON}." in text
    assert "weights of the fracture, SHA-256" in text
    assert "chose the threshold" not in text
    assert "probability of 'low bone mass'" not in text
    shown = evaluate_run(followed)[0].models[0].fracture
    assert shown is not None
    assert shown.harrell_c.text() in text


def test_the_horizon_is_the_configuration_s_where_no_file_beside_the_weights_has_it(followed):
    (followed / "fracture/weights/survival.json").write_text('{"horizon_days": "long"}')
    text = card(Run.at(followed), evaluate_run(followed)).markdown()
    assert "first fracture within 99 days" in text


def test_a_run_with_labels_keeps_its_card(run):
    text = card(Run.at(run), evaluate_run(run)).markdown()
    assert all(f"- {line}\n" in text for line in FORBIDDEN)
    assert not fractures_only(evaluate_run(run))


def test_the_external_c_leads(followed, make_cohort, save_cohort):
    found = leading(evaluate_run(followed))
    assert found is not None
    metrics, model = found
    assert metrics.cohort == "north-external"
    page = html(followed)
    assert model.fracture is not None
    assert f"<b>{model.fracture.harrell_c.value:.3f}</b>" in page
    assert f"80 people followed, {model.fracture.fractures} fractures" in page
    assert "There is no result to lead with" not in page
    assert "low bone mass in chest" not in page.lower()
    assert "chose the threshold" not in page
    shutil.rmtree(followed / "cohorts/north-external")
    inside = leading(evaluate_run(followed))
    assert inside is not None
    assert inside[0].cohort == "asan-test"
    save_cohort(followed, make_cohort("here", 60, 1), "here")
    assert leading(evaluate_run(followed)) is None


def test_who_was_studied_counts_no_labels(followed):
    page = html(followed)
    people = page[page.index('id="people"') : page.index('id="flow"')]
    assert people.count("no DXA label is used") == 9
    assert 'id="decisions"' not in page
    assert "#decisions" not in page


def test_the_checklists_claim_no_labels_and_no_groups(followed):
    with write_checklists(Run.at(followed))[1].open() as file:
        said = " ".join(row["answer"] for row in csv.DictReader(file))
    assert "no DXA label is used" in said
    assert "Harrell's C" in said
    for claim in ("0 with low bone mass", "0 normal", "Performance by", "reference of", "AUROC"):
        assert claim not in said
    assert "There is no threshold" in said


def test_show_prints_c_and_tests_say_that_there_are_none(followed, run):
    shown = CliRunner().invoke(app, ["show", str(followed)]).stdout
    assert "Harrell's C [95%]" in shown
    assert "chose temperature" not in shown
    found = evaluate_run(followed)[0].models[0].fracture
    assert found is not None
    assert found.harrell_c.text() in shown
    assert "Harrell" not in CliRunner().invoke(app, ["show", str(run)]).stdout
    other = followed.with_name("other")
    shutil.copytree(followed, other)
    compared = CliRunner().invoke(app, ["compare", str(followed), str(other)])
    assert compared.exit_code == 0
    assert compared.stdout.startswith("No test was made")
    refused = CliRunner().invoke(app, ["clinical", str(followed)])
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "no prediction has a DXA label" in refused.stderr


def test_a_gate_holds_the_lower_bound_of_c(followed, run):
    metrics = evaluate_run(followed)
    found = next(m for m in metrics if m.cohort == "north-external").models[0].fracture
    assert found is not None
    low = found.harrell_c.low
    assert low is not None
    good, bad = (f"north-external: c_low>={low + d}" for d in (-1e-6, 1e-6))
    assert [o.passed for o in check([parse(good), parse(bad)], metrics)] == [True, False]
    without = check([parse("c_low>=0.1")], evaluate_run(run))
    assert {o.why for o in without} == {"undefined: no patient was followed for fractures"}
