"""How many trials a cluster has place for, against trying every way of placing them."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.overrides import override
from training.recipes import recipe
from tuning.resources import DRIVER, Needs, lacking, places, side_by_side

PLENTY = 100 * DRIVER


def config(*changes: str):
    return override(recipe("ospenscreen:smoke"), list(changes))


def node(cpus: float, gpus: float = 0, memory: float = PLENTY):
    return {"CPU": cpus, "GPU": gpus, "memory": memory, "node:192.0.2.7": 1.0}


def ray(workers: int, *more: str):
    return config("compute.launcher=ray", f"compute.workers={workers}", *more)


def test_a_trial_in_one_process_takes_its_cpus_and_its_gpu():
    needs = Needs.of(config("compute.launcher=local", "compute.workers=8"))
    assert needs == Needs({"CPU": 1}, {}, 0, 0)
    assert needs.fit([node(2)]) == 2
    assert needs.fit([node(2), node(3)]) == 5
    gpu = Needs.of(
        config("compute.launcher=local", "compute.use_gpu=true", "compute.cpus_per_worker=3")
    )
    assert gpu.process == {"CPU": 3, "GPU": 1}
    assert gpu.fit([node(8, gpus=8)]) == 2
    assert gpu.fit([node(64, gpus=4), node(64)]) == 4


def test_a_driver_takes_no_cpu_from_its_workers():
    needs = Needs.of(ray(2))
    assert needs == Needs({"memory": DRIVER}, {"CPU": 1}, 2, 2)
    assert needs.fit([node(2)]) == 1  # the small machine
    assert needs.fit([node(1)]) == 0
    assert needs.fit([node(1), node(1)]) == 1  # workers may lie on two nodes
    assert needs.fit([node(5), node(3)]) == 4
    assert needs.fit([node(64, memory=2.5 * DRIVER)]) == 2  # memory for two drivers
    wide = Needs.of(ray(2, "compute.cpus_per_worker=2"))
    assert wide.fit([node(3), node(3)]) == 1  # a CPU is left on each, and no worker takes halves


def test_elastic_workers_do_with_fewer_where_there_are_not_more():
    needs = Needs.of(ray(4, "compute.min_workers=2"))
    assert [needs.fit([node(cpus)]) for cpus in (1, 2, 3, 4, 7, 8)] == [0, 1, 1, 1, 1, 2]
    assert needs.workers_fit([node(2)])
    assert not needs.workers_fit([node(1)])
    assert Needs.of(config("compute.launcher=local")).workers_fit([])


@st.composite
def clusters(draw):
    return [
        {"CPU": draw(st.integers(0, 6)), "GPU": draw(st.integers(0, 3)), "memory": PLENTY}
        for _ in range(draw(st.integers(0, 3)))
    ]


def slow_fit(needs: Needs, nodes) -> int:
    """Trials placed one after the other in every way there is; the most that ever fit."""
    kinds = list(needs.worker)

    @cache
    def most(free: tuple[tuple[float, ...], ...], left: int) -> int:
        """The most workers that can still be placed, at most `left`."""
        best = 0
        for i, has in enumerate(free):
            rest = tuple(n - needs.worker[kind] for n, kind in zip(has, kinds, strict=True))
            if left and min(rest) >= 0:
                best = max(best, 1 + most((*free[:i], rest, *free[i + 1 :]), left - 1))
        return best

    free = tuple(tuple(n[kind] for kind in kinds) for n in nodes)
    trials = 0
    while most(free, (trials + 1) * needs.workers) == (trials + 1) * needs.workers:
        trials += 1
    return trials


@settings(max_examples=40, deadline=None)
@given(clusters(), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_the_count_is_that_of_trying_every_placement(nodes, workers, cpus, gpu):
    words = [f"compute.cpus_per_worker={cpus}", f"compute.use_gpu={str(gpu).lower()}"]
    needs = Needs.of(ray(workers, *words))
    assert needs.fit(nodes) == slow_fit(needs, nodes)


def test_what_can_never_fit_is_refused_with_what_to_change():
    said = (
        "a trial takes 4 workers with 1 CPU each and 2 GiB of memory, and the cluster has "
        "2 CPUs and 200 GiB of memory: lower compute.workers, compute.cpus_per_worker, "
        "or add nodes"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        side_by_side(ray(4), 2, [node(2)])
    no_gpu = config("compute.launcher=local", "compute.use_gpu=true")
    with pytest.raises(
        ValueError, match=r"2 nodes with 8 CPUs and 0 GPUs each: lower compute\.cpu"
    ):
        side_by_side(no_gpu, 1, [node(8), node(8)])
    with pytest.raises(ValueError, match=r"set compute\.use_gpu=false"):
        side_by_side(no_gpu, 1, [node(8)])
    with pytest.raises(ValueError, match="the cluster has no node"):
        side_by_side(config("compute.launcher=local"), 1, [])


def test_what_must_wait_is_said(capsys):
    local = config("compute.launcher=local")
    assert side_by_side(local, 2, [node(2)]) == 2
    assert capsys.readouterr().out == ""
    assert side_by_side(local, 4, [node(2)]) == 2
    said = capsys.readouterr().out
    assert "2 of 4 trials at a time, the others wait: a trial takes 1 CPU" in said
    assert "the cluster has 2 CPUs" in said
    assert lacking(Needs.of(ray(2, "compute.min_workers=1")), [node(0)]) == (
        "a trial takes 1 to 2 workers with 1 CPU each and 2 GiB of memory, "
        "and there are 0 CPUs and 200 GiB of memory"
    )


def test_a_node_without_a_resource_has_no_place():
    assert places({"CPU": 1, "GPU": 1}, [{"CPU": 4}]) == 0
    assert places({"CPU": 1}, []) == 0
