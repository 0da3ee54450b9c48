"""A step's memory is taken again, not asked of the kernel anew."""

import resource
import subprocess
import sys

import pytest

from training.memory import keep_freed

STEPS, MEGABYTES = 20, 8
#: Page faults of a process that takes and frees two blocks in turn, as steps do, once its heap has
#: found its places: it grows around what is in use, so the first steps take up to four for a block.
TAKES = f"""
import resource, sys
import torch
from training.memory import keep_freed
if sys.argv[1] == "keep":
    assert keep_freed()
def step():
    for _ in range(2):
        a = torch.ones({MEGABYTES} << 18)
        b = a + 1
    torch.ones(64 << 18)  # larger than what glibc would ever learn to keep
for _ in range({STEPS}):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({STEPS}):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_pages_are_not_cleared_anew_in_each_step():
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", TAKES, how], text=True))
        for how in ("keep", "leave")
    }
    once = 64 * 2**20 // resource.getpagesize()
    assert faults["leave"] > (STEPS - 1) * once
    assert faults["keep"] < once


def test_elsewhere_it_does_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed()
