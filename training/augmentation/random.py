"""The random stream of one sample at one draw, whoever makes the picture, wherever and when."""

from __future__ import annotations

import hashlib

import numpy as np

Rng = np.random.Generator


def generator(seed: int, draw: int, key: str) -> Rng:
    """The stream of sample `key` at `draw`: Philox, a counter-based generator, keyed by SHA-256.

    Keys that differ in one character give unrelated streams, and nothing else enters: no process,
    no worker, no history.
    """
    digest = hashlib.sha256(f"augment/{seed}/{draw}/{key}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
