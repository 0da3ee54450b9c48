"""Means over an epoch, over all ranks, without waiting for the device at each step.

What a task's `loss` returns are sums over this rank's real samples, by name:

- ``loss``, ``ce``, ...: reported as ``train/<name>``, divided by the real samples of all ranks;
- ``n/<group>``: how many of this rank's real samples are of the group, not reported;
- ``<name>/<group>``: a sum over the group alone, divided by its count: ``{"ce/normal": sum,
  "n/normal": count}`` gives ``train/ce/normal``. It is left out of an epoch without the group.

A task gives the same names at every step on every rank: a zero for a group that is not there.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import torch

from training.world import World

T = TypeVar("T")
MIB = 2**20


class Counted(Protocol):
    """What the meter knows of a batch."""

    global_real: int  # real samples in the global batch, all ranks together


class Meter:
    """Sums of losses over the real samples of an epoch; survives a restart in a checkpoint."""

    def __init__(self, carried: dict[str, float], world: World) -> None:
        """Go on from `carried` (of `state`), or begin with an empty one."""
        carried = dict(carried)
        self.world = world
        self.real, self.steps = carried.pop("real", 0.0), carried.pop("steps", 0.0)
        norms = [carried.pop(name, 0.0) for name in ("norm", "norm_max")]
        self.norm, self.norm_max = torch.tensor(norms, device=world.device).double()
        # Rank 0 carries what all ranks had summed.
        self.sums: dict[str, torch.Tensor] = {
            name: torch.tensor(value if world.main else 0.0, device=world.device).double()
            for name, value in carried.items()
        }
        self.real_before, self.start = self.real, time.monotonic()
        self.waited = 0.0

    def timed(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; `waited` sums the seconds that this process spent on getting them.

        On a GPU the loop runs ahead of the device, which may still be busy while the host waits:
        the wait is an upper bound of what the device misses.
        """
        iterator = iter(batches)
        while True:
            asked = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            finally:
                self.waited += time.perf_counter() - asked
            yield batch

    def add(self, losses: dict[str, torch.Tensor], batch: Counted, norm: torch.Tensor) -> None:
        """One step: this rank's sums, the gradient's norm (the same on every rank)."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach().double()
        self.real += batch.global_real
        self.steps += 1
        norm = norm.detach().double()
        self.norm = self.norm + norm
        self.norm_max = torch.maximum(self.norm_max, norm)

    def state(self) -> dict[str, float]:
        """Sums over all ranks, for a checkpoint. All ranks must call it."""
        names = sorted(self.sums)
        totals = self.world.gather(torch.stack([self.sums[n] for n in names])).sum(0).tolist()
        norm, norm_max = torch.stack([self.norm, self.norm_max]).tolist()
        rest = {"real": self.real, "steps": self.steps, "norm": norm, "norm_max": norm_max}
        return dict(zip(names, totals, strict=True)) | rest

    def read(self) -> dict[str, float]:
        """The epoch's record; the same on every rank. All ranks must call it.

        Under ``train/`` what training decides: means of the losses, ``grad_norm`` (mean over the
        steps, before clipping) and ``grad_norm_max``. Under ``perf/`` what clocks and machines say,
        of this process's part of the epoch: ``samples_per_s`` of all ranks together, and of the
        worst rank ``wait_share`` (of the time, for data) and ``memory_mib``, ``gpu_memory_mib``
        (peaks since the process began).

        Raises:
            ValueError: a loss is not finite, so that the weights are spoilt.
        """
        state = self.state()
        if not all(math.isfinite(x) for x in state.values()):
            raise ValueError("the loss is not finite any more: lower the learning rate (STAGE.lr)")
        real, steps, norm, norm_max = (
            state.pop(name) for name in ("real", "steps", "norm", "norm_max")
        )
        means = {"grad_norm": norm / steps, "grad_norm_max": norm_max}
        for name, total in state.items():
            kind, _, group = name.partition("/")
            n = state.get(f"n/{group}", real)
            if kind != "n" and n:
                means[name] = total / n
        return {f"train/{k}": v for k, v in sorted(means.items())} | self._perf()

    def _perf(self) -> dict[str, float]:
        elapsed = time.monotonic() - self.start
        mine = [elapsed, self.waited / elapsed, peak_memory()]
        on_gpu = self.world.device.type == "cuda"
        if on_gpu:
            mine.append(torch.cuda.max_memory_allocated(self.world.device))
        ranks = self.world.agree(torch.tensor(mine, dtype=torch.float64))
        slowest, wait, memory, *gpu = ranks.max(0).values.tolist()
        found = {"samples_per_s": (self.real - self.real_before) / slowest, "wait_share": wait}
        found["memory_mib"] = memory / MIB
        if on_gpu:
            found["gpu_memory_mib"] = gpu[0] / MIB
        return {f"perf/{k}": v for k, v in found.items()}


def peak_memory() -> int:
    """The most bytes of main memory that this process has held at a time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
