"""``<model>/weights`` of the whole: fold 0's network, to look at pictures with.

A mean of N models has no weights. Heat maps need a network, and a reader of ``weights`` finds fold
0's there, by links; ``calibration.json`` says so. Scores are those of all folds, and the threshold
in ``operating_point.json`` is theirs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_sharding.schema import write_atomic

#: Made for the whole; the other files are links.
OURS = ("calibration.json", "operating_point.json")


def link_weights(
    folder: Path, models: Iterable[str], points: Mapping[str, Mapping[str, Any]], folds: int
) -> None:
    """Make them, or make them again.

    Args:
        folder: of the whole; ``folds/0`` is there.
        models: by name.
        points: model -> its operating point.
        folds: how many.
    """
    why = (
        f"each of the {folds} folds' models has one of its own, fitted on the tuning split, before "
        "the mean; the weights here are fold 0's"
    )
    for model in models:
        place, theirs = folder / model / "weights", folder / "folds" / "0" / model / "weights"
        place.mkdir(parents=True, exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        for path in sorted(theirs.iterdir()):
            if path.name not in OURS:
                (place / path.name).symlink_to(os.path.relpath(theirs / path.name, place))
        for name, value in zip(OURS, ({"reason": why}, dict(points[model])), strict=True):
            write_atomic(place / name, json.dumps(value, indent=1) + "\n")
