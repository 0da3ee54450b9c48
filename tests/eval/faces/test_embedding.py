"""A Face2Bone with a face branch: the embedding is made of the packed crop, and held fixed."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data_sharding.schema import sha256_file
from eval.faces.explain import explain
from eval.faces.references import references
from eval.faces.region_shap import region_shap, to_size
from eval.faces.shapes import Settings
from tests.eval.faces.face_run import SIZE
from training.checkpoint import save_weights
from training.config import Model
from training.face import Face
from training.models import build
from training.models.inception_resnet_v1 import InceptionResnetV1, standardise
from training.preprocess import Preprocessor

FEW = Settings(each=2, people=1, networks=1, checked=1, permutations=9, draws=9, pixels=False)


@pytest.fixture(scope="module")
def facenet(tmp_path_factory):
    """FaceNet with random weights, on file."""
    path = tmp_path_factory.mktemp("facenet") / "vggface2.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = InceptionResnetV1().eval()
    save_file(model.state_dict(), path)
    return path, model


def test_the_embedding_is_held_fixed(run, facenet, tmp_path):
    path, network = facenet
    sizes = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "heads": (1, 1, 2, 2),
             "hilo_heads": (2, 2, 2, 2)}  # fmt: skip
    face = Face(facenet=str(path), facenet_sha256=sha256_file(path), **sizes)
    config = Model(name="face2bone", pretrained="none", channels=3, classes=3, face=face)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = build(config).eval()
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "image" / "weights")
    see = Preprocessor(size=SIZE, mean=(0.4,) * 3, std=(0.3,) * 3, pixels="face/1",
                       shape=(SIZE, SIZE, 3))  # fmt: skip
    save_weights(tmp_path / "run" / "image" / "weights", model, config, see, {}, {})
    told = explain(tmp_path / "run", settings=FEW)
    assert told.faces.embedding
    assert told.faces.additivity.regions < 1e-5
    seen = told.seen
    pack, row = seen.places[0]
    crop = torch.from_numpy(np.array(pack.extra(row, "crop"))).permute(2, 0, 1)[None]
    with torch.no_grad():
        embedding = network(standardise(crop))
    np.testing.assert_allclose(seen.embeddings[0].cpu(), embedding[0], atol=1e-5)
    raw = seen.picture(0)
    want = region_shap(
        lambda x: model(x, embedding.expand(len(x), -1)),
        see(raw[None])[0],
        to_size(seen.regions(0), SIZE, SIZE),
        see(references("people", raw, seen.pool)),
    )
    np.testing.assert_allclose(told.values.regions[0], want.values, atol=1e-5)
    with torch.no_grad():  # and it matters which one
        other = model(see(raw[None]), -embedding)
        assert not torch.allclose(other, model(see(raw[None]), embedding), atol=1e-4)
    config_file = tmp_path / "run" / "image" / "weights" / "config.json"
    said = json.loads(config_file.read_text())
    said["model"]["face"]["facenet"] = str(tmp_path / "gone.safetensors")
    config_file.write_text(json.dumps(said))
    with pytest.raises(ValueError, match=r"gone\.safetensors"):
        explain(tmp_path / "run", settings=FEW)
