"""Waiting for machines, with a clock and a count that are made up; no Ray is started."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cluster import nodes
from cluster.__main__ import app


class Clock:
    """Time that passes only while one sleeps."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


def waited(counts, wanted, timeout_s=300):
    clock, said, left = Clock(), [], list(counts)

    def count():
        return left.pop(0) if len(left) > 1 else left[0]

    found = nodes.wait(count, wanted, timeout_s, said.append, clock.sleep, clock.now)
    return found, clock.time, said


def test_it_returns_once_they_are_there():
    assert waited([2], 2) == (2, 0, [])
    assert waited([3], 2) == (3, 0, [])
    found, seconds, said = waited([0, 0, 1, 1, 2, 4], 4)
    assert (found, seconds) == (4, 10)
    assert said == ["0 of 4 machines", "1 of 4 machines", "2 of 4 machines"], "each change once"


def test_it_gives_up_and_says_why():
    with pytest.raises(ValueError, match=r"1 of 2 machines joined within 60 s: look at"):
        waited([1], 2, timeout_s=60)
    with pytest.raises(ValueError, match="0 of 1"):
        waited([0], 1, timeout_s=0)


def test_where_no_head_answers_there_are_none(monkeypatch):
    import ray

    def refused(**_):
        raise ConnectionError("no head\nand more")

    monkeypatch.setattr(ray, "init", refused)
    said = []
    count = nodes.alive("127.0.0.1:1", said.append)
    assert [count(), count()] == [0, 0]
    assert said == ["127.0.0.1:1: no head"], "once"
    run = CliRunner().invoke
    done = run(app, ["wait", "2", "--address", "127.0.0.1:1", "--timeout", "0"])
    assert done.exit_code == 2
    assert "0 of 2 machines joined" in done.output
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert "--address" in run(app, ["wait", "2"]).output
