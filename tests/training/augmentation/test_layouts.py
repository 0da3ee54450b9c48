"""The same epoch, whoever makes it: loader workers 0, 2, 3, ranks 1, 2, 3.

Every picture in the pack is the same one, so that two that look alike were drawn alike: loaders
whose workers inherit one random state give 8 distinct pictures of 48 (albumentations 2.0.8 did).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from data_sharding.reader import ShardDataset
from tests import conftest
from training.preprocess import Preprocessor
from training.stream import Group, Stream
from training.world import World

N, BATCH = 48, 8


#: How pictures are kept, and what is done to them.
KINDS = {"drawn/1": "strong", "cxr16/1": "li"}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 samples that show one picture, kept in 8 bits and in 16."""
    one = conftest.picture(np.random.default_rng(0), 0, 48)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "picture", lambda *_: one)
        root = tmp_path_factory.mktemp("copies")
        for pixels, kind in KINDS.items():
            conftest.pack_pictures(root / kind, "copies", "internal", {"train": N}, pixels=pixels)
        return root


def served(stream: Stream, epoch: int, ranks: int) -> np.ndarray:
    """All pictures of an epoch in the order of its global batches, each rank's from its loader."""
    shares = []
    for rank in range(ranks):
        stream.world = World(rank, ranks, torch.device("cpu"))
        shares.append(list(stream.epoch(epoch)))
    pictures = []
    for step in zip(*shares, strict=True):
        # (rank, place of the rank) -> place of the global batch; padding is left out
        for place in range(len(step[0].real)):
            pictures += [b.image[place].numpy() for b in step if b.real[place]]
    return np.stack(pictures)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more than there are cores
@pytest.mark.parametrize(("pixels", "workers"), [("drawn/1", 0), ("drawn/1", 3), ("cxr16/1", 2)])
def test_every_layout_serves_the_same_48_distinct_pictures(copies, pixels, workers):
    kind = KINDS[pixels]
    data = ShardDataset(copies / kind, "train")
    group = Group(data, np.arange(N), data.index["label"].to_numpy(np.int64))
    each = pixels == "cxr16/1"
    plain = Preprocessor(
        size=48, mean=0, std=1 / 255, pixels=pixels, shape=(48, 48), per_image=each
    )
    here = World(0, 1, torch.device("cpu"))
    calm = Stream([group], (BATCH,), plain, kind, 7, here)
    stream = Stream([group], (BATCH,), plain, kind, 7, here, loader_workers=workers)
    seen = set()
    for epoch in (0, 1):
        want = served(calm, epoch, 1)
        distinct = {picture.tobytes() for picture in want}
        assert len(distinct) == N
        assert not distinct & seen, "an epoch shows what another did"
        seen |= distinct
        digest = hashlib.sha256(want.tobytes()).hexdigest()
        for ranks in (1, 2, 3):
            found = hashlib.sha256(served(stream, epoch, ranks).tobytes()).hexdigest()
            assert found == digest, f"{ranks} ranks"
