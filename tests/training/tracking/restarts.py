"""A process to be killed: each line on its standard input is an attempt of a stage, in a fork.

RESUME UNTIL END: resume at step RESUME, log every third step up to UNTIL; END is ``close``,
``leave`` (the process ends in good order, the stage has not), or ``hang`` until somebody kills it.
It says its process id first, and at the end what it did.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.training.tracking.conftest import record
from training.config import Config
from training.tracking import tracker_for
from training.tracking.fed import Online


def attempt(folder: Path, resume: int, until: int, end: str) -> None:
    config = Config.from_yaml(folder / "config.yaml")
    tracker = tracker_for(folder, "teacher", config, True, echo=lambda _: None)
    tracker.resume(resume)
    for step in range(resume + 3, until + 1, 3):
        tracker.log(record(step))
    if end == "hang":
        with (folder / "teacher" / "metrics.jsonl").open("a") as f:
            f.write('{"step": 99, "ep')  # killed while it wrote
        print("logged", flush=True)
        time.sleep(60)
    if end == "leave":
        while isinstance(tracker, Online) and not (tracker.run and tracker.run.last >= until):
            time.sleep(0.01)
        print("left", flush=True)
        return
    tracker.close()
    print("closed", flush=True)


if __name__ == "__main__":
    for line in sys.stdin:
        resume, until, end = line.split()
        child = os.fork()
        if not child:
            print(os.getpid(), flush=True)
            attempt(Path(sys.argv[1]), int(resume), int(until), end)
            sys.exit()
        os.waitpid(child, 0)
        print("dead", flush=True)
