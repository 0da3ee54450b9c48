"""A training step of the grid model against its parts: 36 passes of ResNet-18, and the Transformer.

    python -m tests.bench grid

One thread. Ours: tiles cut and resized, one pass over all of them, the encoder, both kinds of
heads and their loss, backward, SGD with momentum. Its parts: timm's ResNet-18 forward and backward
on one tile position after the other, torch's own post-norm encoder on 37 tokens, one global head
and 36 local ones of torch's own layers, SGD on all. Cutting and resizing is ours alone. A ratio is
the cost of our step in steps of its parts; the aim is 1.15 at most. Checkpointing buys memory (as
computed by `training.models.grid_memory`, in float32) with a second forward pass: batch 8 at the
paper's size is held against a card of 24 GB, with the weights and SGD's momentum.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import timm
import torch
from torch import nn

from tests.bench.harness import Row, alternate, clock, number
from training.batch import Batch
from training.config import Model
from training.grid import Grid
from training.grid_loss import GridSupervised
from training.memory import keep_freed
from training.models.grid_memory import step_memory
from training.models.grid_transformer import grid_transformer

#: (pixels of a tile's side, pictures): 256 is the paper's.
SIZES = ((128, 2), (256, 1))
GIB = 2**30
#: Bytes of the card that the paper's batch of 8 must fit.
CARD = 24e9


def sgd(*modules: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD([p for m in modules for p in m.parameters()], 1e-4, momentum=0.9)


def half(device: torch.device, on: bool) -> torch.autocast:
    """bf16 where `on`, as a run's ``compute.precision`` does it."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=on)


def ours(
    grid: Grid, image: torch.Tensor, checkpointing: bool, bf16: bool = False
) -> Callable[[], None]:
    torch.manual_seed(0)
    config, device = Model(name="grid_transformer", pretrained="none", grid=grid), image.device
    model = grid_transformer(config, grid).to(device).train()
    model.set_grad_checkpointing(checkpointing)
    task, optimizer, n = GridSupervised(grid, 1), sgd(model), len(image)
    label, real = torch.arange(n, device=device) % 2, torch.ones(n, device=device)
    batch = Batch(image, label, real, n)

    def step() -> None:
        with half(device, bf16):
            loss = task.loss(model, batch)["loss"] / n
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def parts(grid: Grid, image: torch.Tensor, bf16: bool = False) -> Callable[[], None]:
    torch.manual_seed(0)
    device, n = image.device, len(image)
    cnn = timm.create_model("resnet18", in_chans=1, num_classes=0).train()
    layer = nn.TransformerEncoderLayer(
        *(grid.width, grid.heads, grid.mlp, grid.dropout), activation="gelu", batch_first=True
    )
    encoder = nn.TransformerEncoder(layer, grid.depth, enable_nested_tensor=False).train()
    tokens = torch.randn(n, grid.tiles + 1, grid.width, device=device, requires_grad=True)
    features = torch.randn(grid.tiles, n, grid.width, device=device, requires_grad=True)
    heads = nn.ModuleList(
        nn.Sequential(nn.Linear(grid.width, grid.hidden), nn.GELU(), nn.Linear(grid.hidden, 2))
        for _ in range(grid.tiles + 1)
    )
    for module in (cnn, encoder, heads):
        module.to(device)
    tile, optimizer = image[..., : grid.tile, : grid.tile].contiguous(), sgd(cnn, encoder, heads)

    def step() -> None:
        for _ in range(grid.tiles):
            with half(device, bf16):
                out = cnn(tile)
            out.sum().backward()
        with half(device, bf16):
            out = heads[0](encoder(tokens)[:, 0]).sum()
            out = out + sum(h(x).sum() for h, x in zip(heads[1:], features, strict=True))
        out.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def run(_: Path) -> list[Row]:
    keep_freed()  # as a run does: for all sides
    rows = []
    for tile, pictures in SIZES:
        grid = Grid(tile=tile)
        image = torch.randn(pictures, 1, grid.grid * tile, grid.grid * tile)
        made = {
            "parts": parts(grid, image),
            "plain": ours(grid, image, False),
            "checkpointed": ours(grid, image, True),
        }
        times = alternate({name: clock(step) for name, step in made.items()}, rounds=3)
        what = f"grid model step, 36 tiles of {tile}x{tile}, batch {pictures}"
        for name, against in (("plain", "parts"), ("checkpointed", "plain")):
            rows.append(
                Row(
                    f"{what}, {name}: cost in {'its parts' if against == 'parts' else 'plain'}",
                    f"{number(times.median(name))} s",
                    f"{against} {number(times.median(against))} s",
                    times.ratio(name, against),
                )
            )
    of_paper = {on: step_memory(Grid(), 8, 6 * 256, on) for on in (False, True)}
    for on, memory in of_paper.items():
        total, way = memory.total(copies=1), "checkpointed" if on else "plain"
        rows.append(
            Row(
                f"grid model step, 36 tiles of 256x256, batch 8, {way}: memory computed, of 24 GB",
                f"{number(total / GIB)} GiB ({number(memory.peak / GIB)} GiB of it activations)",
                f"{number(CARD / GIB)} GiB",
                number(total / CARD),
            )
        )
    return rows
