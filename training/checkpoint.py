"""Checkpoints to resume from, and weights to use. No pickle: safetensors and JSON only.

A checkpoint is a folder ``step-00001234`` that is renamed into place when it is whole; its
``state.json`` lists the files' hashes, so a torn one is recognised, said aloud and passed over.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from data_sharding.schema import sha256_file, write_atomic
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor


@dataclass
class Position:
    """Where training stands: the next step to take is `step` of `epoch`."""

    epoch: int = 0
    step: int = 0
    global_step: int = 0
    best: float | None = None
    best_epoch: int | None = None
    meter: dict[str, float] = field(default_factory=dict)  # the running epoch's sums, all ranks


class Checkpoints:
    """The checkpoints of one stage, newest last."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def save(
        self,
        at: Position,
        model: nn.Module,
        average: nn.Module,
        best: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Write all that the next step and the end depend on; prune old ones and torn ones."""
        final = self.folder / f"step-{at.global_step:08d}"
        temporary = self.folder / f".{final.name}"
        for left in self.folder.glob(".step-*"):
            shutil.rmtree(left)
        temporary.mkdir(parents=True)
        save_file(_flat(model), temporary / "model.safetensors")
        save_file(_flat(average), temporary / "ema.safetensors")
        save_file(_flat(best), temporary / "best.safetensors")
        save_file(_optimizer_tensors(optimizer), temporary / "optimizer.safetensors")
        hashes = {p.name: sha256_file(p) for p in sorted(temporary.iterdir())}
        state = {"position": asdict(at), "sha256": hashes}
        write_atomic(temporary / "state.json", json.dumps(state, indent=1, allow_nan=False))
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
        for old in self._all()[: -self.keep]:
            shutil.rmtree(old)

    def newest(self) -> Path | None:
        """The newest whole checkpoint; a torn one is passed over with a warning."""
        for folder in reversed(self._all()):
            try:
                state = json.loads((folder / "state.json").read_text())
                for name, sha256 in state["sha256"].items():
                    if sha256_file(folder / name) != sha256:
                        raise ValueError(f"{name} is not what was written")
            except (OSError, ValueError, KeyError) as e:
                warnings.warn(f"{folder}: torn, passed over ({e})", stacklevel=2)
                continue
            return folder
        return None

    def remove(self) -> None:
        """Once the stage's weights are written nothing resumes from here."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if re.fullmatch(r"step-\d{8,}", p.name))


def restore(
    folder: Path,
    model: nn.Module,
    average: nn.Module,
    best: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Position:
    """Load checkpoint `folder` in place and return where it stood."""
    model.load_state_dict(load_file(folder / "model.safetensors"))
    average.load_state_dict(load_file(folder / "ema.safetensors"))
    best.load_state_dict(load_file(folder / "best.safetensors"))
    _load_optimizer(optimizer, load_file(folder / "optimizer.safetensors"))
    return Position(**json.loads((folder / "state.json").read_text())["position"])


def _flat(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{i}/{name}": torch.as_tensor(value).detach().cpu().contiguous()
        for i, values in state.items()
        for name, value in values.items()
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        i, name = key.split("/")
        state.setdefault(int(i), {})[name] = tensor
    optimizer.load_state_dict(whole | {"state": state})


def save_weights(
    folder: Path,
    model: nn.Module,
    config: Model,
    preprocessor: Preprocessor,
    calibration: dict[str, Any],
    operating_point: dict[str, Any],
) -> None:
    """Weights with all that their use needs, as one folder renamed into place."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(_flat(model), temporary / "model.safetensors")
    sha256 = sha256_file(temporary / "model.safetensors")
    parts = {
        "config": {"model": config.model_dump(mode="json"), "sha256": sha256},
        "preprocessor": preprocessor.model_dump(mode="json"),
        "calibration": calibration,
        "operating_point": operating_point,
    }
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
