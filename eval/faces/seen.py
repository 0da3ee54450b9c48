"""A run's model, the faces of one of its cohorts, and what is known of them.

    seen = Seen.of(run, model=None, cohort=None, settings)
    seen.picture(i), seen.regions(i), seen.network(model)(i)

With `eval.pictures.eyes` this is all of explaining faces that may import training or data_sharding.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eval.classes.shapes import NAMES
from eval.faces.region_shap import REGIONS, Model
from eval.faces.shapes import Settings
from eval.frames import Frame
from eval.pictures.chosen import judged
from eval.pictures.eyes import Eyes

if TYPE_CHECKING:
    from data_sharding.reader import ShardDataset

    Place = tuple[ShardDataset, int]  # a pack and a row of it

LANDMARKS, CROP = "landmarks", "crop"
#: How a pack of faces says so.
FACE = "face/"


@dataclass(frozen=True)
class Seen:
    """Row i of `rows` (key, patient, sex, truth) is face i, which lies at `places[i]`; `others` are
    where references lie."""

    eyes: Eyes
    cohort: str
    classes: tuple[str, ...]
    rows: Frame
    places: tuple[Place, ...]
    others: tuple[Place, ...]

    @classmethod
    def of(cls, run: Path, model: str | None, cohort: str | None, settings: Settings) -> Seen:
        """Draw pictures of each class, blind to what the model said of them.

        Raises:
            ValueError: no weights, no such cohort, no faces in the packs, nobody with a class.
        """
        from data_sharding.faces.regions import REGIONS as THEIRS

        assert THEIRS == REGIONS, "the players are the regions"
        eyes = Eyes.of(run, model)
        packs = _packs(eyes)
        everyone = {k: (p, row) for p in packs[::-1] for row, k in enumerate(p.index["key"])}
        names = [cohort] if cohort else judged(eyes.run)
        if cohort and cohort not in eyes.run.cohorts:
            raise ValueError(f"{cohort}: no such cohort; there are {', '.join(eyes.run.cohorts)}")
        if not names:
            raise ValueError(f"{run}: no cohort has predictions; run training to its end")
        frame = eyes.run.predictions(names[0])
        frame = frame[frame["model"] == eyes.name].reset_index(drop=True)
        classes = _classes(eyes, frame)
        truth = frame["category" if len(classes) == len(NAMES) else "label"]
        rows = frame[["key", "patient", "sex"]].assign(truth=truth)
        rows = rows[rows["truth"].notna() & rows["key"].isin(list(everyone))]
        if rows.empty:
            raise ValueError(f"{names[0]}: no picture in the packs has a class by DXA to explain")
        rows = rows.assign(truth=rows["truth"].astype(np.int64))
        drawn = _drawn(rows, settings)
        places = tuple(everyone[key] for key in drawn["key"])
        others = _others(packs, places, set(drawn["patient"]), settings)
        return cls(eyes, names[0], classes, drawn, places, others)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def may_show(self) -> bool:
        """Whether everybody here agreed that faces may be shown."""
        packs = {id(pack): pack for pack, _ in (*self.places, *self.others)}
        return all(p.manifest.settings.get("show_faces") is True for p in packs.values())

    @property
    def device(self) -> str:
        """Where the model runs."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    def picture(self, i: int) -> NDArray[np.uint8]:
        """Face i, uint8 [H, W, 3]."""
        pack, row = self.places[i]
        return np.asarray(pack.image(row), np.uint8)

    def landmarks(self, i: int) -> NDArray[np.float32]:
        """Points of face i in the picture's pixels, float32 [468, 3]."""
        pack, row = self.places[i]
        return np.asarray(pack.extra(row, LANDMARKS), np.float32)

    def regions(self, i: int) -> NDArray[np.uint8]:
        """The region map of face i, uint8 [H, W]."""
        from data_sharding.faces.regions import region_map

        return region_map(self.landmarks(i), self.picture(i).shape[0])

    @cached_property
    def pool(self) -> list[NDArray[np.uint8]]:
        """Pictures of other people, uint8 [H, W, 3]."""
        return [np.asarray(pack.image(row), np.uint8) for pack, row in self.others]

    def ready(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """uint8 [B, H, W, 3] as the model takes it, float32 [B, 3, h, w]."""
        return self.eyes.loaded[1](pictures).to(self.device)

    def network(self, network: nn.Module) -> Callable[[int], Model]:
        """Of this network, or one like it: a face's number -> the model with its embedding."""
        network = network.to(self.device).eval()
        if not getattr(network, "embedded", False):
            return lambda i: network
        return lambda i: lambda x: network(x, self.embeddings[i].expand(len(x), -1))

    @cached_property
    def embeddings(self) -> torch.Tensor:
        """FaceNet's, of each face: float32 [n, 512].

        Raises:
            ValueError: FaceNet's weights are not where the model's settings say.
        """
        from training.embeddings import FaceNet

        model = json.loads((self.eyes.weights / "config.json").read_text())["model"]
        face: dict[str, Any] = model.get("face") or {}
        if not face.get("facenet"):
            raise ValueError(f"{self.eyes.weights}: config.json does not say where FaceNet lies")
        device = torch.device(self.device)
        facenet = FaceNet(Path(face["facenet"]), face.get("facenet_sha256"), device)
        crops = (np.array(pack.extra(row, CROP), np.uint8)[None] for pack, row in self.places)
        with torch.no_grad():
            return torch.cat([facenet.logits(crop) for crop in crops])


def canonical_face() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8]]:
    """Nobody's face: points [468, 2] with y down, triangles [898, 3], region of each, 1 to 5."""
    from data_sharding.faces.canonical import canonical
    from data_sharding.faces.regions import triangles

    corners, of = triangles()
    return canonical()[:, :2] * (1, -1), corners, of


