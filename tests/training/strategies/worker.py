"""What the strategies' tests run, apart from pytest: two processes, alone and together in turn.

    python -m tests.training.strategies.worker RANK FOLDER

Each *leg* takes a saved state, makes some steps under one strategy with a fresh object, and saves
under its own name. The tests look at what was saved. One pair of processes runs them all, because
the imports take longer than the legs.
"""

from __future__ import annotations

import copy
import gc
import sys
import time
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from training.average import Average
from training.config import Compute, Stage
from training.strategies import Strategy, strategy_for, zero
from training.world import World, alone, joined

STEPS, GLOBAL, SIZE, DECAY = 6, 8, 12, 0.9
#: Real samples of each global batch; the rest is padding.
REAL = (8, 7, 8, 5, 1, 8)
RATES = (0.01, 0.02, 0.03, 0.02, 0.01, 0.005)
STAGE = Stage(epochs=1, batch=GLOBAL, lr=0.02, weight_decay=0.1, clip=1.2, ema=DECAY)


@dataclass
class Batch:
    image: torch.Tensor
    label: torch.Tensor
    real: torch.Tensor
    global_real: int

    def split(self, n: int) -> list[Batch]:
        size = -(-len(self.label) // n)
        return [
            replace(self, image=i, label=y, real=r)
            for i, y, r in zip(
                self.image.split(size), self.label.split(size), self.real.split(size), strict=True
            )
        ]


class Net(nn.Module):
    """Sizes that no number of ranks divides, a frozen parameter, one of a single number."""

    def __init__(self, batch_norm: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 7, 3, stride=2, bias=False)  # before a norm it has no gradient
        self.norm = nn.BatchNorm2d(7) if batch_norm else nn.GroupNorm(1, 7)
        self.mix = nn.Conv2d(7, 5, 3)
        self.head = nn.Linear(5, 2)
        self.scale = nn.Parameter(torch.tensor([1.5]))
        self.frozen = nn.Parameter(torch.tensor([0.5, 1.5, 1.0]), requires_grad=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = nn.functional.gelu(self.norm(self.stem(image)))
        x = nn.functional.gelu(self.mix(x)).mean((2, 3))
        return self.head(x) * self.scale * self.frozen.mean()


class Supervised:
    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        each = nn.functional.cross_entropy(model(batch.image), batch.label, reduction="none")
        return {"loss": (each * batch.real).sum(), "seen": batch.real.sum()}


class Beside(Supervised):
    """A layer that runs after the model's forward pass, as when feature maps are matched."""

    def __init__(self, net: Net) -> None:
        net.beside = self.beside = nn.Linear(7, 3)
        net.stem.register_forward_hook(lambda _, __, out: setattr(self, "seen", out))

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        sums = super().loss(model, batch)
        far = self.beside(self.seen.mean((2, 3))).square().sum(1)
        return sums | {"loss": sums["loss"] + (far * batch.real).sum()}


def fresh(batch_norm: bool = False) -> Net:
    torch.manual_seed(1)
    return Net(batch_norm)


def whole_batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures and labels of one global batch, padding included."""
    rng = torch.Generator().manual_seed(step)
    image = torch.randn(GLOBAL, 1, SIZE, SIZE, generator=rng)
    label = torch.randint(0, 2, (GLOBAL,), generator=rng)
    return image + label[:, None, None, None], label


def dealt(step: int, world: World) -> Batch:
    image, label = whole_batch(step)
    real = (torch.arange(GLOBAL) < REAL[step]).float()
    mine = slice(world.rank, None, world.size)
    return Batch(image[mine], label[mine], real[mine], REAL[step])


@dataclass(frozen=True)
class Leg:
    """Steps `first` to `last` (exclusive) under a strategy, from the state of leg `after`."""

    name: str
    strategy: str
    first: int = 0
    last: int = STEPS
    after: str | None = None
    precision: str = "float32"
    batch_norm: bool = False
    beside: bool = False
    bucket: int = zero.BUCKET
    compute: dict = field(default_factory=dict)


def run(leg: Leg, world: World, folder: Path, keep: bool) -> None:
    began = time.perf_counter()
    zero.BUCKET = leg.bucket
    compute = Compute(strategy=leg.strategy, workers=world.size, **leg.compute)  # type: ignore[arg-type]
    model = fresh(leg.batch_norm)
    task = Beside(model) if leg.beside else Supervised()
    mean = copy.deepcopy(model)
    saved = torch.load(folder / f"{leg.after}.pt") if leg.after else None
    if saved:
        model.load_state_dict(saved["model"])
        mean.load_state_dict(saved["ema"])
    strategy = made(compute, leg.precision, world)
    strategy.prepare(model, STAGE)
    strategy.load_optimizer(saved["optimizer"] if saved else {})
    at_start = len(strategy.optimizer_state())
    average = Average(mean, strategy, DECAY)
    losses, norms = [], []
    for step in range(leg.first, leg.last):
        batch = dealt(step, world)
        sums, norm = strategy.step(task, batch, RATES[step])
        average.update(step)
        losses.append(world.gather(torch.stack([sums["loss"], sums["seen"]])).sum(0).tolist())
        norms.append(world.gather(norm.reshape(1)).flatten().tolist())
    state = average.states() | {"optimizer": strategy.optimizer_state()}
    assert all(v.dtype == torch.float32 for v in state["optimizer"].values())
    found = {"losses": losses, "norms": norms, "at_start": at_start, "held": held(strategy)}
    if keep:
        whole = {k: {n: v.clone() for n, v in part.items()} for k, part in state.items()}
        torch.save(whole | found, folder / f"{leg.name}.pt")
    engine = weakref.ref(getattr(strategy, "engine", leg))
    strategy.close()
    assert engine() in (None, leg), "close leaves the engine in memory"
    assert dist.is_initialized() == (world.size > 1), "close leaves a process group"
    print(f"{leg.name}: {time.perf_counter() - began:.2f} s", file=sys.stderr)


def spoilt(name: str, world: World) -> str:
    """What is said when rank 1's gradient is infinite."""
    strategy = made(Compute(strategy=name, workers=world.size), "float32", world)  # type: ignore
    strategy.prepare(fresh(), STAGE)
    batch = dealt(0, world)
    if world.rank == 1:
        batch.image[0] = torch.inf
    try:
        strategy.step(Supervised(), batch, 0.01)
    except ValueError as e:
        return str(e)
    finally:
        strategy.close()
    return ""


def made(compute: Compute, precision: str, world: World) -> Strategy:
    class Settings:
        pass

    settings = Settings()
    settings.compute, settings.precision = compute, precision  # type: ignore[attr-defined]
    return strategy_for(settings, world)  # type: ignore[arg-type]


def held(strategy: Strategy) -> int:
    """Bytes of the optimizer's state on this rank."""
    tensors = [t for s in strategy.optimizer.state.values() for t in s.values()]  # type: ignore
    return sum(t.untyped_storage().nbytes() for t in {t.data_ptr(): t for t in tensors}.values())


ZEROS = ("zero0", "zero1", "zero2", "zero3")
ALONE_FIRST = [Leg(f"{s} alone", s) for s in ("single", *ZEROS)] + [
    Leg("chain 1", "single", 0, 2),
]
TOGETHER_FIRST = [
    *[Leg(f"{s} calm", s) for s in ("ddp", *ZEROS)],
    *[Leg(f"{s} half", s, 0, 3) for s in ("ddp", *ZEROS)],
    *[Leg(f"{s} resumed", s, 3, STEPS, f"{s} half") for s in ("ddp", *ZEROS)],
    *[Leg(f"{s} parts", s, compute={"accumulate": 2}) for s in ("ddp", *ZEROS)],
    *[Leg(f"{s} offload", s, compute={"offload": True}) for s in ZEROS[1:]],
    *[Leg(f"{s} offload parts", s, compute={"offload": True, "accumulate": 2}) for s in ZEROS[1:]],
    *[Leg(f"{s} buckets", s, bucket=40, compute={"accumulate": 3}) for s in ZEROS[1:]],
    Leg("ddp last", "ddp", compute={"channels_last": True}),
    *[Leg(f"{s} bf16", s, precision="bf16") for s in ("ddp", *ZEROS)],
    *[Leg(f"{s} norms", s, batch_norm=True) for s in ("ddp", *ZEROS)],
    *[Leg(f"{s} beside", s, beside=True, compute={"accumulate": 2}) for s in ("ddp", *ZEROS)],
    Leg("chain 2", "zero2", 2, 3, "chain 1"),
    Leg("chain 3", "ddp", 3, 4, "chain 2"),
    Leg("chain 4", "zero3", 4, 5, "chain 3"),
    Leg("world 1", "zero1", 0, 2),
    Leg("empty", "zero1", 0, 0),
    Leg("after empty", "zero1", after="empty"),
]
ALONE_AGAIN = [
    Leg("chain 5", "single", 5, 6, "chain 4"),
    Leg("world 2", "zero1", 2, 4, "world 1"),
]
TOGETHER_AGAIN = [Leg("world 3", "zero1", 4, 6, "world 2")]


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)

    def apart(legs: list[Leg]) -> None:
        for leg in legs:
            run(leg, alone(), folder, keep=rank == 0)

    def together(legs: list[Leg], name: str) -> None:
        store = dist.FileStore(str(folder / name), 2)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
        for leg in legs:
            run(leg, joined(), folder, keep=rank == 0)
            dist.barrier()  # the next one may read what was saved
        said = {s: spoilt(s, joined()) for s in ZEROS[1:]}
        torch.save(said, folder / f"said {rank}.pt")
        from deepspeed import comm

        comm.destroy_process_group()

    apart(ALONE_FIRST)
    gc.collect()
    gc.freeze()  # else each `close` looks through all of torch and DeepSpeed again
    together(TOGETHER_FIRST, "first")
    apart(ALONE_AGAIN)
    together(TOGETHER_AGAIN, "again")
    gc.unfreeze()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
