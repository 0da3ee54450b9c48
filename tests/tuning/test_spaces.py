from __future__ import annotations

import optuna
import pytest

from training.overrides import override
from training.recipes import RECIPES, recipe
from tuning.cost import multiply_adds
from tuning.dimensions import setting
from tuning.spaces import SPACES, as_overrides, own_values, space_of

optuna.logging.set_verbosity(optuna.logging.WARNING)
OF_RECIPES = [(name, name.partition(":")[0]) for name in RECIPES]
OTHERS = [(name, space) for name in RECIPES for space in ("network", "everything")]
EVERY = OF_RECIPES + OTHERS + [(n, "student") for n in RECIPES if n.startswith("ospenscreen")]


def draws(config, fixed=(), n=40, first=None, space=None):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    if first is not None:
        study.enqueue_trial(first)
    made = space_of(space or config.recipe)
    return [made(study.ask(), config, fixed) for _ in range(n)]


def names(config, **how):
    """What is drawn in some trial."""
    return set().union(*(set(values) for values in draws(config, **how)))


@pytest.mark.parametrize(("name", "space"), EVERY)
@pytest.mark.filterwarnings("error")  # Optuna warns of a value outside its range, and uses it
def test_every_draw_is_a_setting_that_the_recipe_accepts(name, space):
    config = recipe(name)
    for values in draws(config, space=space):
        made = override(config, as_overrides(values))
        for key, value in values.items():
            same = value if isinstance(value, str) else pytest.approx(value, rel=1e-3)
            assert setting(made, key) == same


@pytest.mark.parametrize(("name", "space"), EVERY)
@pytest.mark.filterwarnings("error")
def test_the_first_trial_is_the_recipe_itself(name, space):
    config = recipe(name)
    (values,) = draws(config, n=1, first=own_values(config), space=space)
    assert values
    assert override(config, as_overrides(values)) == config


@pytest.mark.filterwarnings("error")
def test_a_recipe_outside_the_usual_ranges_is_still_the_first_trial():
    config = override(
        recipe("ospenscreen"),
        [
            *("student.temperature=25", "student.weight_decay=0", "pseudo.p_normal=1"),
            *("student.alpha=0.33", "student.proxy_share=0.3", "student.layer_decay=0.2"),
            *("input.size=200", "model.name=vit_small_patch16_224", "model.drop_path=0.7"),
        ],
    )
    (values,) = draws(config, n=1, first=own_values(config), space="everything")
    assert override(config, as_overrides(values)) == config
    assert values["student.temperature"] == 25
    assert values["student.weight_decay"] == 0
    assert values["pseudo.p_normal"] == 1
    assert values["input.size"] == 200
    for drawn in draws(config, n=20, space="everything"):
        override(config, as_overrides(drawn))


@pytest.mark.parametrize("space", ["ospenscreen", "everything"])
def test_what_the_user_fixed_is_not_drawn(space):
    config = recipe("ospenscreen")
    every = names(config, space=space)
    for name in every:
        assert name not in names(config, fixed={name}, n=5, space=space)
    assert not names(config, fixed=every, n=5, space=space)


def test_settings_without_effect_are_not_drawn():
    alone = override(recipe("ospenscreen:smoke"), ["pseudo.enabled=false", "student.alpha=0"])
    values = draws(alone, {"pseudo.enabled", "student.alpha"}, n=1)[0]
    assert set(values) == {"student.strength"} | {
        f"{stage}.{key}" for stage in ("teacher", "student") for key in ("lr", "weight_decay")
    }
    share = override(recipe("ospenscreen:smoke"), ["student.proxy_share=0"])
    assert "pseudo.p_lbm" not in draws(share, {"student.proxy_share"}, n=1)[0]
    chosen = override(recipe("ospenscreen:smoke"), ["pseudo.target_precision_lbm=0.9"])
    assert {"pseudo.p_normal", "student.proxy_share"} <= names(chosen)
    assert "pseudo.p_lbm" not in names(chosen)
    weak = override(recipe("ospenscreen:smoke"), ["student.augment=weak"])
    assert "student.strength" not in names(weak)
    without = override(recipe("ospenscreen:smoke"), ["paths.public=null"])
    assert not {"student.proxy_share", "pseudo.p_normal"} & names(without)


