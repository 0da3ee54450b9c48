"""A pack that is killed anywhere goes on and comes to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from data_sharding.pack import pack
from data_sharding.packing import assemble, resume
from data_sharding.reader import verify
from tests.data_sharding.hand_made import make_site

REPOSITORY = Path(__file__).parents[3]
OPTIONS = {"size": 32, "shard_samples": 48, "screen": False, "name": "asan"}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def big_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("big") / "asan", patients=400)


@pytest.fixture(scope="module")
def undisturbed(big_site, key_file, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "asan"
    pack(big_site, out, key_file=key_file, workers=1, echo=lambda _: None, **OPTIONS)
    return contents(out)


def test_killed_anywhere_the_same_bytes(big_site, key_file, undisturbed, tmp_path):
    """SIGKILL to the whole process group after some more files, until one attempt gets through."""
    out, ends = tmp_path / "asan", np.random.Generator(np.random.Philox(7))
    command = [sys.executable, "-m", "data_sharding", "pack", big_site, out, "--size", "32"]
    command += ["--shard-samples", "48", "--no-screen", "--key-file", key_file, "--workers", "2"]
    went_on, killed = False, 0
    unfinished = out.with_name("asan.private") / "unfinished"
    for attempt in range(30):
        run = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        if attempt < 4:  # not before it is at work: starting Python is not what is tested
            before = len(list(unfinished.glob("*.json")))
            enough, until = before + int(ends.integers(1, 7)), time.monotonic() + 60
            while len(list(unfinished.glob("*.json"))) < enough and run.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.001)
            os.killpg(run.pid, signal.SIGKILL)
        said, _ = run.communicate()
        killed += run.returncode == -signal.SIGKILL
        went_on |= "going on" in said
        if run.returncode == 0:
            break
    assert killed >= 3, "it was never killed at work"
    assert went_on, "an attempt began all over"
    assert contents(out) == undisturbed
    assert verify(out) == []
    assert not unfinished.exists()


def stopped(site: Path, out: Path, monkeypatch, **quiet) -> Path:
    """A pack that ended when all shards were sealed; its folder of unfinished work."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(assemble, "_collect", stop)
        with pytest.raises(KeyboardInterrupt):
            pack(site, out, **quiet)
    assert not (out / "manifest.json").exists()
    return out.with_name(f"{out.name}.private") / "unfinished"


def test_what_was_damaged_meanwhile_is_made_again(
    big_site, key_file, undisturbed, tmp_path, monkeypatch
):
    """Neither shards nor notes that are not what was written are believed."""
    out = tmp_path / "asan"
    quiet = {"key_file": key_file, "workers": 1, "echo": lambda _: None, **OPTIONS}
    unfinished = stopped(big_site, out, monkeypatch, **quiet)
    shards = sorted(out.glob("*.tar"))
    assert len(shards) >= 5
    shards[0].write_bytes(shards[0].read_bytes()[:-1024])
    shards[1].unlink()
    data = bytearray(shards[2].read_bytes())
    data[1000] ^= 1
    shards[2].write_bytes(data)
    (unfinished / f"{shards[3].name}.json").write_text('{"shard": {"pa')
    headers = sorted(unfinished.glob("headers-*.json"))
    headers[0].write_text("[")
    headers[1].write_text("[]")
    said: list[str] = []
    pack(big_site, out, **quiet | {"echo": said.append})
    assert contents(out) == undisturbed
    assert any(line.startswith("going on") for line in said)


def test_killed_between_the_last_two_files(big_site, key_file, undisturbed, tmp_path, monkeypatch):
    out = tmp_path / "asan"
    quiet = {"key_file": key_file, "workers": 1, "echo": lambda _: None, **OPTIONS}

    remove = resume.shutil.rmtree

    def stop(path, ignore_errors=False, **more):
        if Path(path).name == "unfinished" and not ignore_errors:
            raise KeyboardInterrupt
        remove(path, ignore_errors, **more)

    with monkeypatch.context() as m:
        m.setattr(resume.shutil, "rmtree", stop)  # the manifest is there, the rest not cleared
        with pytest.raises(KeyboardInterrupt):
            pack(big_site, out, **quiet)
    said: list[str] = []
    pack(big_site, out, **quiet | {"echo": said.append})
    assert "already packed" in said[0]
    assert contents(out) == undisturbed
    assert not (tmp_path / "asan.private" / "unfinished").exists()
    next(out.glob("*.tar")).unlink()
    with pytest.raises(ValueError, match="missing or damaged"):
        pack(big_site, out, **quiet)


def test_a_killed_parent_leaves_nobody_at_work(big_site, key_file, tmp_path):
    out = tmp_path / "asan"
    command = [sys.executable, "-m", "data_sharding", "pack", big_site, out, "--size", "32"]
    command += ["--no-screen", "--key-file", key_file, "--workers", "2"]
    run = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, start_new_session=True
    )
    unfinished = out.with_name("asan.private") / "unfinished"
    until = time.monotonic() + 60
    while not list(unfinished.glob("headers-*.json")):
        assert time.monotonic() < until
        time.sleep(0.01)
    run.kill()  # it alone, not its group
    run.wait()
    while (left := [p.pid for p in psutil.process_iter() if session(p.pid) == run.pid]) != []:
        assert time.monotonic() < until, left
        time.sleep(0.1)


def session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
