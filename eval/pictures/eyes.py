"""One model of a run, loaded, and the pictures of the run's packs that it can be shown.

    eyes = Eyes.of(run, None)
    eyes.maps(eyes.loaded[0], pictures, answers).cam

A cross-validated run has a network for each fold, and its folder links to the first one's: that is
looked through, and `method` says so. With `evidence` and `explain` this is all of eval, but for the
command line, that may import training and data_sharding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eval.pictures.measure import small
from eval.runs import MODELS, Run

if TYPE_CHECKING:
    from torch import nn

    from data_sharding.reader import ShardDataset
    from training.preprocess import Preprocessor

#: Pictures explained at once.
BATCH = 8


@dataclass(frozen=True)
class Maps:
    """Of n pictures: cam float32 [n, H, W] in [0, 1]; positive bool [n], False where a map is zero;
    tiles float32 [n, g, g] in [0, 1] of a model that cuts a picture into g x g tiles.
    """

    cam: NDArray[np.float32]
    positive: NDArray[np.bool_]
    tiles: NDArray[np.float32] | None


@dataclass(frozen=True)
class Eyes:
    """One model of a run and the pictures it can be shown."""

    run: Run
    name: str

    @classmethod
    def of(cls, run: Path, model: str | None) -> Eyes:
        """`model`, or the student, or else whichever there is.

        Raises:
            ValueError: there are no weights.
        """
        names = [model] if model else ["student", *(n for n in MODELS if n != "student")]
        for name in names:
            if (run / name / "weights" / "model.safetensors").is_file():
                return cls(Run.at(run), name)
        path = run / names[0] / "weights" / "model.safetensors"
        raise ValueError(f"{path}: no weights there to explain")

    @property
    def weights(self) -> Path:
        """The folder of the weights."""
        return self.run.folder / self.name / "weights"

    @property
    def method(self) -> str:
        """What its maps explain, and where, in words."""
        from eval.pictures.evidence import method

        folds = self.run.facts.get("folds")
        of_one = isinstance(folds, int) and folds > 1
        said = f"; of the first of {folds} folds' networks, where the answer is that of all"
        return method(self.loaded[0]) + said * of_one

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

    @cached_property
    def places(self) -> dict[str, tuple[ShardDataset, int]]:
        """Of each key the first pack that has it, and the row."""
        found: dict[str, tuple[ShardDataset, int]] = {}
        for pack in self.packs:
            for row, key in enumerate(pack.index["key"]):
                found.setdefault(key, (pack, row))
        return found

    def maps(
        self,
        model: nn.Module,
        pictures: Sequence[NDArray[np.uint8 | np.uint16]],
        answers: Sequence[int],
        side: int | None = None,
    ) -> Maps:
        """What of each picture speaks for the answer, to `model`: this one or one like it.

        Maps are as large as the model's input, or of at most `side` pixels a side.
        """
        import torch

        from eval.pictures.evidence import evidence

        device = "cuda" if torch.cuda.is_available() else "cpu"
        model, preprocessor = model.to(device), self.loaded[1]
        cams, positive, tiles = [], [], []
        for i in range(0, len(pictures), BATCH):
            images = preprocessor(np.stack(pictures[i : i + BATCH])).to(device)
            found = evidence(model, images, answers[i : i + BATCH])
            cam = found.cam.maps.detach().cpu().numpy()
            cams.append(cam if side is None else small(cam, side))
            positive.append(found.cam.positive.cpu().numpy())
            if found.tiles is not None:
                tiles.append(found.tiles.cpu().numpy())
        whole = np.concatenate(tiles) if tiles else None
        return Maps(np.concatenate(cams), np.concatenate(positive), whole)
