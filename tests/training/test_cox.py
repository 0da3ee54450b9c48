"""Cox over ranks, coded follow-up, the baseline hazard and C: by hand and by the evaluation."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from eval.survival import baseline as judged
from eval.survival import harrell_c
from tests.training.together import ranks
from training.batch import Batch
from training.config import Config, Fracture
from training.cox import Cox
from training.followup import Followed, check_followed, days_of, event_of
from training.meter import Meter
from training.overrides import override
from training.recipes import recipe
from training.survival import Baseline, baseline, concordance, cox_loss
from training.world import World, alone

N = 24


class Line(nn.Module):
    """Two logits, linear in one number a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.3, -0.9], dtype=torch.float64))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, 0, 0, :1].double() * self.slope


def batch(broken: bool = True) -> Batch:
    """24 samples with ties, four of them padding."""
    rng = np.random.default_rng(4)
    image = torch.from_numpy(rng.normal(0, 1, (N, 1, 1, 1)))
    days = rng.integers(1, 9, N)
    event = rng.random(N) < 0.5 if broken else np.zeros(N, bool)
    label = torch.from_numpy(Followed(np.arange(N), days, event.astype(np.int64)).coded)
    real = torch.ones(N)
    real[[3, 11, 19, 23]] = 0
    return Batch(image, label, real, N - 4)


def part(whole: Batch, rank: int, size: int) -> Batch:
    """As `order.deal` does: every size-th sample."""
    return whole._each(lambda x: x[rank::size])


def taken(world: World, whole: Batch) -> tuple[dict[str, float], torch.Tensor]:
    """One rank's sums, and its gradient of the step."""
    model = Line()
    losses = Cox(world).loss(model, part(whole, world.rank, world.size))
    losses["loss"].backward()
    assert model.slope.grad is not None
    return {k: float(v.detach()) for k, v in losses.items()}, model.slope.grad


def by_hand(whole: Batch) -> tuple[float, torch.Tensor]:
    """The loss of all real samples at once, and its gradient."""
    model, real = Line(), whole.real > 0
    z = model(whole.image)
    risk = (z[:, 1] - z[:, 0]).float()[real]
    loss = cox_loss(risk, days_of(whole.label)[real], event_of(whole.label)[real])
    loss.backward()
    assert model.slope.grad is not None
    return float(loss.detach()), model.slope.grad


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_any_number_of_ranks_has_one_loss_and_one_gradient(size):
    whole = batch()
    loss, gradient = by_hand(whole)
    found = ranks(size, lambda world: taken(world, whole)) if size > 1 else [taken(alone(), whole)]
    assert sum(sums["loss"] for sums, _ in found) == pytest.approx(loss * 20, rel=1e-6)
    total = torch.stack([g for _, g in found]).sum(0) / 20
    torch.testing.assert_close(total, gradient, rtol=1e-6, atol=1e-9)
    events = int(event_of(whole.label)[whole.real > 0].sum())
    assert sum(sums["n/fracture"] for sums, _ in found) == pytest.approx(events)
    each = sum(sums["cox/fracture"] for sums, _ in found) / events
    assert each == pytest.approx(loss, rel=1e-6)


def test_risks_of_bfloat16_logits_are_not_rounded_again():
    """Differences of numbers near 100, which bfloat16 has in steps of 0.5."""

    class Given(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x = image[:, 0, 0, :1].float()
            return torch.cat([0.013 * x, 100 + 8 * x], 1).bfloat16().requires_grad_()

    whole, real = batch(), batch().real > 0
    z = Given()(whole.image).detach().double()[real]
    days, event = (f(whole.label)[real] for f in (days_of, event_of))
    exact = float(cox_loss(z[:, 1] - z[:, 0], days, event))
    loss = Cox(alone()).loss(Given(), whole)["loss"]
    assert float(loss.detach()) == pytest.approx(20 * exact, rel=1e-6)


def test_padding_counts_for_nothing():
    whole = batch()
    other = batch()
    other.image[other.real == 0] = 50.0
    assert taken(alone(), whole)[0] == taken(alone(), other)[0]


@pytest.mark.parametrize("size", [1, 2])
def test_a_batch_without_a_fracture_teaches_nothing(size):
    whole = batch(broken=False)
    found = ranks(size, lambda world: taken(world, whole)) if size > 1 else [taken(alone(), whole)]
    for sums, gradient in found:
        assert sums == {"loss": 0.0, "cox/fracture": 0.0, "n/fracture": 0.0}
        assert gradient.tolist() == [0.0, 0.0]


def test_the_record_is_the_mean_over_fractures():
    meter, whole, quiet = Meter({}, alone()), batch(), batch(broken=False)
    for each in (whole, quiet):
        losses = Cox(alone()).loss(Line(), each)
        meter.add(losses, each, torch.tensor(0.0))
    assert meter.read()["train/cox/fracture"] == pytest.approx(by_hand(whole)[0], rel=1e-6)


def index(**splits: list[int]) -> pd.DataFrame:
    """Of patients who are all followed for 900 days, with a fracture (1) or without (0)."""
    rows = [(split, fracture, 900) for split, each in splits.items() for fracture in each]
    return pd.DataFrame(rows, columns=["split", "fracture", "followup_days"])


def test_a_train_split_with_nobody_free_of_a_fracture_is_refused_in_one_line():
    """What placeholder dates of a fracture do: rows of those without one are refused."""
    settings = recipe("fracture:smoke").fracture
    assert settings
    settings = settings.model_copy(update={"horizon_days": 365})
    check_followed({"here": index(train=[1, 0], tune=[1, 1])}, settings)
    with pytest.raises(ValueError, match="here: all 2 followed patients in train") as e:
        check_followed({"here": index(train=[1, 1], tune=[1, 0])}, settings)
    for said in ("ledger.csv", "placeholder", "leave fracture_date empty where there was none"):
        assert said in str(e.value)
    assert "\n" not in str(e.value)


def test_a_batch_of_one_patient_is_refused():
    assert Fracture(epochs=1, batch=2, lr=1e-3).batch == 2
    with pytest.raises(ValueError, match=r"fracture\.batch.*greater than or equal to 2"):
        override(recipe("fracture:smoke"), ["fracture.batch=1"])


def test_follow_up_is_coded_and_comes_back():
    frame = pd.DataFrame(
        {
            "fracture": pd.array([1, None, 0, 1], "Int64"),
            "followup_days": pd.array([300, None, 0, 40_000], "Int64"),
        }
    )
    found = Followed.of_index(frame, "here")
    assert found.rows.tolist() == [0, 2, 3]
    label = torch.from_numpy(found.coded)
    assert days_of(label).tolist() == [300, 0, 40_000]
    assert event_of(label).tolist() == [1, 0, 1]
    # what batches are stratified by
    assert found.coded.astype(np.uint8).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("fracture", "days"),
    [([1, None], [3, 4]), ([1, 0], [3, None]), ([2, 0], [3, 4]), ([1, 0], [-3, 4]), ([1], [10**6])],
)
def test_follow_up_that_cannot_be_is_refused(fracture, days):
    columns = {"fracture": pd.array(fracture, "Int64"), "followup_days": pd.array(days, "Int64")}
    with pytest.raises(ValueError, match="here: "):
        Followed.of_index(pd.DataFrame(columns), "here")


