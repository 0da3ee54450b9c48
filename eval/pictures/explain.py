"""What a model looks at: pictures for the report, and attention measured where anatomy is known.

::

    panels(run)                          RUN/report/gradcam/*.png    chosen by rule (see `chosen`)
    attention_of(run, world.json)        RUN/report/attention.json   shares, controls, sanity checks

Both are made again only if the weights or the choice changed. This is the one file of eval, with
the command line, that may import training and data_sharding.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_sharding.schema import CLASSES, canonical_json, sha256_file, write_atomic
from eval.frames import Frame
from eval.pictures.chosen import Chosen, choose, labelled, measured
from eval.pictures.explained import UNKNOWN, Explained, Looked
from eval.pictures.measure import MEASURED, looked, small
from eval.pictures.overlay import OVERLAY, panel_png
from eval.pictures.panel import Panel, keep_panels, kept_panels
from eval.runs import MODELS, Run

if TYPE_CHECKING:
    from torch import nn

    from data_sharding.phantom.atlas import Atlas
    from data_sharding.reader import ShardDataset
    from training.preprocess import Preprocessor

#: Pictures explained at once.
BATCH = 8
#: Networks of random weights that shares are held against; pictures of the sanity check.
NETWORKS, CHECKED = 3, 24


@dataclass(frozen=True)
class Eyes:
    """One model of a run and the pictures it can be shown."""

    run: Run
    name: str

    @classmethod
    def of(cls, run: Path, model: str | None) -> Eyes:
        """`model`, or the student, or else the teacher, or a survival model.

        Raises:
            ValueError: there are no weights.
        """
        names = [model] if model else ["student", *(n for n in MODELS if n != "student")]
        found = [n for n in names if (run / n / "weights" / "model.safetensors").is_file()]
        if not found:
            path = run / names[0] / "weights" / "model.safetensors"
            raise ValueError(f"{path}: no weights there to explain")
        return cls(Run.at(run), found[0])

    @property
    def weights(self) -> Path:
        """The folder of the weights."""
        return self.run.folder / self.name / "weights"

    @cached_property
    def loaded(self) -> tuple[nn.Module, Preprocessor]:
        """The model in eval mode and what it wants done to pictures."""
        from training.checkpoint import load_weights

        return load_weights(self.weights)

    @cached_property
    def packs(self) -> list[ShardDataset]:
        """The run's packs whose pictures these weights take.

        Raises:
            ValueError: there are none.
        """
        from data_sharding.reader import ShardDataset

        packs = [ShardDataset(p.folder) for p in self.run.packs if p.manifest is not None]
        if not packs:
            path = self.run.folder / "run.json"
            raise ValueError(f"{path}: no readable packed dataset to take pixels of")
        for pack in packs:
            self.loaded[1].accept(pack.manifest)
        return packs

    def find(self, key: str) -> tuple[ShardDataset, int] | None:
        """The first pack that has a key, and the row."""
        for pack in self.packs:
            rows = np.flatnonzero(pack.index["key"].to_numpy() == key)
            if rows.size:
                return pack, int(rows[0])
        return None

    def maps(
        self,
        model: nn.Module,
        pictures: list[NDArray[np.uint8]],
        targets: list[int],
        side: int | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Grad-CAM of `model`, this one or one like it: maps [n, H, W], and which have evidence.

        Maps are as large as the model's input, or of at most `side` pixels a side.
        """
        import torch

        from eval.pictures.gradcam import gradcam
        from training.models import cam_layer

        device = "cuda" if torch.cuda.is_available() else "cpu"
        model, preprocessor = model.to(device), self.loaded[1]
        maps, positive = [], []
        for i in range(0, len(pictures), BATCH):
            images = preprocessor(np.stack(pictures[i : i + BATCH])).to(device)
            cam = gradcam(model, cam_layer(model), images, targets[i : i + BATCH], grid_of(model))
            found = cam.maps.detach().cpu().numpy()
            maps.append(found if side is None else small(found, side))
            positive.append(cam.positive.cpu().numpy())
        return np.concatenate(maps), np.concatenate(positive)


def grid_of(model: nn.Module) -> tuple[int, int]:
    """Rows and columns of the blocks that a model cuts a picture into."""
    from training.models.grid_transformer import GridTransformer

    n = model.grid.grid if isinstance(model, GridTransformer) else 1
    return n, n


def panels(run: Path, model: str | None = None, per_group: int = 4) -> list[Panel]:
    """Make, keep under RUN/report/gradcam/, and return the pictures, groups one after the other.

    Args:
        run: the run folder.
        model: whose eyes; by default the student's, or else the teacher's.
        per_group: pictures of each group.

    Raises:
        ValueError: weights, packs or predictions are missing or unreadable.
        ImportError: training or data_sharding cannot be imported here.
    """
    eyes = Eyes.of(run, model)
    chosen = choose(eyes.run, eyes.name, per_group)
    folder = run / "report" / "gradcam"
    stamp = canonical_json(
        [OVERLAY, sha256_file(eyes.weights / "model.safetensors"), eyes.name]
        + [vars(c) for c in chosen]
    )
    if kept := kept_panels(folder, stamp):
        return kept
    made = _draw(eyes, chosen)
    keep_panels(folder, stamp, made)
    return made


