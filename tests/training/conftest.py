from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from training.config import Config
from training.overrides import leaves, override
from training.recipes import recipe

if TYPE_CHECKING:
    from tests.training.nodes import Nodes


def as_overrides(config: Config) -> list[str]:
    """The whole configuration as command-line arguments."""
    tree = config.model_dump(mode="json", exclude={"recipe"})
    return [f"{name}={value}" for name, value in leaves(tree) if value is not None]


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A Ray cluster of two nodes, for all tests that need one."""
    from tests.training.nodes import Nodes

    cluster = Nodes(tmp_path_factory.mktemp("ray"))
    yield cluster
    cluster.close()


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Here as in the processes that are started: threads would add their sums in another order."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(packs: dict[str, Path], tmp_path: Path) -> Callable[..., Config]:
    """The smoke recipe on the 48-pixel packs, in-process, a few epochs; takes overrides."""

    def make(*changes: str) -> Config:
        return override(
            recipe("ospenscreen:smoke"),
            [
                f"paths.internal={packs['internal']}",
                f"paths.public={packs['public']}",
                f"paths.external=[{packs['external']}]",
                f"paths.runs={tmp_path / 'runs'}",
                "model.name=test_convnext",  # no batch norm: the same for any number of workers
                "input.size=48",
                "teacher.epochs=3",
                "student.epochs=2",
                "teacher.batch=16",
                "student.batch=16",
                "pseudo.p_normal=0.6",
                "pseudo.p_lbm=0.6",
                "compute.launcher=local",
                "track.wandb=disabled",
                *changes,
            ],
        )

    return make
