"""What a cluster's dashboard says over HTTP; never through a proxy, which would read the token."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from cluster.checks.dashboard import Answer

#: A node reports every 5 s (REPORTER_UPDATE_INTERVAL_MS), and the dashboard may keep a reply as
#: long again: so late may a node's own time be when it arrives here.
REPORT_S = 10.0


@dataclass(frozen=True)
class Reply:
    """An HTTP status (None: nothing answers), the JSON that came (None: none), our clock's lead."""

    status: int | None
    found: Any = None
    skew: float | None = None


def get(address: str, path: str, secret: str | None = None, timeout_s: float = 3) -> Reply:
    """Ask the dashboard at `address` for `path`, with the token `secret` if there is one."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    before = time.time()
    try:
        request = urllib.request.Request(address.rstrip("/") + path, headers=headers)
        with direct.open(request, timeout=timeout_s) as reply:
            skew = _skew(reply.headers.get("Date"), before)
            try:
                return Reply(reply.status, json.loads(reply.read(2**24)), skew)
            except ValueError:
                return Reply(reply.status, None, skew)
    except urllib.error.HTTPError as e:
        return Reply(e.code, skew=_skew(e.headers.get("Date"), before))
    except (OSError, ValueError):
        return Reply(None)


def _skew(date: str | None, before: float) -> float | None:
    """Seconds this machine is ahead of an HTTP Date header (whole seconds) that just came."""
    if not date:
        return None
    try:
        theirs = parsedate_to_datetime(date).timestamp() + 0.5
    except ValueError:
        return None
    return (before + time.time()) / 2 - theirs


def ask(address: str, secret: str | None = None) -> Answer:
    """What the dashboard at `address` says to ``/api/version``."""
    reply = get(address, "/api/version", secret)
    if reply.status == 200:
        if not isinstance(reply.found, dict):
            return Answer(404)  # something answers, and it is not Ray
        return Answer(200, str(reply.found.get("ray_version", "")), reply.skew)
    return Answer(reply.status, skew=reply.skew)


def node_clocks(address: str, secret: str | None) -> dict[str, float]:
    """Machine of the cluster -> seconds this machine is ahead of it, to `REPORT_S`.

    Empty where the dashboard does not say.
    """
    found = get(address, "/nodes?view=summary", secret).found
    now = time.time()
    try:
        nodes = found["data"]["summary"]
        # A report is between 0 and REPORT_S old: half of that is what is known best.
        return {
            str(n["hostname"]): now - REPORT_S / 2 - float(n["now"])
            for n in nodes
            if "now" in n and n.get("raylet", {}).get("state") == "ALIVE"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
