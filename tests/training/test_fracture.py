"""A survival model from shards to predictions: what it learns, what stops it, and going on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from data_sharding.schema import check_predictions, sha256_file
from eval.cohort import Settings
from eval.survival import baseline as judged
from eval.survival import harrell_c
from eval.survival.cohort import fracture_metrics
from tests.training.followed import pack_followed, pack_phantoms
from tests.training.workers import finish
from training.average import Average
from training.config import Config
from training.launch import complete, launch, prepare
from training.overrides import override
from training.recipes import recipe
from training.teachers import Teachers

WEIGHTS = "fracture/weights/model.safetensors"


@pytest.fixture(scope="module")
def packs(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("followed")
    return {
        "here": pack_followed(root / "here"),
        "there": pack_followed(root / "there", "there", "external", {"external": 150}, seed=1),
    }


@pytest.fixture
def made(packs, tmp_path) -> Callable[..., Config]:
    """The smoke recipe on 48-pixel packs, in-process, a few epochs; takes overrides."""

    def make(*changes: str) -> Config:
        return override(
            recipe("fracture:smoke"),
            [
                f"paths.internal={packs['here']}",
                f"paths.external=[{packs['there']}]",
                f"paths.runs={tmp_path / 'runs'}",
                "model.name=test_convnext",  # no batch norm: the same for any number of workers
                "input.size=48",
                "fracture.epochs=3",
                "fracture.batch=16",
                "fracture.horizon_days=900",
                "compute.launcher=local",
                "track.wandb=disabled",
                *changes,
            ],
        )

    return make


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("calm") / "runs"


@pytest.fixture
def calm(made, once) -> Path:
    """A run that nothing disturbs, made by the first who asks; to be read only."""
    config = made(f"paths.runs={once}")
    folder = prepare(config)
    if not complete(folder):
        launch(config, folder)
    return folder


def predicted(folder: Path, cohort: str) -> pd.DataFrame:
    path = folder / "cohorts" / cohort / "predictions.parquet"
    return check_predictions(pd.read_parquet(path))


def records(folder: Path) -> list[dict[str, float]]:
    """metrics.jsonl without what a clock says."""
    lines = (folder / "fracture" / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if not k.startswith("perf/")} for x in lines]


def test_it_learns_who_breaks_first(made):
    """On another site's patients; the bar alone, which the network must find, has a C of .80."""
    config = made("fracture.epochs=12", "model.name=test_byobnet")
    folder = prepare(config)
    launch(config, folder)
    frame = predicted(folder, "there-external").dropna(subset=["fracture"])
    c = harrell_c(frame["followup_days"], frame["fracture"].astype(int), frame["logit"])
    assert c.low > 0.6
    said = records(folder)
    assert said[-1]["train/cox/fracture"] < said[0]["train/cox/fracture"]
    assert said[-1]["tune/c"] > 0.6


def test_it_learns_from_phantom_radiographs_and_is_judged_on_others(made, tmp_path):
    """The latent, which no picture shows without noise, has a C of .74; chance has .5."""
    splits = {"train": 400, "tune": 40, "test": 200}
    phantoms = pack_phantoms(tmp_path / "asan", "asan", "internal", splits, first=0)
    how = ("model.name=test_byobnet", "input.size=64", "fracture.batch=64", "fracture.lr=6e-3")
    config = made(f"paths.internal={phantoms}", "paths.external=[]", "fracture.epochs=8", *how)
    folder = prepare(config)
    launch(config, folder)
    found = fracture_metrics(predicted(folder, "asan-test"), Settings())
    assert found is not None
    assert (found.n, found.without_followup) == (200, 0)
    assert found.fractures > 40
    assert found.harrell_c.value > 0.58
    assert found.harrell_c.low > 0.5
    assert found.horizons[1].brier.value
    assert found.curves[0].survival[36] > found.curves[2].survival[36]


def test_the_line_from_shards_to_predictions(calm):
    assert complete(calm)
    assert [r["step"] for r in records(calm)] == [4, 8, 12]  # 51 followed in batches of 16
    survival = json.loads((calm / "fracture" / "weights" / "survival.json").read_text())
    tune = predicted(calm, "here-tune").dropna(subset=["fracture"])
    assert (survival["n"], survival["fractures"]) == (32, tune["fracture"].sum())
    for cohort, n in [("here-tune", 40), ("here-test", 40), ("there-external", 150)]:
        frame = predicted(calm, cohort)
        assert len(frame) == n
        assert set(frame["model"]) == {"fracture"}
        assert frame["label"].isna().all()
        assert frame["threshold"].isna().all()
        assert frame["fracture"].isna().sum() == n // 5
        assert (frame["fracture"].isna() == frame["followup_days"].isna()).all()
        assert (frame["risk_1y"] < frame["risk_2y"]).all()
        assert (frame["risk_2y"] < frame["probability"]).all()
        rank = [frame[c].rank() for c in ("logit", "probability", "risk_1y")]
        assert rank[0].corr(rank[1]) == rank[0].corr(rank[2]) == pytest.approx(1)


