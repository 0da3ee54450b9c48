"""faces.html and faces.json of a run: what of a face speaks for the answer, and what it resembles.

python -m eval faces RUN [--show-faces]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup

from data_sharding.schema import canonical_json, write_atomic
from eval.faces import words
from eval.faces.drawing import region_face
from eval.faces.explain import Told
from eval.faces.portraits import Portraits, portraits
from eval.faces.region_shap import REGIONS, to_size
from eval.faces.shapes import EXACT, GROUPS, MEAN, SUM, Faces, OfClass, Table
from eval.reporting.page import environment
from eval.runs import read_json

#: Digits of values in the score's unit, and of those per pixel, which are small.
DIGITS, TINY = 2, 6
#: Why the section on concepts is empty where it was not asked for.
LEFT_OUT = "left out (--no-concepts)"


def write_page(
    told: Told, folder: Path, concepts: bool = True, craft: object | None = None
) -> tuple[Path, Path]:
    """Write faces.html and faces.json into `folder`, and craft.json with concepts; return the two.

    Args:
        told: by `explain`.
        folder: made if it is not there.
        concepts: look for concepts too (`eval.craft`).
        craft: settings of that, `eval.craft.Settings`.

    Raises:
        ValueError: a file of that name is there and is something else.
    """
    page, data = folder / "faces.html", folder / "faces.json"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; --out names a folder")
    ours = read_json(data).get("format") == told.faces.format
    if not ours and (there := [f for f in (page, data) if f.exists()]):
        raise ValueError(f"{there[0]}: is not of faces; name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    section = _concepts(told, folder, craft) if concepts else _section(LEFT_OUT)
    text = render(told.faces, section, portraits(told))
    write_atomic(data, canonical_json(told.faces.model_dump(mode="json")) + "\n")
    write_atomic(page, text)
    return page, data


def render(faces: Faces, concepts: Markup | None = None, shown: Portraits | None = None) -> str:
    """The page as text."""
    by = {(t.explained, t.measure, t.group): t for t in faces.tables}
    explained = list(dict.fromkeys(t.explained for t in faces.tables))
    return environment().get_template("faces.html.j2").render(
        faces=faces,
        words=words,
        by=by,
        explained=explained,
        groups=GROUPS,
        exact=EXACT,
        pixels=((SUM, DIGITS), (MEAN, TINY)),
        digits=DIGITS,
        drawn={e: _drawn(by[e, EXACT, "everybody"]) for e in explained},
        unit=faces.settings.score,
        concepts=concepts or "",
        shown=shown or Portraits(),
    )  # fmt: skip


def _drawn(table: Table) -> list[tuple[OfClass, Markup]]:
    """Each class that may be shown on the canonical face, all on one scale."""
    values = {
        c.name: {v.player: v.mean.value for v in c.values if v.player in REGIONS and v.mean.value}
        for c in table.classes
        if c.values
    }
    most = max((abs(x) for of in values.values() for x in of.values()), default=0.0)
    return [
        (c, Markup(region_face(values[c.name], most, words.face(table, c), DIGITS)))
        for c in table.classes
        if c.values
    ]


def _concepts(told: Told, folder: Path, settings: object | None) -> Markup:
    """The section of CRAFT, or why there is none."""
    from eval.craft.explain import explain
    from eval.craft.page import write_json
    from eval.craft.subjects import Subjects

    seen, values = told.seen, told.values
    model = seen.eyes.loaded[0].to(seen.device)
    pictures = [seen.picture(i) for i in range(len(seen))]
    height, width = values.size
    small = [to_size(seen.regions(i), height, width) for i in range(len(seen))]
    subjects = Subjects(
        keys=seen.rows["key"].tolist(),
        patients=seen.rows["patient"].tolist(),
        images=torch.cat([seen.ready(p[None]) for p in pictures]),
        predicted=values.answer,
        face=seen.embeddings if told.faces.embedding else None,
        regions=np.stack(small),
        region_names=REGIONS,
        pictures=np.stack([_resized(p, height, width) for p in pictures]) if told.show else None,
    )
    try:
        found = explain(model, subjects, told.faces.classes, settings)  # type: ignore[arg-type]
    except ValueError as e:  # such as a network without maps
        return _section(str(e).splitlines()[0])
    write_json(found.craft, folder)
    return _section(found)


def _section(found: object) -> Markup:
    from eval.craft.page import section

    return section(found)  # type: ignore[arg-type]


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    import cv2

    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
