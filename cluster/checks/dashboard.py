"""The cluster's door: the token, and what the dashboard says to those with and without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.access import is_loopback
from cluster.checks import Check


def token(mode: str | None, found: bool, file: Path, permissions: int | None) -> Check:
    """Ray's authentication: mode (``RAY_AUTH_MODE``), whether a token is found, its file's mode."""
    mode = mode.lower() if mode else None
    make = "ray get-auth-token --generate, then chmod 600 ~/.ray/auth_token, then ray start"
    if mode not in (None, "token", "disabled"):
        return Check("token", "fail", f"RAY_AUTH_MODE={mode} is no mode", "RAY_AUTH_MODE=token")
    if mode == "token" and not found:
        return Check("token", "fail", "RAY_AUTH_MODE=token, but there is no token", make)
    if mode == "disabled":
        return Check("token", "warn", "off: the jobs API is open", "export RAY_AUTH_MODE=token")
    if not found:
        return Check("token", "warn", "none: ray start would leave the jobs API open", make)
    if permissions is not None and permissions & 0o077:
        line = f"{file} can be read by others (mode {permissions:o})"
        return Check("token", "warn", line, f"chmod 600 {file}")
    if mode is None:
        line = "there is one, but RAY_AUTH_MODE is not set: ray job gets 401"
        return Check("token", "warn", line, "export RAY_AUTH_MODE=token")
    return Check("token", "ok", "mode token, readable by you only")


@dataclass(frozen=True)
class Answer:
    """What the dashboard said to /api/version: status (None: nothing), Ray, our clock's skew."""

    status: int | None
    ray: str = ""
    skew: float | None = None


def dashboard(
    address: str, named: bool, anonymous: Answer, known: Answer | None, ray: str | None
) -> Check:
    """Does the cluster answer, to whom, and is it our Ray?

    Args:
        address: of the dashboard.
        named: the user set RAY_API_SERVER_ADDRESS, so a cluster should be there.
        anonymous: its answer to anyone.
        known: its answer to our token, None if we have none.
        ray: our version.
    """
    if anonymous.status is None:
        line = f"no cluster answers at {address}"
        fix = "ray start --head (or leave it: python -m training starts a Ray of its own)"
        if named:
            return Check("dashboard", "fail", line, "correct or unset RAY_API_SERVER_ADDRESS")
        return Check("dashboard", "warn", line, fix)
    answer = known if known and anonymous.status in (401, 403) else anonymous
    if answer.status in (401, 403):
        line = f"{address} refuses {'our' if known else 'us without a'} token"
        fix = "copy ~/.ray/auth_token from the head node, chmod 600"
        return Check("dashboard", "fail", line, fix)
    if answer.status != 200:
        line = f"{address} answers {answer.status} to /api/version: no Ray dashboard?"
        return Check("dashboard", "fail", line, "the port is the dashboard's, 8265 by default")
    if ray and answer.ray and answer.ray != ray:
        line = f"Ray {answer.ray} at {address}, {ray} here"
        return Check("dashboard", "fail", line, "make setup on both: versions must be equal")
    if anonymous.status == 200:
        line = f"Ray {answer.ray} at {address} takes jobs from anyone who reaches it"
        fix = "ray stop; export RAY_AUTH_MODE=token; ray start --head"
        return Check("dashboard", "warn" if is_loopback(address) else "fail", line, fix)
    return Check("dashboard", "ok", f"Ray {answer.ray} at {address}, with the token")
