from __future__ import annotations

import os

import pytest

from data_sharding.pool import in_order


def double(n: int) -> int:
    return 2 * n


def double_or_die(n: int) -> int:
    if n % 40 == 17:
        os._exit(3)  # as a decoder that crashes
    return 2 * n


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    jobs = list(range(70))
    out = in_order(double, jobs, workers, lambda _: -1, "numbers", lambda _: None)
    assert list(out) == [2 * n for n in jobs]


def test_a_crash_costs_one_job():
    jobs = list(range(60))
    out = in_order(double_or_die, jobs, 2, lambda n: -n, "numbers", lambda _: None)
    assert list(out) == [-n if n % 40 == 17 else 2 * n for n in jobs]
