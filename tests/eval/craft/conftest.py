"""A network that has learnt two planted textures, and what CRAFT finds in it; made once."""

import numpy as np
import pytest
import torch

from eval.craft import Settings, Subjects, explain
from tests.eval.craft.planted import CELL, CLASSES, SIDE, Small, planted, trained

SETTINGS = Settings(
    concepts=6,
    pictures=16,
    points=256,
    repeats=2,
    best=4,
    children=3,
    recursed=2,
    draws=200,
    batch=64,
)


def subjects(predicted, faces=False, n=120):
    """Pictures with the region of what was planted (1) told from the rest (2); two a patient."""
    data = planted(n, 7)
    regions = np.full((n, SIDE, SIDE), 2, np.uint8)
    for i, (r, c) in enumerate(data.cell):
        if r >= 0:
            regions[i, r * CELL : (r + 1) * CELL, c * CELL : (c + 1) * CELL] = 1
    shown = ((data.images.permute(0, 2, 3, 1).numpy() + 1.5) / 3 * 255).clip(0, 255)
    return Subjects(
        tuple(f"k{i:04d}" for i in range(n)),
        tuple(f"p{i // 2}" for i in range(n)),
        data.images,
        data.label if predicted is None else predicted,
        regions=regions,
        region_names=("planted", "rest"),
        pictures=shown.astype(np.uint8) if faces else None,
    )


@torch.no_grad()
def answers(model):
    return model(planted(120, 7).images).argmax(1).numpy()


@pytest.fixture(scope="session")
def learnt():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model = trained(1)
    assert (answers(model) == planted(120, 7).label).mean() > 0.95
    yield model
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def found(learnt):
    return explain(learnt, subjects(answers(learnt), faces=True), CLASSES, SETTINGS)


@pytest.fixture(scope="session")
def random_found():
    # an untrained network calls everything one class: it is told the true ones
    return explain(Small(1).eval(), subjects(None), CLASSES, SETTINGS)
