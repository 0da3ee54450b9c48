from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from tests.training.models import slow
from training.face import Face
from training.features import Tap
from training.models.face2bone import Face2Bone

SMALL = {
    "widths": (8, 8, 16, 32),
    "depths": (1, 1, 1, 1),
    "heads": (1, 2, 2, 4),
    "hilo_heads": (2, 2, 4, 4),
}


#: A branch for embeddings; the file is whoever's who makes them.
FACE = {"facenet": "/read/elsewhere.safetensors"}


def config(**changed) -> Face:
    return Face(**({"facenet": "none"} | SMALL | changed))


def made(seed: int = 0, classes: int = 3, **changed) -> Face2Bone:
    torch.manual_seed(seed)
    return Face2Bone(config(**changed), classes)


def pictures(n: int = 2, side: int = 96) -> torch.Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def embeddings(n: int = 2) -> torch.Tensor:
    x = torch.randn(n, 512, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(x, dim=1)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def named(model: Face2Bone) -> dict[str, tuple[int, ...]]:
    return {k: tuple(p.shape) for k, p in model.named_parameters()}


@pytest.fixture(scope="module")
def faced() -> Face2Bone:
    return made(**FACE).eval()


# What is in it


def test_the_papers_size_has_the_parameters_of_its_parts():
    with torch.device("meta"):
        model = Face2Bone(Face(**FACE))
    residual = count(model.stem) + sum(count(s.residual) for s in model.stages)
    assert residual == 11_176_512, "ResNet-18 without its classifier"
    fsa = 0
    for c, heads in ((64, 1), (128, 2), (256, 4), (512, 8)):
        hidden, half = int(c * 2.66), c // 2
        top_k = 4 * c * c + 27 * c + heads + 4
        high = 3 * c * half + half * half + half
        low = c * half + 2 * c * half + half * half + half
        fsa += top_k + high + low + (c * hidden + hidden) + (hidden * c + c) + 4 * c
    assert sum(count(s.fsa) for s in model.stages) == fsa
    # key, its bias, queries and values, what comes out
    ssam = sum(512 * c + c + 2 * (c * c + c) + c * c + c for c in (64, 128, 256, 512))
    assert sum(count(s.ssam) for s in model.stages) == ssam
    assert count(model.head) == 15_360
    assert count(model) == residual + fsa + ssam + 15_360 + 2 * 512


def test_maps_shrink_to_an_odd_seventh_and_classes_are_three():
    model = made().eval()
    with torch.no_grad():
        map_BChw = model.features(pictures(1, 224))
        assert map_BChw.shape == (1, 32, 7, 7)
        assert torch.equal(model.classify(map_BChw), model(pictures(1, 224)))
        assert model(pictures(1, 224)).shape == (1, 3)
        assert made(classes=2)(pictures(1, 50)).shape == (1, 2)


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"fsa": False}, ".fsa."),
        ({"ssam": "none", "facenet": "none"}, ".ssam."),
    ],
    ids=["-FSA", "-SSAM"],
)
def test_an_ablation_takes_away_its_parameters_and_no_others(change, gone):
    with torch.device("meta"):
        whole = made(**FACE)
        less = made(**FACE | change)
    removed = {k: v for k, v in named(whole).items() if k not in named(less)}
    assert removed
    assert all(gone in k for k in removed)
    assert {**named(less), **removed} == named(whole)


@pytest.mark.parametrize(
    ("head", "parameters"),
    [
        ({"head": "kan"}, 32 * 3 * 10),
        ({"head": "linear"}, 32 * 3 + 3),
        ({"head": "mlp"}, 32 * 64 + 64 + 64 * 3 + 3),
        ({"head": "kan", "kan_hidden": (5,)}, 32 * 5 * 10 + 5 * 3 * 10),
        ({"head": "kan", "intervals": 3, "order": 2}, 32 * 3 * 7),
    ],
)
def test_another_head_changes_the_head_alone(head, parameters):
    model, other = made(**head), made()
    assert count(model.head) == parameters
    rest = {k: v for k, v in named(model).items() if not k.startswith("head.")}
    assert rest == {k: v for k, v in named(other).items() if not k.startswith("head.")}
    assert model(pictures()).shape == (2, 3)


def test_every_setting_reaches_its_block():
    model = made(
        depths=(1, 2, 1, 3),
        heads=(2, 4, 8, 1),
        hilo_heads=(4, 4, 8, 4),
        fractions=("1/4", "1"),
        window=3,
        alpha=0.75,
        expansion=2,
        ssam="sigmoid",
        intervals=4,
        order=2,
    )
    stages = list(model.stages)
    assert [len(s.residual) for s in stages] == [1, 2, 1, 3]
    assert [s.fsa.sparse.heads for s in stages] == [s.ssam.heads for s in stages] == [2, 4, 8, 1]
    assert [s.fsa.sparse.keep for s in stages] == [(1, 4), (1, 2), (1, 2), (8, 32)]
    assert [s.fsa.hilo.low_heads for s in stages] == [3, 3, 6, 3]
    assert {s.fsa.hilo.window for s in stages} == {3}
    assert [s.fsa.ffn[0].out_channels for s in stages] == [16, 16, 32, 64]
    assert {s.ssam.attention for s in stages} == {"sigmoid"}
    assert (model.head[0].intervals, model.head[0].order) == (4, 2)
    assert model(pictures()).shape == (2, 3)


def test_a_path_holds_wherever_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config(facenet="w.safetensors").facenet == str(tmp_path / "w.safetensors")


