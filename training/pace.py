"""When the ranks look up from their work: to write a checkpoint, or to stop.

Both are decided by clocks and signals, which differ from rank to rank, so all must ask each other.
Asking costs a round trip, so it is done about once a second; rank 0 says after how many steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import torch

from training.world import World

#: Seconds between two questions. A scheduler gives at least a few seconds to stop.
ASK_EVERY_S = 1.0


class Pace:
    """Asked before each step; the answer is the same on every rank.

    Args:
        world: who has to agree.
        every_s: seconds between checkpoints.
        every_steps: global steps between checkpoints besides, or None.
        stop: true on any rank asks all to stop.
    """

    def __init__(
        self, world: World, every_s: float, every_steps: int | None, stop: Callable[[], bool]
    ) -> None:
        self.world, self.every_s, self.every_steps, self.stop = world, every_s, every_steps, stop
        self.saved = self.asked = time.monotonic()
        self.steps, self.next_in = 0, 1

    def __call__(self, global_step: int) -> Literal["go", "save", "stop"]:
        """What to do when `global_step` steps are done."""
        self.steps += 1
        by_count = bool(self.every_steps) and global_step % (self.every_steps or 1) == 0
        if self.steps < self.next_in:
            return "save" if by_count else "go"
        now = time.monotonic()
        step_s = (now - self.asked) / self.steps
        wait = max(1, min(1000, int(ASK_EVERY_S / max(step_s, 1e-6))))
        mine = torch.tensor([self.stop(), now - self.saved > self.every_s, wait])
        stops, due, waits = self.world.agree(mine).T.tolist()
        self.asked, self.steps, self.next_in = now, 0, waits[0]
        if any(stops):
            return "stop"
        return "save" if due[0] or by_count else "go"

    def has_saved(self) -> None:
        """A checkpoint was written."""
        self.saved = time.monotonic()
