"""Frozen teachers, alone and together, each with its own preprocessing."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from data_sharding.reader import ShardDataset
from data_sharding.schema import sha256_file
from tests.training.networks import CPU, weights
from training.checkpoint import load_weights
from training.teachers import Teachers
from training.validate import margin, predict
from training.world import alone


@pytest.fixture
def data(packs):
    return ShardDataset(packs["internal"], "train")


@pytest.fixture
def images(data):
    return np.stack([data.image(i) for i in range(20)])


def by_hand(folder, images):
    """What one network says, with the preprocessing written out."""
    model, seen = load_weights(folder)
    resized = [cv2.resize(x, (seen.size,) * 2, interpolation=cv2.INTER_AREA) for x in images]
    x = (np.stack(resized)[:, None] / 255 - seen.mean) / seen.std
    with torch.no_grad():
        return model(torch.from_numpy(x.astype(np.float32))).numpy()


def test_one_teacher_says_its_own_logits(tmp_path, data, images):
    folder = weights(tmp_path / "a", size=32, mean=0.3, std=0.2)
    teachers = Teachers.load([folder], CPU)
    found = teachers.logits(images)
    assert found.dtype == torch.float32
    assert np.ptp(found.numpy()) > 0.5
    np.testing.assert_allclose(found, by_hand(folder, images), atol=1e-4)
    model, seen = load_weights(folder)
    np.testing.assert_allclose(
        teachers.logit(images), margin(predict(model, seen, data, alone()))[:20], atol=1e-5
    )


def test_several_say_the_mean_of_their_probabilities(tmp_path, images):
    folders = [
        weights(tmp_path / "a", 0),
        weights(tmp_path / "b", 1, size=32, mean=0.2, std=0.3),
        weights(tmp_path / "c", 2, name="test_byobnet", size=48, mean=0.1, std=0.5),
    ]
    teachers = Teachers.load(folders, CPU)
    assert teachers.sizes == (32, 48)
    each = np.stack([by_hand(f, images).astype(np.float64) for f in folders])
    mean = softmax(each, axis=2).mean(0)
    of_logits = softmax(each.mean(0), axis=1)
    assert np.abs(mean - of_logits).max() > 1e-2, "the two means can be told apart here"
    np.testing.assert_allclose(teachers.logits(images), np.log(mean), atol=1e-4)
    expected = np.log(mean[:, 1] / mean[:, 0])
    found = teachers.logit(images)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # Never a greater loss than theirs on average, whatever the label.
    assert (-np.log(mean) <= -log_softmax(each, axis=2).mean(0) + 1e-12).all()


def test_answers_that_are_sure_stay_finite(tmp_path, images):
    folders = [weights(tmp_path / "a", 0, gain=1e6), weights(tmp_path / "b", 1, gain=1e6)]
    assert np.isfinite(Teachers.load(folders, CPU).logit(images)).all()


def test_they_learn_nothing_and_speak_in_full_precision(tmp_path, images):
    teachers = Teachers.load([weights(tmp_path / "a", name="test_byobnet")], CPU)
    model = teachers.members[0].model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    plain = teachers.logits(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(teachers.logits(images), plain)
        rounded = teachers.answer([torch.from_numpy(images)])
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, plain), "autocast does something here"
    assert not plain.requires_grad
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_hash_changes_with_every_byte_and_every_setting(tmp_path):
    folder = weights(tmp_path / "a")
    whole = Teachers.load([folder], CPU).hash
    seen = {whole}
    # Another seed, moved elsewhere: the first is told from all others, the copy is not.
    seen.add(Teachers.load([weights(tmp_path / "b", 1)], CPU).hash)
    assert Teachers.load([weights(tmp_path / "c", 0)], CPU).hash == whole
    for field, value in [("size", 32), ("mean", 0.45), ("std", 0.227)]:
        seen.add(Teachers.load([weights(tmp_path / field, 0, **{field: value})], CPU).hash)
    both = [folder, tmp_path / "b"]
    seen |= {Teachers.load(both, CPU).hash, Teachers.load(both[::-1], CPU).hash}
    assert len(seen) == 7
    # One bit of one weight: damage as it is, another teacher if somebody meant it.
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="not the file that was written"):
        Teachers.load([folder], CPU)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"sha256": sha256_file(path)}))
    assert Teachers.load([folder], CPU).hash not in seen


def test_what_does_not_fit_is_one_clear_line(tmp_path, packs, images):
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b", 1)
    text = (b / "preprocessor.json").read_text()
    (b / "preprocessor.json").write_text(text.replace("drawn/1", "cxr/1"))
    with pytest.raises(ValueError, match=r"drawn/1.*cxr/1.*student\.teachers"):
        Teachers.load([a, b], CPU)
    with pytest.raises(ValueError, match="twice"):
        Teachers.load([a, a], CPU)
    with pytest.raises(ValueError, match="alpha=0"):
        Teachers.load([], CPU)
    with pytest.raises(ValueError, match="not usable weights"):
        Teachers.load([tmp_path / "nowhere"], CPU)
    with pytest.raises(ValueError, match="cxr/1"):
        Teachers.load([b], CPU).accept(ShardDataset(packs["internal"]).manifest)
    teachers = Teachers.load([a], CPU)
    for wrong in (images[:, :40], images.astype(np.float32)):
        with pytest.raises(ValueError, match=r"uint8 \[48, 48\]"):
            teachers.logits(wrong)
