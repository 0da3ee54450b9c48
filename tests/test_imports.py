"""The house's rules as tests: who may import whom, where libraries live, how long a file may be."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("data_sharding", "training", "eval", "tuning", "cluster")
FILES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))

#: folder -> folders it may import. A file or folder named here overrides the one it is in.
MAY = {
    "data_sharding": {"data_sharding"},
    "training": {"training", "data_sharding"},
    "eval": {"eval", "data_sharding.schema", "data_sharding.compiled"},
    "eval/faces/seen.py": {"eval", "data_sharding", "training"},
    "eval/pictures/evidence.py": {"eval", "training"},
    "eval/pictures/explain.py": {"eval", "data_sharding"},
    "eval/pictures/eyes.py": {"eval", "data_sharding", "training"},
    "eval/survival/loss.py": {"training.survival"},
    "eval/__main__.py": {"eval", "data_sharding.schema", "training"},
    "eval/dashboards": {
        *("eval", "training.tracking", "training.config", "data_sharding.pictures.vendors"),
    },
    "tuning": {"tuning", "training", "eval", "data_sharding"},
    "cluster": {"cluster"},
}
#: library -> the only files of a folder that may import it
ONLY_IN = {
    ("training", "ray"): {"on_ray.py"},
    ("training", "wandb"): {"wandb_run.py"},
    ("training", "deepspeed"): {"zero.py"},
    ("data_sharding", "torch"): set(),
    ("data_sharding", "ray"): {"on_ray.py"},
}


def imports(path: Path) -> set[str]:
    """Every module that `path` imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it goes"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, allowed: set[str]) -> bool:
    return any(module == a or module.startswith(a + ".") for a in allowed)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_the_way_the_design_draws_them(path):
    relative = path.relative_to(ROOT).as_posix()
    within_it = [p for p in MAY if relative == p or relative.startswith(p + "/")]
    allowed = MAY[max(within_it, key=len)]
    for module in imports(path):
        top = module.split(".")[0]
        assert top != "tests", f"{relative} imports the tests"
        if top in FOLDERS:
            assert within(module, allowed), f"{relative} may not import {module}"
        only = ONLY_IN.get((relative.split("/")[0], top))
        assert only is None or path.name in only, f"{top} is not for {relative}"


def test_a_wrong_arrow_would_be_seen(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("def f():\n    from training.loop import fit\n")
    assert imports(path) == {"training.loop.fit"}
    assert not within("training.loop.fit", MAY["data_sharding"])
    assert within("data_sharding.schema.Manifest", MAY["eval"])
    assert not within("data_sharding.reader.ShardDataset", MAY["eval"])


def test_files_are_short():
    lengths = sorted(len(p.read_text().splitlines()) for p in FILES)
    long = [str(p.relative_to(ROOT)) for p in FILES if len(p.read_text().splitlines()) > 350]
    assert not long, f"above 350 lines: {long}"
    assert lengths[len(lengths) // 2] <= 130
    assert lengths[int(len(lengths) * 0.9)] <= 260


def test_nothing_unpickles_and_nothing_loads_code_from_data():
    for path in FILES:
        text = path.read_text()
        if path.name == "inception_resnet_v1.py":
            # the one file of others' making that is no safetensors: tensors alone, no code
            text = text.replace('torch.load(path, map_location="cpu", weights_only=True)', "")
        for word in ("pickle.load", "torch.load(", "allow_pickle=True", "yaml.load(", 'eval("'):
            assert word not in text, f"{path}: {word}"


def test_what_is_installed_is_what_there_is():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {p.parent.relative_to(ROOT) for p in FILES if p.name == "__init__.py"}
    assert sorted(setup["packages"]) == sorted(f.as_posix().replace("/", ".") for f in folders)
    beside = {
        p for f in ("eval", "training", "data_sharding", "tuning") for p in (ROOT / f).rglob("*")
    }
    data = {p for p in beside if p.is_file() and p.suffix in {".j2", ".css", ".json"}}
    named = {
        p for f, globs in setup["package-data"].items() for g in globs for p in (ROOT / f).glob(g)
    }
    assert data <= named, sorted(str(p) for p in data - named)


def test_test_files_of_one_name_lie_in_packages_of_their_own():
    """Without these pytest refuses to collect two files called test_store.py."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [f"{f}/__init__.py" for f in folders if not (f / "__init__.py").exists()] == []
