"""Sweeps on Ray: side by side, killed in every way, and trials that need the whole machine."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from data_sharding.private import only_one
from tests.training.nodes import descendants, each
from tests.training.processes import ended, wait_for
from tests.tuning.drivers import Driver, told
from training.interrupt import EXIT_CODE
from tuning import on_tune
from tuning.sweep import Sweep

#: A machine of two CPUs, whatever machine this is.
MACHINE = {"RAY_OVERRIDE_RESOURCES": '{"CPU": 2}', "RAY_USAGE_STATS_ENABLED": "0"}
BEGUN, SETTLED = r"  trial (\d+)( again[^:]*)?: \S+=", r"  trial (\d+): (auroc|stopped|failed)"


def numbers(driver: Driver, pattern: str) -> list[int]:
    return [int(m[1]) for line in driver.lines if (m := re.search(pattern, line))]


@pytest.mark.ray
@pytest.mark.timeout(1200)
def test_kills_of_a_trial_and_of_the_cluster_cost_time_alone(changes):
    trials = 5
    changes = [*changes, "teacher.epochs=2", "student.epochs=3"]
    words = ["ospenscreen:smoke", "--trials", f"{trials}", "--concurrent", "2", *changes]
    sweep = Sweep.of("ospenscreen:smoke", changes, concurrent=2)
    with Driver(*words, **MACHINE) as driver:
        # Two at a time: each begins before either has ended.
        driver.until(BEGUN, 400)
        second = driver.until(BEGUN)
        assert not numbers(driver, SETTLED)
        assert sorted(numbers(driver, BEGUN)) == [0, 1], driver.lines
        # The process of a trial is killed; the others go on without it.
        killed = re.search(BEGUN, second)
        assert killed
        claim = sweep.folder / "claims" / f"{killed[1]}.lock"
        os.kill(int(claim.read_text().split()[1]), signal.SIGKILL)
        driver.until(f"trial {killed[1]}: its process was lost")
        driver.until(SETTLED)
        # The whole cluster, and the driver with it.
        cluster = descendants(driver.process.pid)
        assert len(cluster) > 5
        driver.kill()
        each(cluster, signal.SIGKILL)
    wait_for(lambda: all(map(ended, cluster)), 20)
    before = {t["slot"]: t for t in told(sweep)}
    assert {"RUNNING"} < {t["state"] for t in before.values()}

    with Driver(*words, **MACHINE) as driver:
        driver.until(BEGUN, 400)
        driver.process.terminate()
        assert driver.end(400) == EXIT_CODE, "\n".join(driver.lines)
        assert "the same command goes on" in driver.lines[-1]

    with Driver(*words, **MACHINE) as driver:
        assert driver.end(500) == 0, "\n".join(driver.lines)
        output = "\n".join(driver.lines)
        assert "Trial status" not in output  # Tune's table
        assert "Traceback" not in output
        assert len(set(numbers(driver, SETTLED))) == len(numbers(driver, SETTLED))
    assert_whole(sweep, trials)
    after = {t["slot"]: t for t in told(sweep)}
    for slot, trial in before.items():  # the same trials: what was drawn and reported stands
        assert after[slot]["number"] == trial["number"]
        assert after[slot]["params"] == trial["params"]
        assert after[slot]["reports"].items() >= trial["reports"].items()
    assert not list((sweep.folder / "ray").iterdir())


def assert_whole(sweep: Sweep, trials: int) -> None:
    """No trial is lost or doubled, and none has trained a step twice that stands."""
    found = told(sweep)
    assert [t["slot"] for t in found] == list(range(trials))
    assert sorted(t["number"] for t in found) == list(range(trials))
    assert {t["state"] for t in found} <= {"COMPLETE", "PRUNED"}, found
    assert len({t["run"] for t in found}) == trials
    for trial in found:
        for stage in ("teacher", "student"):
            path = sweep.folder / trial["run"] / stage / "metrics.jsonl"
            lines = path.read_text().splitlines() if path.exists() else []
            steps = [json.loads(line)["step"] for line in lines]
            assert steps == sorted(set(steps))


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_trials_of_two_workers_each_do_not_lock_a_machine_of_two_cpus(changes):
    words = [*changes, "compute.launcher=ray", "compute.workers=2"]
    with Driver(
        *("ospenscreen:smoke", "--trials", "2", "--concurrent", "2", *words), **MACHINE
    ) as driver:
        assert driver.end(500) == 0, "\n".join(driver.lines)
        assert any("1 of 2 trials at a time, the others wait" in line for line in driver.lines)
    sweep = Sweep.of("ospenscreen:smoke", words, concurrent=2)
    assert_whole(sweep, 2)
    logs = "".join(path.read_text() for path in (sweep.folder / "logs").iterdir())
    assert logs.count("2 worker(s) on cpu") == 2 * 2  # teachers and students


def test_a_killed_drivers_trials_are_told_to_stop_and_a_live_ones_are_not(changes):
    sweep = Sweep.of("ospenscreen:smoke", changes)
    launches = sweep.folder / "ray"
    for name in ("launch-1", "launch-2"):
        (launches / name).mkdir(parents=True)
        (launches / name / "go").touch()
    left, others = (on_tune._Gone(launches / name / "go") for name in ("launch-1", "launch-2"))
    with only_one(launches / "launch-2"):
        with on_tune._place(sweep) as place:
            ours = on_tune._Gone(place / "go")
            assert [left(), others(), ours()] == [True, False, False]
            (place / "go").unlink()
            wait_for(ours, 2)
        assert [path.name for path in launches.iterdir()] == ["launch-2"]


def test_what_a_process_says_while_it_is_lost_is_said_once(tmp_path, capsys):
    path = tmp_path / "said-0"
    seen = on_tune._Seen([on_tune.Tail(path)])
    seen.say()
    for text, said in (("one\ntw", "one\n"), ("o\n", "two\n"), ("", "")):
        with path.open("a") as f:
            f.write(text)
        seen.say()
        assert capsys.readouterr().out == said
