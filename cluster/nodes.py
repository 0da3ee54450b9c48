"""Wait until a cluster has its machines: a run that starts with too few is refused at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


def wait(
    count: Callable[[], int],
    wanted: int,
    timeout_s: float,
    say: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> int:
    """Ask `count` until it is `wanted` or more; how many there are then.

    Raises:
        ValueError: there were fewer for `timeout_s` seconds.
    """
    end, last = now() + timeout_s, -1
    while True:
        found = count()
        if found >= wanted:
            return found
        if now() >= end:
            raise ValueError(
                f"{found} of {wanted} machines joined within {timeout_s:g} s: look at the output "
                "of ray start on the others (address, token, firewall), or run on fewer"
            )
        if found != last:
            say(f"{found} of {wanted} machines")
            last = found
        sleep(2)


def alive(address: str, say: Callable[[str], object]) -> Callable[[], int]:
    """A count of the machines of the cluster at `address`, such as ``head:6379``.

    While no head answers it is 0, and `say` is told why, once.
    """
    import ray

    said = set()

    def count() -> int:
        try:
            if not ray.is_initialized():
                ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
            return sum(bool(node["Alive"]) for node in ray.nodes())
        except Exception as e:  # Ray's own, the system's, a wrong token's
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
            if reason not in said:
                say(f"{address}: {reason}")
                said.add(reason)
            return 0

    return count
