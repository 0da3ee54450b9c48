"""What differs between two runs' configurations and datasets."""

import json

from eval.runs import Run
from eval.variants.changed import changed, data, settings

CONFIG = """recipe: face2bone
seed: 42
model: {name: face2bone, fsa: true, head: kan}
image: {epochs: 150, lr: 0.001}
paths: {internal: /data/faces}
compute: {workers: 2}
track: {wandb: false}
"""


def run(folder, config=CONFIG, manifests=None):
    folder.mkdir()
    (folder / "config.yaml").write_text(config)
    if manifests is not None:
        named = {n: {"hash": h} for n, h in manifests.items()}
        (folder / "run.json").write_text(json.dumps({"manifests": named}))
    return Run.at(folder)


def test_only_what_decides_is_told(tmp_path):
    first = run(tmp_path / "a")
    other = CONFIG.replace("fsa: true", "fsa: false").replace("/data/faces", "/else/faces")
    other = other.replace("recipe: face2bone", "recipe: no_fsa").replace("workers: 2", "workers: 9")
    assert changed(first, run(tmp_path / "b", other)) == (("model.fsa", "True", "False"),)
    more = other.replace("seed: 42", "seed: 1").replace(", head: kan", "")
    assert changed(first, run(tmp_path / "c", more)) == (
        ("model.fsa", "True", "False"),
        ("model.head", "kan", ""),
        ("seed", "42", "1"),
    )
    assert changed(first, first) == ()


def test_broken_and_odd_files(tmp_path):
    first = run(tmp_path / "a")
    for i, text in enumerate(("", "[1, 2]", "a: [", "model: !!python/object:os.system {}", "x")):
        assert settings(run(tmp_path / f"b{i}", text)) == {}
    long = settings(
        run(tmp_path / "c", f"model: {{weights: /home/me/secret/w.bin, n: {'x' * 99}}}")
    )
    assert long["model.weights"] == "…/w.bin"
    assert len(long["model.n"]) == 60
    assert len(changed(first, Run.at(tmp_path / "b0"))) == 6


def test_data(tmp_path):
    first = run(tmp_path / "a", manifests={"faces": "h1", "north": "h2"})
    same = run(tmp_path / "b", manifests={"north": "h2", "faces": "h1"})
    assert data(first, same) == ""
    other = run(tmp_path / "c", manifests={"faces": "h9", "north": "h2"})
    assert data(first, other) == "made with other data: faces"
    assert "does not say" in data(first, run(tmp_path / "d"))
    assert data(run(tmp_path / "e"), run(tmp_path / "f")) == ""