def test_without_a_face_branch_ssam_has_one_key_for_all():
    with torch.device("meta"):
        faced, alone = made(**FACE), made()
    removed = {k for k in named(faced) if k not in named(alone)}
    assert removed == {f"stages.{i}.ssam.key.weight" for i in range(4)}


# What it does


def test_a_stage_is_residual_then_fsa_then_ssam(faced):
    x, face = pictures(), embeddings()
    with torch.no_grad():
        y = faced.stem(x)
        for stage in faced.stages:
            y = stage.ssam(stage.fsa(stage.residual(y)), face)
        z = faced.norm(y.mean((2, 3)))
        assert torch.allclose(faced.head(z), faced(x, face), atol=1e-5)


def test_the_face_decides_too(faced):
    x, face = pictures(), embeddings()
    with torch.no_grad():
        said = faced(x, face)
        assert torch.allclose(faced(x.flip(0), face.flip(0)).flip(0), said, atol=1e-5)
        assert (faced(x, face.flip(0)) - said).abs().max() > 1e-4


@pytest.mark.parametrize("ssam", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("head", ["kan", "linear", "mlp"])
def test_every_weight_learns(ssam, head):
    model = slow.drawn(made(ssam=ssam, head=head)).train()
    x = pictures(4)
    torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 1])).backward()
    still = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_a_face_that_holds_the_answer_is_learnt_from():
    """The pictures are one and the same: only the embedding tells the classes apart."""
    model = made(**FACE).train()
    x = pictures(1, 64).expand(6, -1, -1, -1)
    face, label = embeddings(6), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model(x, face), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.9
    assert losses[-1] < 0.3


def test_gradients_are_those_of_finite_differences():
    """Through the whole network, in float64, along a direction of the picture and of the face."""
    model = slow.drawn(made(**FACE)).double().eval()
    x, face = pictures(1, 64).double(), embeddings(1).double()
    g = torch.Generator().manual_seed(3)
    along = [torch.randn(t.shape, generator=g, dtype=torch.float64) for t in (x, face)]
    one = torch.tensor([0.3, -1.0, 0.7], dtype=torch.float64)
    for i in range(2):
        inputs = [x.clone().requires_grad_(), face.clone().requires_grad_()]
        (model(*inputs)[0] @ one).backward()
        slope = (inputs[i].grad * along[i]).sum().item()
        step = 1e-6

        def at(s: float, i: int = i) -> float:
            moved = [x, face]
            moved[i] = moved[i] + s * along[i]
            with torch.no_grad():
                return (model(*moved)[0] @ one).item()

        assert (at(step) - at(-step)) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_the_same_seed_is_the_same_network_and_the_same_gradients():
    seen = []
    for _ in range(2):
        model = made(seed=7)
        model(pictures()).square().sum().backward()
        seen.append([*model.state_dict().values(), *(p.grad for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    other = made(seed=8)
    assert not torch.equal(other.stem[0].weight, model.stem[0].weight)


def test_a_batch_is_its_pictures(faced):
    x, face = pictures(3), embeddings(3)
    with torch.no_grad():
        alone = torch.cat([faced(x[i : i + 1], face[i : i + 1]) for i in range(3)])
        assert torch.allclose(faced(x, face), alone, atol=1e-5)


def test_bfloat16_is_near(faced):
    x, face = pictures(), embeddings()
    with torch.no_grad():
        said = faced(x, face)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = faced(x, face)
    assert half.dtype == torch.float32, "the head's splines are"
    assert (half - said).abs().max() < 0.05 * max(1, said.abs().max().item())


# How it is used


def test_copies_and_stored_weights_are_the_network(faced, tmp_path):
    x, face = pictures(), embeddings()
    save_file(faced.state_dict(), tmp_path / "w.safetensors")
    again = made(seed=5, **FACE).eval()
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    with torch.no_grad():
        assert torch.equal(again(x, face), faced(x, face))
        assert torch.equal(copy.deepcopy(faced)(x, face), faced(x, face))


def test_the_last_stage_is_where_maps_are_looked_at():
    model = made().train()
    tap = Tap(model, training=True)
    map_BChw = model.features(pictures())
    assert torch.equal(tap.pooled(), map_BChw.float().mean((2, 3)))


def test_a_face_must_be_given_where_there_is_a_branch_and_only_there(faced):
    with pytest.raises(
        ValueError, match="this network has a face branch, and no embedding was given"
    ):
        faced(pictures())
    with pytest.raises(
        ValueError, match="this network has no face branch, and an embedding was given"
    ):
        made()(pictures(), embeddings())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (FACE | {"ssam": "none"}, "with ssam=none set facenet=none"),
        ({"facenet_sha256": "0" * 64}, "facenet_sha256 is of a file, and facenet names none"),
        ({"heads": (1, 2, 3, 4)}, "a stage of 16 channels cannot be shared by 3 heads"),
        ({"hilo_heads": (3, 2, 4, 4)}, "8 channels cannot be shared by 1 heads and 3 HiLo heads"),
        ({"heads": (0, 2, 2, 4)}, "cannot be shared by 0 heads"),
        ({"depths": (1, 0, 1, 1)}, "at least one residual block"),
        ({"fractions": ("2/0",)}, "fractions"),
        ({"fractions": ("half",)}, "fractions"),
        ({"fractions": ("5/4",)}, "fractions"),
        ({"kan_hidden": (0,)}, "kan_hidden"),
        ({"head": "conv"}, "head"),
        ({"temperature": 1}, "temperature"),
        ({"hilo_heads": (1, 2, 4, 4)}, "alpha 0.5 of 1 HiLo heads leaves none for low"),
        ({"window": 0}, "window 0 must be at least 1"),
        ({"alpha": 1.5}, "alpha 1.5"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        config(**wrong)
