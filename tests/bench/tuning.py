"""How soon each searcher finds what random search finds, and what a trial costs beside training.

    python -m tests.bench tuning

The spaces are real ones, the objectives closed forms of the settings: which learning rate, how much
distillation, which thresholds are good, some of them only together, some with no say unless another
is on. The target is the best of N random trials, the median of 11 seeds; then TPE and random search
look for it with 10 other seeds, each beginning with the recipe as it is. A sampler is made anew for
each trial, as in a sweep. The ratio is that of the medians, with the lowest and highest of a seed.

The rows of overhead are against an aim: seconds of one more trial of a sweep that has settled 100,
each of which has reported after 38 epochs: the study read from its journal, the draw, 38 reports
and as many questions to the pruner, and the answer. Training is not in it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
from optuna.trial import TrialState, create_trial

from tests.bench.harness import Row, now, number
from tests.conftest import pack_pictures
from training.config import Config
from training.recipes import recipe
from tuning.dimensions import Values
from tuning.draw import draw, searched
from tuning.pruners import pruner
from tuning.samplers import sampler
from tuning.spaces import own_values, space_of
from tuning.steps import rungs_of
from tuning.store import open_study
from tuning.sweep import Sweep

SEEDS, TARGETS = range(10), range(100, 111)
SETTLED, EPOCHS, AIM_S = 100, 38, 2.0
Objective = Callable[[Config, dict[str, float]], float]


def off(value: float, best: float, decades: float = 1.0) -> float:
    """Squared distance from the best in powers of ten."""
    return (math.log10(max(value, 1e-12) / best) / decades) ** 2


def teacher_and_student(config: Config, x: dict[str, float]) -> float:
    """Rates matter most; a temperature as much as it is listened to; thresholds where there are
    proxies; a teacher's settings where they are searched.
    """
    loss = off(x["student.lr"], 3 * config.student.lr) + 0.1 * off(x["student.weight_decay"], 0.02)
    if "teacher.lr" in x:
        loss += 0.5 * off(x["teacher.lr"], 0.5 * config.teacher.lr)
    alpha, share = x["student.alpha"], x["student.proxy_share"]
    loss += 1.2 * (alpha - 0.7) ** 2 + 0.1 * (x["student.strength"] - 1.3) ** 2
    if alpha > 0:
        loss += 0.2 * alpha * off(x["student.temperature"], 2, 0.5)
    if share > 0:
        loss += 1.6 * (share - 0.25) ** 2 - 0.1
        loss += 5 * (x["pseudo.p_normal"] - 0.9) ** 2 + 2.5 * (x["pseudo.p_lbm"] - 0.8) ** 2
    return 1 - loss


def one_model(config: Config, x: dict[str, float]) -> float:
    """A ridge of learning rate and weight decay, and three settings beside."""
    rate, decay = x["image.lr"], x["image.weight_decay"]
    loss = off(rate * decay**0.3, config.image.lr if config.image else 1) + 0.3 * off(decay, 0.01)
    loss += 0.2 * (x["image.strength"] - 0.6) ** 2 + (x["model.grid.dropout"] - 0.05) ** 2
    return 1 - loss - 0.2 * (x["model.grid.local_weight"] - 0.2) ** 2


#: Name of a recipe, of a space, and what is optimised there.
CASES: list[tuple[str, str, Objective]] = [
    ("ospenscreen:smoke", "ospenscreen", teacher_and_student),
    ("ospenscreen:smoke", "student", teacher_and_student),
    ("li2026", "li2026", one_model),
]


def search(
    how: str, case: tuple[str, str, Objective], seed: int, trials: int, target: float = math.inf
) -> tuple[int, float]:
    """Trials until the target is reached, or all of them, and the best by then."""
    config, space, objective = recipe(case[0]), space_of(case[1]), case[2]
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(own_values(config))
    best = -math.inf
    for slot in range(trials):
        study.sampler = sampler(how, seed, slot)
        trial = study.ask()
        drawn: Values = space(trial, config, ())
        value = objective(config, {k: float(v) for k, v in drawn.items()})
        study.tell(trial, value)
        best = max(best, value)
        if best >= target:
            return slot + 1, best
    return trials, best


def sooner(case: tuple[str, str, Objective], n: int) -> Row:
    """TPE beside random search, on its way to what `n` random trials find."""
    target = statistics.median(search("random", case, s, n)[1] for s in TARGETS)
    took = {
        how: [search(how, case, s, most, target)[0] for s in SEEDS]
        for how, most in (("tpe", n), ("random", 4 * n))
    }
    ours, peer = (statistics.median(took[how]) for how in ("tpe", "random"))
    each = [r / t for r, t in zip(took["random"], took["tpe"], strict=True)]
    return Row(
        f"Trials until the best of {n} random ones is reached, space {case[1]}, TPE and random",
        f"{ours:g}",
        f"{peer:g}",
        f"{number(peer / ours)} ({number(min(each))}-{number(max(each))})",
    )


def overhead(scratch: Path, how: str) -> tuple[float, float]:
    """Seconds of one more trial, training apart: by the clock on the wall, and of the CPU."""
    objectives = ("auroc_low", "gap") if how == "nsga2" else ("auroc_low",)
    here, public = scratch / "here", scratch / "open"
    if not here.exists():
        pack_pictures(here, "here", "internal", {"train": 640, "tune": 64, "test": 64})
        pack_pictures(public, "open", "public", {"public": 64}, seed=2)
    changes = [f"paths.internal={here}", f"paths.public={public}", f"paths.runs={scratch / how}"]
    sweep = Sweep.of("ospenscreen:smoke", changes, sampler=how, objectives=objectives)
    study = open_study(sweep)
    step = 20
    for slot in range(SETTLED):
        trial = draw(sweep, study, slot)
        x = {k: float(v) for k, v in trial.params.items()}
        value = teacher_and_student(sweep.base, x)
        if len(objectives) == 1:
            for epoch in range(EPOCHS):
                score = value - 1 / (epoch + 1)
                study._storage.set_trial_intermediate_value(trial._trial_id, step * epoch, score)
        study.tell(trial.number, [value, x["student.alpha"]][: len(objectives)])

    start, busy = time.perf_counter(), now()
    study = open_study(sweep)
    trial = draw(sweep, study, SETTLED)
    by = pruner("asha", rungs_of(sweep, searched(sweep)), objectives)
    reports: dict[int, float] = {}
    for epoch in range(EPOCHS):
        if len(objectives) == 1:
            reports[step * epoch] = 1 - 1 / (epoch + 1)
            study._storage.set_trial_intermediate_value(
                trial._trial_id, step * epoch, reports[step * epoch]
            )
            running = create_trial(state=TrialState.RUNNING, intermediate_values=reports)
            running.number = trial.number
            by.prune(study, running)
    study.tell(trial.number, [0.5, 0.5][: len(objectives)])
    return time.perf_counter() - start, now() - busy


def run(scratch: Path) -> Iterator[Row]:
    """All rows."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for case in CASES:
        for n in (40, 100):
            yield sooner(case, n)
    for how in ("tpe", "gp", "nsga2"):
        took, busy = overhead(scratch, how)
        yield Row(
            f"Overhead of trial {SETTLED + 1}, {how}, against the aim of {AIM_S:g} s",
            f"{took:.2f} s ({busy:.2f} s of CPU)",
            f"{AIM_S:g} s",
            number(AIM_S / took),
        )
