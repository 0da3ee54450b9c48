"""Grad-CAM of a run's cohorts as it may leave: phantoms freely, patients if asked, faces never.

That a picture is a phantom's is not taken on trust: `eval.pictures.explain` draws it again from its
world and compares (``report --ceiling WORLD.JSON`` does, or ``track --world``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eval.pictures import explain
from eval.runs import Run

Pictures = dict[str, list[tuple[bytes, str]]]
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
        phantoms = set(cohorts) if patients else _phantoms(run.folder, world)
    except (ImportError, ValueError, OSError, RuntimeError) as e:
        return {}, [f"no pictures: {(str(e).splitlines() or [type(e).__name__])[0]}"]
    found: Pictures = {}
    kept: dict[str, int] = {}
    for panel in made:
        if panel.where not in cohorts:
            continue  # of a public set, whose people were not asked either
        if panel.where not in phantoms:
            kept[panel.where] = kept.get(panel.where, 0) + 1
            continue
        said = f"{panel.group}; the model says {panel.name}"
        found.setdefault(f"eval/{cohorts[panel.where]}/gradcam", []).append((panel.png, said))
    return found, [
        f"{cohort}: {n} pictures are not sent: not known to be phantoms (--world WORLD.JSON shows "
        "it); --show-patients sends pictures of people"
        for cohort, n in kept.items()
    ]


def _phantoms(folder: Path, world: Path | None) -> set[str]:
    """Cohorts whose pictures were drawn again from their world, and are the same."""
    return {looked.cohort for looked in explain.attention_of(folder, world).looked}
