"""Ask the runs of this machine to write a checkpoint and end, and wait until they have.

For what knows that the machine is about to go: the head's preStop hook in cluster/*.yaml. A run
that lives on other machines as well is asked where its driver is.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence

import psutil


def is_run(words: Sequence[str]) -> bool:
    """Is this the command line of ``python -m training``, or of a torchrun of it?"""
    return any(pair == ("-m", "training") for pair in itertools.pairwise(words))


def runs() -> list[psutil.Process]:
    """This user's runs, each by its first process: loaders are its copies, torchrun passes on."""
    mine, uid = {}, os.getuid()
    for process in psutil.process_iter(["cmdline", "uids", "ppid"]):
        facts = process.info
        if facts["cmdline"] and facts["uids"] and facts["uids"].real == uid:
            mine[process.pid] = process
    chosen = {pid for pid, p in mine.items() if is_run(p.info["cmdline"])}
    return [mine[pid] for pid in sorted(chosen) if mine[pid].info["ppid"] not in chosen]


def stop(
    found: Sequence[psutil.Process], timeout_s: float, say: Callable[[str], object]
) -> list[psutil.Process]:
    """SIGTERM to each, then wait; those that are still there after `timeout_s` seconds."""
    for process in found:
        say(f"asking {process.pid} to write a checkpoint and end")
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    return psutil.wait_procs(found, timeout=timeout_s)[1]
