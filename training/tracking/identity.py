"""What a stage, or with ``track.one_run`` a run, is called at W&B, and which settings it is told.

The name of the run is drawn once and kept in ``tracking.json`` in the run's folder: however often
the run is restarted it stays one W&B run, and ``--fresh``, which deletes the folder, makes another.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_sharding.schema import write_atomic
from training.config import Config

Mode = Literal["offline", "online", "disabled"]
MODES: tuple[Mode, ...] = ("disabled", "offline", "online")  # the most private first
NAMES: dict[str, Mode] = {  # of WANDB_MODE, older ones included
    "disabled": "disabled",
    "offline": "offline",
    "online": "online",
    "dryrun": "offline",
    "run": "online",
}
#: Settings in words: a name, and no file's.
PLAIN = re.compile(r"[\w.:+-]{1,64}( [\w.:+-]{1,64}){0,4}")
FILES = re.compile(r"\.(pt|pth|bin|safetensors|json|ya?ml|csv|parquet)$")
#: In place of a stage where all are one W&B run.
WHOLE = "run"


@dataclass(frozen=True)
class Identity:
    """One stage of one run, as W&B knows it; `folder` is the run's, where offline runs are kept.

    With ``track.one_run`` it is the whole run, and `trainings` are those it consists of.
    """

    folder: Path
    stage: str
    id: str
    name: str
    project: str
    group: str
    job_type: str  # teacher, pseudo, student, eval, run
    config: dict[str, Any]
    trainings: tuple[str, ...] = ()


def identity_of(folder: Path, stage: str, config: Config) -> Identity:
    """Of the run in `folder`; `stage` is the name of its folder there, such as ``teacher``."""
    folder = folder.resolve()
    if config.track.one_run:
        stage = WHOLE
    label = stage.replace("/", "-")
    kind = re.match(r"[a-z]*", Path(stage).name)
    untold: Any = dict.fromkeys(("paths", *config.unused), True) | {"track": {"wandb"}}
    return Identity(
        folder=folder,
        stage=stage,
        id=f"{folder.name}-{born(folder)}-{label}",
        name=f"{folder.name}-{label}",
        project=config.track.project,
        group=config.track.group or folder.name,
        job_type=(kind and kind[0]) or stage,
        config=public(config.model_dump(mode="json", exclude=untold)),
        trainings=tuple(config.trainings) if config.track.one_run else (),
    )


def born(folder: Path) -> str:
    """Eight hex digits that tell this folder's run from all others with the same settings."""
    known = state(folder)
    if not re.fullmatch(r"[0-9a-f]{8}", str(known.get("born"))):
        known = {"born": secrets.token_hex(4)}
        save_state(folder, known)
    return known["born"]


def state(folder: Path) -> dict[str, Any]:
    """``tracking.json``; empty if there is none that can be read."""
    try:
        known = json.loads((folder / "tracking.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def save_state(folder: Path, known: dict[str, Any]) -> None:
    """Write ``tracking.json``."""
    write_atomic(folder / "tracking.json", json.dumps(known, indent=1) + "\n")


def public(value: Any) -> Any:
    """Settings as numbers and plain words: paths, files and sentences name people and machines."""
    if isinstance(value, dict):
        return {k: public(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [public(v) for v in value]
    if isinstance(value, str) and (not PLAIN.fullmatch(value) or FILES.search(value.lower())):
        return "(not told)"
    return value


def mode_of(wanted: Mode, environment: Mapping[str, str] = os.environ) -> tuple[Mode, str]:
    """The more private of the setting and ``WANDB_MODE``, and a line to say where they differ."""
    name = environment.get("WANDB_MODE", "").strip().lower()
    if environment.get("WANDB_DISABLED", "").strip().lower() in ("true", "1", "yes"):
        name = "disabled"
    if not name:
        return wanted, ""
    if name not in NAMES:
        return wanted, f"WANDB_MODE={name} is unknown here ({', '.join(MODES)}): passed over"
    mode = MODES[min(MODES.index(wanted), MODES.index(NAMES[name]))]
    if mode == wanted:
        return mode, ""
    return mode, f"track.wandb={wanted}, but the environment says {name}: W&B is {mode}"
