"""Trials side by side on a Ray cluster, begun by Ray Tune; the study alone remembers them.

Ray Tune does what is left of a sweep in rounds: in each, the trials that nobody works on are given
to processes on the cluster, as many at a time as there is place for (`tuning.resources`). Tune
draws nothing, stops nothing early and restores nothing: `tuning.trial.work` does that from the
study, so that a round which ended in a kill, of a trial's process, of this one or of the whole
cluster, is followed by another of what then is left.

The driver and its trials speak through a folder of the sweep, ``ray/<launch>/``, as in
`training.on_ray`: ``go`` lies there as long as trials shall run, ``said-<k>`` holds what the k-th
says, and ``error`` what a user did wrong.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_sharding.private import only_one
from data_sharding.schema import write_atomic
from training.crossvalidate.tail import Tail
from training.interrupt import Interrupted, Stop, listening
from training.on_ray import connected, lies
from training.tracking import say
from tuning.claims import claims_of
from tuning.resources import Needs, lacking, side_by_side
from tuning.store import open_study, pending, url_of
from tuning.sweep import Sweep
from tuning.trial import ATTEMPTS, work

#: Seconds between two looks: at a round, at who else works on the trials, at a free place.
LOOK_S, OTHERS_S, PLACE_S = 0.2, 5.0, 2.0
#: A trial's process takes seconds to start; after so many without any, it is asked why.
IDLE_S = 30.0
#: Rounds in a row in which every process was lost. One trial that always is, is given up before.
LOST = ATTEMPTS + 2
#: Tune's tables, its loggers' files and its change of directory: not for trials that have a run.
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def run_on_tune(sweep: Sweep, trials: int, concurrent: int) -> None:
    """Do what is left of the first `trials` trials: on the cluster of ``$RAY_ADDRESS``, else one of
    our own. Trials that others work on are waited for.

    Args:
        sweep: the sweep.
        trials: in all.
        concurrent: so many at a time, if there is place for them.

    Raises:
        Interrupted: asked to stop; trials at work have written checkpoints.
        ValueError: the cluster can never run one trial, or something else that the user can put
            right.
    """
    study, claims = open_study(sweep), claims_of(sweep.folder, url_of(sweep.storage))
    if not pending(study, trials):
        return
    with listening() as stop, _place(sweep) as place, connected(sweep.base), listening(stop):
        concurrent = side_by_side(sweep.base, concurrent, _nodes())
        needs = Needs.of(sweep.base)
        if not needs.fit(_free()):
            say(f"others hold what a trial needs, waiting: {lacking(needs, _free())}")
        lost, told = 0, False
        while (left := pending(study, trials)) and not stop():
            held = set(claims.held())
            if not (free := [slot for slot in left if slot not in held]):
                if not told:
                    say(f"trials {_listed(left)}: others work on them, waiting")
                told = True
                time.sleep(OTHERS_S)
                continue
            ended = _round(sweep, place, free, concurrent, stop)
            lost = 0 if ended else lost + 1
            if lost == LOST:
                raise ValueError(
                    f"{LOST} times every trial's process was lost before it ended: look at the "
                    "cluster's memory and at `ray status`; the same command goes on"
                )
    if stop() and pending(study, trials):
        raise Interrupted("stopped, what is done is kept")


def _round(sweep: Sweep, place: Path, slots: list[int], concurrent: int, stop: Stop) -> int:
    """Give `slots` to processes on the cluster, until all have ended; how many did by themselves.

    Raises:
        ValueError: what a trial found that the user can put right.
        RuntimeError: any other error of a trial, which would meet the next one too.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from ray import tune

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # who is lost, is said here
    seen = _Seen([Tail.from_now(_said(place, slot)) for slot in slots])

    def trial(told: dict[str, Any]) -> None:
        _trial(sweep, place, told["slot"])

    needs = Needs.of(sweep.base)
    tuner = tune.Tuner(
        tune.with_resources(trial, tune.PlacementGroupFactory([needs.process])),
        param_space={"slot": tune.grid_search(slots)},
        tune_config=tune.TuneConfig(max_concurrent_trials=concurrent, reuse_actors=True),
        run_config=tune.RunConfig(
            name=f"round-{time.time_ns()}",
            storage_path=str(place / "tune"),
            callbacks=[_callback(seen)],
            verbose=0,
        ),
    )
    ended: list[BaseException] = []

    def fit() -> None:
        try:
            tuner.fit()
        except BaseException as e:  # it is raised again where it is waited for
            ended.append(e)

    # Not in this thread: there Tune would take Ctrl-C for itself.
    fitting = threading.Thread(target=fit, name="fit", daemon=True)
    fitting.start()
    _follow(sweep, place, fitting, seen, stop)
    if error := _read(place / "error"):
        kind, _, text = error.partition("\n")
        raise ValueError(text) if kind == "ValueError" else RuntimeError(text)
    if ended:
        raise ended[0]
    return seen.ended