def cohort(seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log risks, some tied; days with ties; events."""
    rng = np.random.default_rng(seed)
    risk = np.round(rng.normal(0, spread, 80), 1)
    return risk, rng.integers(0, 30, 80), (rng.random(80) < 0.4).astype(np.int64)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("shift", [0.0, 800.0, -800.0])
def test_baseline_is_that_of_the_evaluation(ties, shift):
    for seed in range(5):
        risk, days, event = cohort(seed)
        ours = baseline(risk + shift, days, event, ties)
        theirs = judged(days, event, risk + shift, ties)
        assert ours.times == tuple(theirs.times)
        np.testing.assert_allclose(ours.log_hazard, theirs.log_hazard, atol=1e-9)
        free = theirs.curves(risk + shift, [0, 7, 29])
        for k, day in enumerate([0, 7, 29]):
            np.testing.assert_allclose(ours.risk(risk + shift, day), 1 - free[:, k], atol=1e-9)
        assert np.isnan(ours.risk(risk, 30)).all()


def exactly(risk: np.ndarray, days: np.ndarray, event: np.ndarray, ties: str) -> list[float]:
    """The log of the cumulative hazard, summed in decimals of 60 digits."""
    with localcontext() as context:
        context.prec = 60
        weight = [Decimal(float(r)).exp() for r in risk]
        total, found = Decimal(0), []
        for t in sorted({d for d, e in zip(days, event, strict=True) if e}):
            at_risk = sum((w for w, d in zip(weight, days, strict=True) if d >= t), Decimal(0))
            tied = [w for w, d, e in zip(weight, days, event, strict=True) if d == t and e]
            for k in range(len(tied)):
                gone = Decimal(k) / len(tied) if ties == "efron" else Decimal(0)
                total += 1 / (at_risk - gone * sum(tied, Decimal(0)))
            found.append(float(total.ln()))
    return found


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("spread", [1.0, 10.0, 500.0])
def test_baseline_is_exact_however_far_apart_log_risks_lie(ties, spread):
    for seed in range(3):
        risk, days, event = cohort(seed, spread)
        ours = baseline(risk, days, event, ties).log_hazard
        np.testing.assert_allclose(ours, exactly(risk, days, event, ties), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_risk_set_far_below_the_others_divides_by_nothing(ties):
    risk, days, event = np.array([-800.0, 0, -900]), np.array([5, 1, 5]), np.array([1, 1, 0])
    with np.errstate(all="raise", under="ignore"):
        made = baseline(risk, days, event, ties)
    assert made.times == (1, 5)
    assert made.log_hazard == pytest.approx((0, 800))
    assert made.risk(risk, 5) == pytest.approx([1 - np.exp(-1), 1, np.exp(-100)])


def test_a_baseline_is_read_as_it_was_written():
    risk, days, event = cohort(1)
    made = baseline(risk, days, event)
    assert Baseline.from_json(json.loads(json.dumps(made.as_json()))) == made


@pytest.mark.parametrize(
    "change",
    [{"times": [1.0]}, {"end": "soon"}, {"ties": "none"}, {"log_hazard": None}],
)
def test_a_baseline_that_is_none_is_refused(change):
    risk, days, event = cohort(1)
    said = baseline(risk, days, event).as_json() | change
    with pytest.raises(ValueError, match="not a baseline hazard"):
        Baseline.from_json(said)


def test_concordance_is_that_of_the_evaluation():
    for seed in range(10):
        risk, days, event = cohort(seed)
        assert concordance(risk, days, event) == pytest.approx(harrell_c(days, event, risk).value)
    assert concordance(np.zeros(3), np.array([1, 2, 3]), np.zeros(3)) is None
    assert concordance(np.zeros(1), np.array([1]), np.ones(1)) is None


def test_the_recipes_state_what_they_leave_open():
    for name in ("fracture", "fracture:smoke"):
        config = recipe(name)
        assert isinstance(config, Config)
        assert config.models == ("fracture",)
        assert config.fracture
    assert recipe("ospenscreen").models == ("teacher", "student")
