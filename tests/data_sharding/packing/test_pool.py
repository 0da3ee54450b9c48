from __future__ import annotations

import os
import time
from dataclasses import dataclass

import pytest

from data_sharding.packing.pool import (
    DEADLINE_S,
    Here,
    Processes,
    Shield,
    as_done,
    deadline,
    progress,
)


@dataclass(frozen=True)
class Job:
    n: int
    careful: bool = False


def double(job: Job) -> tuple[int, int]:
    return job.n, 2 * job.n


def double_or_die(job: Job) -> tuple[int, int]:
    if job.careful:
        with Shield(die_at_17, None) as shielded:
            return job.n, shielded(job.n)
    return job.n, die_at_17(job.n)


def die_at_17(n: int) -> int:
    if n % 40 == 17:
        os._exit(3)  # as a decoder that crashes
    return 2 * n


def always_die(job: Job) -> int:
    os._exit(3)


def hang_or_double(n: int) -> int:
    if n == 1:
        time.sleep(60)
    return 2 * n


def too_slow(job: Job) -> str:
    if job.careful:
        return "done again, carefully"
    with deadline(0.2):
        while True:
            pass


@pytest.fixture(scope="module")
def crew():
    crew = Processes(2)
    yield crew
    crew.close()


def names(job: Job) -> str:
    return f"job {job.n}"


def test_every_job_is_done_once(crew):
    jobs = [Job(n) for n in range(70)]
    for some in (Here(), crew):
        assert sorted(as_done(some, double, iter(jobs), names)) == [(n, 2 * n) for n in range(70)]


def test_a_crash_costs_one_item(crew):
    out = dict(as_done(crew, double_or_die, iter([Job(n) for n in range(45)]), names))
    assert out == {n: None if n == 17 else 2 * n for n in range(45)}


def test_a_job_that_always_dies_is_named(crew):
    with pytest.raises(RuntimeError, match="job 5: its process died 3 times"):
        list(as_done(crew, always_die, iter([Job(5)]), names))
    crew.renew()


def test_whoever_dies_while_nobody_looks_stops_nobody_else(crew):
    """The pool breaks between two looks: what is submitted then is submitted again."""
    seen = []
    for done in as_done(
        crew, double_or_die, iter([Job(n) for n in (17, 1, 2, 57, 3, 97, 4)]), names
    ):
        time.sleep(0.3)  # a consumer with work of its own
        seen.append(done)
    assert dict(seen) == {17: None, 1: 2, 2: 4, 57: None, 3: 6, 97: None, 4: 8}


def test_a_decoder_that_hangs_is_ended_and_the_job_done_carefully(crew):
    assert list(as_done(crew, too_slow, iter([Job(1)]), names)) == ["done again, carefully"]


def test_a_shield_outlives_what_hangs():
    with Shield(hang_or_double, -1, deadline_s=3.0) as shielded:
        assert [shielded(n) for n in (0, 1, 2)] == [0, -1, 4]


def test_jobs_that_appear_while_others_are_done():
    class Feed:
        def __init__(self) -> None:
            self.ready = [Job(0)]

        def __iter__(self):
            return self

        def __next__(self):
            if not self.ready:
                raise StopIteration
            return self.ready.pop()

    feed, seen = Feed(), []
    for n, _ in as_done(Here(), double, feed, names):
        seen.append(n)
        if n < 5:
            feed.ready.append(Job(n + 1))
    assert seen == [0, 1, 2, 3, 4, 5]


def test_the_deadline_is_for_workers_only():
    with deadline(0.01):  # this process would be gone
        time.sleep(0.05)
    assert DEADLINE_S > 10


def test_progress_in_a_log_is_a_line_at_times():
    said: list[str] = []
    shown = progress("things", 10, said.append)
    for _ in range(10):
        shown()
    assert said == []  # it took no five seconds
