"""A sweep: an Optuna study (TPE) on disk, each of its trials a tracked run of `training`.

``<runs>/sweeps/<recipe>-<hash>/`` holds ``journal.log`` (the study), the trials' run folders and
``best.yaml``. The hash is of the settings, the fixed ones and the data, so the same command goes on
with the same sweep. What is drawn for the n-th trial depends on (seed, the trials before) and not
on how often the sweep was killed: the sampler is seeded anew for each.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import shutil
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from data_sharding.schema import Manifest, canonical_json
from data_sharding.storage.store import open_place
from training.config import Config
from training.launch import complete, launch, prepare
from training.overrides import override
from training.recipes import recipe
from training.tracking import say
from tuning.spaces import as_overrides, own_values, space_of

#: A trial that took the whole process down this often is not tried again.
ATTEMPTS = 3


@dataclass(frozen=True)
class Sweep:
    """What is searched: a recipe with the user's own changes, which the search leaves alone."""

    recipe: str
    changes: tuple[str, ...]
    base: Config
    folder: Path

    @classmethod
    def of(cls, name: str, changes: Sequence[str]) -> Sweep:
        """Resolve the settings and the sweep's folder.

        Raises:
            ValueError: no such recipe, space or setting, or a dataset is missing.
        """
        base = override(recipe(name), ["compute.launcher=local", *changes])
        space_of(name)
        # Only what is trained and tuned on: the sweep knows nothing of external cohorts.
        data = {"internal": base.paths.internal}
        if base.pseudo.enabled and base.paths.public and not base.alone:
            data["public"] = base.paths.public
        hashes = {role: Manifest.load(open_place(p)[0]).hash for role, p in data.items()}
        identity = base.identity(hashes)
        fixed = sorted(c.partition("=")[0] for c in changes)
        text = canonical_json([identity, fixed])
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        folder = base.paths.runs / "sweeps" / f"{name.replace(':', '-')}-{digest}"
        return cls(name, tuple(changes), base, folder)

    def suggest(self, trial: Trial) -> list[str]:
        """The overrides that this trial tries, besides the user's."""
        fixed = {c.partition("=")[0] for c in self.changes}
        return as_overrides(space_of(self.recipe)(trial, self.base, fixed))

    def config(self, drawn: Sequence[str]) -> Config:
        """The run of a trial: in the sweep's folder, in one W&B group unless the user named one."""
        group = self.base.track.group or self.folder.name
        return override(
            self.base, [*drawn, f"paths.runs={self.folder}", f"track.group={json.dumps(group)}"]
        )


def search(sweep: Sweep, trials: int, fresh: bool = False) -> Study:
    """Go on until the sweep has `trials` trials in all, failed ones counted; return the study.

    Raises:
        ValueError: another process runs this sweep, or a dataset has the wrong role.
    """
    if fresh and sweep.folder.exists():
        with only_one(sweep.folder):
            shutil.rmtree(sweep.folder)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    with only_one(sweep.folder):
        study = open_study(sweep)
        revive(study)
        while (n := len(settled(study))) < trials:
            study.sampler = sampler(sweep.base.seed, n)
            one_trial(sweep, study, f"{n + 1} of {trials}")
    return study


def sampler(seed: int, n: int) -> optuna.samplers.TPESampler:
    """TPE for the n-th trial. A sampler seeded once would draw the same again after a restart."""
    return optuna.samplers.TPESampler(seed=(seed * 100_003 + n) % 2**32)


def one_trial(sweep: Sweep, study: Study, place: str) -> None:
    """Draw, run, record. What the run does wrong fails the trial and the sweep goes on.

    Ctrl-C and a kill leave the trial as running: the next start takes it up where it was.
    """
    trial = study.ask()
    drawn = sweep.suggest(trial)
    trial.set_user_attr("overrides", drawn)
    config = sweep.config(drawn)
    folder = prepare(config)  # outside the try: without data no trial can run
    trial.set_user_attr("run", folder.name)
    say(f"trial {trial.number} ({place}): {' '.join(drawn) or 'nothing left to vary'}")
    started = time.monotonic()
    try:
        if not complete(folder):
            launch(config, folder)
        value = objective(folder)
    except Exception as e:
        (folder / "error.txt").write_text(traceback.format_exc())
        trial.set_user_attr("why", f"{type(e).__name__}: {e}"[:500])
        study.tell(trial, state=TrialState.FAIL)
        say(f"trial {trial.number} failed: {type(e).__name__}: {e}")
        return
    trial.set_user_attr("seconds", round(time.monotonic() - started, 1))
    study.tell(trial, value)
    say(f"trial {trial.number}: tune score {value:.4f}")


def objective(run: Path) -> float:
    """The student's AUROC on the tune split after its last epoch, or the one image model's, or a
    survival model's C.

    Read from the stage's ``metrics.jsonl`` and from nowhere else: ``cohorts/``, where the test
    split and the external sites are, must stay unknown to the search, or their numbers mean
    nothing.
    The last epoch and not the best: the best of many noisy epochs is luckier, not better.

    Raises:
        ValueError: there is no such number, because the tune split has one class or a logit was
            not finite.
    """
    alone = [stage for stage in ("fracture", "image") if (run / stage).is_dir()]
    stage = alone[0] if alone else "student"
    measure = "tune/c" if stage == "fracture" else "tune/auroc"
    path = run / stage / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    score = json.loads(lines[-1]).get(measure) if lines else None
    if score is None or not math.isfinite(score):
        raise ValueError(
            f"{path}: no {measure} in its last record: the training diverged (lower the learning "
            "rate), or the tune split has one class only (pack more patients)"
        )
    return float(score)


def open_study(sweep: Sweep) -> Study:
    """The study in ``journal.log``, made if need be with the recipe's own settings as first trial.

    The caller holds the sweep, so a lock or half a line that is there was left by a kill.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = sweep.folder / "journal.log"
    journal.with_name("journal.log.lock").unlink(missing_ok=True)
    if journal.exists():
        whole = journal.read_bytes()
        if not whole.endswith(b"\n"):
            with journal.open("r+b") as f:
                f.truncate(whole.rfind(b"\n") + 1)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=sweep.folder.name,
        direction="maximize",
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial(own_values(sweep.base))
    return study


def revive(study: Study) -> None:
    """Queue again what a killed process left as running; its run resumes from its checkpoints."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        attempt = trial.user_attrs.get("attempt", 1)
        why = f"killed while it ran, {attempt} time(s)"
        if attempt < ATTEMPTS:
            params = trial.system_attrs.get("fixed_params", {}) | trial.params
            # Queued before it is failed: a kill in between tries it twice, and loses nothing.
            study.enqueue_trial(params, user_attrs={"attempt": attempt + 1})
            study._storage.set_trial_user_attr(trial._trial_id, "again", True)
        study._storage.set_trial_user_attr(trial._trial_id, "why", why)
        study.tell(trial.number, state=TrialState.FAIL)
        say(f"trial {trial.number} was {why}{': again' if attempt < ATTEMPTS else ': given up'}")


def settled(study: Study) -> list[FrozenTrial]:
    """Trials that count: complete or failed, not those that were queued again."""
    done = study.get_trials(states=(TrialState.COMPLETE, TrialState.FAIL))
    return [t for t in done if not t.user_attrs.get("again")]


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the sweep's folder; ValueError if another process does."""
    with (folder / ".lock").open("w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise ValueError(
                f"{folder}: another process runs this sweep; wait for it, or stop it and try again"
            ) from e
        yield
