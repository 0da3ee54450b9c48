"""Checkpoints to resume from, and weights to use. No pickle: safetensors and JSON only.

A checkpoint is a folder ``step-00001234`` that is renamed into place when it is whole; its
``state.json`` lists the files' hashes, so a torn one is recognised, said aloud and passed over.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from data_sharding.schema import canonical_json, sha256_file, write_atomic
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor
from training.tracking import say


@dataclass
class Position:
    """Where training stands: the next step to take is `step` of `epoch`."""

    epoch: int = 0
    step: int = 0
    global_step: int = 0
    best: float | None = None
    best_epoch: int | None = None
    meter: dict[str, float] = field(default_factory=dict)  # the running epoch's sums, all ranks


#: Version of what a checkpoint's files hold.
FORMAT = 3
#: Files of a checkpoint: ``<name>.safetensors``, named by the model's own parameters.
PARTS = ("model", "ema", "best", "optimizer")
Tensors = dict[str, dict[str, torch.Tensor]]


class Checkpoints:
    """The checkpoints of one stage, newest last. One rank writes, in a thread of its own."""

    def __init__(self, folder: Path, keep: int = 2, of: str = "") -> None:
        """`of` says whose they are (the run's name and the stage's): others are passed over."""
        self.folder, self.keep, self.of = folder, keep, of
        self._writing: Thread | None = None
        self._failed: str | None = None
        self._known: tuple[Path | None] | None = None  # what `newest` found

    def save(self, at: Position, tensors: Tensors) -> None:
        """Copy all that the next step and the end depend on, and begin to write it.

        Training goes on meanwhile. A write that fails is said aloud, and the checkpoint before it
        stays the newest. Old checkpoints and torn ones are pruned after a whole write.
        """
        self.join()
        self._known = None
        copied = {name: on_cpu(part) for name, part in tensors.items()}
        self._writing = Thread(target=self._write, args=(copy.deepcopy(at), copied), daemon=True)
        self._writing.start()

    def wait(self) -> None:
        """Until the last `save` is on disk; ValueError if it could not be written."""
        self.join()
        if self._failed:
            raise ValueError(f"{self._failed}; make room there, and start again")

    def join(self) -> None:
        """Until nothing is being written any more, whether it went well or not."""
        if self._writing:
            self._writing.join()
            self._writing = None

    def _write(self, at: Position, tensors: Tensors) -> None:
        final = self.folder / f"step-{at.global_step:08d}"
        temporary = self.folder / f".{final.name}-{os.getpid()}"
        try:
            for left in self.folder.glob(".step-*"):
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir(parents=True)
            for name, part in tensors.items():
                save_file(part, temporary / f"{name}.safetensors")
            hashes = {p.name: sha256_file(p) for p in sorted(temporary.iterdir())}
            state = {"format": FORMAT, "of": self.of, "position": asdict(at), "sha256": hashes}
            state["digest"] = _digest(state)
            write_atomic(temporary / "state.json", json.dumps(state, indent=1, allow_nan=False))
            shutil.rmtree(final, ignore_errors=True)
            temporary.replace(final)
            for old in self._all()[: -self.keep]:
                shutil.rmtree(old, ignore_errors=True)
            self._failed = None
        except (OSError, SafetensorError, ValueError) as e:  # a full disk raises any of them
            shutil.rmtree(temporary, ignore_errors=True)
            self._failed = f"the checkpoint of step {at.global_step} was not written: {e}"
            say(f"warning: {self._failed}")

    def newest(self) -> Path | None:
        """The newest whole checkpoint; a torn one or another's is passed over with a warning."""
        if self._known is None:
            self._known = (self._look(),)
        return self._known[0]

    def _look(self) -> Path | None:
        for folder in reversed(self._all()):
            try:
                state = json.loads((folder / "state.json").read_text())
                if state.get("format") != FORMAT:
                    raise ValueError(f"of format {state.get('format')}, not {FORMAT}")
                if state["of"] != self.of:
                    raise ValueError(f"of {state['of']}, not of {self.of}")
                if state.pop("digest") != _digest(state):
                    raise ValueError("state.json is not what was written")
                for name in PARTS:
                    path = folder / f"{name}.safetensors"
                    if sha256_file(path) != state["sha256"][path.name]:
                        raise ValueError(f"{path.name} is not what was written")
                Position(**state["position"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
                say(f"warning: {folder}: torn or another's, passed over ({e})")
                continue
            return folder
        return None

    def remove(self) -> None:
        """Once the stage's weights are written nothing resumes from here."""
        self.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if re.fullmatch(r"step-\d{8,}", p.name))


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(state).encode()).hexdigest()


def load(folder: Path) -> tuple[Position, Tensors]:
    """Where checkpoint `folder` stood, and its tensors on the CPU."""
    at = Position(**json.loads((folder / "state.json").read_text())["position"])
    return at, {name: load_file(folder / f"{name}.safetensors") for name in PARTS}


def on_cpu(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies in the CPU's memory, as safetensors wants them."""
    return {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}


def save_weights(
    folder: Path,
    model: nn.Module,
    config: Model,
    preprocessor: Preprocessor,
    calibration: dict[str, Any],
    operating_point: dict[str, Any],
    *,
    target: str | None = None,
    **more: dict[str, Any],
) -> None:
    """Weights with all that their use needs, as one folder renamed into place.

    `target` is what was learnt of labels (`Config.target`). `more` are JSON files by name, such as
    the baseline hazard of a survival model.
    """
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(on_cpu(model.state_dict()), temporary / "model.safetensors")
    sha256 = sha256_file(temporary / "model.safetensors")
    parts = {
        "config": {"model": config.model_dump(mode="json"), "sha256": sha256}
        | ({"target": target} if target else {}),
        "preprocessor": preprocessor.model_dump(mode="json"),
        "calibration": calibration,
        "operating_point": operating_point,
    } | more
    for name, content in parts.items():
        write_atomic(temporary / f"{name}.json", json.dumps(content, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def load_weights(folder: Path) -> tuple[nn.Module, Preprocessor]:
    """The model in eval mode and its preprocessing.

    Raises:
        ValueError: a file is missing, or the weights are not those that were written.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        if sha256_file(folder / "model.safetensors") != config["sha256"]:
            raise ValueError("model.safetensors is not the file that was written")
        model = build(Model.model_validate(config["model"]), load=False)
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, KeyError, ValueError, RuntimeError) as e:
        raise ValueError(f"{folder}: not usable weights: {e}") from e
    return model.eval(), Preprocessor.load(folder)
