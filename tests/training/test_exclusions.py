"""Settings that exclude each other: one line each, from the command line and from a config.yaml."""

from __future__ import annotations

import pytest

from training.config import Config
from training.overrides import override
from training.recipes import recipe

SMOKE = recipe("ospenscreen:smoke")
ONLINE = "student.teacher_logits=online"
#: Settings at odds, and fixes that the line must name: each of them lets the rest through.
AT_ODDS = [
    (["student.features=0.5"], [ONLINE, "student.features=0"]),
    (["student.teacher=ema", "student.ema=0"], ["student.ema=0.9", "student.teacher=frozen"]),
    (["student.teacher=ema", "student.features=1", ONLINE], ["student.teacher=frozen"]),
    (["student.teacher=ema", "student.teachers=[/elsewhere]"], ["student.teacher=frozen"]),
    (["student.teacher=ema", "compute.strategy=zero3"], ["compute.strategy=zero2"]),
    (
        ["student.features=1", ONLINE, "compute.compile=true"],
        ["compute.compile=false", "student.features=0"],
    ),
    *[
        (
            ["compute.channels_last=true", f"compute.strategy=zero{n}"],
            ["compute.channels_last=false", "compute.strategy=ddp"],
        )
        for n in range(4)
    ],
    (["compute.min_workers=9"], ["compute.workers=9"]),
    (["compute.strategy=single", "compute.workers=2"], ["compute.workers=1"]),
    (["compute.offload=true"], ["compute.strategy=zero1"]),
    (["target=osteoporosis"], ["pseudo.enabled=false"]),
    (["teacher.strength=0.5"], ["teacher.strength=1", "teacher.augment=strong"]),
    (["predict=tune", "data.folds=2"], ["predict=all", "data.folds=1"]),
]


@pytest.mark.parametrize(("changes", "fixes"), AT_ODDS, ids=lambda x: " ".join(x))
def test_what_excludes_each_other_is_refused_with_a_fix_that_holds(changes, fixes):
    with pytest.raises(ValueError, match=r"\w") as e:
        override(SMOKE, changes)
    line = str(e.value)
    assert len(line) < 250, "what was given is not printed back as a whole"
    assert "\n" not in line
    assert "Value error" not in line
    for fix in fixes:
        name = fix.partition("=")[0]
        assert name in line or name.partition(".")[2] in line
        override(SMOKE, [*changes, fix])


@pytest.mark.parametrize("change", ["student.lr=0", "model.name=[1]", "student.features=-1"])
def test_one_bad_value_is_still_told_with_its_place(change):
    with pytest.raises(ValueError, match=change.partition("=")[0] + r": .*\(got "):
        override(SMOKE, [change])


def test_a_config_yaml_is_held_to_the_same(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(SMOKE.to_yaml().replace("features: 0.0", "features: 0.5"))
    with pytest.raises(ValueError, match="teacher_logits=online"):
        Config.from_yaml(path)
