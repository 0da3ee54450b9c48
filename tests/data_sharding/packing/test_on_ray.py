"""Packing on Ray tasks: the same bytes, and a decoder that kills its worker costs one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_sharding.pack import pack
from data_sharding.packing.on_ray import RayCrew
from data_sharding.packing.pool import as_done
from tests.data_sharding.packing.test_pool import Job, double_or_die, names
from tests.data_sharding.packing.test_resume import contents

pytestmark = pytest.mark.ray


def test_the_same_bytes_and_a_crash_costs_one_item(site, key_file, packed, tmp_path: Path):
    out = tmp_path / "other" / "asan"
    pack(
        *(site, out),
        **{"size": 32, "shard_samples": 8, "key_file": key_file, "screen": False},
        **{"on_ray": True, "echo": lambda _: None},
    )
    assert contents(out) == contents(packed)
    crew = RayCrew()
    try:
        done = dict(as_done(crew, double_or_die, iter([Job(n) for n in (3, 17, 30)]), names))
    finally:
        crew.close()
    assert done == {3: 6, 17: None, 30: 60}
