"""Who may talk to a Ray cluster: its address and its token.

Whoever reaches the jobs API of a cluster without a token runs what they like on it
(CVE-2023-48022). The token is one secret for a cluster; it is not encrypted on the way, so beyond
this machine there must be TLS or an SSH tunnel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_ADDRESS = "http://127.0.0.1:8265"


def address_of(env: Mapping[str, str], given: str = "") -> str:
    """The dashboard: what was given, else ``$RAY_API_SERVER_ADDRESS``, else this machine's."""
    return given or env.get("RAY_API_SERVER_ADDRESS", "") or DEFAULT_ADDRESS


def is_loopback(address: str) -> bool:
    """True where nothing leaves this machine. A name other than localhost may be anyone."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_of(env: Mapping[str, str], user: Path) -> str | None:
    """The token as Ray finds it: in the environment, in a named file, in ``~/.ray/auth_token``."""
    if env.get("RAY_AUTH_TOKEN"):
        return env["RAY_AUTH_TOKEN"].strip()
    path = token_file(env, user)
    return (path.read_text().strip() or None) if path.is_file() else None


def token_file(env: Mapping[str, str], user: Path) -> Path:
    """Where Ray looks for a token; `user` is the home folder."""
    return Path(env.get("RAY_AUTH_TOKEN_PATH") or user / ".ray" / "auth_token")


def auth_mode(
    env: Mapping[str, str], address: str, token: str | None, allow_unauthenticated: bool
) -> tuple[str, str]:
    """``RAY_AUTH_MODE`` for a client of `address`, and a warning or ``""``.

    Raises:
        ValueError: not an address, or a cluster elsewhere would be spoken to without a token.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise ValueError(
            f"{address}: not a dashboard's address, which looks like {DEFAULT_ADDRESS} "
            "(the port is the dashboard's 8265, not the cluster's 6379)"
        )
    here, plain = is_loopback(address), address.startswith("http:")
    if allow_unauthenticated:
        return "disabled", f"{address}: without a token, as you asked"
    if token and env.get("RAY_AUTH_MODE", "token").lower() == "token":
        if plain and not here:
            return "token", f"{address}: the token travels in the clear; use https or an SSH tunnel"
        return "token", ""
    why = "RAY_AUTH_MODE is not token" if token else "there is no token"
    if not here:
        raise ValueError(
            f"{address}: {why}, and this is not loopback: anyone who reaches such a cluster runs "
            "code on it. Put the cluster's token into ~/.ray/auth_token (mode 600) and set "
            "RAY_AUTH_MODE=token, or tunnel with ssh -L 8265:127.0.0.1:8265, or say "
            "--allow-unauthenticated"
        )
    return "disabled", f"{why}: every user of this machine can run code as you on this cluster"
