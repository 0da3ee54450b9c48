from __future__ import annotations

from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data_sharding.schema import sha256_file
from tests.training.models import slow
from training.models.inception_resnet_v1 import InceptionResnetV1, load_facenet, standardise

NAMES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(scope="module")
def facenet() -> InceptionResnetV1:
    torch.manual_seed(0)
    model = slow.drawn(InceptionResnetV1()).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            # or its biases would decide alone, and two faces would have one embedding
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model  # type: ignore[return-value]


@pytest.fixture(scope="module")
def published(facenet, tmp_path_factory) -> tuple[Path, str]:
    """A file as facenet-pytorch's are: a classifier of 8,631 persons on top."""
    path = tmp_path_factory.mktemp("facenet") / "weights.safetensors"
    logits = {"logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}
    save_file(facenet.state_dict() | logits, path)
    return path, sha256_file(path)


def written(path: Path, state: dict[str, torch.Tensor]) -> tuple[Path, str]:
    save_file(state, path)
    return path, sha256_file(path)


def units(shapes: dict[str, tuple[int, ...]], name: str) -> list[str]:
    """Names of one Conv -> BatchNorm -> ReLU."""
    return [f"{name}.conv.weight", *(f"{name}.bn.{n}" for n in NAMES)]


def test_its_state_has_the_published_names_and_sizes(facenet):
    state = facenet.state_dict()
    assert len(state) == 714
    assert sum(p.numel() for p in facenet.parameters()) == 23_482_624
    # 132 convolutions with batch norms, 21 that join branches, one linear layer, one batch norm
    kinds = Counter(k.rsplit(".", 2)[-2] for k in state)
    assert kinds["conv"] * 6 + kinds["conv2d"] + 1 + 5 == 714
    assert kinds == {"conv": 111, "bn": 555, "conv2d": 42, "last_linear": 1, "last_bn": 5}
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    assert shapes["conv2d_1a.conv.weight"] == (32, 3, 3, 3)
    assert shapes["conv2d_4b.bn.running_var"] == (256,)
    assert shapes["repeat_1.4.branch2.2.conv.weight"] == (32, 32, 3, 3)
    assert shapes["mixed_6a.branch0.conv.weight"] == (384, 256, 3, 3)
    assert shapes["repeat_2.9.branch1.1.conv.weight"] == (128, 128, 1, 7)
    assert shapes["repeat_2.9.branch1.2.conv.weight"] == (128, 128, 7, 1)
    assert shapes["mixed_7a.branch2.2.conv.weight"] == (256, 256, 3, 3)
    assert shapes["repeat_3.0.conv2d.weight"] == (1792, 384, 1, 1)
    assert shapes["block8.conv2d.bias"] == (1792,)
    assert shapes["last_linear.weight"] == (512, 1792)
    assert shapes["last_bn.num_batches_tracked"] == ()


def test_maps_have_the_published_sizes(facenet):
    seen = {}
    handles = [
        layer.register_forward_hook(
            lambda _, __, out, name=name: seen.update({name: (*out.shape[1:],)})
        )
        for name, layer in facenet.named_children()
    ]
    with torch.no_grad():
        out = facenet(torch.zeros(1, 3, 160, 160))
    for handle in handles:
        handle.remove()
    assert [seen[n][-1] for n in ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a")] == [
        79, 77, 77, 38,
    ]  # fmt: skip
    assert seen["conv2d_4a"] == (192, 36, 36)
    assert seen["conv2d_4b"] == seen["repeat_1"] == (256, 17, 17)
    assert seen["mixed_6a"] == seen["repeat_2"] == (896, 8, 8)
    assert seen["mixed_7a"] == seen["block8"] == (1792, 3, 3)
    assert out.shape == (1, 512)


def test_an_embedding_is_the_slow_one_from_weights_by_their_names(facenet):
    x = torch.randn(2, 3, 93, 79, generator=torch.Generator().manual_seed(0))
    state, asked = facenet.state_dict(), set()

    def weight(name: str) -> np.ndarray:
        asked.add(name)
        return state[name].double().numpy()

    with torch.no_grad():
        ours = facenet(x)
    slowly = [slow.inception_resnet_v1(one.double().numpy(), weight) for one in x]
    np.testing.assert_allclose(ours, slowly, rtol=1e-3, atol=2e-6)
    assert np.abs(slowly[0] - slowly[1]).max() > 1e-3, "two faces, two embeddings"
    assert torch.allclose(ours.norm(dim=1), torch.ones(2))
    assert asked == {k for k in state if not k.endswith("num_batches_tracked")}


def test_published_weights_fit_by_name_and_give_the_same_embedding(facenet, published):
    loaded = load_facenet(*published)
    assert not loaded.training
    assert {k: v.shape for k, v in loaded.state_dict().items()} == {
        k: v.shape for k, v in facenet.state_dict().items()
    }
    x = torch.randn(1, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(x), facenet(x))


def test_a_hash_is_demanded(published):
    path, sha256 = published
    with pytest.raises(ValueError, match=rf"{sha256}, none was stated: state that"):
        load_facenet(path, None)
    with pytest.raises(ValueError, match=rf"{sha256}, not {'0' * 64}: state that"):
        load_facenet(path, "0" * 64)


def test_files_that_are_no_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file; FaceNet's weights are not fetched"):
        load_facenet(tmp_path / "absent.safetensors", None)
    (tmp_path / "a folder.safetensors").mkdir()
    with pytest.raises(ValueError, match="no such file"):
        load_facenet(tmp_path / "a folder.safetensors", None)
    pickled = tmp_path / "vggface2.bin"
    torch.save({}, pickled)
    with pytest.raises(ValueError, match=r"vggface2\.bin: FaceNet's weights must be \.safetensors"):
        load_facenet(pickled, sha256_file(pickled))
    for junk in (b"", b"PK\x03\x04", b"\xff" * 64, pickled.read_bytes()):
        path = tmp_path / "junk.safetensors"
        path.write_bytes(junk)
        with pytest.raises(ValueError, match=r"junk\.safetensors: not a safetensors file"):
            load_facenet(path, sha256_file(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_published_pt_is_read_as_tensors_alone(facenet, tmp_path, zipped):
    """facenet-pytorch's files are of 2018, before torch's were zips."""
    path = tmp_path / "vggface2.pt"
    logits = {"logits.weight": torch.zeros(3, 512), "logits.bias": torch.zeros(3)}
    state = OrderedDict(facenet.state_dict() | logits)
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    loaded = load_facenet(path, sha256_file(path))
    assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items())


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_pt_is_run(tmp_path, zipped):
    path, trace = tmp_path / "hostile.pt", tmp_path / "it ran"
    torch.save({"w": Hostile(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"hostile\.pt: not a file of tensors alone") as e:
        load_facenet(path, sha256_file(path))
    assert "\n" not in str(e.value)
    assert not trace.exists()


def test_pts_that_hold_something_else_are_refused(tmp_path):
    path = tmp_path / "other.pt"
    for what in (torch.zeros(2), {"w": 1}, {1: torch.zeros(2)}, [torch.zeros(2)]):
        torch.save(what, path)
        with pytest.raises(ValueError, match=r"other\.pt: not a state dict"):
            load_facenet(path, sha256_file(path))
    torch.save({"w": torch.zeros(100)}, path)
    whole = path.read_bytes()
    for junk in (b"", b"PK\x03\x04", b"\xff" * 64, b"\x80", whole[:-200], whole[:300], b"]q\x00."):
        path.write_bytes(junk)
        with pytest.raises(ValueError, match=r"other\.pt: not a"):
            load_facenet(path, sha256_file(path))


def test_weights_of_another_network_are_refused_in_a_line(facenet, tmp_path):
    def refused(state: dict[str, torch.Tensor]) -> str:
        with pytest.raises(ValueError, match=r"w\.safetensors: not InceptionResnetV1's wei") as e:
            load_facenet(*written(tmp_path / "w.safetensors", state))
        assert "\n" not in str(e.value)
        return str(e.value).split("weights: ")[1]

    state = facenet.state_dict()
    fewer = {k: v for k, v in state.items() if k != "block8.conv2d.bias"}
    assert refused(fewer | {"more": torch.zeros(1), "last_bn.bias": torch.zeros(128)}) == (
        "block8.conv2d.bias is missing; last_bn.bias is [128], not [512]; more is not of this "
        "network"
    )
    nan, negative = torch.full((512,), torch.nan), torch.full((512,), -1.0)
    wrong = {"last_bn.bias": nan, "last_bn.running_var": negative}
    assert refused(state | wrong | {"last_bn.running_mean": torch.zeros(512).half()}) == (
        "last_bn.bias is not finite; last_bn.running_mean is torch.float16, not torch.float32; "
        "last_bn.running_var is negative"
    )
    assert refused({"logits.bias": torch.zeros(2)}).endswith("(and 711 more)")


def test_standardised_faces_are_of_the_published_range_and_side():
    grey = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 300, 200)
    out = standardise(grey)
    assert out.shape == (2, 3, 160, 160)
    assert out[0].unique().tolist() == [-127.5 / 128]
    assert torch.allclose(out[1], torch.tensor(127.5 / 128))
    same = torch.randint(0, 256, (1, 3, 160, 160), dtype=torch.uint8)
    assert torch.equal(standardise(same), (same.float() - 127.5) / 128)
    # halved, a fine checkerboard is its mean: without antialiasing it would be black or white
    board = (torch.arange(320)[:, None] + torch.arange(320)) % 2 * 255
    assert standardise(board.expand(1, 3, 320, 320))[..., 1:-1, 1:-1].abs().max() < 0.01
