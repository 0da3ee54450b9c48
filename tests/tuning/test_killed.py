"""A sweep whose driver is killed is the sweep that it would have been."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from data_sharding.private import only_one
from tests.conftest import pack_pictures
from tests.training.tracking.logs import logged
from tests.tuning.drivers import Driver, begun, told, unsure
from training.tracking.records import in_a_row
from tuning.search import search
from tuning.sweep import Sweep

#: As measured once: 12 trials, killed at 3, 6 and 9; here as many as a test may take.
TRIALS, KILLS = 4, (1, 2)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    root = tmp_path_factory.mktemp("unsure")
    splits = {"train": 45, "tune": 20, "test": 20}
    return {
        "internal": unsure(pack_pictures(root / "here", "here", "internal", splits)),
        "public": pack_pictures(root / "open", "open", "public", {"public": 30}, seed=2),
    }


def changes(packed: dict[str, Path], runs: Path, *more: str) -> list[str]:
    return [
        *(f"paths.internal={packed['internal']}", f"paths.public={packed['public']}"),
        *("paths.external=[]", f"paths.runs={runs}", "input.size=48", "track.wandb=disabled"),
        *("teacher.epochs=2", "student.epochs=3", "teacher.batch=16", "student.batch=16"),
        *more,
    ]


def recorded(run: Path) -> list[int]:
    """Steps of a teacher and then of its student, of all epochs that are in the records."""
    return [record["step"] for _, record in in_a_row(run, ("teacher", "student"))]


@pytest.mark.timeout(900)  # two drivers that import torch, and what they start
def test_killed_it_is_the_same_sweep(packed, tmp_path, capfd):
    sweeps = {
        how: Sweep.of("ospenscreen:smoke", changes(packed, tmp_path / how, "track.wandb=offline"))
        for how in ("calm", "killed")
    }
    search(sweeps["calm"], TRIALS)
    assert begun(capfd.readouterr().out) == list(range(TRIALS))
    starts: Counter[int] = Counter()
    for kill in KILLS:
        words = ["ospenscreen:smoke", "--trials", str(TRIALS), *sweeps["killed"].changes]
        with Driver(*words) as driver:
            driver.until(rf"  trial {kill}: ")
            driver.until("(teacher|student): epoch 2")
            driver.kill(with_children=kill == KILLS[1])
            starts.update(begun("\n".join(driver.lines)))
    search(sweeps["killed"], TRIALS)
    starts.update(begun(capfd.readouterr().out))
    calm, killed = (told(sweep) for sweep in sweeps.values())
    assert killed == calm
    assert len({t["run"] for t in calm}) == TRIALS
    assert {t["state"] for t in calm} == {"COMPLETE", "PRUNED"}
    # none is begun twice but those that were at work when the driver was killed
    assert starts == {n: 2 if n in KILLS else 1 for n in range(TRIALS)}
    for trial in calm:
        for sweep in sweeps.values():
            path = sweep.folder / trial["run"] / "teacher" / "metrics.jsonl"
            steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
            (log,) = (sweep.folder / trial["run"]).glob("wandb/offline-run-*/*.wandb")
            tracked = logged(log)  # one W&B run a trial, and each of its steps once
            assert [h["_step"] for h in tracked.history] == recorded(sweep.folder / trial["run"])
            assert tracked.summary["trial/pruned"] == int(trial["state"] == "PRUNED")
            # no epoch twice; one that was stopped early may have come further before it heard
            assert steps in ([3, 6], [3])
            assert max(steps) >= min(6, trial.get("pruned_at", 6))


def test_two_drivers_on_one_journal_lose_nothing_and_do_nothing_twice(packed, tmp_path):
    words = ["ospenscreen:smoke", "--trials", "8", *changes(packed, tmp_path / "runs")]
    with (
        Driver(*words, module="tests.tuning.pretending") as one,
        Driver(*words, module="tests.tuning.pretending") as other,
    ):
        assert one.end() == 0, "\n".join(one.lines)
        assert other.end() == 0, "\n".join(other.lines)
    sweep = Sweep.of("ospenscreen:smoke", words[3:])
    trials = told(sweep)
    assert [t["slot"] for t in trials] == list(range(8))
    assert sorted(t["number"] for t in trials) == list(range(8))
    assert {t["state"] for t in trials} <= {"COMPLETE", "PRUNED"}
    assert sorted(begun("\n".join(one.lines + other.lines))) == list(range(8))
    runs = (sweep.folder / "begun.txt").read_text().split()
    assert sorted(runs) == sorted(t["run"] for t in trials)


def test_a_child_whose_driver_is_gone_writes_a_checkpoint_and_ends(packed, tmp_path):
    words = ["ospenscreen:smoke", *changes(packed, tmp_path / "runs", "teacher.epochs=5000")]
    with Driver(*words, "--trials", "1", "--pruner", "none") as driver:
        driver.until("teacher: epoch 3")
        driver.kill()
        said = driver.rest(60)  # until nobody holds the other end
    sweep = Sweep.of("ospenscreen:smoke", words[1:], pruner="none")
    (trial,) = told(sweep)
    assert trial["state"] == "RUNNING"
    run = sweep.folder / trial["run"]
    assert list((run / "teacher" / "checkpoints").iterdir()), "\n".join(said)
    with only_one(run):
        pass
