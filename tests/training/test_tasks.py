"""What is learnt, by class and by hand; who is taught and who is not."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from tests.training.networks import CPU, network, preprocessor, weights
from training.batch import Batch
from training.features import Tap, drop_projections, feature_distance, width
from training.tasks import Distil, MeanTeacher, Supervised
from training.teachers import Teachers

B, REAL = 7, [1, 1, 0, 1, 1, 0, 1]


@pytest.fixture
def batch() -> Batch:
    """Seven pictures of noise, two of them padding; the student's view is the teacher's."""
    rng = np.random.default_rng(0)
    weak = torch.from_numpy(rng.integers(0, 256, (B, 48, 48), dtype=np.uint8))
    label = torch.tensor([0, 1, 1, 0, 1, 0, 1])
    said = torch.from_numpy(rng.normal(0, 2, (B, 2)).astype(np.float32))
    image = preprocessor().normalise(weak)
    return Batch(image, label, torch.tensor(REAL).float(), 9, 2, 1, (weak,), said)


def values(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(v.detach()) for name, v in losses.items()}


def by_hand(student, teacher, batch: Batch, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy and T^2 KL of each sample."""
    z, said = (np.asarray(x.detach(), np.float64) for x in (student, teacher))
    ce = -log_softmax(z, axis=1)[np.arange(B), batch.label]
    p = softmax(said / t, axis=1)
    return ce, t**2 * (p * (np.log(p) - log_softmax(z / t, axis=1))).sum(1)


def test_sums_and_classes_are_those_worked_out_by_hand(batch):
    model = network(3)
    z = model(batch.image)
    assert batch.teacher is not None
    ce, kl = by_hand(z, batch.teacher, batch, 3.0)
    real, positive = np.array(REAL) > 0, batch.label.numpy() == 1
    expected = {"n/normal": 2.0, "n/low_bone_mass": 3.0}
    for name, each in (("ce", ce), ("kl", kl)):
        expected[name] = each[real].sum()
        expected[f"{name}/normal"] = each[real & ~positive].sum()
        expected[f"{name}/low_bone_mass"] = each[real & positive].sum()
    found = values(Distil(3.0, 0.3).loss(model, batch))
    assert found.pop("loss") == pytest.approx(0.7 * expected["ce"] + 0.3 * expected["kl"], rel=1e-5)
    assert found == pytest.approx(expected, rel=1e-5)
    plain = values(Supervised().loss(model, batch))
    expected = {k: v for k, v in expected.items() if "kl" not in k}
    expected["loss"] = expected.pop("ce")
    assert plain == pytest.approx(expected, rel=1e-5)


def tasks(folder) -> dict[str, tuple]:
    """Every task with a student that is ready for it."""
    teachers = Teachers.load([weights(folder / "a", 1)], CPU)
    wide = [folder / "a", weights(folder / "b", 1, name="test_byobnet")]
    average = network(4).eval().requires_grad_(False)
    mean = MeanTeacher(2.0, 0.6, preprocessor(), 5, 3)
    mean.attach(average)
    made = {
        "supervised": Supervised(),
        "cached": Distil(2.0, 0.6),
        "online": Distil(2.0, 0.6, teachers),
        "features": Distil(2.0, 0.6, teachers, 0.5),
        "projected": Distil(2.0, 0.6, Teachers.load(wide, CPU), 0.5),
        "mean teacher": mean,
    }
    out = {}
    for name, task in made.items():
        student = network(5).train()
        if isinstance(task, Distil):
            task.prepare(student)
        out[name] = task, student
    return out


NAMES = ["supervised", "cached", "online", "features", "projected", "mean teacher"]


