"""Lines for people."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from training.tracking import say

CODE = """
import sys
from training.tracking.say import say
sys.stdin.read()  # until the reader is gone
for _ in range(3):
    say("a line")
print("still here", file=sys.stderr)
"""


def test_one_line_with_the_time(capsys):
    say("torn, passed over:\nno such file")
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d  torn, passed over: no such file\n", capsys.readouterr().out
    )


def test_a_reader_who_is_gone_ends_nothing():
    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.readline() == "still here\n"
    process.stderr.close()
    process.wait(timeout=30)
