"""How a process that has used Ray ends: with its own exit code, and nothing left undone."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORK = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from training import leave
if {ray}:
    import ray
atexit.register(lambda: print("registered"))

class Taken:
    def __del__(self):
        print("taken down")
kept = Taken()

def main(words):
    ThreadPoolExecutor(1).submit(lambda: None).result()
    threading.Thread(target=lambda: (time.sleep(0.3), print("joined"))).start()
    print("worked")
    {end}

leave.run(main, [])
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [("pass", 0), ("sys.exit(75)", 75), ("sys.exit(None)", 0), ("sys.exit('why')", 1)],
)
@pytest.mark.parametrize("ray", [True, False])
def test_it_ends_with_its_own_code_and_all_is_done(end, code, ray):
    text = WORK.format(ray=ray, end=end)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    said = done.stdout.split("\n")[:-1]
    assert said[:3] == ["worked", "joined", "registered"]
    at_once = ray and code != 1
    assert ("taken down" in said) != at_once
    assert ("why" in done.stderr) == (code == 1)


def test_an_error_is_a_traceback_still():
    text = WORK.format(ray=True, end="raise RuntimeError('broken')")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 1
    assert "RuntimeError: broken" in done.stderr
