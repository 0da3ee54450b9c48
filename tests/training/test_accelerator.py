"""What a GPU is for; here only that the code runs, and on a GPU that it learns the same."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from tests.bench.gpu import Work, measure, measure_grid
from training.grid import Grid
from training.launch import launch, prepare


def test_the_benchmark_of_accelerators_runs_without_one(tmp_path):
    rows = measure(Work("cpu", "test_convnext", 48, 8, 4, 1), tmp_path, n=64)
    assert len(rows) == 4
    assert all(float(row.ratio) > 0 for row in rows)


def test_so_does_that_of_the_grid_model():
    grid = Grid(grid=2, tile=32, width=32, depth=1, heads=4, mlp=64, hidden=16)
    rows = measure_grid(Work("cpu", batch=2, steps=3, skip=1), grid)
    assert ["plain" in row.what for row in rows] == [True, False]
    assert all(float(row.ratio) > 0 for row in rows)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
def test_a_gpu_learns_what_a_cpu_learns(tiny, tmp_path):
    found = []
    for use in ("false", "true"):
        config = tiny(f"compute.use_gpu={use}", f"paths.runs={tmp_path / use}", "teacher.epochs=1")
        folder = prepare(config)
        launch(config, folder)
        found.append(load_file(folder / "teacher" / "weights" / "model.safetensors"))
    for name, ours in found[0].items():
        torch.testing.assert_close(found[1][name], ours, rtol=1e-2, atol=1e-3)
