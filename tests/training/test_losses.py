from __future__ import annotations

import numpy as np
import torch
from scipy.special import expit, rel_entr

from training.losses import distillation_kl


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
