"""The ablations and baselines of Face2Bone's table: what each changes, and that runs come of it."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from tests.training.faces import pack_faces
from training.models import build
from training.overrides import leaves
from training.variants import NAMES, app, variant

#: None with FaceNet, whose weights nobody has here.
SMOKE = "face2bone:smoke"


def differs(name: str) -> dict[str, object]:
    base, other = (dict(leaves(variant(n, SMOKE, []).decided())) for n in ("Face2Bone", name))
    return {k: v for k, v in other.items() if base.get(k, ...) != v}


def test_an_ablation_changes_its_part_and_nothing_else():
    assert differs("-FSA") == {"model.face.fsa": False}
    assert differs("-SSAM") == {"model.face.ssam": "none"}
    assert differs("-KAN (linear)") == {"model.face.head": "linear"}
    assert differs("-KAN (MLP)") == {"model.face.head": "mlp"}
    for name in ("VGG16", "VGG19", "ResNet18", "ResNet34", "ViT"):
        assert {k.partition(".")[0] for k in differs(name)} == {"model"}, name


def test_facenet_goes_with_ssam_and_does_not_concern_baselines():
    told = ["model.face.facenet=/w.safetensors", "model.face.facenet_sha256=" + "a" * 64]
    whole, less = (variant(n, "face2bone", told).model.face for n in ("Face2Bone", "-SSAM"))
    assert whole is not None
    assert whole.embedded
    assert less is not None
    assert (less.embedded, less.facenet_sha256) == (False, None)
    assert variant("ResNet18", "face2bone", told).model.face is None


@pytest.mark.parametrize("name", NAMES)
def test_every_network_of_the_table_answers_to_colour_in_three_classes(name):
    model = variant(name, SMOKE, []).model
    assert model.pretrained == "none"
    with torch.no_grad(), torch.device("cpu" if model.face else "meta"):
        said = build(model).eval()(torch.zeros(1, 3, 96, 96))
    assert said.shape == (1, 3)


def test_at_the_papers_size_baselines_begin_with_published_weights():
    assert variant("VGG16", "face2bone", []).model.pretrained == "tag"
    assert variant("ViT", "face2bone", []).model.name.startswith("vit_base_patch16_224")


def test_other_recipes_and_names_are_refused():
    with pytest.raises(ValueError, match="variants are of Face2Bone"):
        variant("Face2Bone", "li2026:smoke", [])
    with pytest.raises(ValueError, match="-FSB: no such variant; there are Face2Bone, -FSA"):
        variant("-FSB", SMOKE, [])


def test_one_command_trains_them_names_what_failed_and_says_what_makes_the_table(tmp_path):
    pack = pack_faces(tmp_path / "faces")
    words = [
        *(SMOKE, f"paths.internal={pack}", f"paths.runs={tmp_path / 'runs'}"),
        *("model.face.widths=[8,8,16,32]", "model.face.heads=[1,1,2,4]"),
        *("model.face.hilo_heads=[2,2,4,4]", "input.size=48", "image.batch=12", "image.epochs=1"),
        *("compute.launcher=local", "track.wandb=disabled", "image.lr=1e-3"),
    ]
    said = CliRunner().invoke(app, [*words, "--only", "Face2Bone,-FSA,ViT"])
    assert said.exit_code == 0, said.output
    listed = tmp_path / "runs" / "variants.json"
    assert said.output.splitlines()[-1] == f"python -m eval variants {listed} --out ..."
    told = json.loads(listed.read_text())["runs"]
    assert list(told) == ["Face2Bone", "-FSA", "ViT"]
    runs = [listed.parent / name for name in told.values()]
    assert all((run / "cohorts" / "faces-test" / "predictions.parquet").is_file() for run in runs)
    # a picture of 44 pixels is none that patches of 16 divide
    said = CliRunner().invoke(app, [*words, "input.size=44", "--only", "ViT,-FSA"])
    assert said.exit_code == 1
    assert "1 of 2 failed: ViT" in said.output
