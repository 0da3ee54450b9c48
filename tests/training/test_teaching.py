"""A student under every kind of teacher, through the whole line, in-process."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from data_sharding.reader import ShardDataset
from data_sharding.schema import sha256_file
from tests.training.networks import CPU, preprocessor, weights
from training.average import Average
from training.config import Student
from training.folder import prepare
from training.launch import complete, launch
from training.stream import Group
from training.tasks import Distil, MeanTeacher, Supervised
from training.teaching import check_teachers, teaching
from training.world import alone

SHORT = ("teacher.epochs=1", "pseudo.enabled=false", "student.epochs=2")


def learnt(folder):
    return load_file(folder / "student" / "weights" / "model.safetensors")


def records(folder):
    lines = (folder / "student" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(x) for x in lines]


def done(config):
    folder = prepare(config)
    launch(config, folder)
    assert complete(folder)
    return folder


def test_kept_or_asked_each_step_the_student_learns_the_same(tiny):
    kept = done(tiny(*SHORT))
    online = done(tiny(*SHORT, "student.teacher_logits=online"))
    assert online != kept
    for name, value in learnt(kept).items():
        torch.testing.assert_close(learnt(online)[name], value, rtol=1e-3, atol=1e-5)
    files = sorted((kept.parent / "logits").iterdir())
    assert len(files) == 1
    for a, b in zip(records(kept), records(online), strict=True):
        for name in ("loss", "ce", "kl", "ce/normal", "kl/low_bone_mass"):
            assert a[f"train/{name}"] == pytest.approx(b[f"train/{name}"], rel=1e-3)


@pytest.mark.parametrize(
    "how",
    [
        ("student.teacher=ema", "student.ema=0.9"),
        ("student.features=0.5", "student.teacher_logits=online"),
        ("data.augment_on=device",),
        ("student.alpha=0",),
    ],
    ids=lambda how: how[0],
)
def test_every_kind_of_teaching_goes_through(tiny, how):
    folder = done(tiny(*SHORT, *how))
    found = records(folder)[-1]
    assert ("train/kl" in found) == ("student.alpha=0" not in how)
    assert ("train/features" in found) == ("student.features=0.5" in how)
    plain = load_file(folder / "teacher" / "weights" / "model.safetensors")
    assert list(learnt(folder)) == list(plain)


def test_features_of_a_wider_teacher_leave_nothing_in_the_weights(tiny, tmp_path):
    other = weights(tmp_path / "other", 9, name="test_byobnet")
    how = ("student.features=0.5", "student.teacher_logits=online", f"student.teachers=[{other}]")
    folder = done(tiny(*SHORT, *how))
    assert records(folder)[-1]["train/features"] < records(folder)[0]["train/features"]
    plain = load_file(folder / "teacher" / "weights" / "model.safetensors")
    assert list(learnt(folder)) == list(plain)


def test_others_teach_along_at_their_own_size(tiny, tmp_path):
    other = weights(tmp_path / "other", 9, name="test_byobnet", size=32)
    alone_, both = (done(tiny(*SHORT, f"student.teachers=[{t}]")) for t in ("", other))
    assert not torch.allclose(learnt(alone_)["head.fc.weight"], learnt(both)["head.fc.weight"])
    assert len(list((both.parent / "logits").iterdir())) == 2
    (other / "preprocessor.json").write_text(
        preprocessor(32).model_copy(update={"pixels": "cxr/1"}).model_dump_json()
    )
    shutil.rmtree(both)
    with pytest.raises(ValueError, match=r"take cxr/1 .* leave them out of student\.teachers"):
        done(tiny(*SHORT, f"student.teachers=[{other}]"))


class Killed(Exception):
    pass


def test_a_killed_mean_teacher_goes_on_to_the_same_bytes(tiny, monkeypatch):
    """With batch norms, whose statistics an average takes over whenever it is settled."""
    how = (*SHORT, "student.teacher=ema", "model.name=test_byobnet", "student.ema=0.9")
    calm = done(tiny(*how))
    config = tiny(*how, "compute.checkpoint_steps=1", f"paths.runs={calm.parent}-killed")
    real, steps = Average.update, 0

    def dies(average, step):
        nonlocal steps
        steps += 1
        if steps == 3 + 5:  # three of the teacher's, then in the student's second epoch
            raise Killed
        real(average, step)

    monkeypatch.setattr(Average, "update", dies)
    folder = prepare(config)
    with pytest.raises(Killed):
        launch(config, folder)
    monkeypatch.setattr(Average, "update", real)
    launch(config, folder)
    name = "student/weights/model.safetensors"
    assert sha256_file(folder / name) == sha256_file(calm / name)


def test_settings_become_a_task_and_what_its_batches_carry(packs, tmp_path):
    data = ShardDataset(packs["internal"], "train")
    labels = data.index["label"].to_numpy("int64")
    own = weights(tmp_path / "own")
    groups = [Group(data, labels.nonzero()[0], labels[labels > 0])]

    def taught(**settings):
        student = Student(**({"epochs": 4, "batch": 8, "lr": 0.1} | settings))
        kept = tmp_path / "logits"
        return teaching(student, own, groups, (6,), preprocessor(), kept, alone())

    assert isinstance(taught(alpha=0.0).task, Supervised)
    found = taught(teacher="ema", warmup_epochs=2)
    assert isinstance(found.task, MeanTeacher)
    assert (found.weak, found.said) == ((48,), None)
    assert (found.task.steps_per_epoch, found.task.ramp_epochs) == (4, 2)  # 22 in batches of 6
    online = taught(teacher_logits="online", features=1.0)
    assert isinstance(online.task, Distil)
    assert online.task.teachers
    assert online.task.teachers.device == CPU
    assert (online.weak, online.said) == ((48,), None)
    kept = taught()
    assert kept.weak == ()
    assert kept.said


@pytest.mark.parametrize("how", ["gone", "cut", "of others", "twice", "other pixels", "other size"])
def test_teachers_that_will_not_do_are_told_by_the_check(packs, tmp_path, how):
    manifest = ShardDataset(packs["internal"], "train").manifest
    good, bad = weights(tmp_path / "good"), weights(tmp_path / "bad", 1)
    tensors = bad / "model.safetensors"
    says = "not usable weights"
    if how == "gone":
        shutil.rmtree(bad)
    elif how == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-100])
    elif how == "of others":
        tensors.write_bytes((good / "model.safetensors").read_bytes())
    elif how == "twice":
        bad, says = shutil.copytree(good, tmp_path / "copy"), "same weights twice"
    else:
        seen = {"pixels": "cxr/1"} if how == "other pixels" else {"shape": (64, 64)}
        for folder in (good, bad):  # alike, so that only the dataset is against them
            text = preprocessor().model_copy(update=seen).model_dump_json()
            (folder / "preprocessor.json").write_text(text)
        says = "cxr/1" if how == "other pixels" else "64"
    with pytest.raises(ValueError, match=says):
        check_teachers(Student(epochs=1, batch=8, lr=0.1, teachers=(good, bad)), manifest)


def test_teachers_that_will_do_and_none_pass_the_check(packs, tmp_path):
    manifest = ShardDataset(packs["internal"], "train").manifest
    two = weights(tmp_path / "a"), weights(tmp_path / "b", 1, size=32)
    for teachers in ((), two):
        check_teachers(Student(epochs=1, batch=8, lr=0.1, teachers=teachers), manifest)


def test_teachers_of_another_target_are_refused(packs, tmp_path):
    manifest = ShardDataset(packs["internal"], "train").manifest
    folder = weights(tmp_path / "a")
    student = Student(epochs=1, batch=8, lr=0.1, teachers=(folder,))
    with pytest.raises(ValueError, match="learnt low bone mass, and the student learns osteop"):
        check_teachers(student, manifest, "osteoporosis")
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"target": "osteoporosis"}))
    check_teachers(student, manifest, "osteoporosis")
    with pytest.raises(ValueError, match=r"learnt osteoporosis.*leave it out of student\.teachers"):
        check_teachers(student, manifest)


def test_a_bad_teacher_is_told_before_the_first_stage(tiny, tmp_path):
    other = weights(tmp_path / "other", 9)
    (other / "model.safetensors").write_bytes(b"")
    config = tiny(*SHORT, f"student.teachers=[{other}]")
    folder = prepare(config)
    with pytest.raises(ValueError, match=f"{other}: not usable weights"):
        launch(config, folder)
    assert not (folder / "teacher").exists()
