"""What is learnt of a pack's labels, and who is left out."""

from __future__ import annotations

import pandas as pd
import pytest

from data_sharding.labels.policies import POLICIES
from data_sharding.schema import Manifest
from training.target import CATEGORY, TARGETS, category


def packed(classes: tuple[str, ...], policy: str = "some/1") -> Manifest:
    return Manifest.model_construct(name="here", classes=classes, policy=policy)


def index(*labels: int | None) -> pd.DataFrame:
    return pd.DataFrame({"label": labels}, dtype=object)


THREE = ("normal", "osteopenia", "osteoporosis")


@pytest.mark.parametrize(
    ("target", "learnt"),
    [
        ("low bone mass", [0, 1, pd.NA, pd.NA]),
        ("osteoporosis", [0, 0, 1, pd.NA]),
        ("three classes", [0, 1, 2, pd.NA]),
    ],
)
def test_one_dataset_of_three_classes_serves_three_models(target, learnt):
    aim, made = TARGETS[target], packed(THREE)
    aim.check(made)
    found = aim.labels(made, index(0, 1, 2, None))
    assert found.dtype == "Int64"
    assert found.equals(pd.Series(learnt, dtype="Int64"))
    assert category(made, index(2, None, 0)).equals(pd.Series([2, pd.NA, 0], dtype="Int64"))


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        ("low bone mass", ("not osteoporosis", "osteoporosis")),
        ("osteoporosis", ("normal", "low bone mass")),
        ("three classes", ("normal", "low bone mass")),
        ("three classes", ()),
        ("osteoporosis", ("osteoporosis",)),
        ("low bone mass", ("normal", "low bone mass", "broken")),
    ],
)
def test_labels_that_do_not_tell_are_refused(target, classes):
    with pytest.raises(ValueError, match=r"here: labelled .* pack it with --policy \S+/\d$"):
        TARGETS[target].check(packed(classes))


@pytest.mark.parametrize("target", TARGETS)
def test_the_policy_that_is_recommended_serves(target):
    policy = POLICIES[TARGETS[target].policy]
    TARGETS[target].check(packed(policy.classes, policy.name))


def test_every_policy_serves_some_target_and_its_names_are_known():
    for policy in POLICIES.values():
        made = packed(policy.classes, policy.name)
        fits = 0
        for target in TARGETS.values():
            try:
                target.check(made)
            except ValueError:
                continue
            fits += 1
        assert fits or policy.name == "z-score/1", policy.name


def test_two_classes_tell_a_category_only_where_their_name_does():
    made = packed(("not osteoporosis", "osteoporosis"))
    assert category(made, index(0, 1)).equals(pd.Series([pd.NA, 2], dtype="Int64"))
    assert set(CATEGORY.values()) == {0, 1, 2}
