"""The command: what is left of each fold, then the whole."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from data_sharding.private import only_one
from training.config import Config
from training.crossvalidate.here import Here
from training.crossvalidate.plan import Fold, Plan, words
from training.crossvalidate.tail import Tail, last_lines
from training.crossvalidate.whole import make
from training.crossvalidate.work import Job
from training.folder import empty, point_latest_at, prepare
from training.interrupt import EXIT_CODE, Interrupted, Stop, listening
from training.launch import under_torchrun
from training.tracking import say

#: Seconds between two looks at the folds; lines of a failed fold's log that are said.
LOOK_S, LAST = 0.2, 5
#: Before a fold's own lines (`say`); ours have one.
CLOCK = re.compile(r"^\d\d:\d\d:\d\d  ")


class Crew(Protocol):
    """Who does the folds."""

    def submit(self, job: Job) -> Future[int]:
        """Begin it when there is place; its exit status."""
        ...

    def stop(self) -> None:
        """Ask those at work to stop."""
        ...

    def begun(self, job: Job) -> bool:
        """Is it worth waiting for, when all are asked to stop?"""
        ...


def cross_validate(config: Config, fresh: bool = False) -> tuple[Path, bool]:
    """Do what is left of ``config.data.folds`` folds, and put together what they say.

    Args:
        config: of the whole; ``compute`` is of one fold.
        fresh: empty the folders of the folds and of the whole first.

    Returns:
        The folder of the whole, and whether nothing was left.

    Raises:
        Interrupted: asked to stop, the folds have written checkpoints; the same call goes on.
        ValueError: the datasets do not fit, no node has place for a fold, a fold has failed (the
            others are done first), another command is at it, or a fold saw whom it must not see.
    """
    if under_torchrun():
        raise ValueError(
            "--folds starts processes of its own: run it without torchrun, and set compute.workers"
        )
    plan = Plan.of(config)
    try:
        (plan.folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ValueError(
            f"paths.runs={config.paths.runs}: {plan.folder.name} cannot be made there "
            f"({e.strerror}); name a folder that you may write to"
        ) from e
    with only_one(plan.folder):
        if fresh:
            for fold in plan.folds:
                prepare(fold.config, fresh=True)
            empty(plan.folder)
            (plan.folder / "logs").mkdir()
        left = [fold for fold in plan.folds if not fold.complete]
        if left:
            with listening() as stop:
                _do(plan, left, stop)
        made = make(plan)
        point_latest_at(plan.folder)
    return plan.folder, not (left or made)


def _do(plan: Plan, left: list[Fold], stop: Stop) -> None:
    n = len(plan.folds)
    say(f"{n} folds: {n - len(left)} complete, {len(left)} to do in {plan.folder}")
    ray = plan.config.compute.launcher == "ray"
    if ray and plan.config.compute.min_workers:
        say("warning: compute.min_workers has no say: a fold has compute.workers, on one node")
    with _crew(plan, stop) as crew:
        failed = _follow(plan, [_job(plan, fold, ray) for fold in left], crew, stop)
    if failed:
        raise ValueError("\n".join(failed))
    if undone := [fold.number for fold in left if not fold.complete]:
        raise Interrupted(f"fold {', '.join(map(str, undone))}: stopped, what is done is kept")


@contextmanager
def _crew(plan: Plan, stop: Stop) -> Iterator[Crew]:
    if plan.config.compute.launcher == "ray":
        from training.crossvalidate.on_ray import cluster

        with cluster(plan.config, plan.folder, stop) as crew:
            yield crew
    else:
        here = Here()
        try:
            yield here
        finally:
            here.close()


def _job(plan: Plan, fold: Fold, ray: bool) -> Job:
    """On Ray the fold's workers are torchrun's; else it has one, as any run of that launcher."""
    compute = fold.config.compute.model_copy(update={"launcher": "local"})
    command = tuple(words(fold.config.model_copy(update={"compute": compute})))
    if not ray:
        return Job(fold.number, command, fold.folder, plan.log(fold))
    from training.crossvalidate.on_ray import environment

    threads = environment(plan.config)
    return Job(fold.number, command, fold.folder, plan.log(fold), compute.workers, threads)


def _follow(plan: Plan, jobs: list[Job], crew: Crew, stop: Stop) -> list[str]:
    """Until all have ended, or have stopped; what to say of those that failed.

    Raises:
        ValueError: no fold has been at work for ``compute.start_timeout_s``.
    """
    tails = {job.number: Tail.from_now(job.log) for job in jobs}
    running = {crew.submit(job): job for job in jobs}
    failed: list[str] = []
    asked, seen, limit_s = False, time.monotonic(), plan.config.compute.start_timeout_s
    while running:
        ended = wait(running, LOOK_S, "FIRST_COMPLETED").done
        for job in jobs:
            for line in tails[job.number].lines():
                say(f"fold {job.number}: {CLOCK.sub('', line)}")
        for future in ended:
            job = running.pop(future)
            if not asked:
                failed += _failure(plan.folds[job.number], future, job.log)
        if stop() and not asked:
            asked = True
            say("asked to stop: the folds write a checkpoint")
            crew.stop()
        at_work = {future: job for future, job in running.items() if crew.begun(job)}
        if asked:
            running = at_work
        elif at_work or ended:
            seen = time.monotonic()
        elif time.monotonic() - seen > limit_s:
            raise ValueError(
                f"no fold has been at work for {limit_s} s (compute.start_timeout_s): look at "
                "`ray status` for missing nodes; the same command goes on"
            )
    return failed


def _failure(fold: Fold, future: Future[int], log: Path) -> list[str]:
    """Why a fold has ended without being complete, if it was not asked to stop."""
    try:
        status = future.result()
        if status == EXIT_CODE or fold.complete:
            return []
        why = f"was killed by signal {-status}" if status < 0 else f"failed (exit {status})"
    except Exception as e:  # Ray's, or of the process's start
        why = f"failed ({type(e).__name__}: {' '.join(str(e).split())[:200]})"
    end = "".join(f"\n    {line}" for line in last_lines(log, LAST))
    return [f"fold {fold.number} {why}; the same command tries again. The end of {log}:{end}"]
