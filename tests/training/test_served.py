"""What was served is put together from all ranks of all launches; the last time counts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.training.processes import WEIGHTS
from training.launch import launch, prepare
from training.served import assemble

Lines = list[tuple[int, int, list[str | None]]]


def write(stage: Path, begun: int, rank: int, size: int, lines: Lines, torn: str = "") -> None:
    (stage / "served").mkdir(parents=True, exist_ok=True)
    text = "".join(
        json.dumps({"epoch": e, "step": s, "rank": rank, "size": size, "keys": keys}) + "\n"
        for e, s, keys in lines
    )
    (stage / "served" / f"{begun}-rank{rank}of{size}.jsonl").write_text(text + torn)


def test_ranks_take_turns_and_padding_is_left_out(tmp_path):
    write(tmp_path, 5, 0, 2, [(0, 0, ["a", "c"]), (0, 1, ["e", "f"])])
    write(tmp_path, 5, 1, 2, [(0, 0, ["b", "d"]), (0, 1, [None, "g"])])
    assert assemble(tmp_path) == {(0, 0): ["a", "b", "c", "d"], (0, 1): ["e", "f", "g"]}


def test_a_step_done_again_counts_as_it_was_done_last(tmp_path):
    """A random history of launches against a slow count of who wrote what, when."""
    rng = random.Random(0)
    last: dict[tuple[int, int], list[str]] = {}
    at = 0
    for begun in range(20):
        size, first = rng.randint(1, 3), max(0, at - rng.randint(0, 5))
        ranks: list[Lines] = [[] for _ in range(size)]
        upto = first + rng.randint(0, 8)
        for n in range(first, upto):
            keys = [f"{begun}/{n}/{i}" for i in range(6)]
            for rank in range(size):
                ranks[rank].append((n // 4, n % 4, list(keys[rank::size])))
            last[n // 4, n % 4] = keys
        at = max(at, upto)
        for rank, lines in enumerate(ranks):
            ahead: Lines = [(upto // 4, upto % 4, ["never trained on"])] if rank else []
            write(tmp_path, begun, rank, size, lines + ahead, torn='{"epoch": 0, "st')
    assert assemble(tmp_path) == dict(sorted(last.items()))


def test_a_gap_is_no_training(tmp_path):
    write(tmp_path, 1, 0, 1, [(0, 0, ["a"]), (0, 1, ["b"]), (1, 1, ["c"])])
    with pytest.raises(ValueError, match=r"not served whole: \(1, 0\)"):
        assemble(tmp_path)


def test_nothing_served_is_nothing(tmp_path):
    assert assemble(tmp_path) == {}


def test_a_run_serves_each_sample_once_an_epoch(tiny):
    config = tiny("track.samples=true", "teacher.epochs=2")
    folder = prepare(config)
    launch(config, folder)
    assert all((folder / path).exists() for path in WEIGHTS)
    steps = assemble(folder / "teacher")
    assert sorted(steps) == [(e, s) for e in range(2) for s in range(3)]
    for epoch in range(2):
        keys = [key for (e, _), batch in steps.items() if e == epoch for key in batch]
        assert len(keys) == len(set(keys)) == 45
        assert all(key.startswith("here/") for key in keys)
