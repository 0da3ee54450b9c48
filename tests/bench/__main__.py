"""Side-by-side benchmarks as a markdown table; every side is in this folder, in the same file.

    make bench                        # all, with the libraries compared with
    python -m tests.bench dicom       # some of them; reading needs PYTHONPATH=.venv/peers

Both sides of a row run in turn in one process and one thread, but for reading and packing, whose
rows say how many processes. Ratios travel from machine to machine; milliseconds do not. A ratio
above 1 is in our favour, but for rows against a floor or an aim.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from pathlib import Path

import cv2
import torch

from tests.bench.harness import HEAD, machine

NAMES = (
    "reading",
    "packing",
    "dicom",
    "bootstrap",
    "evaluate",
    "augment",
    "loop",
    "ddp",
    "gpu",
    "distil",
    "start",
    "phantom",
    "leaks",
    "seek",
    "shuffle",
    "grid",
    "faces",
    "tuning",
)


def main() -> None:
    """Run the benchmarks asked for, a line as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} [all]")
    names = parser.parse_args().names
    if unknown := sorted(set(names) - set(NAMES)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    start = time.monotonic()
    print(f"{machine()}\n\n{HEAD}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in names or NAMES:
            folder = Path(scratch) / name
            folder.mkdir(exist_ok=True)
            for row in importlib.import_module(f"tests.bench.{name}").run(folder):
                print(row, flush=True)
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
