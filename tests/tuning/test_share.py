"""A teacher taken over is the teacher that would have been trained, and is nobody else's."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
import torch

from tests.tuning.trials import PRUNED, add
from training.folder import complete, prepare, read_facts
from training.launch import launch
from tuning.keep import remove
from tuning.share import adopt
from tuning.store import open_study
from tuning.sweep import Sweep


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", [*changes, "model.name=test_convnext"])


@pytest.fixture
def one_thread():
    """Threads would add their sums in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def trained(sweep, drawn, taking_from=None):
    config = sweep.config(drawn)
    folder = prepare(config)
    took = adopt(sweep, taking_from, config, folder) if taking_from else None
    launch(config, folder)
    return folder, took


def test_a_run_with_a_teacher_taken_over_is_to_the_byte_the_run_that_trains_it(
    sweep,
    changes,
    tmp_path,
    one_thread,
    capsys,
):
    study = open_study(sweep)
    donor, _ = trained(sweep, [])
    add(sweep, study, [0.5], run=donor.name)
    drawn = ["student.lr=0.001", "student.temperature=2"]
    shared, took = trained(sweep, drawn, study)
    assert took == donor.name
    assert read_facts(shared)["adopted"] == {"teacher": donor.name}
    assert "teacher" not in read_facts(shared)["timings"]
    assert "taken over from there" in capsys.readouterr().out
    weights = "teacher/weights/model.safetensors"
    assert (shared / weights).stat().st_ino == (donor / weights).stat().st_ino
    metrics = "teacher/metrics.jsonl"  # appended to in place: one file in two runs would mix them
    assert (shared / metrics).stat().st_ino != (donor / metrics).stat().st_ino

    other = Sweep.of(
        "ospenscreen:smoke",
        [*changes, "model.name=test_convnext", f"paths.runs={tmp_path / 'elsewhere'}"],
    )
    alone, _ = trained(other, drawn)
    assert alone.name == shared.name
    assert alone != shared
    for stage in ("teacher/weights", "student/weights"):
        assert files(alone / stage) == files(shared / stage)
        assert files(alone / stage)
    scores = [
        [json.loads(line)["tune/auroc"] for line in (run / metrics).read_text().splitlines()]
        for run in (alone, shared)
    ]
    assert scores[0] == scores[1]

    # Weights of the one that is not kept go, and the other's stay.
    remove(donor)
    assert not complete(donor)
    assert complete(shared)
    assert files(alone / "teacher/weights") == files(shared / "teacher/weights")


@pytest.fixture
def donor(sweep):
    """A finished teacher, as if trained: only what is looked at."""
    folder = prepare(sweep.config([]))
    weights = folder / "teacher" / "weights"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    (weights / "config.json").write_text(json.dumps({"sha256": sha256}))
    (folder / "teacher" / "metrics.jsonl").write_text('{"step": 1}\n')
    return folder


def taken(sweep, drawn, donor, **attrs):
    study = open_study(sweep)
    add(sweep, study, [0.5], run=donor.name, **attrs)
    config = sweep.config(drawn)
    folder = prepare(config)
    return adopt(sweep, study, config, folder), folder


@pytest.mark.parametrize(
    ("drawn", "same"),
    [
        (["student.lr=0.1"], True),
        (["student.alpha=0"], True),
        (["pseudo.p_lbm=0.9"], True),
        (["pseudo.enabled=false"], True),
        (["teacher.lr=0.1"], False),
        (["teacher.epochs=2"], False),
        (["seed=1"], False),
        (["input.size=64"], False),
        (["precision=bf16"], False),
        (["model.drop_path=0.1"], False),
        (["operating_point=half"], False),
        (["compute.workers=1", "student.lr=0.1"], False),
        (["data.stratify=false"], False),
    ],
)
def test_only_a_teacher_of_the_same_settings_is_taken(sweep, donor, drawn, same):
    took, folder = taken(sweep, drawn, donor)
    assert took == (donor.name if same else None)
    assert (folder / "teacher" / "weights").is_dir() == same


def test_a_stopped_trials_teacher_is_as_good(sweep, donor):
    study = open_study(sweep)
    add(sweep, study, None, PRUNED, run=donor.name)
    config = sweep.config(["student.lr=0.1"])
    assert adopt(sweep, study, config, prepare(config)) == donor.name


def test_a_teacher_of_other_data_or_libraries_is_not_taken(sweep, donor):
    facts = json.loads((donor / "run.json").read_text())
    for change in ({"versions": {"torch": "0.1"}}, {"manifests": {}}, {"resumed_with": [{}]}):
        (donor / "run.json").write_text(json.dumps(facts | change))
        assert taken(sweep, ["student.lr=0.1"], donor)[0] is None


def test_damaged_weights_are_not_taken(sweep, donor, capsys):
    (donor / "teacher" / "weights" / "model.safetensors").write_bytes(b"weightz")
    took, folder = taken(sweep, ["student.lr=0.1"], donor)
    assert took is None
    assert not (folder / "teacher").exists()
    assert not list(folder.glob(".teacher*"))
    assert "not those that were written" in capsys.readouterr().out


def test_what_is_begun_or_gone_is_left_as_it_is(sweep, donor):
    config = sweep.config(["student.lr=0.1"])
    (prepare(config) / "teacher").mkdir()
    assert taken(sweep, ["student.lr=0.1"], donor)[0] is None
    remove(donor)
    assert taken(sweep, ["student.lr=0.2"], donor)[0] is None
    shutil.rmtree(donor)
    assert taken(sweep, ["student.lr=0.3"], donor)[0] is None


def test_one_model_alone_has_no_teacher(sweep, donor):
    config = sweep.config([])
    alone = config.model_copy(update={"image": config.teacher})
    assert adopt(sweep, open_study(sweep), alone, donor) is None
