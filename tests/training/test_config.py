from __future__ import annotations

from pathlib import Path

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


def test_a_text_stays_the_text_that_was_given():
    for text in ("2024", "nan", "1_000", "2024-01-01", "yes"):
        changes = [f"track.group={text}", f"model.name={text}", f"paths.runs=/{text}", "seed=7"]
        config = override(recipe("ospenscreen:smoke"), changes)
        assert (config.track.group, config.model.name, config.seed) == (text, text, 7)
    config = override(recipe("ospenscreen:smoke"), ["paths.runs=2024", "paths.internal=1e3"])
    assert (config.paths.runs.name, Path(config.paths.internal).name) == ("2024", "1e3")
    for change in ("model.name=null", "model.name=[2024]", "paths.external=2024", "seed=1.5"):
        with pytest.raises(ValueError, match=change.partition("=")[0]):
            override(recipe("ospenscreen:smoke"), [change])


@pytest.mark.parametrize(
    "changes",
    [
        ("compute.min_workers=9",),
        ("student.teacher=ema", "compute.strategy=zero3"),
        ("compute.offload=true",),
    ],
)
def test_settings_at_odds_are_told_in_one_short_line(changes):
    with pytest.raises(ValueError, match=r"compute\.|offload") as said:
        override(recipe("ospenscreen:smoke"), changes)
    assert "got" not in str(said.value)
    assert "Value error" not in str(said.value)
    assert len(str(said.value)) < 200


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
