"""One sweep, a PostgreSQL server that keeps its study, and several drivers that share it."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter

import pytest
import sqlalchemy as sa

from tests.tuning.drivers import Driver, told
from tests.tuning.server import serve
from tuning.claims import claims_of
from tuning.claims.table import TABLE, TableClaim, TableClaims
from tuning.store import open_study, url_of
from tuning.sweep import Sweep

#: Seconds after which a killed driver's trial is free in these tests; a minute would be long.
LEASE_S = 6
LEASED = "tests.tuning.leased"
BEGUN = r"  trial (\d+)( again[^:]*)?: (\S+=|nothing)"


@pytest.fixture(scope="module")
def server():
    yield from serve()


def begun(driver: Driver) -> list[int]:
    """The trials that it said it began or took over, in that order."""
    return [int(m[1]) for line in driver.lines if (m := re.search(BEGUN, line))]


def at_once(n, what):
    """What `n` threads get that call `what(their number)` at the same moment."""
    together, found = threading.Barrier(n), {}

    def call(i):
        together.wait()
        found[i] = what(i)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == n, "a thread raised"
    return [found[i] for i in range(n)]


def claims_at(folder, url, lease_s=60.0) -> TableClaims:
    claims = claims_of(folder, url, lease_s)
    assert isinstance(claims, TableClaims)
    return claims


def taken(claims: TableClaims, slot: int) -> TableClaim:
    claim = claims.take(slot)
    assert claim is not None
    return claim


def test_of_many_that_claim_a_trial_one_gets_it(server, tmp_path):
    url = url_of(server.database("claims"))
    # Each makes the table if it is not there, as drivers do that are started together.
    several = at_once(6, lambda _: claims_at(tmp_path / "sweep", url))
    for slot in range(5):
        claims = [c for c in at_once(6, lambda i, k=slot: several[i].take(k)) if c]
        assert len(claims) == 1
        assert several[0].held() == [slot]
        assert all(c.take(slot) is None for c in several)
        with claims[0]:
            pass
        assert several[0].held() == []
    # Another sweep in the same database has claims of its own.
    other = claims_at(tmp_path / "other", url)
    with taken(several[0], 0), taken(other, 0):
        assert [c.held() for c in (several[1], other)] == [[0], [0]]
        other.clear()
        assert [c.held() for c in (several[1], other)] == [[0], []]


def test_a_dead_holders_trial_goes_to_one_and_a_live_ones_to_nobody(server, tmp_path):
    url = url_of(server.database("leases"))
    several = [claims_at(tmp_path, url, 1.5) for _ in range(6)]
    dead, live = taken(several[0], 0), taken(several[0], 1)
    dead.done.set()  # its process is killed: no more beats
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert several[1].take(1) is None
        time.sleep(0.05)
    assert several[0].held() == [1]
    heirs = [c for c in at_once(6, lambda i: several[i].take(0)) if c]
    assert len(heirs) == 1
    assert dead.lost()
    assert not heirs[0].lost()
    with dead:  # who wakes up late gives back nothing that is another's
        pass
    assert several[0].held() == [0, 1]
    with heirs[0], live:
        assert not live.lost()
    assert several[0].held() == []


def test_a_lease_is_told_by_the_databases_clock(server, tmp_path, monkeypatch):
    url = url_of(server.database("clocks"))
    claims = claims_at(tmp_path, url)
    with taken(claims, 0):
        # A machine whose clock is a day ahead.
        monkeypatch.setattr(time, "time", lambda real=time.time: real() + 86_400)
        assert claims_at(tmp_path, url).take(0) is None
    # The row of a holder who was killed an hour ago.
    with claims.engine.begin() as connection:
        row = {"study": tmp_path.name, "slot": 3, "owner": "dead", "beat": claims.now - 3600}
        connection.execute(sa.insert(TABLE).values(**row))
    assert claims.held() == []
    with taken(claims, 3):
        assert claims.held() == [3]


@pytest.mark.timeout(300)
def test_a_database_that_goes_away_is_said_and_costs_time_only(server, changes):
    words = ["ospenscreen:smoke", "--trials", "2", "--storage", server.database("away")]
    words += [*changes, "student.epochs=3"]
    with Driver(str(LEASE_S), *words, module=LEASED) as driver:
        driver.until(BEGUN)
        server.stop()
        try:
            assert driver.end(120) == 75, driver.lines
        finally:
            server.start()
    assert any("error: the database that holds the study went away" in x for x in driver.lines)
    assert not any("Traceback" in line for line in driver.lines), "\n".join(driver.lines)
    with Driver(str(LEASE_S), *words, module=LEASED) as driver:
        assert driver.end(200) == 0, driver.lines
    assert sorted(begun(driver)) == [0, 1]  # the first when its lost holder's lease is over


@pytest.mark.timeout(600)
def test_drivers_share_a_study_and_take_over_from_one_that_is_killed(server, changes, tmp_path):
    trials, storage = 7, server.database("shared")
    changes = [*changes, "teacher.epochs=2", "student.epochs=3"]
    words = [*("ospenscreen:smoke", "--trials", f"{trials}", "--storage", storage), *changes]
    first, second = (Driver(str(LEASE_S), *words, module=LEASED) for _ in range(2))
    with first, second:
        first.until(BEGUN)
        second.until(BEGUN)
        first.until(r"(teacher|student): epoch 1 ")
        first.kill(with_children=True)
        left = begun(first)[-1]
        third = Driver(str(LEASE_S), *words, module=LEASED)  # a machine that joins later
        with third:
            codes = [driver.end(400) for driver in (second, third)]
        assert codes == [0, 0], "\n".join([*second.lines, "--", *third.lines])
    sweep = Sweep.of("ospenscreen:smoke", changes, storage=storage)
    study = open_study(sweep)
    assert len(study.get_trials(deepcopy=False)) == trials
    found = told(sweep)
    assert [t["slot"] for t in found] == list(range(trials))
    assert sorted(t["number"] for t in found) == list(range(trials))
    assert {t["state"] for t in found} <= {"COMPLETE", "PRUNED"}, found
    assert len({t["run"] for t in found}) == trials
    assert {len(t["params"]) > 0 for t in found} == {True}
    # The killed driver's trial was begun again, by one; all others once.
    times = Counter(slot for driver in (first, second, third) for slot in begun(driver))
    assert times == {slot: 1 + (slot == left) for slot in range(trials)}
    assert len(begun(second)) > 1
    # The password is for the server, and for nobody who reads along.
    said = "\n".join(line for driver in (first, second, third) for line in driver.lines)
    files = [path for path in sweep.folder.rglob("*") if path.is_file()]
    texts = [said.encode(), *(path.read_bytes() for path in files)]
    secrets = (server.password, storage.split(":")[2].split("@")[0])
    assert not any(secret.encode() in text for text in texts for secret in secrets)
