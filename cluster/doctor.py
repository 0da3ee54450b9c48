"""What will not work, said before a run and with the fix.

python -m cluster doctor
python -m cluster doctor -- ospenscreen compute.workers=8 track.wandb=online
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from cluster import api, facts
from cluster.access import address_of, is_loopback, token_file, token_of
from cluster.checks import Check, dashboard, data, machine, network, software
from cluster.plan import Plan, at_home

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def examine(env: Mapping[str, str], user: Path, plan: Plan | None = None) -> list[Check]:
    """All checks, on this machine. Takes seconds: torch and Ray are imported.

    Args:
        env: the environment.
        user: the home folder.
        plan: of the run that is meant; None: what lies in OSTEORAY_HOME.
    """
    home = Path(env.get("OSTEORAY_HOME", "demo")).absolute()
    plan = plan or at_home(home)
    return [
        *_software(),
        *_machine(env, plan),
        *_network(env, user),
        *data.shards(str(home / "shards"), [facts.look(place) for place in plan.places]),
        _wandb(env, user, plan),
    ]


def _software() -> list[Check]:
    locked = software.locked_versions(LOCK.read_text() if LOCK.exists() else "")
    found = [software.python_version(sys.version_info[:2])]
    for name in ("ray", "torch"):
        version, error = facts.module_version(name)
        found.append(software.package(name, version, locked.get(name), error))
    return [*found, software.lock(facts.installed(), locked)]


def _machine(env: Mapping[str, str], plan: Plan) -> list[Check]:
    existing = next(p for p in (plan.runs, *plan.runs.parents) if p.exists())
    # Ray's session folder: RAY_TMPDIR, else /tmp.
    temp = Path(env.get("RAY_TMPDIR", "/tmp"))
    temp = next(p for p in (temp, *temp.absolute().parents) if p.exists())
    shm = Path("/dev/shm")
    driver, used = facts.nvidia_smi()
    usable, cuda = facts.torch_gpus() if facts.module_version("torch")[0] else (None, None)
    skew, accuracy = facts.file_clock(existing)
    usage, spare = shutil.disk_usage(existing), shutil.disk_usage(temp)
    return [
        machine.cpus(facts.cpus(), plan.cpus),
        machine.memory(facts.memory()),
        machine.disk(plan.runs, usage.free, skew is not None),
        machine.ray_disk(temp, spare.total, spare.free),
        machine.shared_memory(shutil.disk_usage(shm).total if shm.exists() else None),
        machine.open_files(facts.open_files()),
        machine.clock("file clock", f"the storage of {existing}", skew, accuracy),
        machine.gpus(driver is not None, usable, plan.gpus, used),
        software.gpu_driver(driver, cuda),
        software.compiler(shutil.which("c++") or shutil.which("g++"), plan.compiler),
    ]


def _network(env: Mapping[str, str], user: Path) -> list[Check]:
    secret, file = token_of(env, user), token_file(env, user)
    address = address_of(env)
    here = is_loopback(address)
    # The token goes to its own cluster only where nobody can listen.
    safe = here or address.startswith("https:")
    stranger = api.ask(address)
    known = api.ask(address, secret) if secret and safe else None
    clocks = api.node_clocks(address, secret) if known and known.status == 200 else {}
    slowest = max(clocks, key=lambda name: abs(clocks[name]), default="")
    skew, late = clocks.get(slowest), api.REPORT_S / 2
    port = network.head_port(env.get("RAY_ADDRESS"))
    wanted = network.PORTS | ({"the head": port} if port else {})
    host = socket.gethostname()
    chosen = {k: env[k] for k in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if env.get(k)}
    return [
        dashboard.token(
            env.get("RAY_AUTH_MODE"),
            secret is not None,
            file,
            file.stat().st_mode & 0o777 if file.is_file() else None,
        ),
        dashboard.dashboard(
            address,
            "RAY_API_SERVER_ADDRESS" in env,
            stranger,
            known,
            facts.module_version("ray")[0],
        ),
        machine.clock("head's clock", f"the head at {address}", stranger.skew, accuracy=1.0),
        machine.clock("nodes' clocks", f"{slowest or 'the machines'} of the cluster", skew, late),
        network.ports(
            wanted, facts.listening(wanted.values()), here and stranger.status is not None
        ),
        network.interface(host, facts.addresses(host), facts.cards(), chosen),
    ]


def _wandb(env: Mapping[str, str], user: Path, plan: Plan) -> Check:
    host = facts.wandb_server(env)
    url = env.get("WANDB_BASE_URL") or f"https://{host}"
    asked = facts.answers(url) if plan.wandb == "online" else None
    return data.wandb(plan.wandb, facts.wandb_key(env, user, host), host, asked)


def report(found: list[Check]) -> str:
    """A line for each check, and its fix below it."""
    width = max(len(c.name) for c in found)
    lines = []
    for c in found:
        lines.append(f"{c.status:4}  {c.name:{width}}  {c.line}")
        if c.fix:
            lines.append(f"{'':4}  {'':{width}}  fix: {c.fix}")
    return "\n".join(lines)
