"""Ranks as threads of one process: a real exchange without a process group."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from training.world import World

CPU = torch.device("cpu")


class Board:
    """Where ranks lay what they have, and wait for the others."""

    def __init__(self, size: int) -> None:
        self.said: dict[Any, Any] = {}
        self.wait = threading.Barrier(size, timeout=30).wait


@dataclass(frozen=True)
class Together(World):
    """One of them."""

    board: Board = None  # type: ignore[assignment]

    def agree(self, mine: torch.Tensor) -> torch.Tensor:
        self.board.said[self.rank] = mine
        self.board.wait()
        whole = torch.stack([self.board.said[r] for r in range(self.size)])
        self.board.wait()
        return whole

    def gather(self, x_N: torch.Tensor) -> torch.Tensor:
        return self.agree(x_N)

    def on_main(self, make: Callable[[], Any]) -> Any:
        if self.main:
            self.board.said["main"] = make()
        self.board.wait()
        found = self.board.said["main"]
        self.board.wait()
        return found


def ranks(size: int, work: Callable[[World], Any]) -> list[Any]:
    """What each rank's `work` returned, or the exception it ended with."""
    board = Board(size)
    found: list[Any] = [None] * size

    def rank(r: int) -> None:
        try:
            found[r] = work(Together(r, size, CPU, board=board))
        except Exception as e:
            found[r] = e

    threads = [threading.Thread(target=rank, args=(r,)) for r in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
