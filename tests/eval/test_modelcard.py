"""The model card: every number from a file, and nothing that acts as markup."""

import json
import re
import shutil

import pytest

from eval.evaluate import evaluate_run
from eval.modelcard import FORBIDDEN, card, write_card
from eval.runs import Run
from tests.eval.whole_run import pack, whole


@pytest.fixture(scope="module")
def template(tmp_path_factory, build):
    return whole(build(tmp_path_factory.mktemp("whole") / "run", 80))


@pytest.fixture
def complete(template, tmp_path):
    shutil.copytree(template, tmp_path / "run")
    return tmp_path / "run"


def text(run):
    return card(Run.at(run), evaluate_run(run)).markdown()


def lines(run, cohort, model):
    """The cells of the first table line of a cohort and model."""
    start = f"| {cohort} | {model} |"
    return next(x for x in text(run).splitlines() if x.startswith(start)).strip("| ").split(" | ")


def test_every_section_is_there_and_what_it_must_not_do_is_said(complete):
    said = text(complete)
    assert re.findall(r"^## (.*)", said, re.MULTILINE) == [
        "Intended use",
        "It must not be used",
        "Model",
        "Data",
        "Performance",
        "Operating point and calibration",
        "Subgroups and gaps",
        "Limitations",
        "Hashes (classes: 0 normal, 1 low bone mass)",
    ]
    assert all(f"- {x}" in said for x in FORBIDDEN)
    assert "not a medical device" in said
    assert str(complete.parent) not in said


def test_numbers_are_those_of_metrics_json(complete):
    metrics = json.loads((complete / "cohorts/north-external/metrics.json").read_text())
    student = next(m for m in metrics["models"] if m["model"] == "student")
    cells = lines(complete, "north-external", "student")
    assert cells[2] == f"{student['overall']['n']:,}"
    for cell, name in zip(
        cells[3:], ("prevalence", "auroc", "sensitivity", "specificity", "ppv", "npv"), strict=True
    ):
        e = student["overall"][name]
        assert cell == f"{e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}]"


def test_other_files_another_card(complete, make_cohort, save_cohort):
    before = text(complete)
    save_cohort(complete, make_cohort("north-external", 80, 99, 0.1), "north-external")
    after = text(complete)
    assert lines(complete, "north-external", "student")[4] not in before
    sha256 = re.findall(r"predictions of north-external, SHA-256: `(\w+)`", after)
    assert sha256 != re.findall(r"predictions of north-external, SHA-256: `(\w+)`", before)
    (complete / "student/weights/model.safetensors").write_bytes(b"other weights")
    hashes = [
        re.findall(r"weights of the student, SHA-256: `(\w+)`", t) for t in (after, text(complete))
    ]
    assert hashes[0] != hashes[1]
    temperature = complete / "student/weights/calibration.json"
    temperature.write_text('{"temperature": 2.75}')
    assert "student: logits divided by a temperature of 2.75" in text(complete)


def test_data_are_those_of_the_manifests(complete):
    manifest = pack(complete, "asan", "internal")
    said = text(complete)
    assert "| asan | internal | who/1 | train 30 |" in said
    assert f"manifest of asan, SHA-256: `{manifest.hash}`" in said
    (complete / "packs/asan/manifest.json").unlink()
    said = text(complete)
    assert "undefined: asan: no readable manifest" in said
    assert manifest.hash not in said


def test_limitations_that_the_files_show(complete, make_cohort, save_cohort):
    # 80 patients a cohort: fewer than 100 in the smaller class.
    assert re.search(r"asan-test has \d+ patients in its smaller class", text(complete))
    assert "No external cohort was judged" not in text(complete)
    shutil.rmtree(complete / "cohorts/north-external")
    assert "No external cohort was judged: nothing is known of other hospitals." in text(complete)
    shifted = make_cohort("asan-test", 300, 4)
    shifted["probability"] = shifted["probability"] ** 3
    save_cohort(complete, shifted, "asan-test")
    assert "asan-test, student: the calibration slope is" in text(complete)


def test_subgroups_with_gaps_are_those_of_the_cohort_it_leads_with(complete):
    metrics = json.loads((complete / "cohorts/north-external/metrics.json").read_text())
    student = next(m for m in metrics["models"] if m["model"] == "student")
    women = next(s for s in student["subgroups"] if (s["by"], s["level"]) == ("sex", "women"))
    gap = women["gap"]["auroc"]
    line = next(x for x in text(complete).splitlines() if x.startswith("| sex: women |"))
    expected = f"{gap['value']:.3f} [{gap['low']:.3f}, {gap['high']:.3f}]".replace("-", "−")
    assert expected in line
    assert f"{gap['p_holm']:.3f}" in line
    assert f"for {student['comparisons']:,} gaps tested" in text(complete)


def test_a_run_of_predictions_alone_has_a_card(tmp_path, make_cohort, save_cohort):
    save_cohort(tmp_path, make_cohort("here", 60, 1), "here")
    said = text(tmp_path)
    assert "# Model card: a run without a name" in said
    assert said.count("undefined: ") > 5
    path = write_card(Run.at(tmp_path), evaluate_run(tmp_path))
    assert path == tmp_path / "report" / "modelcard.md"
    assert path.read_text() == said


def test_names_cannot_act_as_markup(tmp_path, make_cohort, save_cohort):
    frame = make_cohort("here", 60, 1).replace({"model": {"student": "<b>|[x](y)*"}})
    save_cohort(tmp_path, frame, "here")
    (tmp_path / "run.json").write_text(json.dumps({"run_id": "a\n# b <script>"}))
    said = text(tmp_path)
    assert "\n# b" not in said
    assert "<" not in re.sub(r"\\<", "", said)
    widths = {len(re.split(r"(?<!\\)\|", x)) for x in said.splitlines() if x.startswith("| here |")}
    assert widths == {9 + 2, 7 + 2}
