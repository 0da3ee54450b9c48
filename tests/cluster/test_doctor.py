"""The doctor on this machine: what it looks at, whom it shows the token, what it prints."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from cluster import api, doctor
from cluster.__main__ import app
from cluster.checks import software
from cluster.checks.dashboard import Answer
from cluster.plan import Plan, plan_of
from tests.cluster.server import serving

VERSION = {"/api/version": {"version": "4", "ray_version": "2.60.0"}}


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("RAY_ADDRESS", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OSTEORAY_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
    return tmp_path


def pack(folder):
    folder.mkdir(parents=True)
    shard = {"path": "train-00000.tar", "samples": 3, "bytes": 4}
    manifest = {"name": folder.name, "role": "internal", "shards": [shard]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "train-00000.tar").write_bytes(b"1234")
    (folder / "index.parquet").write_bytes(b"")


def test_the_verb_measures_and_fails_where_data_is_missing(home, monkeypatch):
    with serving(VERSION, secret="s3cret") as address:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", address)
        done = CliRunner().invoke(app, ["doctor"])
        assert done.exit_code == 1
        assert f"no internal dataset in {home / 'shards'}" in done.output
        assert "s3cret" not in done.output, "the token is not printed"
        assert "a cluster is up on this machine" in done.output
        pack(home / "shards" / "asan")
        done = CliRunner().invoke(app, ["doctor"])
        assert "asan (internal, 3 samples in 1 shards)" in done.output
        (home / "shards" / "asan" / "train-00000.tar").write_bytes(b"12")
        assert "has 2 bytes, not 4" in CliRunner().invoke(app, ["doctor"]).output


def test_a_runs_own_words_say_what_to_look_at(home):
    pack(home / "far")
    words = ["ospenscreen:smoke", "--fresh", "paths.external=[]", "compute.workers=64"]
    words += [f"paths.{name}={home / 'far'}" for name in ("internal", "public")]
    done = CliRunner().invoke(app, ["doctor", "--", *words])
    assert "far (internal, 3 samples in 1 shards)" in done.output
    assert "the workers ask for 64" in done.output
    refused = CliRunner().invoke(app, ["doctor", "--", "ospenscreen:smoke", "compute.wrokers=1"])
    assert refused.exit_code == 2
    assert "compute.wrokers: no such setting" in refused.output


def test_no_token_is_sent_where_others_can_listen(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(api, "ask", lambda *a: asked.append(a) or Answer(None))
    away = "http://10.0.0.7:8265"
    env = {"RAY_AUTH_TOKEN": "t", "RAY_API_SERVER_ADDRESS": away}
    doctor.examine(env, tmp_path, Plan((), tmp_path))
    assert asked == [(away,)]


def test_the_lock_of_this_repository_is_read():
    found = software.locked_versions(doctor.LOCK.read_text())
    assert {"ray", "torch", "optuna"} <= set(found)
    assert all(v[0].isdigit() for v in found.values())


def test_a_plan_is_read_from_the_settings():
    settings = """
paths: {internal: s3://b/asan, public: null, external: [/d/north], runs: /d/runs}
compute: {launcher: ray, workers: 8, min_workers: 2, cpus_per_worker: 4, use_gpu: true}
track: {wandb: online}
"""
    plan = plan_of(settings)
    assert plan.places == ("s3://b/asan", "/d/north")
    assert (plan.workers, plan.cpus, plan.gpus, plan.wandb) == (2, 8, 2, "online")
    local = plan_of(settings.replace("launcher: ray", "launcher: local"))
    assert (local.workers, local.cpus, local.gpus, local.on_ray) == (1, 1, 1, False)
    assert not plan.compiler
    assert plan_of(settings.replace("use_gpu: true", "use_gpu: true, compile: true")).compiler
    for broken in ("", "[]", "paths: 3", "paths: {", settings.replace("track", "tracks")):
        with pytest.raises(ValueError, match="printed no settings"):
            plan_of(broken)
