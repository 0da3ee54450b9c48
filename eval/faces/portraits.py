"""Pictures of faces for the page, where they may be shown: means of classes, maps, single people.

Nothing here is made unless it was asked for and the people agreed (`Told.show`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.faces.averages import FEWEST, average
from eval.faces.drawing import address, signed, tinted
from eval.faces.explain import Told
from eval.faces.region_shap import REGIONS, to_size

#: Pixels of a side, and people of each class that are shown.
SIDE, EXAMPLES = 256, 3


@dataclass(frozen=True)
class Portrait:
    """Of a class: addresses of pictures, or `why` there is none."""

    name: str
    people: int
    mean: str = ""
    heat: str = ""
    why: str = ""


@dataclass(frozen=True)
class Portraits:
    """`examples`: class -> (face, face with its values, caption)."""

    classes: tuple[Portrait, ...] = ()
    examples: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = ()


def portraits(told: Told) -> Portraits:
    """All that may be shown; nothing where nothing may."""
    if not told.show:
        return Portraits()
    classes = range(len(told.seen.classes))
    return Portraits(
        tuple(_portrait(told, k) for k in classes),
        tuple((told.seen.classes[k], tuple(_examples(told, k))) for k in classes),
    )


def _portrait(told: Told, k: int) -> Portrait:
    """One picture of each patient of a class."""
    seen, v = told.seen, told.values
    rows = np.flatnonzero(v.truth == k)
    _, first = np.unique(v.patient[rows].astype(str), return_index=True)
    rows, name = rows[np.sort(first)], seen.classes[k]
    points = [seen.landmarks(int(i)) for i in rows]
    mean = average([seen.picture(int(i)) for i in rows], points, SIDE, len(rows))
    if mean is None:
        why = f"{len(rows)} people: a mean face is shown of {FEWEST} or more"
        return Portrait(name, len(rows), why=why)
    heat = ""
    if v.pixels:
        side = seen.picture(int(rows[0])).shape[0]
        maps = [cv2.resize(v.pixels.maps[i], (side, side)) for i in rows]
        spread = average(maps, points, SIDE, len(rows))
        assert spread is not None
        heat = address(signed(spread, float(np.quantile(np.abs(spread), 0.995))))
    return Portrait(name, len(rows), address(mean.round().astype(np.uint8)), heat)


def _examples(told: Told, k: int) -> list[tuple[str, str, str]]:
    """The surest right answers, a patient once."""
    seen, v = told.seen, told.values
    rows = np.flatnonzero(v.right & (v.truth == k))
    rows = rows[np.argsort(-v.full[rows, k], kind="stable")]
    found, known = [], set()
    for i in rows.tolist():
        if v.patient[i] in known or len(found) == EXAMPLES:
            continue
        known.add(v.patient[i])
        own = v.own[i, : len(REGIONS)]
        picture, regions = _small(seen.picture(i)), to_size(seen.regions(i), SIDE, SIDE)
        under = tinted(picture, regions, own.tolist(), float(np.abs(own).max()))
        most = REGIONS[int(own.argmax())]
        caption = (
            f"{str(seen.rows['key'][i])[:8]}: most for it speaks the {most} ({own.max():+.2f})"
        )
        found.append((address(picture), address(under), caption.replace("-", "−")))
    return found


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
