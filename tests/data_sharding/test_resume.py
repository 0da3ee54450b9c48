"""A pack that is killed anywhere goes on and comes to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_sharding.pack import pack
from data_sharding.reader import verify
from tests.data_sharding.hand_made import make_site

REPOSITORY = Path(__file__).parents[2]
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
        if attempt < 6:  # not before it is at work: starting Python is not what is tested
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


def test_a_damaged_part_is_made_again(big_site, key_file, undisturbed, tmp_path, monkeypatch):
    """Parts that a crash of the machine left half on disk are not believed."""
    import data_sharding.assemble as assemble

    out = tmp_path / "asan"

    def stop(*_):
        raise KeyboardInterrupt

    quiet = {"key_file": key_file, "workers": 1, "echo": lambda _: None, **OPTIONS}
    with monkeypatch.context() as m:
        m.setattr(assemble, "_collect", stop)  # as if killed once all shards were sealed
        with pytest.raises(KeyboardInterrupt):
            pack(big_site, out, **quiet)
    assert not (out / "manifest.json").exists()
    sealed = sorted(out.glob("*.tar"))
    sealed[0].write_bytes(sealed[0].read_bytes()[:-1024])
    sealed[1].unlink()
    said: list[str] = []
    pack(big_site, out, **quiet | {"echo": said.append})
    assert contents(out) == undisturbed
    assert any(line.startswith("going on") for line in said)
