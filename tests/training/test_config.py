from __future__ import annotations

import pytest

from training.config import Config
from training.overrides import override
from training.recipes import RECIPES, recipe


def test_every_recipe_round_trips_through_its_yaml(tmp_path):
    for name in RECIPES:
        config = recipe(name)
        path = tmp_path / "config.yaml"
        path.write_text(config.to_yaml())
        assert Config.from_yaml(path) == config


def test_overrides_are_typed():
    config = override(recipe("ospenscreen:smoke"), ["teacher.lr=1e-4", "student.alpha=0"])
    assert config.teacher.lr == 1e-4
    assert config.student.alpha == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("student.temprature=2", "Did you mean student.temperature"),
        ("student.temperature", "section.key=value"),
        ("student.temperature=-1", "student.temperature"),
        ("pseudo.p_normal=0.4", "greater than 0.5"),
        ("teacher.select=first", "teacher.select"),
    ],
)
def test_a_wrong_override_is_refused_by_name(change, says):
    with pytest.raises(ValueError, match=says):
        override(recipe("ospenscreen:smoke"), [change])


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean ospenscreen"):
        recipe("ospenscren")


def test_identity_ignores_where_it_runs_and_nothing_else():
    config = recipe("ospenscreen:smoke")
    manifests = {"asan": "a" * 64}
    same = override(config, ["compute.workers=7", "track.wandb=online", "paths.runs=/elsewhere"])
    assert same.identity(manifests) == config.identity(manifests)
    for change in ("seed=1", "student.alpha=0.4", "input.size=96", "pseudo.p_lbm=0.8"):
        assert override(config, [change]).identity(manifests) != config.identity(manifests)
    assert config.identity({"asan": "b" * 64}) != config.identity(manifests)


def test_a_broken_yaml_names_the_file(tmp_path):
    path = tmp_path / "config.yaml"
    for text in ("", "recipe: x\nunknown: 1\n", "{{{", "!!python/object/apply:os.getcwd []"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"config\.yaml"):
            Config.from_yaml(path)
