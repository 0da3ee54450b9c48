"""Factors of planted mixtures are found; crops lie where they say; stability tells noise."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from eval.craft.concepts import activations, factorise, purity
from eval.craft.crops import batches, one_each, place
from eval.craft.cut import cut
from eval.craft.stability import matched, stability
from tests.eval.craft.planted import Small, planted


def mixtures(n=300, r=4, p=30, seed=0):
    """Rows that are sparse sums of r parts of channels of their own, and those parts."""
    rng = np.random.default_rng(seed)
    parts = np.zeros((r, p))
    for k in range(r):
        parts[k, k * 7 : k * 7 + 7] = rng.uniform(0.5, 1, 7)
    amounts = rng.exponential(1, (n, r)) * (rng.random((n, r)) < 0.5)
    parts /= np.linalg.norm(parts, axis=1, keepdims=True)
    return amounts @ parts, parts, amounts


def test_planted_parts_are_found_and_so_is_how_much_of_each():
    rows, parts, amounts = mixtures()
    bank = factorise(rows, 4)
    order = (parts @ bank.concepts.T).argmax(axis=1)
    np.testing.assert_allclose(bank.concepts[order], parts, atol=0.02)
    np.testing.assert_allclose(bank.amounts[:, order], amounts, atol=0.05)
    np.testing.assert_allclose(np.linalg.norm(bank.concepts, axis=1), 1)
    left = ((rows - bank.amounts @ bank.concepts) ** 2).sum() / (rows**2).sum()
    assert bank.explained == pytest.approx(1 - left)
    assert bank.explained > 0.999
    for size in (2.0**-40, 2.0**40):
        np.testing.assert_array_equal(factorise(rows * size, 4).concepts, bank.concepts)


def test_no_more_concepts_than_there_are_crops_or_things():
    rows, _, _ = mixtures(n=3)
    assert len(factorise(rows, 10).concepts) <= 3
    one = np.outer(np.arange(1.0, 20), np.ones(5))
    bank = factorise(one, 3)
    assert bank.explained > 0.999
    assert (np.linalg.norm(bank.concepts, axis=1) > 0).all()


def test_nothing_to_take_apart_is_said():
    with pytest.raises(ValueError, match="no activation is positive"):
        factorise(np.zeros((5, 4)), 2)
    with pytest.raises(ValueError, match="not finite"):
        factorise(np.full((5, 4), np.nan), 2)


def test_real_parts_are_found_again_and_noise_is_not():
    rows, _, _ = mixtures()
    patients = np.arange(len(rows)) // 3
    again = stability(rows, factorise(rows, 4).concepts, patients, 3, 0)
    assert again.stable.all()
    assert again.cosine.min() > 0.99
    noise = np.random.default_rng(1).random((60, 30))
    lost = stability(noise, factorise(noise, 6).concepts, np.arange(60), 3, 0)
    assert lost.stable.sum() <= 1
    with_more = factorise(rows + 0.05 * np.random.default_rng(2).random(rows.shape), 7).concepts
    some = stability(rows, with_more, patients, 3, 0)
    assert (~some.stable).any(), "seven of four parts cannot all be there again"


def test_matches_are_one_to_one():
    w = np.eye(4)
    np.testing.assert_array_equal(matched(w, w[[2, 0, 3, 1]]), 1)
    np.testing.assert_array_equal(matched(w, w[:2]), [1, 1, 0, 0])
    both = np.array([[1, 0, 0, 0], [1, 0, 0, 0.0]])
    assert sorted(matched(both, w)) == [0, 1], "a concept is matched once only"


def test_crops_are_what_lies_at_their_places():
    images = torch.arange(2 * 3 * 40 * 48, dtype=torch.float32).reshape(2, 3, 40, 48)
    crops = place(2, (40, 48))
    assert crops.side == round(40 * 64 / 224)
    step = int(0.8 * crops.side)
    assert set(np.diff(np.unique(crops.left))) == {step}
    assert (crops.left + crops.side).max() <= 48
    assert (crops.top + crops.side).max() <= 40
    assert 48 - (crops.left + crops.side).max() < step
    rows = 0
    for whole, owners in batches(images, crops, 7):
        assert whole.shape == (len(owners), 3, 40, 48)
        for k, owner in enumerate(owners):
            at = rows + k
            y, x, s = crops.top[at], crops.left[at], crops.side
            expected = interpolate(images[owner : owner + 1, :, y : y + s, x : x + s],
                                   size=(40, 48), mode="bilinear", align_corners=False)  # fmt: skip
            torch.testing.assert_close(whole[k], expected[0])
        rows += len(owners)
    assert rows == len(crops)
    of_224 = place(1, (224, 224))
    assert (of_224.side, int(of_224.left[1])) == (64, 51), "as in the paper"
    with pytest.raises(ValueError, match="too small"):
        place(1, (3, 3))


def test_crops_outside_the_face_are_left_out_and_counted():
    masks = np.zeros((2, 48, 48), bool)
    masks[0, :, :24] = True
    masks[1] = True
    every, some = place(2, (48, 48)), place(2, (48, 48), masks)
    assert len(some) + some.outside == len(every)
    assert (some.picture == 1).sum() == (every.picture == 1).sum()
    assert (some.left[some.picture == 0] + some.side / 2 <= 24).all()
    assert some.outside > 0
    assert len(place(2, (48, 48), masks & False)) == 0


def test_best_crops_are_of_different_pictures():
    amounts = np.array([5.0, 4, 3, 2, 1, 0])
    pictures = np.array([0, 0, 1, 1, 2, 3])
    np.testing.assert_array_equal(one_each(amounts, pictures, 9), [0, 2, 4])
    np.testing.assert_array_equal(one_each(amounts, pictures, 2), [0, 2])


def test_a_concept_may_be_outweighed_in_its_own_best_crops():
    amounts = np.array([[3.0, 1, 0], [1, 1, 0], [0, 0, 9]])
    assert purity(amounts, 0, np.array([0, 1])) == (pytest.approx(0.625), False)
    assert purity(amounts, 1, np.array([0, 1])) == (pytest.approx(0.375), True)


def test_activations_are_means_of_the_positive_part_and_what_is_lost_is_said():
    model, images = Small(0, signed=True).eval(), planted(4, 1).images
    crops = place(4, (48, 48))
    found = activations(cut(model), images, None, crops, 5)
    maps = []
    with torch.no_grad():
        for whole, _ in batches(images, crops, 64):
            maps.append(model.features(whole))
    signed = torch.cat(maps).double().numpy()
    np.testing.assert_allclose(found.rows, signed.clip(0).mean((2, 3)), rtol=1e-5, atol=1e-7)
    lost = (signed.clip(None, 0) ** 2).sum() / (signed**2).sum()
    assert found.removed == pytest.approx(lost, rel=1e-4)
    assert 0 < found.removed < 1
    plain = activations(cut(Small(0).eval()), images, None, crops, 5)
    assert plain.removed == 0
