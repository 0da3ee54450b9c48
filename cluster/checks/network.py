"""Ports that Ray wants, and the address that workers give each other for gloo and NCCL."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence

from cluster.checks import Check

#: The head's ports unless told otherwise (`ray start --help`).
PORTS = {"the head": 6379, "the dashboard": 8265, "Ray client": 10001, "the agent": 52365}
#: Ray hands these to its workers (--min-worker-port, --max-worker-port).
WORKERS = range(10002, 20000)


def head_port(address: str | None) -> int | None:
    """The port of a ``RAY_ADDRESS`` such as ``head:6379``; None where it names none."""
    port = (address or "").rpartition(":")[2]
    return int(port) if port.isdigit() else None


def ports(wanted: Mapping[str, int], listening: Collection[int], ours: bool) -> Check:
    """Are the head's ports free, apart, and out of the range that workers are given?

    Args:
        wanted: what for -> port.
        listening: the ports on which something listens on this machine.
        ours: a cluster answers on this machine, so that its ports are taken by right.
    """
    inside = [f"{port} ({what})" for what, port in wanted.items() if port in WORKERS]
    if inside:
        line = f"{', '.join(inside)} in {WORKERS.start}-{WORKERS.stop - 1}, which workers are given"
        return Check(
            "ports", "fail", line, "ray start --head --port 6379, and RAY_ADDRESS=HOST:6379"
        )
    if ours:
        return Check("ports", "ok", "a cluster is up on this machine, and holds its own")
    taken = [f"{port} ({what})" for what, port in wanted.items() if port in listening]
    if taken:
        line = f"taken by another program: {', '.join(taken)}"
        fix = "end it (ss -ltnp shows which), or choose others: ray start --head --port ..."
        return Check("ports", "fail", line, fix)
    strangers = sorted(set(listening) & set(WORKERS))
    if strangers:
        line = f"others listen in the workers' range: {', '.join(map(str, strangers[:5]))}"
        fix = "ray start --min-worker-port 20000 --max-worker-port 29999, on every machine"
        return Check("ports", "warn", line, fix)
    return Check("ports", "ok", ", ".join(map(str, wanted.values())) + " are free")


def interface(
    host: str,
    addresses: Sequence[str] | None,
    cards: Mapping[str, Sequence[str]],
    chosen: Mapping[str, str],
) -> Check:
    """Would other machines reach a worker of this one?

    gloo and torch's rendezvous give away the address that the host's own name resolves to, unless
    GLOO_SOCKET_IFNAME says which network card. Debian's 127.0.1.1 is the usual mistake.

    Args:
        host: this machine's name.
        addresses: what it resolves to; None if it does not.
        cards: network card -> its addresses.
        chosen: GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME, where they are set.
    """
    for name, value in chosen.items():
        # NCCL takes prefixes, a list, and ^ for all but these.
        wanted = [v for v in value.lstrip("=").split(",") if v]
        exact = name.startswith("GLOO") or value.startswith("=")
        if value.startswith("^"):
            continue
        if not any(c == w or (c.startswith(w) and not exact) for c in cards for w in wanted):
            line = f"{name}={value} is none of {', '.join(sorted(cards))}"
            return Check("network", "fail", line, f"correct or unset {name}")
    if "GLOO_SOCKET_IFNAME" in chosen:
        return Check("network", "ok", f"gloo takes {chosen['GLOO_SOCKET_IFNAME']}")
    outside = [c for c, own in sorted(cards.items()) if any(_reachable(a) for a in own)]
    fix = f"GLOO_SOCKET_IFNAME={outside[0] if outside else 'CARD'}, or mend /etc/hosts"
    alone = "workers on several machines would not find each other"
    if addresses is None:
        return Check("network", "warn", f"{host} does not resolve: {alone}", fix)
    if not any(_reachable(a) for a in addresses):
        line = f"{host} resolves to {', '.join(addresses)}: {alone}"
        return Check("network", "warn", line, fix)
    own = {a for of_card in cards.values() for a in of_card}
    if not own & set(addresses):
        line = f"{host} resolves to {', '.join(addresses)}, which is no card of this machine"
        return Check("network", "warn", line, fix)
    return Check("network", "ok", f"{host} is {next(a for a in addresses if _reachable(a))}")


def _reachable(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not (ip.is_loopback or ip.is_link_local or ip.is_unspecified)
