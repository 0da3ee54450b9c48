"""A clinical model's two files: saved, loaded, damaged, and written by somebody hostile."""

import json
from hashlib import sha256

import pytest

from eval.clinical.model import fit_clinical, load
from tests.eval.clinical_cases import made


@pytest.fixture(scope="module")
def model():
    return fit_clinical(made(700, 0))


def test_saved_and_loaded_it_says_the_same(tmp_path, model):
    model.save(tmp_path)
    assert load(tmp_path) == model
    strangers = made(50, 3)
    assert (load(tmp_path).predict(strangers) == model.predict(strangers)).all()
    first = (tmp_path / "model.json").read_bytes(), (tmp_path / "facts.json").read_bytes()
    model.save(tmp_path)
    assert first == ((tmp_path / "model.json").read_bytes(), (tmp_path / "facts.json").read_bytes())
    assert json.loads(first[0])["learner"]["objective"]["name"] == "binary:logistic"


def damage(folder, how):
    facts, trees = folder / "facts.json", folder / "model.json"
    said = json.loads(facts.read_text())
    if how == "no facts":
        facts.unlink()
    elif how == "no trees":
        trees.unlink()
    elif how == "torn":
        trees.write_bytes(trees.read_bytes()[:500])
    elif how == "other hash":
        facts.write_text(json.dumps(said | {"sha256": "0" * 64}))
    elif how == "other format":
        facts.write_text(json.dumps(said | {"format": "osteoray-clinical/9"}))
    elif how == "fewer features":
        facts.write_text(json.dumps(said | {"features": ["age"]}))
    elif how == "not trees":
        trees.write_text('{"learner": 3}')
        digest = sha256(trees.read_bytes()).hexdigest()
        facts.write_text(json.dumps(said | {"sha256": digest}))


@pytest.mark.parametrize(
    "how",
    ["no facts", "no trees", "torn", "other hash", "other format", "fewer features", "not trees"],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, model, how):
    model.save(tmp_path)
    damage(tmp_path, how)
    with pytest.raises(ValueError, match=r"facts\.json|model\.json") as e:
        load(tmp_path)
    assert str(tmp_path) in str(e.value)


def first(trees):
    return trees["learner"]["gradient_booster"]["model"]["trees"][0]


HOSTILE = {
    "a child out of range": lambda j: first(j)["left_children"].__setitem__(0, 10**6),
    "a child below zero": lambda j: first(j)["left_children"].__setitem__(0, -7),
    "its own child": lambda j: first(j)["left_children"].__setitem__(0, 0),
    "twins": lambda j: first(j)["left_children"].__setitem__(0, first(j)["right_children"][0]),
    "an orphan": lambda j: [
        first(j)[side].__setitem__(0, -1) for side in ("left_children", "right_children")
    ],
    "a feature too many": lambda j: first(j)["split_indices"].__setitem__(0, 10**6),
    "a short array": lambda j: first(j)["split_conditions"].pop(),
    "a missing array": lambda j: first(j).pop("split_indices"),
    "half a node": lambda j: first(j)["right_children"].__setitem__(0, 1.5),
    "a category": lambda j: first(j)["split_type"].__setitem__(0, 1),
    "another class": lambda j: j["learner"]["gradient_booster"]["model"]["tree_info"].__setitem__(
        0, 99
    ),
    "another booster": lambda j: j["learner"]["gradient_booster"].__setitem__("name", "gblinear"),
    "another objective": lambda j: j["learner"]["objective"].__setitem__(
        "name", "reg:squarederror"
    ),
    "more nodes": lambda j: first(j)["tree_param"].__setitem__("num_nodes", "99"),
    "no learner": lambda j: j.pop("learner"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_trees_are_refused_before_xgboost_follows_them(tmp_path, model, how):
    """XGBoost 3.2 dies of the first ones (segmentation fault)."""
    trees = json.loads(model.trees)
    HOSTILE[how](trees)
    text = json.dumps(trees).encode()
    model.save(tmp_path)
    (tmp_path / "model.json").write_bytes(text)
    facts = model.facts.model_dump(mode="json") | {"sha256": sha256(text).hexdigest()}
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"model\.json: ") as e:
        load(tmp_path)
    assert "\n" not in str(e.value)
