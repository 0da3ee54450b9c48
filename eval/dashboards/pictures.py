"""Grad-CAM of a run's cohorts as it may leave: phantoms freely, patients if asked, faces never.

That a picture is a phantom's is not taken on trust: `eval.pictures.explain` draws it again from its
world and compares (``report --ceiling WORLD.JSON`` does, or ``track --world``).

A radiograph may have a name burnt into it, which no header tells. So a picture of a person is sent
at `COARSE` pixels a side: where the model looks can be seen, and a letter of a sixteenth of the
picture's height is two pixels high.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from eval.pictures import explain
from eval.runs import Run

Pictures = dict[str, list[tuple[bytes, str]]]
#: Pixels of a person's picture from top to bottom.
COARSE = 32
FACES = "faces are not sent; `python -m eval faces RUN` shows them, to whom it may"


def pictures(
    run: Run, cohorts: Mapping[str, str], patients: bool, world: Path | None = None
) -> tuple[Pictures, list[str]]:
    """Key -> (PNG, caption) of each picture, and what is not sent, in words.

    The pictures are those of the report, made of packed, de-identified pixels; their captions there
    say more than may leave.

    Args:
        run: the run.
        cohorts: name -> name in keys.
        patients: whether pictures of people may leave.
        world: the world.json of a synthetic world, to show that pictures are of it.
    """
    if run.faces:
        return {}, [FACES]
    try:
        made = explain.panels(run.folder)
        phantoms = _phantoms(run.folder, world) if world or not patients else set()
    except (ImportError, ValueError, OSError, RuntimeError) as e:
        return {}, [f"no pictures: {(str(e).splitlines() or [type(e).__name__])[0]}"]
    found: Pictures = {}
    kept: dict[str, int] = {}
    for panel in made:
        if panel.where not in cohorts:
            continue  # of a public set, whose people were not asked either
        phantom = panel.where in phantoms
        if not phantom and not patients:
            kept[panel.where] = kept.get(panel.where, 0) + 1
            continue
        said = f"{panel.group}; the model says {panel.name}"
        png = panel.png if phantom else coarse(panel.png)
        found.setdefault(f"eval/{cohorts[panel.where]}/gradcam", []).append((png, said))
    return found, [
        f"{cohort}: {n} pictures are not sent: not known to be phantoms (--world WORLD.JSON shows "
        "it); --show-patients sends pictures of people"
        for cohort, n in kept.items()
    ]


def coarse(png: bytes) -> bytes:
    """The same picture, PNG again, with no more than `COARSE` pixels from top to bottom."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, "a panel is a PNG"
    height, width = pixels.shape[:2]
    size = max(1, round(width * COARSE / height)), COARSE
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    ok, data = cv2.imencode(
        ".png", cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    )
    assert ok
    return data.tobytes()


def _phantoms(folder: Path, world: Path | None) -> set[str]:
    """Cohorts whose pictures were drawn again from their world, and are the same."""
    return {looked.cohort for looked in explain.attention_of(folder, world).looked}
