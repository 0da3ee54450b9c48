"""A run's folder; and on a real Ray cluster: a job stopped, submitted again, a worker killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from data_sharding.schema import sha256_file
from tests.training.conftest import as_overrides
from tests.training.processes import (
    ENVIRONMENT,
    WEIGHTS,
    checkpoints_of,
    command,
    epochs_of,
    torchrun,
    wait_for,
)
from training.folder import complete, prepare


def test_a_changed_setting_makes_a_new_run_and_is_named(tiny, capsys):
    first = prepare(tiny())
    assert "a new run" not in capsys.readouterr().out
    assert prepare(tiny("compute.workers=7", "track.wandb=offline")) == first
    assert "a new run" not in capsys.readouterr().out
    second = prepare(tiny("student.lr=0.123", "student.epochs=9"))
    assert second != first
    said = capsys.readouterr().out
    lr = tiny().student.lr
    assert f"a new run: differs from {first.name} in" in said
    assert f"student.lr ({lr} -> 0.123)" in said
    assert "student.epochs (2 -> 9)" in said
    assert prepare(tiny()) == first
    assert "a new run" not in capsys.readouterr().out


def test_other_data_makes_a_new_run_and_is_named(tiny, tmp_path, capsys):
    from tests.conftest import pack_pictures

    first = prepare(tiny())
    other = pack_pictures(tmp_path / "other", "open", "public", {"public": 12}, seed=9)
    assert prepare(tiny(f"paths.public={other}")) != first
    said = capsys.readouterr().out
    assert f"differs from {first.name} in the dataset open\n" in said


@pytest.mark.parametrize("text", ["", '{"identity": ', "[]", "\0"])
def test_a_torn_run_json_is_an_error_with_a_fix(tiny, text):
    folder = prepare(tiny())
    (folder / "run.json").write_text(text)
    for use in (lambda: prepare(tiny()), lambda: complete(folder)):
        with pytest.raises(ValueError, match=r"run\.json: torn or edited.*remove this file"):
            use()
    prepare(tiny("student.lr=0.123"))  # of no interest to another run
    (folder / "run.json").unlink()
    assert prepare(tiny()) == folder


def test_a_folder_edited_by_hand_is_refused(tiny):
    folder = prepare(tiny())
    path = folder / "config.yaml"
    good = path.read_text()
    path.write_text(good.replace("temperature: 4.0", "temperature: 2.0"))
    with pytest.raises(ValueError, match=r"config\.yaml: edited.*student\.temperature \(2\.0 -> 4"):
        prepare(tiny())
    path.write_text("recipe: [")
    with pytest.raises(ValueError, match="not a run's config"):
        prepare(tiny())
    path.write_text(good)

    path = folder / "run.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"identity": "0" * 64}))
    with pytest.raises(ValueError, match=r"run\.json: of another run \(0000"):
        prepare(tiny())
    facts["manifests"]["open"]["hash"] = "1" * 64
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="names another dataset open"):
        prepare(tiny())
    assert prepare(tiny(), fresh=True) == folder
    assert prepare(tiny()) == folder


def job(*arguments: str) -> list[str]:
    """``ray job submit`` from this checkout."""
    return ["ray", "job", "submit", "--working-dir", str(Path(__file__).parents[2]), *arguments]


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_stopped_submitted_again_and_a_worker_killed_a_job_ends_as_a_calm_run(
    nodes, tiny, tmp_path
):
    epochs = 60
    on_ray = ("compute.launcher=ray", "compute.workers=2", "compute.checkpoint_s=600")
    config = tiny(f"teacher.epochs={epochs}", f"paths.runs={tmp_path / 'ray'}", *on_ray)
    folder = prepare(config)
    entry = ["--", "python", "-m", "training", "ospenscreen:smoke", *as_overrides(config)]

    submit = job("--no-wait", "--submission-id", "first", *entry)
    subprocess.run(submit, env=nodes.dashboard, check=True, capture_output=True, timeout=100)
    wait_for(lambda: epochs_of(folder) >= 2, 150)
    stop = ["ray", "job", "stop", "first"]
    subprocess.run(stop, env=nodes.dashboard, check=True, capture_output=True, timeout=60)
    wait_for(lambda: not nodes.workers(), 30)
    stopped_at = epochs_of(folder)
    assert 2 <= stopped_at < epochs
    # Not the last epoch's: the one of the moment in which it was asked to stop.
    assert int(checkpoints_of(folder)[-1].name[5:]) >= 3 * stopped_at

    again = subprocess.Popen(
        job(*entry), env=nodes.dashboard, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_for(lambda: epochs_of(folder) >= stopped_at + 2, 150)
    killed_at = epochs_of(folder)
    os.kill(nodes.workers()[-1], signal.SIGKILL)
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0, said[-5000:].decode()
    assert killed_at < epochs
    assert complete(folder)
    assert b"\r" not in said  # bytes: as text, carriage returns would be made newlines
    # Both nodes have one address here, and each sends the workers' lines.
    assert len(set(re.findall(rb"teacher: resuming at step (\d+)", said))) == 2
    assert b"student: epoch 2" in said
    records = [json.loads(x) for x in (folder / "teacher/metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == list(range(1, epochs + 1))
    assert not (folder / "ray").exists()

    undisturbed = tiny(f"teacher.epochs={epochs}", f"paths.runs={tmp_path / 'torchrun'}")
    calm = prepare(undisturbed)
    run = command(undisturbed, *torchrun(2))
    subprocess.run(run, env=ENVIRONMENT, check=True, capture_output=True, timeout=200)
    for path in WEIGHTS:
        assert sha256_file(folder / path) == sha256_file(calm / path)
