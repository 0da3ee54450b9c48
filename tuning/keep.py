"""Weights are kept of the best trials only: they are all that is large in a sweep.

After each trial the weights and checkpoints of those outside the best `Sweep.keep` are removed.
Metrics, settings and predictions stay, so that tables, pictures and reports have all trials. A run
whose weights are gone is not complete any more: the same command would train it again.

Files that other runs share by hard links (`tuning.share`) lose one of their names here, and stay.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from optuna.study import Study

from data_sharding.private import only_one
from training.folder import note, read_facts
from training.tracking import say
from tuning.results.best import ranking
from tuning.store import SETTLED, by_slot
from tuning.sweep import Sweep

#: Folders of a stage that are large. Their names while they are being removed begin with GONE.
LARGE, GONE = ("weights", "checkpoints"), ".removed-"


def prune(sweep: Sweep, study: Study) -> None:
    """Remove the weights and checkpoints of settled trials that are not among the best, saying so.

    Left alone are the best `sweep.keep` trials, those not settled, whoever works on them, any run
    whose folder they share (equal settings are one run), and a run that a command is at work in.
    """
    trials = by_slot(study)
    ordered = dict.fromkeys(t.user_attrs.get("run") for t in ranking(study))  # equal trials: one
    spared = set(list(ordered)[: sweep.keep])
    spared |= {t.user_attrs.get("run") for t in trials.values() if t.state not in SETTLED}
    for slot, trial in sorted(trials.items()):
        folder = run_of(sweep, trial.user_attrs.get("run"))
        if folder is None or folder.name in spared or not large(folder):
            continue
        try:
            with only_one(folder):
                freed = remove(folder)
        except (OSError, ValueError) as e:  # held, or not ours to change: it only takes room
            say(f"trial {slot}: its weights stay: {e}")
            continue
        if freed is not None:
            say(
                f"trial {slot}: not among the best {sweep.keep}, its weights are removed "
                f"({size(freed)} freed); metrics, settings and predictions stay"
            )


def large(run: Path) -> list[Path]:
    """Folders of weights and checkpoints, of all stages of a run; what a kill left half removed."""
    found = [p for name in LARGE for stage in ("*", "*/*") for p in run.glob(f"{stage}/{name}")]
    found += [p for stage in ("*", "*/*") for p in run.glob(f"{stage}/{GONE}*")]
    return sorted(p for p in found if p.is_dir() and not p.is_symlink())


def remove(run: Path) -> int | None:
    """Remove `large` of a run that the caller holds; bytes freed, None where nothing was there.

    ``run.json`` says first what is gone, so that no kill leaves a run that claims its weights; and
    each folder is renamed before it is emptied: what is called weights is whole.
    """
    folders = large(run)
    if not folders:
        return None
    gone = [p.relative_to(run).as_posix() for p in folders if not p.name.startswith(GONE)]
    if gone and (run / "run.json").exists():
        before = read_facts(run).get("removed")
        before = before if isinstance(before, list) else []
        note(run, complete=False, removed=sorted({*before, *gone}))
    freed = 0
    for folder in folders:
        if not folder.name.startswith(GONE):
            there = folder.with_name(f"{GONE}{folder.name}")
            shutil.rmtree(there, ignore_errors=True)
            folder = folder.replace(there)
        freed += sum(f.lstat().st_size for f in folder.rglob("*") if _alone(f))
        shutil.rmtree(folder)
    return freed


def size(n: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def _alone(path: Path) -> bool:
    """A file without another name, so that removing it frees its bytes."""
    return path.is_file() and path.lstat().st_nlink == 1


def run_of(sweep: Sweep, name: object) -> Path | None:
    """The run's folder, if that is one of the sweep's own: a study may lie where others write."""
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
        return None
    folder = sweep.folder / name
    return folder if folder.is_dir() and not folder.is_symlink() else None
