"""Batches of packed pictures from loader workers, through memory that is shared once.

A DataLoader makes new shared memory for every batch and sends its handle: for 4 MB batches that
costs more than reading them does. Here the batches are a ring made before the workers start; a
worker fills the slot it is told to and sends the slot's number. A batch stays as it is until the
next two have been taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from data_sharding.reader import ShardDataset

PREFETCH = 2  # batches a worker makes ahead
Place = tuple[int, int]  # number of the packed dataset, row in it


class _Slots(Sampler):
    """(slot, places of its batch) for every batch."""

    def __init__(self, order: Sequence[Place], batch: int, slots: int) -> None:
        self.order, self.batch, self.slots = order, batch, slots

    def __iter__(self) -> Iterator[tuple[int, Sequence[Place]]]:
        for n, at in enumerate(range(0, len(self.order), self.batch)):
            yield n % self.slots, self.order[at : at + self.batch]

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch)


class _Filler(Dataset):
    """Fills a slot and returns its number and how much of it is filled."""

    def __init__(self, packs: Sequence[ShardDataset], ring: torch.Tensor) -> None:
        self.packs, self.ring = packs, ring

    def __getitem__(self, at: tuple[int, Sequence[Place]]) -> tuple[int, int]:
        slot, places = at
        into = self.ring[slot].numpy()
        for n, (pack, row) in enumerate(places):
            np.copyto(into[n], self.packs[pack].image(row))
        return slot, len(places)


class Ring:
    """Batches uint8 [b, H, W] of `order`; may be passed over many times."""

    def __init__(
        self, packs: Sequence[ShardDataset], order: Sequence[Place], batch: int, workers: int
    ) -> None:
        # The loader asks for at most workers * PREFETCH batches ahead of the one in hand.
        slots = workers * PREFETCH + 3
        shape = (slots, batch, *packs[0].manifest.image_shape)
        self.ring = torch.zeros(shape, dtype=torch.uint8).share_memory_()
        self.loader = DataLoader(
            _Filler(packs, self.ring),
            batch_size=None,
            sampler=_Slots(order, batch, slots),
            num_workers=workers,
            prefetch_factor=PREFETCH if workers else None,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers else None,
        )

    def __iter__(self) -> Iterator[torch.Tensor]:
        for slot, filled in self.loader:
            yield self.ring[slot, :filled]
