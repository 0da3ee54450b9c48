"""A real Ray cluster of two nodes on this machine, whose second node can be killed and come back.

Each node is a ``ray start --block`` of its own with one CPU, as an administrator would start it;
`ray stop` would end every Ray of the machine, so processes are ended by their ids.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.training.processes import free_port, wait_for

BIN = Path(sys.executable).parent
#: A dead node is noticed within two seconds, not thirteen; a size that has no place is tried for
#: five, not sixty.
QUICK = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "5",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}


class Nodes:
    """The cluster. `environment` is for drivers, `dashboard` for ``ray job``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.still = threading.Lock()
        self.address = f"127.0.0.1:{free_port()}"
        self.environment = (
            os.environ
            | QUICK
            | {
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "OMP_NUM_THREADS": "1",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": "0" * 64,
                "RAY_ADDRESS": self.address,
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_prestart_worker_first_driver": "0",
            }
        )
        dashboard = free_port()
        self.dashboard = self.environment | {"RAY_ADDRESS": f"http://127.0.0.1:{dashboard}"}
        port = self.address.rpartition(":")[2]
        # Ray's sockets lie there, and a socket's path has at most 107 characters.
        self.temporary = f"/tmp/osteoray-{os.getpid()}"
        self.nodes = {
            "head": self._start(
                "head",
                "--head",
                f"--port={port}",
                f"--dashboard-port={dashboard}",
                f"--temp-dir={self.temporary}",
            )
        }
        wait_for(lambda: self._alive("head"), 90)
        self.add("second")

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("ab")
        own = {k: v for k, v in self.environment.items() if k != "RAY_ADDRESS"}
        start = ["ray", "start", "--block", "--num-cpus=1", "--object-store-memory=100000000"]
        return subprocess.Popen(
            [*start, f"--labels=node={name}", *arguments],
            env=own,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def add(self, name: str) -> None:
        """Start a node, and wait until the cluster knows it."""
        self.nodes[name] = self._start(name, f"--address={self.address}")
        wait_for(lambda: self._alive(name), 60)

    def ids(self) -> dict[str, str]:
        """Name -> id of each node that is alive, as the cluster sees it."""
        asked = urllib.request.Request(
            f"{self.dashboard['RAY_ADDRESS']}/api/v0/nodes?detail=1",
            headers={"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                rows = json.load(answer)["data"]["result"]["result"]
        except OSError:
            return {}
        alive = [row for row in rows if row["state"] == "ALIVE"]
        return {row["labels"]["node"]: row["node_id"] for row in alive if "node" in row["labels"]}

    def _alive(self, name: str) -> bool:
        assert self.nodes.get(name) is None or self.nodes[name].poll() is None, (
            self.folder / f"{name}.log"
        ).read_text()
        return name in self.ids()

    def kill(self, name: str) -> None:
        """SIGKILL to the node's raylet, as when the machine is gone."""
        node = self.nodes.pop(name)
        raylet = next(p for p in descendants(node.pid) if comm(p) == "raylet")
        os.kill(raylet, signal.SIGKILL)
        node.wait(30)  # `ray start --block` ends when a process of its node does

    def renew(self, name: str) -> None:
        """Another node in its place. One that was drained has ended by itself, or soon would."""
        node = self.nodes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()
        wait_for(lambda: name not in self.ids(), 30)
        self.add(name)

    def workers(self) -> list[int]:
        """Processes that train, on all nodes."""
        every = [p for node in list(self.nodes.values()) for p in descendants(node.pid)]
        return [p for p in every if "RayTrainWorker" in title(p)]

    @contextlib.contextmanager
    def pausing(self, when: Callable[[], int], seconds: float) -> Iterator[None]:
        """All workers stand still that long whenever `when` has risen.

        A cluster takes seconds to notice that a node went or came; on a fast machine a small run
        would be over by then.
        """
        over = threading.Event()

        def pause() -> None:
            last = when()
            while not over.wait(0.01):
                if when() > last:
                    last = when()
                    with self.standing():
                        over.wait(seconds)

        pausing = threading.Thread(target=pause)
        pausing.start()
        try:
            yield
        finally:
            over.set()
            pausing.join()

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """All workers stand still; blocks of several threads come one after the other."""
        with self.still:
            workers = self.workers()
            each(workers, signal.SIGSTOP)
            try:
                yield
            finally:
                each(workers, signal.SIGCONT)

    def drain(self, name: str, seconds: int) -> None:
        """Announce that a node goes: what a cloud or an autoscaler says before it takes it."""
        subprocess.run(
            [
                "ray",
                "drain-node",
                f"--address={self.address}",
                f"--node-id={self.ids()[name]}",
                "--reason=DRAIN_NODE_REASON_PREEMPTION",
                "--reason-message=reclaimed",
                f"--deadline-remaining-seconds={seconds}",
            ],
            env=self.environment,
            check=True,
            capture_output=True,
        )

    def close(self) -> None:
        """End all nodes, the head last."""
        for node in reversed(self.nodes.values()):
            node.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        shutil.rmtree(self.temporary, ignore_errors=True)


def each(pids: list[int], what: signal.Signals) -> None:
    """The signal, to those that still live."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def descendants(pid: int) -> list[int]:
    """Processes started by `pid`, and by those."""
    parent: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after = path.read_text().rpartition(")")[2].split()
            parent[int(path.parent.name)] = int(after[1])
    found, front = [], {pid}
    while front:
        front = {child for child, its in parent.items() if its in front}
        found += sorted(front)
    return found


def comm(pid: int) -> str:
    """The name of a process's program."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def title(pid: int) -> str:
    """What `ps` shows of a process."""
    with contextlib.suppress(OSError):
        return re.sub(r"\0", " ", Path(f"/proc/{pid}/cmdline").read_text())
    return ""
