"""Jobs as Ray tasks, on every core of every node.

    ray job submit --working-dir . -- python -m data_sharding pack SITE OUT --on-ray

SITE, OUT and the folders of --against must be the same on every node. Nothing else in this folder
knows Ray.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from data_sharding.packing.pool import start_worker


class RayCrew:
    """Workers of a Ray cluster: that of RAY_ADDRESS, else one started here for the occasion."""

    def __init__(self) -> None:
        import ray
        from ray import exceptions

        self._ray = ray
        # Without an address Ray would join whatever ran last here, and wait for it if it is dead.
        ray.init(
            address=os.environ.get("RAY_ADDRESS", "local"),
            ignore_reinit_error=True,
            include_dashboard=False,
            log_to_driver=False,
        )
        self._call = ray.remote(num_cpus=1, max_retries=0)(_call)
        self.died: tuple[type[BaseException], ...] = (
            *(exceptions.WorkerCrashedError, exceptions.NodeDiedError),
            *(exceptions.OutOfMemoryError, exceptions.LocalRayletDiedError),
        )

    @property
    def size(self) -> int:
        """Cores of the cluster now: it may grow and shrink."""
        return max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def submit(self, function: Callable[[Any], Any], job: Any) -> Future[Any]:
        """Begin a task."""
        return self._call.remote(function, job).future()

    def renew(self) -> None:
        """Ray replaces its dead by itself."""

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


def _call(function: Callable[[Any], Any], job: Any) -> Any:
    start_worker()
    return function(job)
