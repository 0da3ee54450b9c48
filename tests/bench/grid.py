"""A training step of the grid model against its parts: 36 passes of ResNet-18, and the Transformer.

    python -m tests.bench grid

One thread. Ours: tiles cut and resized, one pass over all of them, the encoder, both kinds of
heads and their loss, backward, SGD with momentum. Its parts: timm's ResNet-18 forward and backward
on one tile position after the other, torch's own post-norm encoder on 37 tokens, SGD on both. A
ratio is the cost of our step in steps of its parts; the aim is 1.15 at most. Checkpointing buys
memory (as computed by `training.models.grid_memory`) with a second forward pass.
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
from training.grid_loss import GridSupervised
from training.memory import keep_freed
from training.models.grid import Grid
from training.models.grid_memory import step_memory
from training.models.grid_transformer import grid_transformer

#: (pixels of a tile's side, pictures): 256 is the paper's.
SIZES = ((128, 2), (256, 1))
GIB = 2**30


def sgd(*modules: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD([p for m in modules for p in m.parameters()], 1e-4, momentum=0.9)


def ours(grid: Grid, image: torch.Tensor, checkpointing: bool) -> Callable[[], None]:
    torch.manual_seed(0)
    model = grid_transformer(Model(name="grid_transformer", pretrained="none"), grid).train()
    model.set_grad_checkpointing(checkpointing)
    task, optimizer, n = GridSupervised(grid, 1), sgd(model), len(image)
    batch = Batch(image, torch.arange(n) % 2, torch.ones(n), n)

    def step() -> None:
        (task.loss(model, batch)["loss"] / n).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def parts(grid: Grid, image: torch.Tensor) -> Callable[[], None]:
    torch.manual_seed(0)
    cnn = timm.create_model("resnet18", in_chans=1, num_classes=0).train()
    layer = nn.TransformerEncoderLayer(
        *(grid.width, grid.heads, grid.mlp, grid.dropout), activation="gelu", batch_first=True
    )
    encoder = nn.TransformerEncoder(layer, grid.depth, enable_nested_tensor=False).train()
    tokens = torch.randn(len(image), grid.tiles + 1, grid.width, requires_grad=True)
    tile, optimizer = image[..., : grid.tile, : grid.tile].contiguous(), sgd(cnn, encoder)

    def step() -> None:
        for _ in range(grid.tiles):
            cnn(tile).sum().backward()
        encoder(tokens)[:, 0].sum().backward()
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
    of_paper = [step_memory(Grid(), 8, 6 * 256, on).peak / GIB for on in (True, False)]
    rows.append(
        Row(
            "grid model step, 36 tiles of 256x256, batch 8: peak memory, checkpointed, computed",
            f"{number(of_paper[0])} GiB",
            f"plain {number(of_paper[1])} GiB",
            number(of_paper[0] / of_paper[1]),
        )
    )
    return rows
