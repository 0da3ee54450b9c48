"""A MediaPipe graph that keeps nothing between pictures, runs in the caller's thread, and is quiet.

    detect = Graph(CONFIG, "detections")
    packet = detect(rgb)                   # None where the graph has nothing to say

The graphs of MediaPipe's own `solutions` follow a face from frame to frame unless told otherwise,
look for it with the short-range model, and start a thread for each core. These hold a detector or a
mesh and nothing else. Whatever MediaPipe prints while it starts, on the process's standard error
and past Python, is taken away where it is known to mean nothing, and passed on where it is not.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

# What 0.10.21 says of itself with this protobuf and without anything being wrong.
_NOISE = re.compile(
    rb"GetPrototype|Created TensorFlow Lite XNNPACK delegate|before absl::InitializeLog"
    rb"|Feedback manager requires a model|Using NORM_RECT without IMAGE_DIMENSIONS"
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what is written to standard error; pass on afterwards what is not known noise."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed, as in a daemon: nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        aside = io.TextIOWrapper(said, write_through=True)  # where sys.stderr is not descriptor 2
        try:
            with contextlib.redirect_stderr(aside):
                yield
        finally:
            aside.detach()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            for line in said:
                if not _NOISE.search(line):
                    os.write(2, line)


@cache
def mediapipe() -> SimpleNamespace:
    """The parts of MediaPipe used here, imported without its greeting (a second and a half)."""
    with quiet():
        from mediapipe.framework.formats import rect_pb2
        from mediapipe.python import packet_creator, packet_getter
        from mediapipe.python._framework_bindings import (
            calculator_graph,
            image_frame,
            resource_util,
        )
    import mediapipe

    # as MediaPipe's solutions do: models are named relative to where it is installed
    resource_util.set_resource_dir(str(Path(mediapipe.__file__).parent.parent))
    return SimpleNamespace(
        CalculatorGraph=calculator_graph.CalculatorGraph,
        SRGB=image_frame.ImageFormat.SRGB,
        NormalizedRect=rect_pb2.NormalizedRect,  # type: ignore[attr-defined]
        create=packet_creator,
        get=packet_getter,
    )


FORKED = (
    "MediaPipe does not survive a fork: start worker processes with the methods 'spawn' or"
    " 'forkserver', or fork them before the first face is looked for"
)


@cache
def _home() -> int:
    """The process that made the first graph; a child forked from it has this answer too."""
    return os.getpid()


class Graph:
    """One graph with an input stream `image` and one output stream.

    Args:
        config: MediaPipe's graph in its text form, without the executor.
        output: name of the output stream to return.
        switches: side packets, given once.
        constants: messages given beside every picture, by the name of their stream.

    Raises:
        RuntimeError: this process was forked from one that had a graph.
    """

    def __init__(
        self, config: str, output: str, switches: dict[str, bool], **constants: Any
    ) -> None:
        parts = mediapipe()
        self._process = os.getpid()
        if _home() != self._process:  # not an abort deep inside, which is what follows
            raise RuntimeError(FORKED)
        # work is done by whoever waits: none but the caller's thread
        executor = 'executor { name: "" type: "ApplicationThreadExecutor" }'
        with quiet():
            self._graph = parts.CalculatorGraph(graph_config=f"{config}\n{executor}")
            self._got: list[Any] = []
            self._graph.observe_output_stream(output, lambda _, packet: self._got.append(packet))
            self._graph.start_run({n: parts.create.create_bool(on) for n, on in switches.items()})
        self._constants = {n: parts.create.create_proto(m) for n, m in constants.items()}
        self._time = 0
        self._spoke = False

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> Any:
        """The output packet for one picture, uint8 [H, W, 3]; None if there is none."""
        assert rgb.dtype == np.uint8
        assert rgb.ndim == 3
        assert rgb.shape[2] == 3
        if os.getpid() != self._process:
            raise RuntimeError(FORKED)
        self._got.clear()
        self._time += 1
        # a calculator may still print when it first has something to do
        with contextlib.nullcontext() if self._spoke else quiet():
            parts = mediapipe()
            image = parts.create.create_image_frame(
                image_format=parts.SRGB, data=np.ascontiguousarray(rgb)
            ).at(self._time)
            self._graph.add_packet_to_input_stream(stream="image", packet=image)
            for name, packet in self._constants.items():
                self._graph.add_packet_to_input_stream(stream=name, packet=packet.at(self._time))
            self._graph.wait_until_idle()
        if not self._got or self._got[0].is_empty():
            return None
        self._spoke = True
        return self._got[0]