def test_risks_are_those_of_the_evaluation_on_the_tune_split(calm):
    """Two estimators of one baseline hazard, written apart."""
    tune = predicted(calm, "here-tune").dropna(subset=["fracture"])
    fit = judged(tune["followup_days"], tune["fracture"].astype(int), tune["logit"])
    test = predicted(calm, "here-test")
    free = fit.curves(test["logit"], [365, 730, 900])
    for k, column in enumerate(["risk_1y", "risk_2y", "probability"]):
        np.testing.assert_allclose(test[column], 1 - free[:, k], rtol=1e-9)
    beyond = fit.curves(test["logit"], [5 * 365])[:, 0]
    np.testing.assert_allclose(test["risk_5y"], 1 - beyond, rtol=1e-9)


@pytest.mark.parametrize("kill_at", [1, 5, 11])
def test_killed_at_any_step_the_weights_come_out_the_same(calm, made, kill_at, monkeypatch):
    class Killed(Exception):
        pass

    config = made("compute.checkpoint_steps=1")
    folder = prepare(config)
    real, steps = Average.update, 0

    def dies(average, step):
        nonlocal steps
        steps += 1
        if steps == kill_at:
            raise Killed
        return real(average, step)

    monkeypatch.setattr(Average, "update", dies)
    with pytest.raises(Killed):
        launch(config, folder)
    monkeypatch.setattr(Average, "update", real)
    launch(config, folder)
    assert sha256_file(folder / WEIGHTS) == sha256_file(calm / WEIGHTS)
    for ours, theirs in zip(records(folder), records(calm), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    assert prepare(config) == folder
    assert complete(folder)


def test_two_processes_learn_what_one_learns(calm, made, tmp_path):
    """Gloo and DDP: the same risk sets, so the same weights up to rounding."""
    config = made()
    finish(config, 2, tmp_path / "log")
    folder = prepare(config)
    assert complete(folder)
    ours, theirs = (load_file(f / WEIGHTS) for f in (folder, calm))
    # a constant, of which Cox's likelihood knows nothing: their gradients are rounding
    for name in set(theirs) - {"head.fc.bias", "head.norm.bias"}:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)
    risks = [predicted(f, "there-external")["probability"] for f in (folder, calm)]
    np.testing.assert_allclose(risks[0], risks[1], rtol=1e-3)
    for a, b in zip(records(folder), records(calm), strict=True):
        for name in ("train/loss", "train/cox/fracture", "train/grad_norm", "tune/c"):
            assert a[name] == pytest.approx(b[name], rel=1e-3), name


def test_a_dataset_without_fractures_is_refused_before_anything_is_trained(made, tmp_path):
    bare = pack_followed(tmp_path / "bare", broken=False)
    with pytest.raises(ValueError, match=r"no fracture among them.*fractures\.csv") as e:
        prepare(made(f"paths.internal={bare}"))
    assert "\n" not in str(e.value)
    assert not (tmp_path / "runs").exists()


def test_a_horizon_beyond_all_follow_up_is_refused_with_one_that_fits(made):
    with pytest.raises(ValueError, match=r"fracture\.horizon_days=(\d+)") as e:
        prepare(made("fracture.horizon_days=9000"))
    days = str(e.value).partition("horizon_days=")[2].split()[0]
    prepare(made(f"fracture.horizon_days={days}"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("student.epochs=3", "student has no say in a survival model"),
        ("teacher.lr=1", "teacher has no say"),
        ("pseudo.enabled=false", "pseudo has no say"),
        ("operating_point=half", "operating_point has no say"),
        ("compute.accumulate=2", "set compute.accumulate=1"),
    ],
)
def test_settings_without_a_say_are_refused(made, change, said):
    with pytest.raises(ValueError, match=said):
        made(change)


def test_its_config_yaml_holds_what_decides_and_reads_back(made, tmp_path):
    config = made()
    assert "teacher:" not in config.to_yaml()
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert Config.from_yaml(path) == config
    assert config.identity({}) != made("fracture.ties=breslow").identity({})
    assert "fracture" not in recipe("ospenscreen:smoke").to_yaml()


def test_a_survival_model_teaches_nobody(calm):
    with pytest.raises(ValueError, match="survival model"):
        Teachers.load([calm / "fracture" / "weights"], torch.device("cpu"))
