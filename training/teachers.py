"""Frozen teachers: one or several weights folders that answer together.

    teachers = Teachers.load([run / "teacher" / "weights"], torch.device("cpu"))
    teachers.logit(images)   # uint8 [B, H, W] as the shards hold them -> float64 [B]

They lie outside DDP, the optimizer and the checkpoint, in eval mode, without gradients. Each looks
at the same pictures through its own preprocessing. Several answer with the mean of their
probabilities, not of their logits: each then counts for 1/M of the answer, however large its
logits, where in a mean of logits one that is sure and wrong outvotes the others (it is the mixture
of Lakshminarayanan et al. 2017, arXiv 1612.01474; Hinton et al. 2015 allow both). The loss of the
mixture is never above the members' mean loss (Jensen).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from data_sharding.reader import ShardDataset
from data_sharding.schema import CLASSES, Manifest, canonical_json
from training import watchdog
from training.checkpoint import load_weights
from training.config import weights_sha256
from training.features import Tap
from training.preprocess import Preprocessor
from training.shrink import resize

#: Beside the weights of a survival model, and of no other.
SURVIVAL = "survival.json"


@dataclass(frozen=True)
class Member:
    """One teacher."""

    model: nn.Module
    preprocessor: Preprocessor
    sha256: str  # of its weights


class Teachers:
    """One frozen teacher or several, on one device. What they say may be kept: see `frozen`."""

    width, noun = len(CLASSES), "teacher logits"

    def __init__(self, members: Sequence[Member], device: torch.device) -> None:
        """Take the models as they are and freeze them.

        Raises:
            ValueError: none, one twice, or two that know differently treated pictures.
        """
        if not members:
            raise ValueError("a student without a teacher: set student.alpha=0")
        first = members[0].preprocessor
        for member in members:
            mine = member.preprocessor
            if (mine.pixels, mine.shape) != (first.pixels, first.shape):
                raise ValueError(
                    f"teachers of different pictures: one takes {first.pixels} "
                    f"{list(first.shape)}, another {mine.pixels} {list(mine.shape)}; leave one out "
                    "of student.teachers"
                )
        if len({m.sha256 for m in members}) < len(members):
            raise ValueError("student.teachers names the same weights twice; each counts once")
        self.members, self.device = tuple(members), device
        for member in members:
            member.model.to(device).eval().requires_grad_(False)
        #: What the teachers' views are resized to: each size once, ascending.
        self.sizes = tuple(sorted({m.preprocessor.size for m in members}))
        said = [[m.sha256, m.preprocessor.model_dump(mode="json")] for m in members]
        #: SHA-256 over all that decides the answers.
        self.hash = hashlib.sha256(canonical_json(said).encode()).hexdigest()

    @classmethod
    def load(cls, folders: Sequence[Path], device: torch.device) -> Teachers:
        """Read weights folders.

        Raises:
            ValueError: a folder is none, is damaged, or the teachers do not go together.
        """
        for folder in folders:
            if (folder / SURVIVAL).exists():
                raise ValueError(f"{folder}: of a survival model, whose logits are log risks")
        read = [(*load_weights(folder), weights_sha256(folder)) for folder in folders]
        return cls([Member(*parts) for parts in read], device)

    def accept(self, manifest: Manifest) -> None:
        """ValueError if the dataset's pictures are not those that the teachers know."""
        self.members[0].preprocessor.accept(manifest)

    def pictures(self, data: ShardDataset, rows: np.ndarray) -> np.ndarray:
        """[n, H, W]: these samples' pictures, as the shards hold them."""
        return np.stack([data.image(int(i)) for i in rows])

    def taps(self) -> list[Tap]:
        """The last feature map of each, as they answer."""
        return [Tap(member.model, training=False) for member in self.members]

    @torch.no_grad()
    def answer(self, views: Sequence[torch.Tensor]) -> torch.Tensor:
        """The pictures at each of `sizes`, uint8 [B, s, s] on the device -> float32 [B, C].

        One teacher's own logits; of several the logarithm of their mean probability. Under
        torch.autocast the networks run in half precision, the mean does not.
        """
        at = dict(zip(self.sizes, views, strict=True))
        said = [m.model(m.preprocessor.normalise(at[m.preprocessor.size])) for m in self.members]
        if len(said) == 1:
            return said[0].float()
        # log_p: (member, sample, class)
        log_p = torch.stack([z.double().log_softmax(1) for z in said])
        return (log_p.logsumexp(0) - math.log(len(said))).float()

    def logits(self, images: np.ndarray) -> torch.Tensor:
        """uint8 [B, H, W] as the shards hold them -> float32 [B, C], never in half precision.

        Raises:
            ValueError: pictures of another size or kind than the teachers know.
        """
        first = self.members[0].preprocessor
        if images.dtype != first.dtype or images.shape[1:] != first.shape:
            raise ValueError(
                f"pictures of {images.dtype} {list(images.shape[1:])}: the teachers take "
                f"{first.dtype} {list(first.shape)}"
            )
        watchdog.feed()
        views = [torch.from_numpy(np.stack([resize(x, s) for x in images])) for s in self.sizes]
        with torch.autocast(self.device.type, enabled=False):
            return self.answer([v.to(self.device) for v in views])

    def logit(self, images: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W] -> float64 [B]: z(low bone mass) - z(normal), of several the log odds."""
        z_BC = self.logits(images)
        return (z_BC[:, 1] - z_BC[:, 0]).double().cpu().numpy()
