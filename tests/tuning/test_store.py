"""The study on disk, whatever a kill, a full disk or an editor has done to its journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from optuna.trial import TrialState

from tests.tuning.drivers import told
from tests.tuning.trials import add
from tuning.draw import draw
from tuning.store import (
    BLOCK,
    JournalLock,
    delete_study,
    mend,
    open_study,
    pending,
    settled,
    shown,
    url_of,
)
from tuning.sweep import Sweep


@pytest.fixture
def sweep(changes):
    return Sweep.of("ospenscreen:smoke", changes)


def lines_of(journal):
    return journal.read_bytes().splitlines(keepends=True)


def test_trials_by_slot_and_what_is_left_of_them(sweep):
    study = open_study(sweep)
    for state, values in [
        (TrialState.COMPLETE, [0.7]),
        (TrialState.RUNNING, None),
        (TrialState.FAIL, None),
        (TrialState.PRUNED, None),
    ]:
        add(sweep, study, values, state)
    add(sweep, study, [0.9], slot=0)  # of a machine that slept: the first of two counts
    assert [t.user_attrs["slot"] for t in settled(study)] == [0, 2, 3]
    assert settled(study)[0].values == [0.7]
    assert pending(study, 6) == [1, 4, 5]
    assert pending(study, 1) == []


def test_a_journal_torn_at_any_byte_loses_its_last_line_and_no_other(sweep):
    study = open_study(sweep)
    for slot in range(3):
        draw(sweep, study, slot)
        add(sweep, study, [0.5 + slot / 10], slot=10 + slot)
    journal = sweep.folder / "journal.log"
    whole = journal.read_bytes()
    last = len(lines_of(journal)[-1])
    before = told(sweep)
    begin = len(whole) - last
    # the line before it, whole but for its newline, is torn as well
    for cut in [begin - 1, begin, begin + 1, begin + last // 2, len(whole) - 2, len(whole) - 1]:
        journal.write_bytes(whole[:cut])
        gone = {12} if cut >= begin else {2, 12}
        assert told(sweep) == [t for t in before if t["slot"] not in gone]
        add(sweep, open_study(sweep), [0.99], slot=20)
        found = told(sweep)
        assert found[-1]["slot"] == 20
        assert all(json.loads(line) for line in lines_of(journal))


@pytest.mark.parametrize(
    "rubbish", [b"\0" * 500, b"\0" * 200 + b"\n", b'{"op_code": 6, "ha', b"[]\n", b"\xff\n\n\n"]
)
def test_what_is_no_record_at_the_end_is_cut(tmp_path, rubbish):
    journal = tmp_path / "journal.log"
    good = b'{"op_code":4}\n' * 3
    journal.write_bytes(good + rubbish)
    assert mend(journal) == len(rubbish)
    assert journal.read_bytes() == good
    assert mend(journal) == 0


def test_mending_knows_lines_longer_than_it_reads_at_once(tmp_path):
    journal = tmp_path / "journal.log"
    long = json.dumps({"text": "x" * (2 * BLOCK + 5)}).encode() + b"\n"
    journal.write_bytes(long + long)
    assert mend(journal) == 0
    journal.write_bytes(long + long[:-1])
    assert mend(journal) == len(long) - 1
    journal.write_bytes(long[:-1])
    assert mend(journal) == len(long) - 1
    assert journal.read_bytes() == b""
    assert mend(tmp_path / "none.log") == 0


def test_to_look_at_a_study_writes_nothing(sweep):
    open_study(sweep)
    before = (sweep.folder / "journal.log").read_bytes()
    open_study(sweep)
    assert (sweep.folder / "journal.log").read_bytes() == before


def test_a_lock_that_a_kill_has_left_is_nobodys(sweep):
    study = open_study(sweep)
    journal = sweep.folder / "journal.log"
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, f"{journal}.lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        os.kill(holder.pid, signal.SIGKILL)
    add(sweep, study, [0.7])  # waits for nobody
    assert len(settled(study)) == 1
    lock = JournalLock(journal)
    assert lock.acquire()
    lock.release()


def test_a_journal_that_is_damaged_within_is_named(sweep):
    study = open_study(sweep)
    add(sweep, study, [0.7])
    add(sweep, study, [0.8])
    journal = sweep.folder / "journal.log"
    lines = lines_of(journal)
    journal.write_bytes(b"".join([*lines[:-2], b"edited\n", lines[-1]]))
    with pytest.raises(ValueError, match=r"journal\.log: damaged within"):
        open_study(sweep)
    delete_study(sweep)  # --fresh is the way out


def test_a_sweep_is_not_begun_again_in_another_storage(sweep, changes, tmp_path):
    open_study(sweep)
    url = f"sqlite:///{tmp_path / 'x.db'}"
    other = Sweep.of("ospenscreen:smoke", changes, storage=url)
    with pytest.raises(ValueError, match=r"its trials are in journal\.log, and not in sqlite"):
        open_study(other)
    assert not (tmp_path / "x.db").exists()


def test_a_database_holds_it_as_well(changes, tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    sweep = Sweep.of("ospenscreen:smoke", changes, storage=url)
    draw(sweep, open_study(sweep), 0)
    (trial,) = told(sweep)
    assert trial["state"] == "RUNNING"
    assert not (sweep.folder / "journal.log").exists()
    delete_study(sweep)
    assert told(sweep) == []


def test_urls():
    assert url_of(None) is None
    assert url_of("postgresql://u:p@h:5/d") == "postgresql+pg8000://u:p@h:5/d"
    assert url_of("postgres://h/d") == "postgresql+pg8000://h/d"
    assert url_of("postgresql+psycopg://h/d") == "postgresql+psycopg://h/d"
    assert "secret" not in shown("postgresql://u:secret@h/d")
    with pytest.raises(ValueError, match="not a database's URL") as refused:
        url_of("u:secret@h")
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_said_without_the_password(changes, monkeypatch):
    monkeypatch.setattr("tuning.store.PAUSE_S", 0)
    sweep = Sweep.of(
        "ospenscreen:smoke", changes, storage="postgresql://u:secret@127.0.0.1:1/nothing"
    )
    with pytest.raises(ValueError, match="--storage postgresql") as refused:
        open_study(sweep)
    assert "secret" not in str(refused.value)


def test_a_folder_that_is_no_sweep(tmp_path, sweep):
    with pytest.raises(ValueError, match="no sweep's folder"):
        Sweep.at(tmp_path)
    open_study(sweep)
    (sweep.folder / "sweep.json").write_text('{"recipe": ')
    with pytest.raises(ValueError, match=r"sweep\.json is torn"):
        Sweep.at(sweep.folder)
    open_study(sweep)
    assert Sweep.at(sweep.folder) == sweep
