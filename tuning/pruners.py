"""Who is stopped early: successive halving (ASHA), Hyperband, or who is below the median.

    study.pruner = pruner("asha", rungs(first=120, total=3000))

Steps are global: optimizer steps of all stages of a run so far, a teacher's before its student's.
Whether a trial is stopped depends on what trials have reported and on nothing else, so the same
question has the same answer after any kill. Optuna's own pruners of these kinds were not taken for
two reasons: SuccessiveHalvingPruner notes each rung in the study when it is asked, and lets a trial
pass that is asked about again; MedianPruner compares reports of one and the same step, and trials
of other batches report at others.

With two objectives nobody is stopped, since nobody is simply worse (Optuna has no pruning there);
neither where the objective is not what is reported.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from optuna.pruners import BasePruner, NopPruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

#: One in so many goes on from a rung.
FACTOR = 3
#: Complete trials without which there is no median to speak of.
LEAST = 4

PRUNERS = ("asha", "hyperband", "median", "none")
#: Objectives that epochs report something of: the AUROC or the C of the tune split.
REPORTED = ("auroc", "auroc_low", "c")


def rungs(first: int, total: int, start: int = 0, factor: int = FACTOR) -> tuple[int, ...]:
    """Global steps at which trials are compared: thirds of thirds of the way, ascending.

    Args:
        first: steps after `start` before which a score says nothing yet.
        total: global steps of a whole run.
        start: global steps that all trials have in common, such as a shared teacher's.
        factor: each rung is so many times as far from `start` as the one before.
    """
    if not 0 <= start < total or first < 1 or factor < 2:
        raise ValueError(f"no rungs from {start} + {first} to {total} by {factor}")
    found, span = [], (total - start) / factor
    while span >= first and span >= 1:
        found.append(start + round(span))
        span /= factor
    return tuple(reversed(found))


@dataclass(frozen=True)
class Halving(BasePruner):
    """At each rung one in `factor` goes on (ASHA; Li et al. 2020, arXiv:1810.05934).

    A trial is compared with all that have been as far, at the first report at or after a rung.
    While they are fewer than `factor`, the best of them so far goes on.
    """

    steps: tuple[int, ...]
    factor: int = FACTOR

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the last report of `trial` stops it."""
        return self.among(study.get_trials(deepcopy=False), study, trial)

    def among(self, trials: Sequence[FrozenTrial], study: Study, trial: FrozenTrial) -> bool:
        """The same, of a trial compared with some."""
        at = trial.last_step
        sign = _sign(study)
        for step in self.steps:
            if at is None or _first(trial, step) != at:
                continue  # not there yet, or decided at an earlier report
            own = trial.intermediate_values[at]
            if own != own:
                return True
            others = [t for t in trials if t.number != trial.number]
            reached = (t.intermediate_values[s] for t in others for s in _reached(t, step))
            scores = [sign * score for score in reached if score == score]
            better = sum(score > sign * own for score in scores)
            if better >= max(1, (len(scores) + 1) // self.factor):
                return True
        return False


def _first(trial: FrozenTrial, step: int) -> int | None:
    """The first report at or after `step`."""
    return min((s for s in trial.intermediate_values if s >= step), default=None)


def _reached(trial: FrozenTrial, step: int) -> Iterator[int]:
    first = _first(trial, step)
    if first is not None:
        yield first


@dataclass(frozen=True)
class Hyperband(BasePruner):
    """Brackets of successive halving that begin at later and later rungs, in the paper's shares (Li
    et al. 2018, JMLR 18:1-52): slow starters have a chance in the later ones.

    Trials of a bracket are compared among themselves. They are dealt out evenly, where the paper
    fills one bracket after the other: a short sweep has some of each.
    """

    steps: tuple[int, ...]
    factor: int = FACTOR

    @property
    def sizes(self) -> tuple[int, ...]:
        """Trials of each bracket in one round; the last bracket stops nobody."""
        n = len(self.steps) + 1
        # n_s = ceil(n eta^s / (s + 1)), s = n - 1 ... 0
        return tuple(-(-n * self.factor**s // (s + 1)) for s in reversed(range(n)))

    def bracket(self, number: int) -> int:
        """Of the trial of this number."""
        dealt = _dealt(self.sizes)
        return dealt[number % len(dealt)]

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the last report of `trial` stops it."""
        mine = self.bracket(trial.number)
        trials = study.get_trials(deepcopy=False)
        among = [t for t in trials if self.bracket(t.number) == mine]
        return Halving(self.steps[mine:], self.factor).among(among, study, trial)


@cache
def _dealt(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """One round: at each place the bracket that lacks most of its share so far."""
    given, total = [0] * len(sizes), sum(sizes)
    order = []
    for place in range(1, total + 1):
        lacks = [size * place - total * n for size, n in zip(sizes, given, strict=True)]
        bracket = lacks.index(max(lacks))
        given[bracket] += 1
        order.append(bracket)
    return tuple(order)


@dataclass(frozen=True)
class Median(BasePruner):
    """From a step on, who has never been as good as the median complete trial was by then (Golovin
    et al. 2017, Google Vizier).
    """

    start: int
    least: int = LEAST

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the last report of `trial` stops it."""
        at = trial.last_step
        if at is None or at < self.start:
            return False
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        sign = _sign(study)
        # another batch reports at other steps: what was known of the trial by then
        then = [
            sign * t.intermediate_values[max(steps)]
            for t in complete
            if (steps := [s for s in t.intermediate_values if s <= at])
        ]
        if len(then) < self.least:
            return False
        own = [sign * v for v in trial.intermediate_values.values() if v == v]
        return not own or max(own) < _median(then)


def _median(values: Sequence[float]) -> float:
    ordered, n = sorted(values), len(values)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _sign(study: Study) -> int:
    return 1 if study.direction.name == "MAXIMIZE" else -1


def pruner(
    name: str, steps: tuple[int, ...] = (), objectives: Sequence[str] = ("auroc_low",)
) -> BasePruner:
    """The pruner called `name`.

    Args:
        name: one of PRUNERS.
        steps: `rungs` of the sweep; with none of them nobody is stopped.
        objectives: of the sweep; see `why_none`.

    Raises:
        ValueError: no such pruner.
    """
    if name not in PRUNERS:
        near = difflib.get_close_matches(name, PRUNERS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(PRUNERS)}"
        raise ValueError(f"--pruner {name}: no such pruner; {hint}")
    if name == "none" or why_none(steps, objectives):
        return NopPruner()
    if name == "median":
        return Median(steps[0])
    return Halving(steps) if name == "asha" else Hyperband(steps)


def why_none(steps: tuple[int, ...], objectives: Sequence[str]) -> str | None:
    """Why nobody is stopped early in such a sweep, to be said aloud; None where somebody may be."""
    if len(objectives) > 1:
        return f"no pruning with two objectives ({', '.join(objectives)}): every trial is run whole"
    if objectives[0] not in REPORTED:
        return f"no pruning: epochs report no {objectives[0]}, every trial is run whole"
    if not steps:
        return "no pruning: runs are too short for a rung, every trial is run whole"
    return None