def _classes(eyes: Eyes, frame: Frame) -> tuple[str, ...]:
    if frame[[f"p_{name.replace(' ', '_')}" for name in NAMES]].notna().all(axis=None):
        return NAMES
    learnt = eyes.run.learnt
    return learnt.negative, learnt.positive


def _drawn(rows: Frame, settings: Settings) -> Frame:
    """At most `each` pictures of a class: everybody's first one before anyone's second."""
    rows = rows.assign(drawn=[_lot(key, settings.seed) for key in rows["key"]])
    rows = rows.sort_values("drawn")
    rows["turn"] = rows.groupby("patient").cumcount()
    rows = rows.sort_values(["turn", "drawn"]).groupby("truth").head(settings.each)
    return rows.drop(columns=["drawn", "turn"]).sort_values("key", ignore_index=True)


def _packs(eyes: Eyes) -> list[ShardDataset]:
    """The run's packs of faces.

    Raises:
        ValueError: there are none, or pictures that these weights do not take.
    """
    from data_sharding.reader import ShardDataset

    found = [(p.folder, p.manifest) for p in eyes.run.packs if p.manifest is not None]
    faces = [f for f, m in found if str(m.settings.get("pixels", "")).startswith(FACE)]
    if not faces:
        run = eyes.run.folder
        if found:
            raise ValueError(
                f"{run}: no pack of the run holds faces (pixels face/1); what it does hold is "
                f"explained by `python -m eval report {run}`"
            )
        raise ValueError(f"{run / 'run.json'}: no readable packed dataset to take faces of")
    packs = [ShardDataset(folder) for folder in faces]
    for pack in packs:
        eyes.loaded[1].accept(pack.manifest)
        if LANDMARKS not in [extra.name for extra in pack.manifest.extras]:
            raise ValueError(f"{pack.folder}: faces without landmarks; pack them again (face/1)")
    return packs


def _others(
    packs: list[ShardDataset], places: tuple[Place, ...], mine: set[str], settings: Settings
) -> tuple[Place, ...]:
    """A picture each of people who are not explained, drawn without a look at their class.

    They are of the same packs where there are such, and tuned on before learnt from.
    """
    home = {id(pack) for pack, _ in places}
    split_first = {"tune": 0, "train": 1}
    found: dict[str, tuple[tuple[bool, int, str], Place]] = {}
    for pack in packs:
        index = pack.index
        for row, (key, patient, split) in enumerate(
            zip(index["key"], index["patient"], index["split"], strict=True)
        ):
            turn = (id(pack) not in home, split_first.get(split, 2), _lot(key, settings.seed))
            if patient not in mine and (patient not in found or turn < found[patient][0]):
                found[patient] = turn, (pack, row)
    chosen = sorted(found.values(), key=lambda pair: pair[0])[: settings.people]
    return tuple(place for _, place in chosen)


def _lot(key: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
