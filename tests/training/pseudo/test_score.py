from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from data_sharding.reader import ShardDataset
from tests.conftest import pack_pictures
from tests.training.pseudo.conftest import Looks
from training.pseudo.score import Scores, scored
from training.world import World, alone


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Five shards of 16, the last with 6."""
    return pack_pictures(tmp_path_factory.mktemp("many") / "open", "open", "public", {"public": 70})


@pytest.fixture
def data(many):
    return ShardDataset(many, "public")


class Board:
    """Where ranks lay what they have, and wait for the others."""

    def __init__(self, size):
        self.said, self.wait = {}, threading.Barrier(size, timeout=30).wait


@dataclass(frozen=True)
class Together(World):
    """Ranks as threads of this process: a real exchange without a process group."""

    board: Board = field(kw_only=True)

    def agree(self, mine):
        self.board.said[self.rank] = mine
        self.board.wait()
        whole = torch.stack([self.board.said[r] for r in range(self.size)])
        self.board.wait()
        return whole

    def on_main(self, make):
        if self.main:
            self.board.said["main"] = make()
        self.board.wait()
        found = self.board.said["main"]
        self.board.wait()
        return found


def together(size, work):
    """`work(world)` on each of `size` ranks; answers and errors by rank."""
    board, answers = Board(size), {}

    def one(rank):
        try:
            answers[rank] = work(Together(rank, size, torch.device("cpu"), board=board))
        except Exception as e:
            answers[rank] = e

    threads = [threading.Thread(target=one, args=(r,)) for r in range(size)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return [answers[r] for r in range(size)]


def test_each_sample_has_its_own_logit(data, tmp_path):
    teachers = Looks()
    logit = scored(teachers, data, tmp_path, alone())
    one_by_one = [teachers.logit(data.image(i)[None])[0] for i in range(len(data))]
    np.testing.assert_allclose(logit, one_by_one, rtol=1e-12)
    assert len(list(tmp_path.iterdir())) == 5
    assert (Scores(tmp_path, teachers.hash, data).whole() == logit).all()


@pytest.mark.parametrize("size", [2, 3, 7])
def test_the_same_bits_for_any_number_of_ranks(data, many, tmp_path, size):
    expected = scored(Looks(), data, tmp_path / "one", alone())
    teachers = [Looks() for _ in range(size)]

    def work(world):
        return scored(teachers[world.rank], ShardDataset(many, "public"), tmp_path / "many", world)

    for found in together(size, work):
        assert found.tobytes() == expected.tobytes()
    assert sum(t.asked for t in teachers) == len(data)  # nobody is asked twice
    names = [sorted(p.name for p in (tmp_path / x).iterdir()) for x in ("one", "many")]
    assert names[0] == names[1]


def test_a_killed_scoring_goes_on_where_it_was(data, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        scored(Looks(fails_after=32), data, tmp_path, alone())
    assert len(list(tmp_path.iterdir())) == 2
    told, second = [], Looks()
    logit = scored(second, data, tmp_path, alone(), told.append)
    assert second.asked == 70 - 32
    assert told[0] == "2 of 5 shards are scored already"
    assert logit.tobytes() == scored(Looks(), data, tmp_path / "calm", alone()).tobytes()
    third = Looks()
    assert scored(third, data, tmp_path, alone()).tobytes() == logit.tobytes()
    assert third.asked == 0


def test_asked_to_stop_it_stops_between_shards(data, tmp_path):
    calls = []

    def breathe():
        calls.append(len(list(tmp_path.glob("*.npy"))))
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        scored(Looks(), data, tmp_path, alone(), breathe=breathe)
    assert calls == [0, 1, 2]
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_a_rank_that_starts_with_all_its_shards_done_takes_others(data, many, tmp_path):
    """Of the missing shards each takes a share, wherever the finished ones were."""
    scored(Looks(), data, tmp_path, alone())
    for path in list(tmp_path.iterdir())[:4]:
        path.unlink()
    teachers = [Looks(), Looks()]
    together(2, lambda w: scored(teachers[w.rank], ShardDataset(many, "public"), tmp_path, w))
    assert min(t.asked for t in teachers) > 0


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "longer", "another", "folder"])
def test_what_is_not_the_result_that_was_written_is_scored_again(data, tmp_path, harm):
    expected = scored(Looks(), data, tmp_path, alone())
    paths = sorted(tmp_path.iterdir())
    path, good = paths[0], paths[0].read_bytes()
    if harm == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            {
                "cut": good[:-8],
                "flipped": good[:-1] + bytes([good[-1] ^ 1]),
                "empty": b"",
                "longer": good + bytes(8),
                "another": paths[1].read_bytes(),
            }[harm]
        )
    with pytest.raises(ValueError, match="1 of 5 shards of open are not scored"):
        Scores(tmp_path, Looks().hash, data).whole()
    if harm == "folder":
        path.rmdir()
    teachers = Looks()
    assert scored(teachers, data, tmp_path, alone()).tobytes() == expected.tobytes()
    assert 0 < teachers.asked <= 16


def test_a_file_of_the_right_name_and_another_shape_is_not_taken(data, tmp_path):
    """Its name's hash fits its bytes; the header does not fit the shard."""
    kept = Scores(tmp_path, Looks().hash, data)
    kept.save(0, np.zeros(3))
    assert kept.found() == {}


def test_other_teachers_and_other_data_are_not_mixed_up(data, packs, tmp_path):
    scored(Looks(), data, tmp_path, alone())
    other = Looks(gain=1.0)
    scored(other, data, tmp_path, alone())
    assert other.asked == 70
    small = ShardDataset(packs["public"], "public")
    again = Looks()
    scored(again, small, tmp_path, alone())
    assert again.asked == 30
    assert len(list(tmp_path.iterdir())) == 5 + 5 + 2


def test_an_answer_that_is_not_finite_stops_every_rank(data, many, tmp_path):
    class Broken(Looks):
        def logit(self, images):
            return super().logit(images) * np.nan

    with pytest.raises(ValueError, match="not finite"):
        scored(Broken(), data, tmp_path, alone())
    teachers = [Looks(), Broken()]
    found = together(
        2, lambda w: scored(teachers[w.rank], ShardDataset(many, "public"), tmp_path, w)
    )
    assert "worker 1 could not score" in str(found[0])
    assert "not finite" in str(found[1])


WORKER = """
import sys
from pathlib import Path
from data_sharding.reader import ShardDataset
from tests.training.pseudo.conftest import Looks
from training.pseudo import scored
from training.world import join_torchrun
world = join_torchrun()
out = scored(Looks(), ShardDataset(Path(sys.argv[1]), "public"), Path(sys.argv[2]), world)
(Path(sys.argv[2]) / f"rank{world.rank}").write_bytes(out.tobytes())
"""


def test_two_processes_over_gloo_say_what_one_says(data, many, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", str(script), str(many), str(tmp_path / "two")]
    env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=150, check=False, env=env, cwd=root
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = scored(Looks(), data, tmp_path / "one", alone()).tobytes()
    for rank in (0, 1):
        assert (tmp_path / "two" / f"rank{rank}").read_bytes() == expected
