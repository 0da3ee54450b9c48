"""Children of a concept against a slow reading of the same definition, and on Face2Bone itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from eval.craft import Settings, explain
from eval.craft.concepts import activations, factorise
from eval.craft.crops import place
from eval.craft.cut import cut
from eval.craft.nnls import coefficients
from eval.craft.page import section
from eval.craft.recursion import children
from eval.craft.sobol import LEAST, design, total_indices
from tests.eval.craft.conftest import subjects
from tests.eval.craft.planted import CLASSES, Small, planted
from tests.eval.craft.test_cut import face2bone

SETTINGS = Settings(
    concepts=4, pictures=8, points=256, repeats=2, best=3, children=3, judged=1, draws=100, batch=64
)


@pytest.fixture(scope="module")
def case():
    model, images = Small(2, signed=True).eval(), planted(12, 5).images
    last, crops = cut(model), place(12, (48, 48))
    bank = factorise(activations(last, images, None, crops, 64).rows, 4)
    found = children(last, cut(model, 1), images, None, crops, bank.amounts[:, 0], bank.concepts,
                     0, SETTINGS)  # fmt: skip
    return model, images, crops, bank, found


def test_only_the_upper_tenth_is_taken_apart(case):
    _, _, crops, bank, found = case
    own = bank.amounts[:, 0]
    taken = np.flatnonzero(found.amounts.any(axis=1))
    assert own[taken].min() >= np.quantile(own, 0.9)
    assert len(taken) <= np.ceil(0.1 * len(crops))
    for k, best in enumerate(found.best):
        assert len(set(crops.picture[best])) == len(best) <= SETTINGS.best
        assert (np.diff(found.amounts[best, k]) <= 0).all()


@torch.no_grad()
def test_indices_are_those_of_a_slow_reading(case):
    model, images, crops, bank, found = case
    own = bank.amounts[:, 0]
    taken = np.argsort(-own, kind="stable")
    taken = taken[own[taken] >= np.quantile(own, 0.9)]
    rows = activations(cut(model, 1), images, None, crops.some(taken), 64).rows
    parts = factorise(rows, 3).concepts
    p, y, x, s = (int(v) for v in (crops.picture[taken[0]], crops.top[taken[0]],
                                   crops.left[taken[0]], crops.side))  # fmt: skip
    crop = interpolate(images[p : p + 1, :, y : y + s, x : x + s], size=(48, 48), mode="bilinear")
    early = model.stages[1](model.stages[0](model.stem(crop), None), None)[0].double().numpy()
    u = coefficients(early.clip(0, None).transpose(1, 2, 0), parts)
    masks = design(LEAST, len(parts), 0)
    answers = np.zeros(masks.shape[:2])
    for a in range(len(masks)):
        for j in range(LEAST):
            again = np.einsum("hwr,rc->chw", u * masks[a, j], parts) + early.clip(None, 0)
            maps = model.stages[2](torch.from_numpy(again.astype(np.float32))[None], None)
            means = maps.clamp(min=0).mean((2, 3)).numpy()
            answers[a, j] = coefficients(means, bank.concepts)[0, 0]
    np.testing.assert_allclose(found.indices, total_indices(answers), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("told", [True, False])
def test_face2bone_with_and_without_a_face_branch(told):
    model = face2bone("/not/read.safetensors" if told else "none")
    who = subjects(None, n=30)
    if told:
        face = torch.randn(30, 512, generator=torch.Generator().manual_seed(0))
        who = replace(who, face=face)
    # at 96 x 96 its last map is 3 x 3
    who = replace(who, images=interpolate(who.images, size=(96, 96)))
    found = explain(model, who, CLASSES[:2], SETTINGS)
    for k in found.craft.classes:
        assert k.undefined is None
        assert 0 < k.removed < 1, "its maps are signed"
        assert all(c.importance.value is not None for c in k.concepts)
        assert any(c.children for c in k.concepts)
    assert found.craft.layer == "stages.3"
    assert "of the squared activations are negative" in section(found)
    wrong = replace(who, face=None if told else torch.zeros(30, 512))
    with pytest.raises(
        ValueError, match=f"face branch, and {'no' if told else 'an'} embedding was given"
    ):
        explain(model, wrong, CLASSES, SETTINGS)
