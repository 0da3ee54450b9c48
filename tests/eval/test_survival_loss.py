"""Cox's loss and its gradient against R and against a slow sum over risk sets; bad input."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.eval.survival_cases import CASES, cohort
from training.survival import cox_loss

TIES = ["efron", "breslow"]


def tensors(case, dtype=torch.float64):
    score = torch.tensor(case["score"], dtype=dtype, requires_grad=True)
    return score, torch.tensor(case["time"], dtype=torch.float64), torch.tensor(case["event"])


def slow(log_risk, time, event, ties):
    """The product over distinct fracture times, from the papers."""
    total, fractures = 0.0, 0
    risk = [math.exp(x) for x in log_risk]
    for t in sorted({a for a, e in zip(time, event, strict=True) if e}):
        everyone = sum(r for r, a in zip(risk, time, strict=True) if a >= t)
        rows = [i for i in range(len(time)) if time[i] == t and event[i]]
        tied = sum(risk[i] for i in rows)
        for k, i in enumerate(rows):
            gone = k / len(rows) * tied if ties == "efron" else 0.0
            total += math.log(everyone - gone) - log_risk[i]
        fractures += len(rows)
    return total / fractures


def test_evaluation_knows_it_by_its_own_name_without_importing_torch_for_the_rest():
    import eval.survival

    assert eval.survival.cox_loss is cox_loss
    with pytest.raises(AttributeError, match="no attribute 'cox'"):
        _ = eval.survival.cox  # pyright: ignore
    code = "import eval.survival, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_value_and_gradient_are_rs(case, ties):
    score, time, event = tensors(case)
    loss = cox_loss(score, time, event, ties)
    loss.backward()
    said, fractures = case["R"]["cox"][ties], sum(case["event"])
    assert loss.item() == pytest.approx(-said["loglik"] / fractures, abs=1e-10)
    # the derivative in a patient's log risk is minus the martingale residual
    assert score.grad.numpy() * fractures == pytest.approx(-np.array(said["martingale"]), abs=1e-10)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_agrees_with_the_definition(n, ties):
    for seed in range(5):
        time, event, score = cohort(n, seed, ties=True)
        event[0] = True
        x = torch.tensor(score)
        ours = cox_loss(x, torch.tensor(time), torch.tensor(event), ties).item()
        assert ours == pytest.approx(slow(score, time, event, ties), abs=1e-12)


@pytest.mark.parametrize("ties", TIES)
def test_gradient_by_finite_differences(ties):
    time, event, score = cohort(12, 1, ties=True)
    x = torch.tensor(score, requires_grad=True)
    torch.autograd.gradcheck(
        lambda x: cox_loss(x, torch.tensor(time), torch.tensor(event), ties), (x,)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ties", TIES)
def test_the_order_of_the_batch_changes_no_bit(ties, dtype):
    time, event, score = cohort(64, 2, ties=True)
    x = torch.tensor(score + np.random.default_rng(0).normal(size=64), dtype=dtype)
    found = set()
    for seed in range(20):
        order = torch.tensor(np.random.default_rng(seed).permutation(64))
        y = x[order].clone().requires_grad_()
        loss = cox_loss(y, torch.tensor(time)[order], torch.tensor(event)[order], ties)
        loss.backward()
        back = torch.empty_like(y.grad)
        back[order] = y.grad
        found.add((loss.item(), back.numpy().tobytes()))
    assert len(found) == 1


def test_without_ties_efron_is_breslow_and_a_constant_changes_nothing():
    time, event, score = (torch.tensor(a) for a in cohort(50, 3, ties=False))
    efron, breslow = (cox_loss(score, time, event, ties).item() for ties in TIES)
    assert efron == pytest.approx(breslow, abs=1e-12)
    assert cox_loss(score + 5, time, event).item() == pytest.approx(efron, abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_batch_without_a_fracture_is_0_with_a_graph(n):
    x = torch.full((n,), math.inf, requires_grad=True)
    loss = cox_loss(x * 1, torch.arange(n), torch.zeros(n))
    assert loss.item() == 0
    loss.backward()
    assert x.grad.tolist() == [0.0] * n


def test_a_fracture_alone_says_nothing():
    x = torch.tensor([3.0], requires_grad=True)
    loss = cox_loss(x, torch.tensor([2.0]), torch.tensor([1]))
    loss.backward()
    assert (loss.item(), x.grad.item()) == (0.0, 0.0)


@pytest.mark.parametrize("ties", TIES)
def test_log_risks_in_the_hundreds_do_not_overflow(ties):
    x = torch.tensor([900.0, 850.0, -900.0, 0.0], requires_grad=True)
    time, event = torch.tensor([1, 1, 2, 3]), torch.tensor([1, 1, 1, 0])
    loss = cox_loss(x, time, event, ties)
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(x.grad).all()
    # tied 900 and 850 share one set, whose sum is e^900; -900 is judged against 0
    left = math.log(0.5) if ties == "efron" else 0
    assert loss.item() == pytest.approx((50 + left + 900) / 3, rel=1e-6)


def test_half_precision_is_widened():
    time, event, score = (torch.tensor(a) for a in cohort(40, 4, ties=True))
    half = score.bfloat16()
    loss = cox_loss(half, time, event)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(cox_loss(half.double(), time, event).item(), rel=1e-6)


def test_nan_is_passed_on_for_the_loop_to_see():
    x = torch.tensor([0.0, math.nan])
    assert math.isnan(cox_loss(x, torch.tensor([1, 2]), torch.tensor([1, 0])).item())


def test_following_the_gradient_finds_the_hazard_ratio():
    rng = np.random.default_rng(5)
    x = rng.normal(size=3000)
    fracture, last = rng.exponential(np.exp(-0.7 * x)), rng.uniform(0, 3, 3000)
    time, event = torch.tensor(np.minimum(fracture, last)), torch.tensor(fracture <= last)
    beta = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([beta], line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = cox_loss(beta * torch.tensor(x), time, event)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert beta.item() == pytest.approx(0.7, abs=0.08)


@pytest.mark.parametrize(
    ("time", "event", "what"),
    [
        ([-1.0, 2.0], [1, 0], "at least 0"),
        ([math.nan, 2.0], [1, 0], "finite"),
        ([1.0, 2.0], [1, 2], "events must be"),
        ([1.0, 2.0, 3.0], [1, 0], "one length"),
    ],
)
def test_refuses(time, event, what):
    with pytest.raises(ValueError, match=what):
        cox_loss(torch.zeros(2), torch.tensor(time), torch.tensor(event))


def test_refuses_columns_and_other_ties():
    with pytest.raises(ValueError, match="one length"):
        cox_loss(torch.zeros(2, 1), torch.ones(2, 1), torch.ones(2, 1))
    with pytest.raises(ValueError, match="efron, breslow"):
        cox_loss(torch.zeros(2), torch.ones(2), torch.ones(2), "exact")  # pyright: ignore
