"""FaceNet's embeddings of a dataset's faces: made once before anything is learnt, and kept.

    faces = embeddings(config.model, data, rows, runs / "embeddings", world)  # float32 [N, 2, 512]

FaceNet is frozen, so a face has one embedding for each of its two weak views (as it is, mirrored),
and no training step need run it. It looks at the un-masked crop of a sample, never at the picture
with its ellipse, for that is what its weights were made on. Its weights are 94 MB that are somebody
else's: no checkpoint and no weights folder holds them; the settings hold their SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest
from training import watchdog
from training.config import Model
from training.face import EMBEDDING
from training.frozen import answers
from training.models.inception_resnet_v1 import InceptionResnetV1, load_facenet, standardise
from training.world import World

#: Of a sample that was packed as a face: RGB, un-masked.
CROP = "crop"


class FaceNet:
    """The frozen network, as `training.frozen` asks it."""

    width, noun = EMBEDDING, "embeddings"

    def __init__(self, path: Path, sha256: str | None, device: torch.device) -> None:
        """The weights are read when they are asked for the first time, if they ever are."""
        self.path, self.sha256, self.device = path, sha256, device
        self.hash = f"facenet/1 {sha256}"

    @cached_property
    def model(self) -> InceptionResnetV1:
        """The network; ValueError: weights missing, not of the stated hash, or not FaceNet's."""
        return load_facenet(self.path, self.sha256).requires_grad_(False).to(self.device)

    def accept(self, manifest: Manifest) -> None:
        """ValueError where samples have no crop."""
        if CROP not in [e.name for e in manifest.extras]:
            raise ValueError(
                f"{manifest.name}: samples have no crop for FaceNet: pack the photographs again "
                "(face/1), or set model.face.facenet=none"
            )

    def pictures(self, data: ShardDataset, rows: np.ndarray) -> np.ndarray:
        """uint8 [n, h, w, 3]."""
        return np.stack([data.extra(int(i), CROP) for i in rows])

    @torch.no_grad()
    def logits(self, images: np.ndarray) -> torch.Tensor:
        """uint8 [n, h, w, 3] -> float32 [n, 512], of unit length."""
        watchdog.feed()
        x_B3hw = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)
        with torch.autocast(self.device.type, enabled=False):
            return self.model(standardise(x_B3hw))


def embeddings(
    model: Model,
    data: ShardDataset,
    rows: np.ndarray,
    kept: Path,
    world: World,
    breathe: Callable[[], None] = lambda: None,
) -> np.ndarray | None:
    """float32 [len(data), 2, 512] on every rank, NaN but for `rows`; None: the model takes none.

    Args:
        model: whose face branch is fed.
        data: samples with a crop.
        rows: of which embeddings are wanted.
        kept: folder for them, which runs may share. They are of faces: it is as private as shards.
        world: all ranks call.
        breathe: called on every rank while they are made; it may raise.

    Raises:
        ValueError: FaceNet's weights cannot be used, or the samples have no crop.
    """
    if model.face is None or not model.face.embedded:
        return None
    assert model.face.facenet is not None
    facenet = FaceNet(Path(model.face.facenet), model.face.facenet_sha256, world.device)
    return answers(facenet, data, rows, kept, world, breathe=breathe)
