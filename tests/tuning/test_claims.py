"""One live holder of a claim at a time, whoever is killed; the same contract for files and rows."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest
import sqlalchemy as sa

from tuning.claims import claims_of
from tuning.claims.files import FileClaims
from tuning.claims.table import TABLE, TableClaims

LEASE_S = 1.0


@pytest.fixture(params=["files", "table"])
def make(request, tmp_path):
    """Claims as another process would open them."""
    if request.param == "files":
        return lambda: FileClaims(tmp_path / "claims")
    return lambda: TableClaims(f"sqlite:///{tmp_path / 'c.db'}", "sweep-1", LEASE_S)


def test_one_of_many_has_it_until_it_gives_it_back(make):
    ours, theirs = make(), make()
    claim = ours.take(3)
    assert claim is not None
    with claim:
        assert not claim.lost()
        assert theirs.take(3) is None
        assert ours.take(3) is None
        other = theirs.take(4)
        assert other is not None
        assert make().held() == [3, 4]
        with other:
            pass
        assert make().held() == [3]
    assert make().held() == []
    again = theirs.take(3)
    assert again is not None
    with again:
        assert ours.take(3) is None


def test_of_many_at_once_one_gets_it(make):
    start, got = threading.Barrier(8), []

    def take():
        claims = make()
        start.wait()
        got.append(claims.take(0))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claims = [claim for claim in got if claim is not None]
    assert len(got) == 8
    assert len(claims) == 1
    with claims[0]:
        pass


def _hold(make, taken):
    with make().take(0):
        taken.set()
        time.sleep(60)


def test_who_is_killed_holds_nothing(make):
    context = multiprocessing.get_context("fork")
    taken = context.Event()
    holder = context.Process(target=_hold, args=(make, taken))
    holder.start()
    assert holder.pid is not None
    assert taken.wait(30)
    claims = make()
    deadline = time.monotonic() + 2 * LEASE_S
    while time.monotonic() < deadline:  # it lives: longer than a lease
        assert claims.take(0) is None
        time.sleep(0.1)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    deadline = time.monotonic() + 20 * LEASE_S
    while (claim := claims.take(0)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with claim:
        assert make().take(0) is None


def test_all_of_a_sweep_are_cleared_and_no_others(make):
    claims = make()
    with claims.take(0):
        pass
    claims.clear()
    assert claims.held() == []


def test_a_lease_that_another_took_is_known_to_be_lost(tmp_path):
    url = f"sqlite:///{tmp_path / 'c.db'}"
    claims = TableClaims(url, "sweep-1", LEASE_S)
    claim = claims.take(0)
    assert claim is not None
    with claim:
        with sa.create_engine(url).begin() as connection:
            connection.execute(sa.update(TABLE).values(owner="another"))
        deadline = time.monotonic() + 5
        while not claim.lost():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    # and what is another's is not given back
    assert TableClaims(url, "sweep-1", 60).held() == [0]


def test_a_lease_that_cannot_be_renewed_is_lost_when_it_is_over(tmp_path):
    path = tmp_path / "c.db"
    claims = TableClaims(f"sqlite:///{path}", "sweep-1", LEASE_S)
    claim = claims.take(0)
    assert claim is not None
    with claim:
        path.unlink()
        path.mkdir()  # no database any more
        assert not claim.lost()
        time.sleep(LEASE_S * 1.2)
        assert claim.lost()


def test_sweeps_in_one_database_have_their_own(tmp_path):
    url = f"sqlite:///{tmp_path / 'c.db'}"
    first, second = TableClaims(url, "sweep-1").take(0), TableClaims(url, "sweep-2").take(0)
    assert first is not None
    assert second is not None
    with first, second:
        TableClaims(url, "sweep-2").clear()
        assert TableClaims(url, "sweep-1").held() == [0]


def test_files_or_rows_by_the_storage(tmp_path):
    assert isinstance(claims_of(tmp_path, None), FileClaims)
    assert isinstance(claims_of(tmp_path, "sqlite:///x.db"), FileClaims)
