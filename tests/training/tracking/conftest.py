from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.tracking.server import Server
from training.config import Config
from training.overrides import override
from training.recipes import recipe


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As on a machine where nobody ever used W&B."""
    for name in ("MODE", "DISABLED", "API_KEY", "BASE_URL", "DIR", "PROJECT", "ENTITY", "RUN_ID"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    yield
    if sys.modules.get("wandb"):  # it reads the environment once
        sys.modules["wandb"].teardown()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A W&B server on this machine, and a key for it in the environment."""
    server = Server()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    yield server
    server.close()


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., tuple[Path, Config]]:
    """A run's folder as `prepare` makes it, without datasets; takes overrides."""

    def make(*changes: str) -> tuple[Path, Config]:
        config = override(recipe("ospenscreen:smoke"), list(changes))
        folder = tmp_path / "runs" / "ospenscreen-smoke-0123456789"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(config.to_yaml())
        (folder / "run.json").write_text("{}")
        return folder, config

    return make


def record(step: int) -> dict[str, Any]:
    """The same whenever it is asked for, as training is."""
    return {"step": step, "epoch": step // 3, "train/loss": 1 / step, "tune/auroc": 1 - 1 / step}


def write(folder: Path, stage: str, *steps: int) -> Path:
    path = folder / stage / "metrics.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(record(s)) + "\n" for s in steps))
    return path
