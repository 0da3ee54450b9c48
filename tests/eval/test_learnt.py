"""What a run learnt is said by run.json alone, and every page says it so."""

import json
import re

import pytest

from eval.checklists.answers.method import model
from eval.checklists.evidence import Evidence
from eval.learnt import Learnt
from eval.modelcard import card
from eval.report import write_report
from eval.runs import Run


@pytest.mark.parametrize(
    ("stated", "positive", "negative", "without", "others"),
    [
        (None, "low bone mass", "normal", "normal", "the normal"),
        ("", "low bone mass", "normal", "normal", "the normal"),
        (7, "low bone mass", "normal", "normal", "the normal"),
        ("x" * 81, "low bone mass", "normal", "normal", "the normal"),
        (
            *("osteoporosis", "osteoporosis", "no osteoporosis"),
            *("without osteoporosis", "those without osteoporosis"),
        ),
        (
            *("low bone mass or  osteoporosis", "low bone mass or osteoporosis", "normal"),
            *("normal", "the normal"),
        ),
    ],
)
def test_the_names_of_the_classes(stated, positive, negative, without, others):
    said = Learnt.of({} if stated is None else {"positive": stated})
    assert (said.positive, said.negative) == (positive, negative)
    assert (said.without, said.others) == (without, others)


def test_a_run_that_learnt_osteoporosis_is_not_said_to_find_low_bone_mass(run):
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"positive": "osteoporosis"}))
    page = write_report(run, explain=False).read_text()
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    page = re.sub(r'<section id="proxies">.*?</section>', "", page, flags=re.DOTALL)
    # as a disease that it might be used to diagnose, it is still named
    named = [m.start() for m in re.finditer("low bone mass", page, re.IGNORECASE)]
    allowed = page.index("to diagnose osteoporosis or low bone mass")
    assert [page[at - 60 : at + 40] for at in named if not 0 < at - allowed < 40] == []
    for text in ("Finding osteoporosis in chest", "with osteoporosis by DXA", "No osteoporosis"):
        assert text in page
    metrics = [json.loads(p.read_text()) for p in run.glob("cohorts/*/metrics.json")]
    assert metrics
    assert not any("low bone mass" in json.dumps(m).replace("low_bone_mass", "") for m in metrics)
    text = card(Run.at(run), []).markdown()
    assert "a probability of osteoporosis" in text
    assert "1 osteoporosis" in text


def test_severity_grades_low_bone_mass_and_not_osteoporosis(run):
    assert "<h3>By severity" in write_report(run, explain=False).read_text()
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"positive": "osteoporosis"}))
    assert "<h3>By severity" not in write_report(run, explain=False).read_text()


def test_what_a_probability_is_of_is_said_in_the_checklists_too(tmp_path):
    (tmp_path / "image" / "weights").mkdir(parents=True)
    (tmp_path / "run.json").write_text(json.dumps({"positive": "osteoporosis"}))
    for name, value in {
        "config": {"model": {"name": "grid"}},
        "preprocessor": {"size": 128},
    }.items():
        (tmp_path / "image" / "weights" / f"{name}.json").write_text(json.dumps(value))
    (tmp_path / "image" / "weights" / "model.safetensors").write_bytes(b"weights")
    text = model(Evidence(Run.at(tmp_path)))
    assert "the probability of 'osteoporosis' against 'no osteoporosis'" in text
