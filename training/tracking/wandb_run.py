"""A W&B run of a stage, or of a whole run: the only place that knows the `wandb` library.

W&B wants rising steps: of what is given twice, the first counts. Training is deterministic, so a
step that is done again after a restart gives the numbers it gave before.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from training.tracking.identity import Identity, Mode
from training.tracking.records import Recorded, numbers, summary_of
from training.tracking.tracker import Record

#: Seconds after which W&B is given up: at its start, and for what is not sent yet at the end. A
#: process that was asked to stop must not be held up by a network that is down.
START_S, FINISH_S = 20.0, 15.0


class WandbRun:
    """One run, open; `last` is the last step that W&B has."""

    def __init__(self, identity: Identity, mode: Mode) -> None:
        """Begin it, or online go on with it if W&B knows its id.

        Raises:
            Exception: whatever the library or the network comes up with.
        """
        # Its makers are sent no reports of errors: tracebacks name files. Read when it is imported.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        # Late: it takes half a second, and is not needed where W&B is disabled.
        import wandb

        wandb.setup(wandb.Settings(silent=True))  # what it says of its login too
        self.run: Any = wandb.init(
            project=identity.project,
            group=identity.group,
            job_type=identity.job_type,
            name=identity.name,
            id=identity.id,
            resume="allow" if mode == "online" else None,
            mode=mode,
            dir=identity.folder,
            config=identity.config,
            allow_val_change=True,  # it may go on with another number of workers
            reinit="create_new",
            settings=_settings(wandb.Settings),
        )
        self.last = int(self.run.starting_step) - 1
        self.identity, self.mode = identity, mode

    def feed(self, records: list[Record]) -> int:
        """Log those that W&B does not have; how many they were."""
        new = [r for r in records if r["step"] > self.last]
        for record in new:
            values = numbers({k: v for k, v in record.items() if k != "step"})
            self.run.log(values, step=record["step"])
            self.last = record["step"]
        return len(new)

    def finish(self, recorded: Recorded) -> Path:
        """Give the summary and close; the folder of an offline run, ``wandb/offline-run-...``.

        What the library wrote about itself there is deleted: it names this machine's folders.
        """
        self.run.summary.update(summary_of(recorded))
        folder = Path(self.run.dir).parent
        try:
            self.run.finish()
        finally:
            shutil.rmtree(folder / "logs", ignore_errors=True)
            for link in folder.parent.glob("debug*.log"):
                if link.is_symlink() and not link.exists():
                    link.unlink()
        if self.mode == "online":  # what was sent needs no copy here, of killed attempts neither
            remove(self.identity, "run")
        return folder


def kept(identity: Identity, kind: str = "offline-run") -> list[Path]:
    """The folders of this run that the library has left below ``wandb/``.

    Of two begun in one second the library numbers the second one: ``...-ID-1``.
    """
    name = re.compile(rf"{kind}-\d{{8}}_\d{{6}}-{re.escape(identity.id)}(-\d+)?")
    below = (identity.folder / "wandb").glob(f"{kind}-*")
    return sorted(p for p in below if name.fullmatch(p.name))


def remove(identity: Identity, kind: str = "offline-run") -> None:
    """Delete them."""
    for folder in kept(identity, kind):
        shutil.rmtree(folder)


def _settings(settings: Any) -> Any:
    """Numbers only: nothing of the machine, its user, its files, its packages."""
    return settings(
        silent=True,
        console="off",
        init_timeout=START_S,
        finish_timeout=FINISH_S,
        finish_timeout_raises=True,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        save_code=False,
        host="-",
        username="-",
        email="-",
        program="-",
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_executable="-",
        x_save_requirements=False,
    )
