"""Grad-CAM pictures for the report: which pictures, of which class, and what they may not show.

The pictures are those the model was surest about and right about, chosen by rule and not by hand:
they show what the model looks at when it works, and are no evidence of how often it does. Of the
public set, which has no reference, the surest proxy labels of each class are shown.
This is the one file of eval, with the command line, that may import training.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from data_sharding.schema import CLASSES, canonical_json, sha256_file, write_atomic
from eval.frames import Column, Frame
from eval.plots import heat
from eval.runs import Run, is_tuning

if TYPE_CHECKING:
    from data_sharding.reader import ShardDataset

#: Pixels of a picture's longer side in the report.
SIDE = 256


@dataclass(frozen=True)
class Panel:
    """A PNG of the picture beside its heat map; `where` is its cohort and `name` its class."""

    where: str
    name: str
    caption: str
    file: str
    png: bytes


@dataclass(frozen=True)
class Chosen:
    """A picture to explain for class `target`."""

    where: str
    caption: str
    key: str
    target: int


def panels(run: Path, model: str = "student", per_class: int = 4) -> list[Panel]:
    """Make, keep under RUN/report/gradcam/, and return the pictures.

    They are made again only if the weights or the choice changed.

    Args:
        run: the run folder.
        model: whose eyes.
        per_class: pictures per class and set.

    Raises:
        ValueError: weights, packs or predictions are missing or unreadable.
        ImportError: training or data_sharding cannot be imported here.
    """
    run_ = Run.at(run)
    weights = run / model / "weights"
    if not (weights / "model.safetensors").is_file():
        raise ValueError(f"{weights / 'model.safetensors'}: no weights there to explain")
    chosen = choose(run_, model, per_class)
    folder = run / "report" / "gradcam"
    stamp = canonical_json(
        [sha256_file(weights / "model.safetensors"), model, [vars(c) for c in chosen]]
    )
    if kept := _kept(folder, stamp):
        return kept
    made = _draw(run_, weights, chosen)
    folder.mkdir(parents=True, exist_ok=True)
    for panel in made:
        write_atomic(folder / panel.file, panel.png)
    index = [{k: v for k, v in vars(p).items() if k != "png"} for p in made]
    write_atomic(folder / "panels.json", json.dumps({"stamp": stamp, "panels": index}, indent=1))
    return made


def choose(run: Run, model: str, per_class: int) -> list[Chosen]:
    """The surest right answers of each class in one labelled cohort, and the surest proxies.

    Ties are broken by key; a patient appears once in a group.
    """
    chosen: list[Chosen] = []
    for cohort in [c for c in run.cohorts if not is_tuning(c)] or run.cohorts:
        frame = run.predictions(cohort)
        frame = frame[(frame["model"] == model) & frame["label"].notna()]
        if frame.empty:
            continue
        right = frame["label"] == (frame["probability"] >= frame["threshold"]).astype("Int64")
        chosen += _surest(frame[right], frame["label"], cohort, "DXA", per_class)
        break
    proxies = run.pseudo_labels
    if proxies is not None:
        kept = proxies[proxies["decision"].isin(CLASSES)]
        chosen += _surest(
            kept, kept["decision"].map(CLASSES.index), "public set", "proxy label", per_class
        )
    return chosen


def _surest(frame: Frame, label: Column, where: str, reference: str, count: int) -> list[Chosen]:
    chosen = []
    for target in (1, 0):
        rows = frame[label.reindex(frame.index) == target]
        rows = rows.sort_values(["probability", "key"], ascending=[target == 0, True])
        for row in rows.drop_duplicates("patient").head(count).itertuples():
            caption = (
                f"{str(row.key)[:8]}: {reference} {CLASSES[target]}, P = {row.probability:.2f}"
            )
            chosen.append(Chosen(where, caption, str(row.key), target))
    return chosen


def _kept(folder: Path, stamp: str) -> list[Panel] | None:
    try:
        index = json.loads((folder / "panels.json").read_bytes())
        if index["stamp"] != stamp:
            return None
        return [
            Panel(p["where"], p["name"], p["caption"], p["file"], (folder / p["file"]).read_bytes())
            for p in index["panels"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none there, or torn: made again


def _draw(run: Run, weights: Path, chosen: list[Chosen]) -> list[Panel]:
    from data_sharding.reader import ShardDataset
    from eval.gradcam import gradcam
    from training.checkpoint import load_weights
    from training.models import cam_layer

    packs = [ShardDataset(p.folder) for p in run.packs if p.manifest is not None]
    if not packs:
        raise ValueError(f"{run.folder / 'run.json'}: no readable packed dataset to take pixels of")
    model, preprocessor = load_weights(weights)
    made = []
    for number, choice in enumerate(chosen):
        pixels = _pixels(packs, choice.key)
        if pixels is None:
            continue
        cam = gradcam(model, cam_layer(model), preprocessor(pixels[None]), choice.target)
        caption = choice.caption if cam.positive[0] else f"{choice.caption}; no positive evidence"
        png = panel_png(pixels, cam.maps[0].detach().cpu().numpy())
        made.append(Panel(choice.where, CLASSES[choice.target], caption, f"{number:02d}.png", png))
    return made


def _pixels(packs: list[ShardDataset], key: str) -> np.ndarray | None:
    """The picture of a key, uint8 [H, W], from the first pack that has it."""
    for pack in packs:
        rows = np.flatnonzero(pack.index["key"].to_numpy() == key)
        if rows.size:
            return pack.image(int(rows[0]))
    return None


def panel_png(pixels: np.ndarray, cam: np.ndarray) -> bytes:
    """The picture and the same picture under its heat map, side by side, as PNG.

    Args:
        pixels: uint8 [H, W].
        cam: float [h, w] in [0, 1]; the preprocessor may have resized.
    """
    scale = SIDE / max(pixels.shape)
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    grey = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    warm = cv2.resize(cam.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None]
    plain = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    mixed = plain * (1 - 0.6 * warm) + 255 * heat(warm[..., 0]) * 0.6 * warm
    gap = np.full((size[1], 6, 3), 255, dtype=np.float32)
    picture = np.concatenate([plain, gap, mixed], axis=1).round().clip(0, 255).astype(np.uint8)
    ok, data = cv2.imencode(".png", picture[..., ::-1])
    assert ok
    return data.tobytes()
