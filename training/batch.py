"""One rank's share of a global batch, and its parts where a step is made in several goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch


@dataclass
class Batch:
    """One rank's share of global batch `step` of `epoch`. b is the same on every rank.

    Padding has real = 0: it shows a picture again, for batch norms, and counts for nothing.
    """

    image: torch.Tensor  # float32 [b, 1 or 3, h, w], augmented, normalised
    label: torch.Tensor  # int64 [b]
    real: torch.Tensor  # float32 [b], 1 or 0
    global_real: int  # real samples in the global batch: of all ranks and all parts together
    epoch: int = 0
    step: int = 0
    #: The weak view for those who look at it: [b, s, s] for each size s they asked for, as packed.
    weak: tuple[torch.Tensor, ...] = ()
    teacher: torch.Tensor | None = None  # float32 [b, C]: what the teachers said of the weak view
    face: torch.Tensor | None = None  # float32 [b, 512]: FaceNet's embedding of it

    def __len__(self) -> int:
        """b, padding included."""
        return len(self.label)

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """What goes into the model that learns: pictures, and embeddings where there are any."""
        return (self.image,) if self.face is None else (self.image, self.face)

    def to(self, device: torch.device) -> Batch:
        """On another device."""
        return self._each(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """In page-locked memory, from which copies to a GPU do not block (DataLoader calls it)."""
        return self._each(torch.Tensor.pin_memory)

    def split(self, n: int) -> list[Batch]:
        """At most `n` micro-batches of ceil(b / n) samples, none empty (as torch.chunk makes them).

        How many there are follows from b, so every rank has the same number. `global_real` stays
        that of the whole: the parts' losses, each divided by it, add up to the step's.
        """
        if n < 1:
            raise ValueError(f"a batch in {n} parts: at least one")
        size = max(1, -(-len(self) // n))
        return [self._each(lambda x, i=i: x[i : i + size]) for i in range(0, len(self), size)]

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        return replace(
            self, **{f.name: _changed(getattr(self, f.name), change) for f in fields(self)}
        )


def _changed(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, tuple):
        return tuple(change(x) for x in value)
    return change(value) if isinstance(value, torch.Tensor) else value
