"""What the model looks at: Grad-CAM by group, and attention where the anatomy is known."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from eval.pictures import explain
from eval.pictures.explained import Explained
from eval.pictures.quality import Quality
from eval.runs import Run

T = TypeVar("T")
QUALITY = 88
#: A report goes further than those people agreed to whose faces would be in it.
OF_FACES = "faces are not shown here; `python -m eval faces RUN` says what of them was looked at"


@dataclass(frozen=True)
class Pictures:
    """Groups of (address, caption) by heading, attention, and what is known of unlabelled pictures;
    `why`, `no_attention` and `no_quality` say why not. `tiles`: a third picture is beside each.

    Pictures are chosen by rule (`pictures.chosen`): surest right answers, worst wrong ones.
    """

    groups: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    why: str = ""
    attention: Explained | None = None
    no_attention: str = ""
    quality: tuple[Quality, ...] = ()
    no_quality: str = ""
    tiles: bool = False


def pictures(run: Run, world: Path | None = None) -> Pictures:
    """Make what can be made; training and the packed pixels are needed.

    Of photographs of faces nothing is: `eval.faces` shows them, to whom it may.

    Args:
        run: the run.
        world: the world.json of a synthetic world, whose anatomy is known.
    """
    if run.faces:
        return Pictures(why=OF_FACES, no_attention=OF_FACES, no_quality=OF_FACES)
    made, why = _tried(run, lambda: explain.panels(run.folder))
    seen, no_attention = _tried(run, lambda: explain.attention_of(run.folder, world))
    groups: dict[str, list[tuple[str, str]]] = {}
    for panel in made or []:
        groups.setdefault(panel.heading, []).append((_address(panel.png), panel.caption))
    said, no_quality = _tried(run, lambda: explain.quality_of(run.folder))
    why = why or "no picture qualified"
    tiles = any(panel.tiles for panel in made or [])
    return Pictures(groups, why, seen, no_attention, said or (), no_quality, tiles)


def _address(png: bytes) -> str:
    """The picture as a JPEG in a data address: a seventh of the PNG, for a page with dozens."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, "a panel is a PNG"
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert ok
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _tried(run: Run, work: Callable[[], T]) -> tuple[T | None, str]:
    """The result, or in one line why there is none."""
    try:
        return work(), ""
    except (ImportError, ValueError, OSError, RuntimeError) as e:
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        return None, reason.replace(f"{run.folder}/", "")
