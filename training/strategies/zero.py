"""ZeRO with DeepSpeed: optimizer state, gradient and weights shared out to the ranks.

    python -m training RECIPE compute.strategy=zero1

Weights and optimizer state are float32 and the optimizer is torch's AdamW, as everywhere else, so
that a checkpoint goes on under any strategy. DeepSpeed's own checkpoints, bf16 engine and compiled
operators are not used. Bytes a parameter that each of N ranks holds between two steps:

    strategy  weights  stepped share  gradient     Adam's state  N = 2, measured on convnext_tiny
    ddp       4        -              4            8             16
    zero0     4        -              -            8             12
    zero1     4        4/N            -            8/N           10
    zero2     4        4/N            -            8/N           10
    zero3     4/N      4/N            4/N + 32 MB  8/N           11.25

Within a step zero0 and zero1 hold the whole gradient besides, zero2 its share and 32 MB, zero3 the
weights of the layers around the one that runs: all, in a model of less than a billion parameters.
With few ranks zero1 is what pays. `offload` puts the stepped share and Adam's state into the CPU's
memory. Rajbhandari et al. 2020, arXiv:1910.02054.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from training.config import Compute, Stage
from training.optim import optimizer_for, set_rate
from training.strategies import Batch, Task, add, autocast, buffers_of_rank_0
from training.strategies.shares import Piece, apart, together
from training.tracking import say
from training.world import World

#: Numbers in one reduction of gradients: 32 MB, about as DDP. DeepSpeed's default reserves 2 GB.
BUCKET = 8_000_000


class Zero:
    """DeepSpeed's engine behind `Strategy`, for zero0 to zero3."""

    def __init__(self, world: World, compute: Compute, precision: str) -> None:
        """ValueError: DeepSpeed is missing, or the options do not go together."""
        self.world, self.compute, self.precision = world, compute, precision
        self.number = int(compute.strategy.removeprefix("zero"))
        if compute.compile and self.number == 3:
            raise ValueError(
                "compute.compile=true: zero3 brings in the weights of each layer as it runs, which "
                "cannot be compiled; set compute.strategy=zero2, or compute.compile=false"
            )
        self.autocast = autocast(precision, world.device)
        self.deepspeed: Any = _library(world.device)
        if compute.offload and world.device.type == "cpu" and world.main:
            say("warning: compute.offload=true saves nothing without a GPU, it only copies")

    def prepare(self, model: nn.Module, stage: Stage) -> None:
        """See `Strategy`. Rank 0's weights are sent to all; zero3 leaves shards in `model`.

        Raises:
            ValueError: a parameter has no dimension, which DeepSpeed does not take.
        """
        self.model, self.stage = model.train(), stage
        # Any, because DeepSpeed hangs attributes on them.
        self.parameters: list[Any] = list(model.parameters())
        self.attributes = [dict(vars(p)) for p in self.parameters]
        self.shapes = {name: p.shape for name, p in model.named_parameters()}
        self.learnt = {name: p.shape for name, p in model.named_parameters() if p.requires_grad}
        if scalar := [name for name, shape in self.shapes.items() if not shape]:
            raise ValueError(
                f"DeepSpeed takes no parameter without a dimension, as {scalar[0]} is; "
                "set compute.strategy=ddp"
            )
        if self.compute.compile:
            model.compile()
        self.optimizer = optimizer_for(model, stage)
        self.founded = not dist.is_initialized()
        if self.founded:
            assert self.world.size == 1, "several ranks have a process group"
            backend = "nccl" if self.world.device.type == "cuda" else "gloo"
            store = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]
            dist.init_process_group(backend, store=store, rank=0, world_size=1)
        os.environ.setdefault("LOCAL_RANK", str(self.world.device.index or 0))
        self.engine: Any = self.deepspeed.initialize(
            model=model, optimizer=self.optimizer, config=self._settings()
        )[0]
        if hasattr(dist, "set_timeout"):  # DeepSpeed's own group; older torch: half an hour
            limit = timedelta(seconds=self.compute.collective_timeout_s)
            dist.set_timeout(limit, self.engine.data_parallel_group)

    def _settings(self) -> dict[str, Any]:
        gpu = self.world.device.type == "cuda"
        shares: dict[str, Any] = {
            "stage": self.number,
            # On a stream of its own it has read gradients before they were there (DeepSpeed #8061).
            "overlap_comm": False,
            "reduce_bucket_size": min(BUCKET, sum(s.numel() for s in self.shapes.values())),
        }
        if self.compute.offload:
            shares["offload_optimizer"] = {"device": "cpu", "pin_memory": gpu}
        bf16 = {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
        return {
            "train_micro_batch_size_per_gpu": 1,  # it must be told, and uses it for nothing here
            "gradient_clipping": self.stage.clip if self.number else 0.0,
            "steps_per_print": None,
            "timers": {"throughput": {"enabled": False}},  # waits for the GPU at each step
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,  # that one is compiled at its first use
            "zero_optimization": shares,
            # Else it turns our autocast off. No module is "safe": gradients are summed in float32.
            "torch_autocast": bf16 if self.precision == "bf16" else {"enabled": False},
        }

    def step(
        self, task: Task, batch: Batch, lr: float
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """See `Strategy`. With several micro-batches zero0 and zero1 keep the whole gradient and
        sum it once; zero2 and zero3 keep a share of it and sum after each.

        Raises:
            ValueError: the gradient is not finite (zero1 to zero3; DeepSpeed skips such a step).
        """
        set_rate(self.optimizer, lr)
        # DeepSpeed averages over the ranks: the factor makes it the sum that `global_real` divides.
        scale = self.world.size / batch.global_real
        sums: dict[str, torch.Tensor] = {}
        micro = batch.split(self.compute.accumulate) if self.compute.accumulate > 1 else [batch]
        for i, part in enumerate(micro):
            self.engine.set_gradient_accumulation_boundary(i == len(micro) - 1)
            with self.autocast:
                losses = task.loss(self.engine, part)
            self.engine.backward(losses["loss"] * scale)
            add(sums, losses)
        if self.number == 0:  # DeepSpeed would clip, and keep the norm to itself
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.clip)
            self.engine.step()
            return sums, norm.detach()
        self.engine.step()
        if self.engine.optimizer.overflow:
            raise ValueError(
                "the gradient is not finite any more; lower lr, or set precision=float32"
            )
        norm = torch.as_tensor(self.engine.get_global_grad_norm(), device=self.world.device)
        return sums, norm.detach().float()

    def parts(self) -> list[torch.Tensor]:
        """See `Strategy`: the parameters; under zero3 this rank's shards, flat and padded."""
        return [p.ds_tensor if self.number == 3 else p.detach() for p in self.parameters]

    def part_of(self, whole: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `Strategy`: all of it; under zero3 copies of this rank's shards."""
        if self.number < 3:
            return [t.detach() for t in whole]
        shards = []
        for p, tensor in zip(self.parameters, whole, strict=True):
            n, flat = p.ds_tensor.numel(), tensor.detach().flatten()
            padded = nn.functional.pad(flat, (0, n * self.world.size - flat.numel()))
            shards.append(padded[n * self.world.rank :][:n].clone())
        return shards

    def whole(self, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `Strategy`."""
        if self.number < 3:
            return parts
        # (rank, all shards) -> for each parameter (rank, shard) -> flat, its padding cut off
        shards = self.world.gather(torch.cat(parts)).split([p.numel() for p in parts], dim=1)
        shapes = self.shapes.values()
        return [
            x.flatten()[: shape.numel()].view(shape)
            for x, shape in zip(shards, shapes, strict=True)
        ]

    def buffers(self) -> dict[str, torch.Tensor]:
        """See `Strategy`."""
        return buffers_of_rank_0(self.model, self.world)

    def optimizer_state(self) -> dict[str, torch.Tensor]:
        """See `Strategy`; on every rank. Empty before the first step."""
        pieces, _ = self._pieces()
        if self.number == 0 and not self.world.main:
            pieces = []  # all ranks hold the same
        return together(self.optimizer, pieces, self.learnt, self.world)

    def load_optimizer(self, state: dict[str, torch.Tensor]) -> None:
        """See `Strategy`; ValueError: it is another model's."""
        apart(state, self.optimizer, *self._pieces(), self.learnt)

    def _pieces(self) -> tuple[list[Piece], list[torch.Tensor]]:
        """What this rank steps of each parameter, and the flat tensors that all this lies in."""
        zero, pieces = self.engine.optimizer, []
        named = zip(self.shapes, self.parameters, strict=True)
        learnt = [(name, p) for name, p in named if name in self.learnt]
        if self.number == 0:
            return [Piece(n, p, 0, 0, p.numel()) for n, p in learnt], [p for _, p in learnt]
        if self.number == 3:
            flats = zero.fp32_partitioned_groups_flat
            for name, p in learnt:
                group, at, n = zero.grad_position[zero.get_param_id(p)]
                start = n * self.world.rank
                numel = max(0, min(n, p.ds_numel - start))  # what is left is padding
                pieces.append(Piece(name, flats[group], at, start, numel))
            return pieces, flats
        flats = zero.single_partition_of_fp32_groups
        for name, p in learnt:
            if (lies := p._hp_mapping) is not None:  # else this rank steps nothing of it
                flat, at = flats[lies.param_group_index], lies.hp_fragment_address
                pieces.append(Piece(name, flat, at.start, lies.lp_fragment_address.start, at.numel))
        return pieces, flats

    def close(self) -> None:
        """See `Strategy`. Under zero3 the model is of no use afterwards."""
        self.engine.destroy()
        # What it leaves on the model would keep the engine, as long as anyone has the model.
        self.engine.module_forward_pre_hook.remove()
        self.engine.module_forward_post_hook.remove()
        for p, attributes in zip(self.parameters, self.attributes, strict=True):
            vars(p).clear()
            vars(p).update(attributes)
        del self.engine, self.optimizer, self.model, self.parameters
        gc.collect()  # the engine is part of many cycles
        if self.founded:
            self.deepspeed.comm.destroy_process_group()


def _library(device: torch.device) -> Any:
    """DeepSpeed for this kind of device: quiet, and without compiling anything."""
    before = os.environ.get("DS_ACCELERATOR")
    os.environ["DS_ACCELERATOR"] = device.type  # else it takes a GPU where there is one
    try:
        import deepspeed
        from deepspeed.accelerator import get_accelerator
        from deepspeed.utils import logger
    except Exception as e:  # not only ImportError: a CUDA toolkit that it misses is another
        raise ValueError(
            f"compute.strategy=zero needs DeepSpeed, which does not load here ({e}); "
            "pip install deepspeed, or set compute.strategy=ddp"
        ) from e
    finally:
        del os.environ["DS_ACCELERATOR"]
        if before is not None:
            os.environ["DS_ACCELERATOR"] = before
    accelerator: Any = get_accelerator()
    if (has := accelerator.device_name()) != device.type:
        raise ValueError(
            f"DeepSpeed was loaded for {has} before, and this run is on {device.type}; "
            "start it in a process of its own, without DS_ACCELERATOR"
        )
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:  # its own, to stdout
            handler.setStream(sys.stderr)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # compiled at its first use
    return deepspeed
