"""Cox's partial likelihood as a loss, for cohorts with fracture times (DeepSurv, Katzman 2018).

It compares each patient who breaks with everybody still at risk at that time, so it belongs to the
whole batch and not to its samples: gather the batch over ranks before taking it, or the loss
depends on how many there are. Risk sets are true ones: those tied in time are in them together,
whatever order the batch came in (a running sum over the sorted batch is wrong there).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

# Shapes: B patients, E of them with a fracture, G groups that leave at one time.
Ties = Literal["efron", "breslow"]


def cox_loss(
    log_risk_B: torch.Tensor,
    time_B: torch.Tensor,
    event_B: torch.Tensor,
    ties: Ties = "efron",
) -> torch.Tensor:
    """Mean negative log partial likelihood of the fractures in a batch, a scalar in nats.

    A batch without a fracture gives 0 with a graph (and a gradient of 0), never NaN. The same
    patients in another order give the same bits, in at least float32.

    Args:
        log_risk_B: float [B], what the model says, higher for an earlier fracture.
        time_B: [B], at least 0, until the fracture or until last seen; equal numbers are ties, so
            give whole days.
        event_B: [B], 1 or True for a fracture, 0 or False for censored.
        ties: Efron (JASA 1977) or Breslow (Biometrics 1974); without tied fractures they are one.

    Raises:
        ValueError: the shapes differ, a time is negative or not finite, an event is not 0 or 1,
            ties is neither.
    """
    if ties not in get_args(Ties):
        raise ValueError(f"ties {ties!r}: choose one of {', '.join(get_args(Ties))}")
    shapes = tuple(tuple(x.shape) for x in (log_risk_B, time_B, event_B))
    if log_risk_B.ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(f"log risks, times and events must be lists of one length, not {shapes}")
    if not bool((torch.isfinite(time_B) & (time_B >= 0)).all()):
        raise ValueError("times must be finite and at least 0: drop the other patients first")
    if not bool(((event_B == 0) | (event_B == 1)).all()):
        raise ValueError("events must be 1 (fracture) or 0 (censored)")
    event_B = event_B == 1
    if not bool(event_B.any()):
        return log_risk_B[:0].sum()  # not 0 * sum: an infinite log risk would make that NaN
    x_B = log_risk_B if log_risk_B.dtype == torch.float64 else log_risk_B.float()
    order_B = _canonical(x_B.detach(), time_B, event_B)
    x_B, event_B = x_B[order_B], event_B[order_B]
    _, group_B, size_G = torch.unique_consecutive(
        time_B[order_B], return_inverse=True, return_counts=True
    )
    # latest first, so that the running sum at the end of a group is over its risk set
    at_risk_G = torch.logcumsumexp(x_B, 0)[size_G.cumsum(0) - 1]
    x_E, group_E = x_B[event_B], group_B[event_B]
    log_set_E = at_risk_G[group_E]
    if ties == "efron":
        log_set_E = log_set_E + _left(x_E, group_E, log_set_E, size_G.numel())
    return (log_set_E - x_E).mean()


def _canonical(x_B: torch.Tensor, time_B: torch.Tensor, event_B: torch.Tensor) -> torch.Tensor:
    """Latest first; ties by event, then by log risk, so that sums run in one order, int [B]."""
    order_B = torch.argsort(x_B, stable=True)
    order_B = order_B[torch.argsort(event_B[order_B].to(torch.uint8), stable=True)]
    return order_B[torch.argsort(time_B[order_B], descending=True, stable=True)]


def _left(
    x_E: torch.Tensor, group_E: torch.Tensor, log_set_E: torch.Tensor, groups: int
) -> torch.Tensor:
    """Efron's log share of a risk set that is left when l of d tied fractures have gone, [E].

    log(1 - l/d * (summed risk of the tied) / (summed risk of the set)), l = 0, ..., d - 1.
    """
    # tied risks relative to their set's: at most 1 each, so nothing overflows
    share_E = torch.exp(x_E - log_set_E)
    share_G = x_E.new_zeros(groups).index_add(0, group_E, share_E)
    d_G = torch.bincount(group_E, minlength=groups)
    start_G = d_G.cumsum(0) - d_G
    gone_E = torch.arange(len(x_E), device=x_E.device) - start_G[group_E]
    # whole numbers divided would be float32, whatever the log risks are
    return torch.log1p(-gone_E.to(x_E.dtype) / d_G[group_E] * share_G[group_E])


@dataclass(frozen=True)
class Baseline:
    """The cumulative hazard H0 of a patient whose log risk is 0: what makes risks of log risks.

    times: days of fractures, ascending; log_hazard: log of H0 from each of them on; end: the last
    day on which anybody was followed, beyond which nothing is said.
    """

    times: tuple[float, ...]
    log_hazard: tuple[float, ...]
    end: float
    ties: Ties

    def risk(self, log_risk: np.ndarray, day: float) -> np.ndarray:
        """P(fracture up to `day`) of each, float64 [N]; NaN beyond `end`."""
        if day > self.end:
            return np.full(log_risk.shape, np.nan)
        step = int(np.searchsorted(self.times, day, "right"))
        hazard = self.log_hazard[step - 1] if step else -np.inf
        with np.errstate(over="ignore"):
            return -np.expm1(-np.exp(log_risk + hazard))

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Baseline:
        """Of `as_json`; ValueError if it is not that."""
        try:
            times, hazard = (tuple(map(float, said[k])) for k in ("times", "log_hazard"))
            if len(times) != len(hazard) or said["ties"] not in get_args(Ties):
                raise ValueError("times and hazards of one length are needed, and the ties")
            return cls(times, hazard, float(said["end"]), said["ties"])
        except (KeyError, TypeError, ValueError) as e:
            raise ValueError(f"not a baseline hazard: {e}") from e


def baseline(
    log_risk: np.ndarray, days: np.ndarray, event: np.ndarray, ties: Ties = "efron"
) -> Baseline:
    """Breslow's estimator of H0 (1972), or Efron's where fractures are tied.

    At each time of d fractures H0 grows by the sum over l = 0, ..., d - 1 of 1 / (sum of exp(log
    risk) of those at risk - l/d of the tied ones' sum), l = 0 throughout with Breslow's ties.

    Args:
        log_risk: finite float [N].
        days: int [N], at least 0.
        event: 0 or 1, [N], at least one of them 1.
        ties: as in the loss that the model was trained with.
    """
    times = np.unique(days[event == 1])
    log_step = []
    for t in times:
        at_risk = days >= t
        tied = ((days == t) & (event == 1))[at_risk]
        d = int(tied.sum())
        left = np.arange(d) / d if ties == "efron" else np.zeros(d)
        # taken out of each risk set by itself: nothing overflows, and no sum of weights is 0
        top = float(log_risk[at_risk].max())
        weight = np.exp(log_risk[at_risk] - top)
        log_step.append(np.log((1 / (weight.sum() - left * weight[tied].sum())).sum()) - top)
    log_hazard = np.logaddexp.accumulate(log_step)
    return Baseline(
        tuple(times.astype(float).tolist()), tuple(log_hazard.tolist()), float(days.max()), ties
    )


def concordance(log_risk: np.ndarray, days: np.ndarray, event: np.ndarray) -> float | None:
    """Harrell's C, in [0, 1]; None where no pair can be compared. Lists of N.

    A fracture is compared with everybody who was followed for longer, or as long without one.
    """
    right = pairs = 0.0
    for i in np.flatnonzero(event == 1):
        later = (days > days[i]) | ((days == days[i]) & (event == 0))
        pairs += later.sum()
        right += (log_risk[later] < log_risk[i]).sum() + (log_risk[later] == log_risk[i]).sum() / 2
    return float(right / pairs) if pairs else None