@dataclass
class _Seen:
    """What is seen of a round's processes: by Tune, and in what they say."""

    tails: list[Tail]
    at_work: set[int] = field(default_factory=set)
    ended: int = 0

    def say(self) -> None:
        """Say again what they have said since the last time."""
        for line in (line for tail in self.tails for line in tail.lines()):
            with contextlib.suppress(OSError):
                print(line, flush=True)


def _callback(seen: _Seen) -> Any:
    from ray.tune.progress_reporter import TrialProgressCallback

    class Quiet(TrialProgressCallback):
        """In place of Tune's own, which prints."""

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            seen.at_work.add(trial.config["slot"])

        def on_trial_result(self, *_: Any, **__: Any) -> None:
            """Trials report to the study."""

        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: Any, **_: Any
        ) -> None:
            seen.at_work.discard(trial.config["slot"])
            seen.ended += 1

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            seen.at_work.discard(trial.config["slot"])
            say(f"trial {trial.config['slot']}: its process was lost, another will take it up")

    return Quiet()


def _follow(sweep: Sweep, place: Path, fitting: threading.Thread, seen: _Seen, stop: Stop) -> None:
    """Say what the trials say, until the round is over or a stop need wait for nobody."""
    needs, asked, idle, told = Needs.of(sweep.base), False, time.monotonic(), False
    while fitting.is_alive():
        fitting.join(LOOK_S)
        seen.say()
        if not asked and (stop() or lies(place / "error")):
            asked = True
            if stop():
                say("asked to stop: the trials write checkpoints")
            (place / "go").unlink(missing_ok=True)
        if asked and not seen.at_work:
            break
        if seen.at_work:
            idle, told = time.monotonic(), False
        elif not told and time.monotonic() - idle > IDLE_S and not needs.fit(_nodes()):
            told = True
            say(f"no trial has place any more: {lacking(needs, _nodes())}; waiting")
    seen.say()


def _trial(sweep: Sweep, place: Path, slot: int) -> None:
    """What a process on the cluster does, in a thread of Tune's."""
    import ray

    stop = _Gone(place / "go")
    if stop():
        return
    # The run's own process joins this cluster, if it needs one.
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    _log(sweep, slot)
    with _said(place, slot).open("a", buffering=1) as said, contextlib.redirect_stdout(said):
        try:
            _await_place(sweep, slot, stop)
            work(sweep, slot, stop=stop)
        except Interrupted:
            pass
        except (ValueError, OSError) as e:
            write_atomic(place / "error", f"ValueError\n{e}")
        except Exception as e:
            write_atomic(place / "error", f"Error\n{type(e).__name__}: {e}")
            raise


def _log(sweep: Sweep, slot: int) -> None:
    """What this process and those it starts print goes to a file from now on.

    The driver would else show the epochs of all trials at once, each line with Ray's prefix.
    """
    path = sweep.folder / "logs" / f"{socket.gethostname()}-{os.getpid()}.log"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as log:
        log.write(f"{time.strftime('%H:%M:%S')}  trial {slot}\n")
        log.flush()
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)


class _Gone(Stop):
    """Asked to stop, once a file is gone."""

    def __init__(self, go: Path) -> None:
        super().__init__()
        self._go, self._looked = go, 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if self.asked is None and now - self._looked > LOOK_S:
            self._looked = now
            self.asked = None if lies(self._go) else now
        return self.asked is not None


def _await_place(sweep: Sweep, slot: int, stop: Stop) -> None:
    """Until others on the cluster leave place for its workers: a run would not wait long."""
    needs, told = Needs.of(sweep.base), False
    while not needs.workers_fit(_free()) and not stop():
        if not told:
            say(f"trial {slot} waits: {lacking(needs, _free())}")
        told = True
        time.sleep(PLACE_S)


@contextlib.contextmanager
def _place(sweep: Sweep) -> Iterator[Path]:
    """The launch's folder; those of killed drivers go, and what trials they left behind stop."""
    place = sweep.folder / "ray" / f"launch-{time.time_ns()}"
    place.mkdir(parents=True)
    with only_one(place):
        (place / "go").touch()
        for other in sorted(place.parent.glob("launch-*")):
            with contextlib.suppress(ValueError, OSError), only_one(other):
                shutil.rmtree(other)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _nodes() -> list[dict[str, float]]:
    """All that each node of the cluster has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _free() -> list[dict[str, float]]:
    """What of it nobody has taken just now."""
    from ray._private.state import available_resources_per_node  # the public sum knows no nodes

    return list(available_resources_per_node().values())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _said(place: Path, slot: int) -> Path:
    return place / f"said-{slot}"


def _listed(slots: list[int]) -> str:
    return ", ".join(map(str, slots))