@pytest.mark.parametrize("name", NAMES)
def test_padding_counts_for_nothing_and_only_the_student_learns(tmp_path, batch, name):
    task, student = tasks(tmp_path)[name]
    losses = task.loss(student, batch)
    losses["loss"].backward()
    gradient = {n: p.grad.clone() for n, p in student.named_parameters()}
    assert all(g.abs().sum() > 0 for n, g in gradient.items() if "head" in n or "to_t" in n)
    assert not any(v.requires_grad for k, v in losses.items() if k != "loss")
    others = [task.average] if isinstance(task, MeanTeacher) else []
    if isinstance(task, Distil) and task.teachers:
        others += [m.model for m in task.teachers.members]
    assert all(p.grad is None and not p.requires_grad for o in others for p in o.parameters())

    # Other pictures, labels and answers where there is nobody.
    nobody = batch.real == 0
    weak = batch.weak[0].clone()
    weak[nobody] = 255 - weak[nobody]
    image, label = preprocessor().normalise(weak), batch.label.clone()
    label[nobody] = 1 - label[nobody]
    assert batch.teacher is not None
    said = batch.teacher.clone()
    said[nobody] = 50.0
    other = Batch(image, label, batch.real, 9, 2, 1, (weak,), said)
    student.zero_grad()
    again = task.loss(student, other)
    again["loss"].backward()
    assert values(again) == pytest.approx(values(losses), rel=1e-5)
    for n, p in student.named_parameters():
        torch.testing.assert_close(p.grad, gradient[n], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_parts_add_up_and_half_precision_stays_in_the_network(tmp_path, batch, name):
    task, student = tasks(tmp_path)[name]
    whole = values(task.loss(student, batch))
    parts = [values(task.loss(student, part)) for part in batch.split(3)]
    assert whole == pytest.approx({k: sum(p[k] for p in parts) for k in whole}, rel=1e-4, abs=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = task.loss(student, batch)
    assert all(v.dtype == torch.float32 for v in rounded.values())
    assert values(rounded) == pytest.approx(whole, rel=0.1, abs=0.1)


def test_the_average_teaches_with_the_students_statistics_and_grows_in_weight(batch):
    student = network(0, "test_byobnet").train()
    task = MeanTeacher(2.0, 0.6, preprocessor(), ramp_epochs=4, steps_per_epoch=3)
    average = copy.deepcopy(student).eval().requires_grad_(False)
    task.attach(average)
    before = [b.clone() for b in student.buffers()]
    losses = values(task.loss(student, batch))
    assert any(not torch.equal(a, b) for a, b in zip(student.buffers(), before, strict=True))
    for mine, then in zip(average.buffers(), before, strict=True):
        assert torch.equal(mine, then), "those before this step, whenever the average was settled"
    p = (2 + 1 / 3) / 4  # epoch 2, step 1
    alpha = 0.6 * math.exp(-5 * (1 - p) ** 2)
    assert losses["loss"] == pytest.approx(
        (1 - alpha) * losses["ce"] + alpha * losses["kl"], rel=1e-5
    )
    batch.epoch = 4
    assert task.ramp(batch) == 1
    batch.epoch, batch.step = 0, 0
    assert task.ramp(batch) == pytest.approx(math.exp(-5))
    assert MeanTeacher(2.0, 0.6, preprocessor(), 0, 3).ramp(batch) == 1


def test_an_average_equal_to_its_student_agrees_with_it(batch):
    student = network(0).train()
    task = MeanTeacher(2.0, 0.6, preprocessor(), 5, 3)
    task.attach(copy.deepcopy(student).eval())
    assert values(task.loss(student, batch))["kl"] == pytest.approx(0, abs=1e-5)


def test_features_of_twins_are_not_apart(tmp_path, batch):
    """The student is the teacher and sees what it sees; wrapping it changes nothing."""
    folder = weights(tmp_path / "a", 5)
    task = Distil(2.0, 0.6, Teachers.load([folder], CPU), 0.5)
    student = network(5).train()
    task.prepare(student)
    assert not hasattr(student, "to_teachers"), "of the same width"
    found = values(task.loss(torch.nn.Sequential(student), batch))
    assert found["features"] == pytest.approx(0, abs=1e-5)
    assert found["kl"] == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        student.get_submodule("stem").get_parameter("0.weight").mul_(-1)
    assert values(task.loss(student, batch))["features"] > 1e-3


def test_features_are_the_cosine_of_pooled_maps(tmp_path, batch):
    task, student = tasks(tmp_path)["projected"]
    assert task.teachers
    same, other = (m.model for m in task.teachers.members)
    assert width(same) == width(student) != width(other)
    found = values(task.loss(student, batch))
    with torch.no_grad():
        mine = student.forward_intermediates(batch.image, intermediates_only=True)[-1]
        first, second = (
            m.forward_intermediates(batch.image, intermediates_only=True)[-1].mean((2, 3))
            for m in (same, other)
        )
        mine = mine.mean((2, 3))
        projected = mine @ student.get_parameter("to_teachers.1.weight").T
        cosine = F.cosine_similarity(mine, first) + F.cosine_similarity(projected, second)
    far = ((1 - cosine / 2) * batch.real).sum().item()
    assert found["features"] == pytest.approx(far, rel=1e-4)
    expected = 0.4 * found["ce"] + 0.6 * found["kl"] + 0.5 * far
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    one, other = torch.eye(3)[:2], torch.tensor([[2.0, 0, 0], [0, -3, 0]])
    torch.testing.assert_close(feature_distance(one, other), torch.tensor([0.0, 2.0]))


def test_what_the_features_need_is_taken_away_again(tmp_path):
    task, student = tasks(tmp_path)["projected"]
    kept = copy.deepcopy(student)  # as the loop copies it for the average
    assert "to_teachers.1.weight" in kept.state_dict()
    task.release(kept)
    drop_projections(kept)  # twice is once
    assert list(kept.state_dict()) == list(network(0).state_dict())
    # A copy in eval mode does not speak for the student.
    tap = Tap(student, training=True)
    twin = copy.deepcopy(student).eval()
    x = torch.zeros(2, 1, 48, 48)
    with torch.no_grad():
        student(x)
        twin(x + 1)
        expected = student.forward_intermediates(x, intermediates_only=True)[-1].mean((2, 3))
    torch.testing.assert_close(tap.pooled(), expected)


def test_a_network_that_shows_no_map_is_refused():
    """As a compiled one may."""
    tap = Tap(network(0).eval(), training=True)
    with pytest.raises(ValueError, match=r"compute\.compile=false"):
        tap.pooled()
