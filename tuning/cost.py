"""What one prediction costs, in multiply-adds: counted, not timed, so the same on every machine.

The network of a run is laid out without numbers (torch's fake tensors) and runs once on a picture
of the run's size; torch's FlopCounterMode counts the convolutions, matrix products and attentions
of that pass. What FaceNet takes beside a photograph is not counted: it is the same for every trial.
"""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from training.config import Config
from training.face import EMBEDDING
from training.models import build


def multiply_adds(config: Config) -> int:
    """Of one picture through the model that a run of `config` is for."""
    with torch.device("meta"):
        model = build(config.model, load=False).eval()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model.to_empty(device="cpu")  # still without numbers, but autocast knows the device
        size = config.input.size
        inputs = [torch.empty(1, config.model.channels, size, size)]
        if config.model.face and config.model.face.embedded:
            inputs.append(torch.empty(1, EMBEDDING))
        with FlopCounterMode(display=False) as counter:
            model(*inputs)
    # a multiply-add is counted as two operations
    return counter.get_total_flops() // 2
