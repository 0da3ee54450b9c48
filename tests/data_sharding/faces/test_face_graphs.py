"""What is held back of what a library prints, and what is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_sharding.faces.graphs import Graph

ROOT = Path(__file__).resolve().parents[3]


def said(code: str) -> str:
    """What a process prints to its standard error, by Python and past it."""
    start = "import os, sys\nfrom data_sharding.faces.graphs import quiet\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stderr


def test_known_noise_is_dropped_and_the_rest_is_passed_on_in_order():
    out = said(
        "print('before', file=sys.stderr)\n"
        "with quiet():\n"
        "    os.write(2, b'INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n')\n"
        "    os.write(2, b'a real warning\\n')\n"
        "    print('from Python', file=sys.stderr)\n"
        "    print(\"has no attribute 'GetPrototype'\", file=sys.stderr)\n"
        "print('after', file=sys.stderr)\n"
        "try:\n"
        "    with quiet():\n"
        "        os.write(2, b'why it failed\\n')\n"
        "        raise OSError\n"
        "except OSError:\n"
        "    os.write(2, b'raised\\n')\n"
        "os.close(2)\n"
        "with quiet(): pass\n"  # a daemon without standard error
    )
    assert out.splitlines() == [
        "before",
        "a real warning",
        "from Python",
        "after",
        "why it failed",
        "raised",
    ]


def test_a_graph_takes_pictures_of_one_kind():
    graph = Graph(
        'input_stream: "image"\noutput_stream: "size"\n'
        'node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE:image"'
        ' output_stream: "SIZE:size" }',
        "size",
        {},
    )
    assert graph(np.zeros((3, 5, 3), np.uint8)) is not None
    assert graph(np.zeros((9, 50, 3), np.uint8)[:, ::2]) is not None  # not contiguous
    for wrong in (np.zeros((3, 5), np.uint8), np.zeros((3, 5, 4), np.uint8), np.zeros((3, 5, 3))):
        with pytest.raises(AssertionError):
            graph(wrong)
