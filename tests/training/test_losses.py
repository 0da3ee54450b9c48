from __future__ import annotations

import numpy as np
import torch
from scipy.special import expit, rel_entr

from training.losses import by_class, cross_entropy, distillation_kl, ramp_up


def test_kl_is_that_of_two_bernoullis_times_t_squared():
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 50, 2))
    for t in (1.0, 2.0, 4.0):
        p = expit((teacher[:, 1] - teacher[:, 0]) / t)
        q = expit((student[:, 1] - student[:, 0]) / t)
        expected = (rel_entr(p, q) + rel_entr(1 - p, 1 - q)) * t**2
        found = distillation_kl(torch.tensor(student), torch.tensor(teacher), t)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_gradient_keeps_its_size_as_temperature_grows():
    # Hinton et al. 2015, eq. 4: in the limit the gradient is that of matching (centred) logits.
    student = torch.tensor([[0.2, -0.1]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    distillation_kl(student, teacher, 1e3).sum().backward()
    centred = (student - student.mean()).detach() - (teacher - teacher.mean())
    torch.testing.assert_close(student.grad, centred / 2, rtol=1e-2, atol=1e-4)


def test_extreme_logits_stay_finite():
    big = torch.tensor([[1e4, -1e4]])
    assert torch.isfinite(distillation_kl(-big, big, 1.0)).all()


def test_half_precision_logits_lose_no_more_than_they_have_lost():
    logits = torch.tensor([[3.0, -2.0], [0.1, 0.3]]).bfloat16()
    label = torch.tensor([0, 1])
    with torch.autocast("cpu", torch.bfloat16):
        found = cross_entropy(logits, label), distillation_kl(logits, logits * 2, 2.0)
    exact = logits.double()
    expected = cross_entropy(exact, label), distillation_kl(exact, exact * 2, 2.0)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert b.dtype == torch.float64
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)


def test_consistency_grows_like_the_papers_and_stays():
    # Worked out: e^-5, e^-1.25, 1.
    assert [round(ramp_up(x), 4) for x in (-1, 0, 0.5, 1, 9)] == [0.0067, 0.0067, 0.2865, 1, 1]


def test_classes_are_summed_over_real_samples_and_an_absent_one_is_zero():
    value, label = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, 0, 1, 0])
    found = by_class({"ce": value}, label, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert {k: v.item() for k, v in found.items()} == {
        "n/normal": 2,
        "ce/normal": 3,
        "n/low_bone_mass": 0,
        "ce/low_bone_mass": 0,
    }