def test_conditional_parameters_come_and_go_with_what_they_depend_on():
    found = draws(recipe("ospenscreen"), n=200)
    assert len({frozenset(values) for values in found}) == 4
    for values in found:
        assert ("student.temperature" in values) == (values["student.alpha"] > 0)
        assert ("pseudo.p_normal" in values) == (values["student.proxy_share"] > 0)
        assert ("pseudo.p_lbm" in values) == (values["student.proxy_share"] > 0)


@pytest.mark.parametrize("name", RECIPES)
def test_layers_decay_where_a_network_of_layers_begins_learnt(name):
    layered = not name.endswith(":smoke") and not name.startswith(("li2026", "face2bone"))
    found = {n.partition(".")[2] for n in names(recipe(name), n=1)}
    assert ("layer_decay" in found) == layered


def test_a_students_trials_share_one_teacher():
    config = recipe("ospenscreen")
    teachers = set()
    for values in draws(config, space="student"):
        assert all(name.startswith(("student.", "pseudo.")) for name in values)
        made = override(config, as_overrides(values))
        teachers.add((made.teacher, made.model, made.input))
    assert len(teachers) == 1
    assert names(config) - names(config, space="student") == {
        f"teacher.{key}" for key in ("lr", "weight_decay", "layer_decay")
    }


def test_weights_of_a_file_are_of_one_network():
    own = ["model.pretrained=/w.safetensors", "model.sha256=0"]
    config = override(recipe("osteoporosis"), own)
    assert not {"model.name", "model.drop_path"} & names(config, space="network")
    assert "image.layer_decay" in names(config, space="network")


@pytest.mark.parametrize("name", ["osteoporosis:smoke", "li2026:smoke", "face2bone:smoke"])
def test_every_network_that_can_be_drawn_takes_its_pictures(name):
    """Laid out without numbers; what it costs is what the sweep may trade."""
    config, costs = recipe(name), {}
    for values in draws(config, space="network", n=30):
        made = override(config, as_overrides(values))
        what = made.model.name, made.input.size, made.model.grid and made.model.grid.tile
        costs[what] = costs.get(what) or multiply_adds(made)
    assert min(costs.values()) > 0
    assert len(set(costs.values())) == len(costs)


def test_another_modality_that_teaches_is_listened_to_more_or_less(tmp_path):
    config = override(recipe("face2bone:smoke"), [f"crossmodal.run={tmp_path}"])
    assert {"crossmodal.alpha", "crossmodal.temperature"} <= names(config)
    assert not {"crossmodal.alpha"} & names(recipe("face2bone:smoke"))
    assert min(values["crossmodal.alpha"] for values in draws(config)) > 0
    (values,) = draws(config, n=1, first=own_values(config))
    assert override(config, as_overrides(values)) == config


def test_a_space_that_is_not_there_or_not_for_this_recipe_is_refused():
    with pytest.raises(ValueError, match=r"Did you mean student\?.*write another in tuning/spaces"):
        space_of("studnet")
    for name, space in (("li2026", "student"), ("ospenscreen", "face2bone")):
        with pytest.raises(ValueError, match="leave out --space"):
            draws(recipe(name), n=1, space=space)
    assert {name.partition(":")[0] for name in RECIPES} < set(SPACES)


def test_overrides_are_texts_that_say_the_same_again():
    values = {"a": 0.1 + 0.2, "b": True, "c": 96, "d": "convnext_tiny.fb_in1k", "e": 1.23456e-05}
    assert as_overrides(values) == [
        *("a=0.3", "b=true", "c=96", "d=convnext_tiny.fb_in1k", "e=1.235e-05")
    ]
