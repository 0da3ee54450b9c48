"""How a job ended. `ray job submit` says 1 for every failure, and 0 for a job that was stopped."""

from __future__ import annotations

from dataclasses import dataclass

from cluster import api
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
    """Ask the dashboard at `address`; None if it does not say."""
    found = api.get(address, f"/api/jobs/{submission_id}", secret, timeout_s=10).found
    try:
        code = found["driver_exit_code"]
        return Outcome(str(found["status"]), None if code is None else int(code))
    except (KeyError, TypeError, ValueError):
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
