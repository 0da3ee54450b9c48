"""What a trial takes of a Ray cluster, and how many trials there is place for at once.

A trial in one process takes that process's CPUs, and its GPU. A trial on Ray Train workers is two
things: a process that drives it, and its workers, for which Ray Train asks in a placement group of
its own. Gave one the driver a CPU too, then on a small machine drivers would hold all CPUs and wait
for workers for ever. So a driver takes memory alone, and there are never more drivers than their
workers have place for; Ray Train gets all workers of a group or none, so that no two trials hold
half of what both need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from training.config import Config
from training.tracking import say

#: Memory in bytes of a trial on Ray Train workers, besides theirs. Measured, shared pages divided:
#: .7 GiB of the process that Tune starts, .6 of the server that forks the run's own, .2 of that,
#: .5 of Ray Train's controller; torch, imported, is most of each.
DRIVER = 2 << 30

Node = Mapping[str, float]


@dataclass(frozen=True)
class Needs:
    """What one trial takes.

    Attributes:
        process: of one node, for the process that Ray Tune starts: resource -> amount.
        worker: for each of its Ray Train workers; nothing if it has none.
        workers: how many of these it asks for.
        least: how many it can do with (elastic); 0 if it has none.
    """

    process: dict[str, float]
    worker: dict[str, float]
    workers: int
    least: int

    @classmethod
    def of(cls, config: Config) -> Needs:
        """Of a run with these settings."""
        compute = config.compute
        each: dict[str, float] = {"CPU": compute.cpus_per_worker}
        if compute.use_gpu:
            each["GPU"] = 1
        if compute.launcher == "local":
            return cls(each, {}, 0, 0)
        least = compute.min_workers or compute.workers
        return cls({"memory": DRIVER}, each, compute.workers, least)

    def fit(self, nodes: Iterable[Node]) -> int:
        """How many trials the nodes have place for at once.

        Exact, since all processes of a kind ask for the same: it does not matter which of a node's
        places a worker gets. Where elastic workers cannot all have place, one trial runs on fewer.
        """
        nodes = list(nodes)
        fits = places(self.process, nodes)
        if not self.workers:
            return fits
        found = places(self.worker, nodes)
        return min(fits, max(found // self.workers, int(found >= self.least)))

    def workers_fit(self, nodes: Iterable[Node]) -> bool:
        """Whether there is place for the workers of a trial that has its own process already."""
        return not self.workers or places(self.worker, nodes) >= self.least

    def __str__(self) -> str:
        if not self.workers:
            return _said(self.process)
        fewer = f"{self.least} to " if self.least < self.workers else ""
        more = "s" * (self.workers > 1)
        each = " each" * (self.workers > 1)
        return (
            f"{fewer}{self.workers} worker{more} with {_said(self.worker)}{each} "
            f"and {_said(self.process)}"
        )


def places(each: Node, nodes: Iterable[Node]) -> int:
    """How many processes that take `each` the nodes have place for."""
    return sum(min(int(node.get(name, 0) // n) for name, n in each.items()) for node in nodes)


def side_by_side(config: Config, wanted: int, nodes: Iterable[Node]) -> int:
    """How many trials shall run at once: `wanted`, or as many as the cluster ever has place for.

    Fewer than wanted is said aloud.

    Args:
        config: any trial's; no space varies what a trial takes.
        wanted: at least 1.
        nodes: all that each node has, in use or not.

    Raises:
        ValueError: the cluster can never run one trial; with what to change.
    """
    needs, nodes = Needs.of(config), list(nodes)
    fits = needs.fit(nodes)
    if not fits:
        fewer = "compute.workers, " * bool(needs.workers)
        gpus = ", set compute.use_gpu=false" * config.compute.use_gpu
        raise ValueError(
            f"a trial takes {needs}, and the cluster has {_cluster(needs, nodes)}: "
            f"lower {fewer}compute.cpus_per_worker{gpus}, or add nodes"
        )
    if fits < wanted:
        say(
            f"{fits} of {wanted} trials at a time, the others wait: a trial takes {needs}, "
            f"and the cluster has {_cluster(needs, nodes)}"
        )
    return min(fits, wanted)


def lacking(needs: Needs, there: Iterable[Node]) -> str:
    """What a trial waits for, beside what there is of it."""
    return f"a trial takes {needs}, and there are {_cluster(needs, list(there))}"


def _cluster(needs: Needs, nodes: list[Node]) -> str:
    """What the nodes have of what a trial asks for, alike ones counted."""
    names = [*needs.worker, *needs.process]
    each = [_said({name: node.get(name, 0) for name in names}) for node in nodes]
    texts = [
        f"{each.count(text)} nodes with {text} each" if each.count(text) > 1 else text
        for text in dict.fromkeys(each)
    ]
    return "; ".join(texts) or "no node"


def _said(amounts: Node) -> str:
    return " and ".join(
        f"{n / 2**30:.3g} GiB of memory" if name == "memory" else f"{n:g} {name}{'s' * (n != 1)}"
        for name, n in amounts.items()
    )
