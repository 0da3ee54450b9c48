"""Names at W&B, what is told of the settings, and who decides whether anything is told."""

from __future__ import annotations

import shutil

import pytest

from training.overrides import override
from training.recipes import recipe
from training.tracking.identity import born, identity_of, mode_of, public


@pytest.mark.parametrize(
    ("wanted", "environment", "mode", "said"),
    [
        ("offline", {}, "offline", ""),
        ("online", {"WANDB_MODE": "online"}, "online", ""),
        ("offline", {"WANDB_MODE": "online"}, "offline", ""),
        ("online", {"WANDB_MODE": "offline"}, "offline", "environment says offline"),
        ("online", {"WANDB_MODE": "dryrun"}, "offline", "environment says dryrun"),
        ("offline", {"WANDB_MODE": "Disabled"}, "disabled", "W&B is disabled"),
        ("online", {"WANDB_DISABLED": "true"}, "disabled", "W&B is disabled"),
        ("online", {"WANDB_DISABLED": "false"}, "online", ""),
        ("disabled", {"WANDB_MODE": "online"}, "disabled", ""),
        ("online", {"WANDB_MODE": "shared"}, "online", "WANDB_MODE=shared is unknown"),
    ],
)
def test_the_more_private_of_setting_and_environment_wins(wanted, environment, mode, said):
    got, line = mode_of(wanted, environment)
    assert got == mode
    assert said in line
    assert bool(line) == bool(said)


def test_a_run_keeps_its_name_and_a_fresh_one_gets_another(made):
    folder, config = made()
    first = identity_of(folder, "teacher", config)
    link = folder.with_name("latest")
    link.symlink_to(folder.name)
    assert identity_of(link, "teacher", config) == first
    assert born(folder) in first.id
    assert identity_of(folder, "student", config).id != first.id
    shutil.rmtree(folder)  # what --fresh does
    folder.mkdir()
    assert identity_of(folder, "teacher", config).id != first.id


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"born": 7}', b'{"born": "../x"}', b"\xff"])
def test_a_torn_file_is_made_anew(made, torn):
    folder, _ = made()
    (folder / "tracking.json").write_bytes(torn)
    assert len(born(folder)) == 8
    assert born(folder) == born(folder)


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("teacher", "teacher"), ("student-2", "student"), ("round-2/student", "student")],
)
def test_job_types_and_groups(made, stage, kind):
    folder, config = made()
    identity = identity_of(folder, stage, config)
    assert (identity.job_type, identity.group) == (kind, folder.name)
    assert "/" not in identity.id
    grouped = override(config, ["track.group=masks"])
    assert identity_of(folder, stage, grouped).group == "masks"


def test_settings_are_told_without_paths():
    config = override(recipe("ospenscreen:smoke"), ["student.teachers=[/home/alice/weights]"])
    told = public(config.model_dump(mode="json", exclude={"paths"}))
    assert told["student"]["teachers"] == ["(not told)"]
    assert told["teacher"]["lr"] == config.teacher.lr


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        ("convnext_small.in12k_ft_in1k", True),
        ("low bone mass", True),
        ("bf16", True),
        ("ospenscreen:smoke", True),
        (0.5, True),
        (None, True),
        ("weights/of/doe", False),
        ("doe.safetensors", False),
        ("C:\\doe", False),
        ("\\\\nas\\doe", False),
        ("/doe", False),
        ("~/doe", False),
        ("s3://doe/x", False),
        ("a sentence that somebody wrote about a patient of theirs", False),
        ("x" * 65, False),
    ],
)
def test_settings_leave_as_words_and_numbers(value, leaves):
    assert public({"a": [value]}) == {"a": [value if leaves else "(not told)"]}
