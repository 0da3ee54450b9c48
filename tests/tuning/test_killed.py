"""A sweep whose driver is killed is the sweep that it would have been."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from data_sharding.private import only_one
from tests.conftest import pack_pictures
from tests.tuning.drivers import Driver, begun, told, unsure
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


@pytest.mark.timeout(900)  # ten processes that import torch
def test_killed_it_is_the_same_sweep(packed, tmp_path):
    same(packed, tmp_path, TRIALS, KILLS)


def same(packed: dict[str, Path], tmp_path: Path, trials: int, kills: tuple[int, ...]) -> None:
    """Run a sweep to its end, and another that is killed at some trials; compare them."""
    runs = {how: changes(packed, tmp_path / how) for how in ("calm", "killed")}
    words = ["ospenscreen:smoke", "--trials", str(trials)]
    with Driver(*words, *runs["calm"]) as driver:
        assert driver.end() == 0, "\n".join(driver.lines)
        assert begun(driver) == list(range(trials))
    starts: Counter[int] = Counter()
    for kill in (*kills, None):
        with Driver(*words, *runs["killed"]) as driver:
            if kill is None:
                assert driver.end() == 0, "\n".join(driver.lines)
            else:
                driver.until(rf"  trial {kill}: ")
                driver.until("(teacher|student): epoch 2")
                driver.kill(with_children=kill == kills[1])
            starts.update(begun(driver))
    sweeps = {how: Sweep.of("ospenscreen:smoke", runs[how]) for how in runs}
    calm, killed = (told(sweep) for sweep in sweeps.values())
    assert killed == calm
    assert len({t["run"] for t in calm}) == trials
    assert {t["state"] for t in calm} == {"COMPLETE", "PRUNED"}
    # none is begun twice but those that were at work when the driver was killed
    assert starts == {n: 2 if n in kills else 1 for n in range(trials)}
    for trial in calm:
        steps = {
            how: [
                json.loads(line)["step"]
                for line in (sweep.folder / trial["run"] / "teacher" / "metrics.jsonl")
                .read_text()
                .splitlines()
            ]
            for how, sweep in sweeps.items()
        }
        assert steps["calm"] == steps["killed"] == [3, 6]


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
    assert sorted(begun(one) + begun(other)) == list(range(8))
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
