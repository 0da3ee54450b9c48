"""A sweep whose driver is killed is the sweep that it would have been."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import pack_pictures
from tests.tuning.drivers import Driver, begun, told, unsure
from tuning.sweep import Sweep

#: As measured once: 12 trials, killed at 3, 6 and 9; here as many as a test may take.
TRIALS, KILLS = 5, (1, 3)


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
