"""Where a run runs and who is told of it: settings that decide nothing of what is learnt."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.section import Section


class Compute(Section):
    """Where it runs. It changes only the order of floating-point sums in what is learnt.

    As in any DDP there are two exceptions: the batch norms of a worker see its own share of the
    batch (or of the micro-batch), and drop path draws on each worker anew.
    """

    launcher: Literal["ray", "local"] = "ray"
    workers: int = Field(default=2, ge=1)
    min_workers: int | None = Field(
        default=None, ge=1, description="elastic on Ray: go on with as few; None: always `workers`"
    )
    resize_s: float = Field(default=60, gt=0, description="seconds between looks for more workers")
    use_gpu: bool = False
    cpus_per_worker: int = Field(default=1, ge=1)
    loader_workers: int = Field(default=0, ge=0)
    strategy: Literal["auto", "single", "ddp", "zero0", "zero1", "zero2", "zero3"] = Field(
        default="auto", description="auto: ddp where there are several workers; zero: DeepSpeed"
    )
    offload: bool = Field(default=False, description="ZeRO: optimizer state in the CPU's memory")
    accumulate: int = Field(
        default=1, ge=1, description="micro-batches a step; the global batch stays as it is"
    )
    channels_last: bool = Field(default=False, description="memory format of pictures and weights")
    grad_checkpointing: bool = Field(
        default=False, description="activations are computed twice and kept once: less memory"
    )
    compile: bool = Field(default=False, description="torch.compile; minutes at the start")
    start_timeout_s: int = Field(
        default=300, ge=10, description="give up when workers do not start"
    )
    max_failures: int = Field(default=2, ge=0, description="restarts after a worker died")
    checkpoint_s: float = Field(
        default=120, gt=0, description="seconds between checkpoints in an epoch"
    )
    checkpoint_steps: int | None = Field(
        default=None, ge=1, description="a checkpoint each so many steps as well"
    )
    keep_checkpoints: int = Field(default=2, ge=1)
    collective_timeout_s: int = Field(
        default=600, ge=10, description="a worker that waits so long for the others gives up"
    )
    stall_s: int = Field(
        default=900, ge=10, description="no step for so long: stacks are printed, the worker ends"
    )


class Track(Section):
    """metrics.jsonl is always written; W&B is fed besides."""

    wandb: Literal["offline", "online", "disabled"] = "offline"
    project: str = "osteoray"
    group: str | None = None
    one_run: bool = Field(
        default=False, description="one W&B run for all stages (as for a trial of a sweep)"
    )
    samples: bool = Field(
        default=False, description="write which samples each rank was served at each step"
    )
