"""Who an evaluation is at W&B: one run for each evaluated run, and nothing of where it lies.

A folder of training is called by its recipe and hash, and so is its evaluation. Any other folder
may be called after anybody: its evaluation is called by eight digits that are drawn for it once.
"""

from __future__ import annotations

import re
from pathlib import Path

from eval.runs import Run
from training.config import Config
from training.tracking.identity import Identity, born, public

STAGE = "evaluation"
#: Of a run's folder: recipe, perhaps what it is a part of, and ten hex digits.
OURS = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*-[0-9a-f]{10}")
#: Settings that say where and for whom, not what.
UNTOLD = {"track", "compute", "paths"}


def evaluation(folder: Path) -> Identity:
    """Of the run in `folder`; of one that training did not make, without settings."""
    folder, name = folder.resolve(), name_of(folder)
    config = config_of(folder)
    track = config.track if config else Config.model_fields["track"].default
    tree = config.model_dump(mode="json", exclude={*UNTOLD, *config.unused}) if config else {}
    drawn = name.startswith(STAGE)
    label = name if drawn else f"{name}-{STAGE}"
    return Identity(
        folder=folder,
        stage=STAGE,
        id=label if drawn else f"{label}-{born(folder)}",
        name=label,
        project=track.project,
        group=track.group or name,
        job_type=STAGE,
        config=public(tree),
    )


def name_of(folder: Path) -> str:
    """The run's name where it is one that training gave, else a drawn one."""
    folder = folder.resolve()
    given = Run.at(folder).facts.get("run_id") == folder.name and OURS.fullmatch(folder.name)
    return folder.name if given else f"{STAGE}-{born(folder)}"


def line_of(folder: Path) -> str:
    """What tells this run's lines from others in a table: the digits of its name."""
    return name_of(folder).rsplit("-", 1)[-1]


def config_of(folder: Path) -> Config | None:
    """The run's settings; None where there are none that can be read."""
    try:
        return Config.from_yaml(folder / "config.yaml")
    except (OSError, ValueError):
        return None
