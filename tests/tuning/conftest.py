from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def changes(packs: dict[str, Path], tmp_path: Path) -> list[str]:
    """The smoke recipe on the 48-pixel packs: a trial takes about a second."""
    return [
        f"paths.internal={packs['internal']}",
        f"paths.public={packs['public']}",
        "paths.external=[]",
        f"paths.runs={tmp_path / 'runs'}",
        "input.size=48",
        "teacher.epochs=1",
        "student.epochs=1",
        "teacher.batch=16",
        "student.batch=16",
        "track.wandb=disabled",
    ]
