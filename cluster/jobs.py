"""How a job ended. `ray job submit` says 1 for every failure, and 0 for a job that was stopped."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from cluster.submit import INTERRUPTED


@dataclass(frozen=True)
class Outcome:
    """What the cluster says of a job: SUCCEEDED, FAILED, STOPPED..., and its exit code."""

    status: str
    code: int | None = None

    @property
    def interrupted(self) -> bool:
        """It ended early by itself, after a checkpoint: submitted again, it goes on."""
        return self.status == "FAILED" and self.code == INTERRUPTED


def outcome(address: str, submission_id: str, secret: str | None) -> Outcome | None:
    """Ask the dashboard at `address`, through no proxy; None if it does not say."""
    url = f"{address.rstrip('/')}/api/jobs/{submission_id}"
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(urllib.request.Request(url, headers=headers), timeout=10) as reply:
            found: Any = json.loads(reply.read(2**24))
            code = found.get("driver_exit_code")
            return Outcome(str(found["status"]), None if code is None else int(code))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def exit_code(ray: int, ended: Outcome | None) -> int:
    """What `cluster submit` exits with: the job's own code where it is known, else `ray`'s.

    A job that somebody stopped exits 75 as well: it is not done, and goes on when submitted again.
    """
    if ended is None:
        return ray
    if ended.status == "STOPPED":
        return INTERRUPTED
    return ended.code if ended.code and ray else ray
