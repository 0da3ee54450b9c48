"""One trial of a sweep, from its draw to its value, whoever has begun it.

    work(sweep, 3)      # does what is left of the fourth trial; False: another process is at it

A trial that a killed process left goes on: the same trial of the study, the same run, from its
checkpoints. Scores that were reported are not reported again, and whether a trial is stopped early
depends on what was reported, and so not on kills.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from data_sharding.private import AtWork, only_one
from training.config import Config
from training.folder import complete, prepare, read_facts
from training.interrupt import EXIT_CODE, Interrupted, Stop, listening
from training.tracking import say
from tuning.child import FULL, UNSEEN, Child, train
from tuning.claims import Claim, claims_of
from tuning.draw import draw, searched
from tuning.keep import prune, run_of
from tuning.objectives import objectives
from tuning.pruners import pruner
from tuning.share import adopt
from tuning.steps import rungs_of, scores
from tuning.store import SETTLED, by_slot, open_study, settled, url_of
from tuning.sweep import Sweep
from tuning.tracked import End, forget, track

#: So often a training is begun that comes no further before its driver is killed as well.
ATTEMPTS = 3
#: Seconds between two looks at a run's metrics.
LOOK_S = 0.2
#: So many trials that failed for one and the same reason, and none that did not, end a sweep.
ALIKE = 5


class Lost(Exception):
    """Another process has taken the trial from us."""


class GivenUp(Exception):
    """It has failed for good, and the study says why."""


def work(sweep: Sweep, slot: int, study: Study | None = None, stop: Stop | None = None) -> bool:
    """Do what is left of one trial; False where another live process works on it.

    Args:
        sweep: the sweep.
        slot: the trial, from 0.
        study: its study, if the caller has it open.
        stop: asked between two looks at the training, besides signals to this process.

    Raises:
        Interrupted: asked to stop, the trial goes on later.
        ValueError: something that would fail every trial, such as a full disk.
    """
    study = study or open_study(sweep)
    claim = claims_of(sweep.folder, url_of(sweep.storage)).take(slot)
    if claim is None:
        return False
    with claim, listening(stop) as stop:
        trial = by_slot(study).get(slot)
        if trial is None:
            trial = draw(sweep, study, slot)
        elif trial.state in SETTLED:
            return True
        try:
            _Work(sweep, study, trial, claim, stop).do()
        except (Lost, UpdateFinishedTrialError):
            say(f"trial {slot}: another process has taken it")
            return False
    _hope(sweep, settled(study))
    return True


def _hope(sweep: Sweep, done: list[FrozenTrial]) -> None:
    """ValueError where no trial can be expected to be better than those that failed."""
    why = {t.user_attrs.get("why") if t.state == TrialState.FAIL else None for t in done}
    if len(done) >= ALIKE and len(why) == 1 and None not in why:
        raise ValueError(
            f"all {len(done)} trials failed alike ({why.pop()}); put that right and start over "
            f"with --fresh ({sweep.folder}/*/error.txt has more)"
        )


class _Work:
    """A trial that is ours."""

    def __init__(
        self, sweep: Sweep, study: Study, trial: FrozenTrial, claim: Claim, stop: Callable[[], bool]
    ) -> None:
        self.sweep, self.study, self.claim, self.stop = sweep, study, claim, stop
        self.id, self.slot = trial._trial_id, trial.user_attrs["slot"]
        self.drawn: list[str] = trial.user_attrs["overrides"]
        self.storage = study._storage
        self.started = time.monotonic()
        self.counted = 0
        rungs = () if sweep.pruner == "none" else rungs_of(sweep, searched(sweep))
        self.pruner = pruner(sweep.pruner, rungs, sweep.objectives)

    def do(self) -> None:
        """Settle it."""
        try:
            self._begin()
            self._run()
        except GivenUp:
            return
        except Interrupted:
            if self.counted:
                self._count(-1)  # that was no kill
            raise

    def _run(self) -> None:
        try:
            config = self.sweep.config(self.drawn)
            folder = self._ready(config)
        except ValueError as e:
            self._settle(End(TrialState.FAIL, why=f"refused: {e}"))
            return
        if folder is None:
            return
        pruned, why = self._trained(config, folder)
        self._note("seconds", self._seconds(folder))
        if pruned:
            self._note("pruned_at", self._trial().last_step)
            end = End(TrialState.PRUNED)
        else:
            end = End(TrialState.FAIL, why=why) if why else self._judged(folder)
        self._settle(end, folder)

    def _judged(self, folder: Path) -> End:
        try:
            return End(TrialState.COMPLETE, objectives(folder, self.sweep.objectives))
        except ValueError as e:
            return End(TrialState.FAIL, why=str(e))

    def _begin(self) -> None:
        """Say what is begun; GivenUp where it was often enough."""
        known, reached = self._trial().user_attrs, self._reached()
        # A long run that comes further each time is no deadly one.
        attempts = known.get("attempt", 0) if known.get("reached", "") == reached else 0
        if attempts >= ATTEMPTS:
            if folder := run_of(self.sweep, known.get("run")):
                self._wait_for(folder)
            end = End(TrialState.FAIL, why=f"killed while it ran, {attempts} times")
            self._settle(end, folder)
            raise GivenUp
        self._note("attempt", attempts)
        self._note("reached", reached)
        again = " again" if "run" in known else ""
        say(f"trial {self.slot}{again}: {' '.join(self.drawn) or 'nothing left to vary'}")

    def _reached(self) -> str:
        """How far it is, to be compared: epochs reported, and the newest checkpoint."""
        trial = self._trial()
        folder = self.sweep.folder / trial.user_attrs.get("run", "-")
        found = [p for depth in ("*", "*/*") for p in folder.glob(f"{depth}/checkpoints/step-*")]
        if not found and not trial.intermediate_values:
            return ""
        newest = max((p.relative_to(folder).as_posix() for p in found), default="-")
        return f"{len(trial.intermediate_values)} epochs, {newest}"

    def _count(self, by: int) -> None:
        self._note("attempt", self._trial().user_attrs["attempt"] + by)
        self.counted += by

    def _as_before(self) -> bool:
        """Take over what became of an earlier trial of the very same settings, if there is one."""
        kinds = (TrialState.COMPLETE, TrialState.PRUNED)
        known = [t for t in settled(self.study) if t.state in kinds]
        twin = next((t for t in known if t.user_attrs["overrides"] == self.drawn), None)
        if twin is None:
            return False
        say(f"trial {self.slot}: the settings of trial {twin.user_attrs['slot']}")
        for step, score in twin.intermediate_values.items():
            self.storage.set_trial_intermediate_value(self.id, step, score)
        for name in ("run", "pruned_at"):
            if name in twin.user_attrs:
                self._note(name, twin.user_attrs[name])
        complete = twin.state == TrialState.COMPLETE
        self._settle(End(twin.state, twin.values if complete else ()))
        return True

    def _ready(self, config: Config) -> Path | None:
        """Its run, prepared; None where a trial of the very same settings has settled it."""
        said = False
        while not self._as_before():
            try:
                return self._prepared(config)
            except AtWork as e:  # such a trial may be at work there
                if not said:
                    say(f"trial {self.slot}: waiting: {e}")
                    said = True
                self._still_ours()
                time.sleep(LOOK_S)
        return None

    def _prepared(self, config: Config) -> Path:
        """The run's folder, when whoever a kill has orphaned there is gone."""
        name = self._trial().user_attrs.get("run")
        if name:
            self._wait_for(self.sweep.folder / name)
        folder = prepare(config, news=False)  # what is drawn has just been said
        self._note("run", folder.name)
        if not complete(folder):
            forget(folder)
            adopt(self.sweep, self.study, config, folder)
        return folder

    def _wait_for(self, folder: Path) -> None:
        said = False
        while (folder / ".lock").exists():
            with contextlib.suppress(ValueError), only_one(folder):
                return
            if not said:
                say(f"trial {self.slot}: waiting for what is still at work in {folder.name}")
                said = True
            self._still_ours()
            time.sleep(LOOK_S)

    def _trained(self, config: Config, folder: Path) -> tuple[bool, str | None]:
        """Train what is left; whether it was stopped early, or what ended it otherwise."""
        # A kill may have come between a record and its report, or between that and the answer.
        if self._trial().intermediate_values and self._is_pruned():
            return True, None
        if self._report(config, folder):
            return True, None
        while not complete(folder):
            self._wait_for(folder)
            child = Child(train, config, folder, error=folder / "error.txt")
            try:
                pruned = self._watched(child, config, folder)
            except BaseException:
                child.kill()
                raise
            if pruned:
                return True, None
            if child.code == 0:
                break
            self._still_ours()  # whoever asks us to stop may have ended a part of it first
            if child.code == FULL:
                raise Interrupted(f"{folder}: the disk is full; make room")
            if child.code not in (EXIT_CODE, -signal.SIGTERM, UNSEEN):
                return False, child.why()
            self._begin()
        return self._report(config, folder), None

    def _watched(self, child: Child, config: Config, folder: Path) -> bool:
        """Report what it does until it ends; whether it was stopped early."""
        pruned = counted = False
        while not child.ended(LOOK_S):
            if not counted and child.has_begun():
                counted = True
                self._count(1)
            if not pruned and self._report(config, folder):
                pruned = True
                child.stop()
            try:
                self._still_ours()
            except (Interrupted, Lost):
                child.stop()
                while not child.ended(LOOK_S):
                    pass
                raise
        return pruned or self._report(config, folder)

    def _still_ours(self) -> None:
        if self.claim.lost():
            raise Lost
        if self.stop():
            raise Interrupted(f"trial {self.slot} was stopped, what is done is kept")

    def _report(self, config: Config, folder: Path) -> bool:
        """Report what is new in the metrics, until the pruner says that it is enough."""
        last = self._trial().last_step
        for step, score in scores(config, folder).items():
            if last is None or step > last:
                self.storage.set_trial_intermediate_value(self.id, step, score)
                if self._is_pruned():
                    return True
        return False

    def _is_pruned(self) -> bool:
        return self.pruner.prune(self.study, self._trial())

    def _seconds(self, folder: Path) -> float:
        """What its trainings took, all attempts together."""
        timed = sum(read_facts(folder).get("timings", {}).values())
        return round(max(timed, time.monotonic() - self.started), 1)

    def _settle(self, end: End, folder: Path | None = None) -> None:
        """Tell the study; before that W&B, where the run in `folder` is this trial's own."""
        trial = self._trial()
        if folder and folder.is_dir() and not self.claim.lost():
            track(self.sweep, folder, trial, end, self._still_ours)
        if self.claim.lost():
            raise Lost
        if end.why is not None:
            self._note("why", " ".join(end.why.split())[:500])
        self.study.tell(trial.number, list(end.values) or None, state=end.state)
        said = {
            TrialState.COMPLETE: lambda: ", ".join(
                f"{n} {v:.4f}" for n, v in zip(self.sweep.objectives, end.values, strict=True)
            ),
            TrialState.PRUNED: lambda: f"stopped early, at step {trial.last_step}",
            TrialState.FAIL: lambda: f"failed: {end.why}",
        }
        say(f"trial {self.slot}: {said[end.state]()}")
        prune(self.sweep, self.study)

    def _trial(self) -> FrozenTrial:
        return self.storage.get_trial(self.id)

    def _note(self, name: str, value: object) -> None:
        if self._trial().user_attrs.get(name) != value:
            self.storage.set_trial_user_attr(self.id, name, value)
