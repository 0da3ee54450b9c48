"""Who am I among the workers: rank, world size, device, and the few collectives we need.

`alone()` needs no process group; `joined()` uses the group that torchrun or Ray Train has made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from training.interrupt import Interrupted

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """One worker's place. `size` is 1 when alone."""

    rank: int
    size: int
    device: torch.device
    #: Agreements between processes go over the CPU, whatever the gradients travel by.
    control: Any = None

    @property
    def main(self) -> bool:
        """True on the one rank that writes files."""
        return self.rank == 0

    def gather(self, x_N: torch.Tensor) -> torch.Tensor:
        """[N, ...] of each rank -> [size, N, ...] on every rank. N must be equal on all ranks."""
        if self.size == 1:
            return x_N[None]
        parts = [torch.empty_like(x_N) for _ in range(self.size)]
        dist.all_gather(parts, x_N.contiguous())
        return torch.stack(parts)

    def agree(self, mine: torch.Tensor) -> torch.Tensor:
        """[K] of each rank, on the CPU -> [size, K] on every rank. Waits for no GPU."""
        if self.size == 1:
            return mine[None]
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine, group=self.control)
        return torch.stack(parts)

    def on_main(self, make: Callable[[], T]) -> T:
        """Run `make` on rank 0 and give its (small, picklable) result to every rank.

        An exception there is raised on every rank, so that none waits for ever.
        """
        if self.size == 1:
            return make()
        box: list = [None, None]
        if self.main:
            try:
                box[0] = make()
            except (ValueError, OSError) as e:  # what a user can put right
                box[1] = (ValueError if isinstance(e, ValueError) else OSError)(str(e))
            except Exception as e:  # it may not survive the journey as it is
                box[1] = RuntimeError(f"{type(e).__name__}: {e}")
        dist.broadcast_object_list(box, src=0, group=self.control)
        if box[1] is not None:
            raise box[1]
        return box[0]


def alone(use_gpu: bool = False) -> World:
    """A world of one, on the GPU if asked; ValueError if there is none."""
    _require_gpu(use_gpu)
    return World(0, 1, torch.device("cuda" if use_gpu else "cpu"))


def joined(use_gpu: bool = False, timeout_s: float = 600) -> World:
    """The world of the process group that is already initialised."""
    _require_gpu(use_gpu)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if use_gpu else torch.device("cpu")
    timeout = timedelta(seconds=timeout_s)
    control = dist.new_group(backend="gloo", timeout=timeout) if use_gpu else None
    return World(dist.get_rank(), dist.get_world_size(), device, control)


def join_torchrun(use_gpu: bool = False, timeout_s: float = 600) -> World:
    """Make the process group from torchrun's environment and join it.

    Who waits longer than `timeout_s` for the others raises RuntimeError (NCCL: the process ends).
    """
    _require_gpu(use_gpu)
    if use_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "nccl" if use_gpu else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    return joined(use_gpu, timeout_s)


@contextmanager
def in_torchrun(use_gpu: bool = False, timeout_s: float = 600) -> Iterator[World]:
    """The world of `join_torchrun`; its group ends with the block.

    A process that ends with its group alive is at times ended by C++ ("terminate called without
    an active exception"), and torchrun then takes a run that is complete for one that failed.
    After an error that only this rank knows of the group stays: to end it may wait for the others.
    """
    world = join_torchrun(use_gpu, timeout_s)
    try:
        yield world
    except (ValueError, Interrupted):  # every rank has these
        _end_group()
        raise
    _end_group()


def _end_group() -> None:
    if dist.is_initialized():  # DeepSpeed may have ended it with its engine
        dist.destroy_process_group()


def _require_gpu(use_gpu: bool) -> None:
    if use_gpu and not torch.cuda.is_available():
        raise ValueError(
            "compute.use_gpu=true, but torch sees no GPU here; set compute.use_gpu=false"
        )
