from __future__ import annotations

import optuna
import pytest

from training.overrides import override
from training.recipes import RECIPES, recipe
from tuning.spaces import as_overrides, own_values, setting, space_of

optuna.logging.set_verbosity(optuna.logging.WARNING)


def draws(config, fixed=(), n=200, first=None):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    if first is not None:
        study.enqueue_trial(first)
    space = space_of(config.recipe)
    return [space(study.ask(), config, fixed) for _ in range(n)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_draw_is_a_setting_that_the_recipe_accepts(name):
    config = recipe(name)
    for values in draws(config):
        made = override(config, as_overrides(values))
        for key, value in values.items():
            assert setting(made, key) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.filterwarnings("error")  # Optuna warns of a value outside its range, and uses it
def test_the_first_trial_is_the_recipe_itself(name):
    config = recipe(name)
    (values,) = draws(config, n=1, first=own_values(config))
    assert override(config, as_overrides(values)) == config


@pytest.mark.filterwarnings("error")
def test_a_recipe_outside_the_usual_ranges_is_still_the_first_trial():
    config = override(
        recipe("ospenscreen"),
        ["student.temperature=25", "student.weight_decay=0", "pseudo.p_normal=1"],
    )
    (values,) = draws(config, n=1, first=own_values(config))
    assert values["student.temperature"] == 25
    assert values["student.weight_decay"] == 0
    assert values["pseudo.p_normal"] == 1


def test_what_the_user_fixed_is_not_drawn():
    config = recipe("ospenscreen:smoke")
    assert "student.lr" in draws(config, n=1)[0]
    assert "student.lr" not in draws(config, {"student.lr"}, n=1)[0]


def test_settings_without_effect_are_not_drawn():
    alone = override(recipe("ospenscreen:smoke"), ["pseudo.enabled=false", "student.alpha=0"])
    values = draws(alone, {"pseudo.enabled", "student.alpha"}, n=1)[0]
    assert set(values) == {
        f"{stage}.{key}" for stage in ("teacher", "student") for key in ("lr", "weight_decay")
    }
    share = override(recipe("ospenscreen:smoke"), ["student.proxy_share=0"])
    assert "pseudo.p_lbm" not in draws(share, {"student.proxy_share"}, n=1)[0]


def test_a_recipe_without_a_space_is_refused():
    with pytest.raises(ValueError, match="write another in tuning/spaces"):
        space_of("nobodys:smoke")
