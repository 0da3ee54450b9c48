"""A sweep's loop: do what is left of its trials, one after the other or several at a time.

Whoever runs this is a driver; several may work on one sweep at a time. Nothing is remembered but
in the study (`tuning.store`), and a driver that is killed loses nothing (`tuning.trial`).
"""

from __future__ import annotations

import shutil
import time

from optuna.study import Study

from training.interrupt import Interrupted, listening
from training.packs import open_packs
from training.tracking import say
from tuning.child import warm_up
from tuning.claims import claims_of
from tuning.disk import check
from tuning.draw import searched
from tuning.pruners import why_none
from tuning.steps import rungs_of
from tuning.store import delete_study, open_study, pending, settled, url_of
from tuning.sweep import Sweep
from tuning.trial import work

__all__ = ["pending", "search", "settled"]

#: Seconds between two looks at trials that other drivers work on.
WAIT_S = 1.0


def search(sweep: Sweep, trials: int, fresh: bool = False) -> Study:
    """Go on until the sweep has `trials` trials in all, failed ones counted; return the study.

    Raises:
        Interrupted: asked to stop; the same call goes on.
        ValueError: datasets that do not fit the recipe or each other, a storage that cannot be
            opened, or `fresh` while another process is at work.
    """
    if fresh:
        forget(sweep)
    study = open_study(sweep)
    left = pending(study, trials)
    if not left:
        return study
    here = sweep.concurrent == 1 and sweep.base.compute.launcher == "local"
    if here:
        warm_up()
    open_packs(sweep.config([]))  # what is wrong with the data would fail every trial
    check(sweep, trials)
    if sweep.pruner != "none":
        rungs = rungs_of(sweep, searched(sweep))
        say(why_none(rungs, sweep.objectives) or f"{sweep.pruner}: compared at steps {rungs}")
    if len(left) < trials:
        say(f"{sweep.folder.name} goes on: {trials - len(left)} of {trials} trials are settled")
    if here:
        one_by_one(sweep, trials, study)
    else:
        from tuning.on_tune import run_on_tune

        run_on_tune(sweep, trials, sweep.concurrent)
    return study


def one_by_one(sweep: Sweep, trials: int, study: Study) -> None:
    """Work on what nobody works on; at the end wait for the others, and take over from the dead."""
    said = False
    with listening() as stop:
        while left := pending(study, trials):
            worked = []
            for slot in left:
                if stop():
                    raise Interrupted("stopped between two trials")
                worked.append(work(sweep, slot, study, stop))
            if any(worked):
                continue
            if not said:
                say(f"waiting for trials that others work on: {', '.join(map(str, left))}")
                said = True
            time.sleep(WAIT_S)


def forget(sweep: Sweep) -> None:
    """Delete the sweep, its runs and its study.

    Raises:
        ValueError: a process is at work on it.
    """
    if not sweep.folder.exists() and sweep.storage is None:
        return
    claims = claims_of(sweep.folder, url_of(sweep.storage))
    if held := claims.held():
        raise ValueError(
            f"{sweep.folder}: trial {held[0]} is being worked on; stop that process, then --fresh"
        )
    delete_study(sweep)
    claims.clear()
    shutil.rmtree(sweep.folder, ignore_errors=not sweep.folder.exists())