def _draw(eyes: Eyes, chosen: list[Chosen]) -> list[Panel]:
    made = []
    for number, choice in enumerate(chosen):
        found = eyes.find(choice.key)
        if found is None:
            continue
        pixels = found[0].image(found[1])
        maps, positive = eyes.maps(eyes.loaded[0], [pixels], [choice.target])
        caption = choice.caption if positive[0] else f"{choice.caption}; no positive evidence"
        file, name = f"{number:02d}.png", CLASSES[choice.target]
        png = panel_png(pixels, maps[0])
        made.append(Panel(choice.where, choice.group, name, caption, file, png))
    return made


def attention_of(
    run: Path, world: Path | None = None, model: str | None = None, per_answer: int = 24
) -> Explained:
    """Where attention lies, and whether maps depend on the weights; kept in RUN/report.

    Shares need the anatomy, which is known of a phantom only; without it they are undefined. What
    was kept is returned where weights and predictions have not changed and no other world is given.

    Args:
        run: the run folder.
        world: the folder of the synthetic world of the cohorts, or its world.json.
        model: as of `panels`.
        per_answer: pictures of each cohort and answer of the model; at most.

    Raises:
        ValueError: as `panels`; `world` is no file. A world that does not know the pictures leaves
            the shares undefined.
        ImportError: as `panels`.
    """
    eyes = Eyes.of(run, model)
    rows = {c: measured(eyes.run, c, eyes.name, per_answer) for c in labelled(eyes.run)}
    told = [sha256_file(eyes.weights / "model.safetensors"), eyes.name, NETWORKS, CHECKED]
    drawn = {c: [f["key"].tolist(), f["answer"].tolist()] for c, f in rows.items()}
    stamp = hashlib.sha256(canonical_json([told, drawn]).encode()).hexdigest()
    settings = None if world is None else world if world.suffix == ".json" else world / "world.json"
    if settings is not None and not settings.is_file():
        raise ValueError(f"{settings}: no such file; give the world.json of the synthetic world")
    known = None if settings is None else sha256_file(settings)
    path = run / "report" / "attention.json"
    if (kept := kept_attention(path, stamp)) and known in (None, kept.world_sha256):
        return kept
    found = _explained(eyes, rows, settings, stamp, known)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(found.model_dump(mode="json"), indent=1) + "\n")
    return found


def kept_attention(path: Path, stamp: str | None = None) -> Explained | None:
    """attention.json, if it is there, whole, and of that stamp."""
    try:
        found = Explained.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if stamp in (None, found.stamp) else None


def _explained(
    eyes: Eyes, rows: dict[str, Frame], world: Path | None, stamp: str, known: str | None
) -> Explained:
    from eval.pictures.sanity import randomised, sanity
    from training.models import cam_layer

    model = eyes.loaded[0]
    networks = [randomised(model, seed) for seed in range(NETWORKS)]
    tables: list[Looked] = []
    strange: dict[str, list[str]] = {}  # why -> cohorts
    checked = None
    for cohort, wanted in rows.items():
        places = [eyes.find(key) for key in wanted["key"]]
        here = [place for place in places if place is not None]
        frame = wanted[[place is not None for place in places]]
        if frame.empty:
            continue
        pictures = [pack.image(row) for pack, row in here]
        targets = frame["answer"].tolist()
        own, *controls = (
            eyes.maps(network, pictures, targets, MEASURED)[0] for network in (model, *networks)
        )
        try:
            regions = _regions(here, frame["key"].tolist(), world, own.shape[1])
        except ValueError as e:
            strange.setdefault(str(e), []).append(cohort)
        else:
            tables += looked(cohort, frame, own, controls, regions)
        if checked is None:
            some = slice(None, None, -(-len(own) // CHECKED))
            checked = sanity(
                model,
                lambda m, p=pictures[some], t=targets[some]: eyes.maps(m, p, t, MEASURED)[0],
                own[some],
                [c[some] for c in controls],
                frame["patient"].to_numpy()[some],
            )
    if checked is None:
        raise ValueError(f"{eyes.run.folder / 'run.json'}: no pack has a picture of the cohorts")
    layer = next(name for name, m in model.named_modules() if m is cam_layer(model))
    return Explained(
        stamp=stamp,
        world_sha256=known,
        model=eyes.name,
        method=f"Grad-CAM of layer {layer} for the model's own answer",
        looked=tuple(tables),
        undefined="; ".join(f"{why} ({', '.join(c)})" for why, c in strange.items()) or None,
        sanity=checked,
    )


def _regions(
    places: list[tuple[ShardDataset, int]], keys: list[str], world: Path | None, size: int
) -> list[dict[str, NDArray]]:
    """The regions of each picture at the maps' size.

    Raises:
        ValueError: there is no world, it does not know a picture, or it draws it otherwise.
    """
    if world is None:
        raise ValueError(UNKNOWN)
    from data_sharding.phantom.atlas import Atlas

    atlases: dict[Path, Atlas] = {}
    found = []
    for (pack, row), key in zip(places, keys, strict=True):
        atlas = atlases.get(pack.folder) or Atlas(world, pack.folder)
        if key not in atlas:
            raise ValueError(f"{UNKNOWN}: they are not of this world")
        if pack.folder not in atlases:
            atlas.check(key, pack.image(row))
            atlases[pack.folder] = atlas
        found.append(atlas.shares(key, size))
    return found
