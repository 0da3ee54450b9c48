"""A batch in parts: nothing lost, nothing counted otherwise."""

from __future__ import annotations

import pytest
import torch

from training.batch import Batch


def made(b: int) -> Batch:
    real = (torch.arange(b) % 4 > 0).float()
    return Batch(torch.randn(b, 1, 4, 4), torch.arange(b), real, 2 * b, 3, 7)


@pytest.mark.parametrize("b", [1, 4, 5, 7, 12])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 20])
def test_parts_are_torchs_chunks_and_keep_the_global_count(b, n):
    whole = made(b)
    parts = whole.split(n)
    for part, label, image in zip(parts, whole.label.chunk(n), whole.image.chunk(n), strict=True):
        assert len(part) > 0
        assert torch.equal(part.label, label)
        assert torch.equal(part.image, image)
        assert (part.global_real, part.epoch, part.step) == (2 * b, 3, 7)
    assert torch.equal(torch.cat([p.real for p in parts]), whole.real)


def test_no_parts_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        made(4).split(0)
