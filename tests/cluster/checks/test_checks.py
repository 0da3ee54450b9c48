"""Each check on facts that were made up: what it says, and that what is wrong comes with a fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.checks import GiB, dashboard, data, machine, network, software
from cluster.checks.dashboard import Answer
from cluster.checks.data import Pack

FILE = Path("/home/u/.ray/auth_token")
HERE, AWAY = "http://127.0.0.1:8265", "http://10.0.0.7:8265"
SHARD = {"path": "train-00000.tar", "samples": 3, "bytes": 10}
MANIFEST = json.dumps({"name": "asan", "role": "internal", "shards": [SHARD]})
PUBLIC = json.dumps({"name": "nih", "role": "public", "shards": []})
FILES = {"manifest.json": 5, "index.parquet": 7, "train-00000.tar": 10}
CARDS = {"lo": ["127.0.0.1", "::1"], "ens3": ["10.0.0.5", "fe80::1%ens3"]}
HEAD = {"the head": 6379, "the dashboard": 8265}


@pytest.mark.parametrize(
    ("check", "status", "says"),
    [
        (software.python_version((3, 11)), "ok", "3.11"),
        (software.python_version((3, 13)), "fail", "python3.11"),
        (software.package("ray", "2.60.0", "2.60.0"), "ok", ""),
        (software.package("torch", "2.15.0+cu132", "2.15.0"), "ok", ""),
        (software.package("ray", "2.59.0", "2.60.0"), "warn", "locked is 2.60.0"),
        (software.package("ray", None, "2.60.0", "No module"), "fail", "No module"),
        (software.package("torch", None, "2.15.0"), "warn", "nothing trains here"),
        (software.lock({"a": "1", "b": "2", "c": "9"}, {"a": "1", "b": "2"}), "ok", "2 libraries"),
        (software.lock({"a": "1+cpu", "b": "3"}, {"a": "1", "b": "2"}), "warn", "b 3 (locked 2)"),
        (software.lock({"a": "1"}, {}), "warn", "no requirements.lock"),
        (software.gpu_driver(None, "13.2"), "ok", "nothing to compare"),
        (software.gpu_driver("580.65.06", "13.2"), "ok", "580.65.06"),
        (software.gpu_driver("580.65.05", "13.0"), "fail", "580.65.06"),
        (software.gpu_driver("525.60.13", "12.8"), "ok", ""),
        (software.gpu_driver("525.60.13", "13.0"), "fail", "too old"),
        (software.gpu_driver("1000.1", "13.0"), "ok", ""),
        (software.gpu_driver("580.65.06", None), "warn", "without CUDA"),
        (software.gpu_driver("580.65.06", "14.0"), "ok", "nothing known"),
        (software.compiler("/usr/bin/g++", True), "ok", "g++"),
        (software.compiler(None, False), "ok", "none is needed"),
        (software.compiler(None, True), "fail", "compute.compile=false"),
        (machine.cpus(1), "warn", "the workers ask for 2"),
        (machine.cpus(2), "ok", ""),
        (machine.cpus(8, need=16), "warn", "16"),
        (machine.memory(GiB), "fail", "compute.launcher=local"),
        (machine.memory(3 * GiB), "warn", "compute.workers=1"),
        (machine.memory(16 * GiB), "ok", ""),
        (machine.disk(FILE, 100 * GiB, False), "fail", "cannot be written"),
        (machine.disk(FILE, GiB, True), "fail", "OSTEORAY_HOME"),
        (machine.disk(FILE, 5 * GiB, True), "warn", "old runs"),
        (machine.disk(FILE, 50 * GiB, True), "ok", ""),
        (machine.ray_disk(FILE, 100, 16), "ok", "84% full"),
        (machine.ray_disk(FILE, 100, 15), "warn", "--temp-dir"),
        (machine.ray_disk(FILE, 100, 5), "fail", "95% full"),
        (machine.shared_memory(64 * 2**20), "warn", "--shm-size"),
        (machine.shared_memory(8 * GiB), "ok", ""),
        (machine.shared_memory(None), "ok", ""),
        (machine.open_files(1024), "warn", "nofile=65536"),
        (machine.open_files(4096), "ok", "4096"),
        (machine.clock("clock", "the head", None, 1), "ok", "not compared"),
        (machine.clock("clock", "the head", 5.9, 1), "ok", "as the head"),
        (machine.clock("clock", "the head", 6.1, 1), "warn", "6.1 s ahead of the head"),
        (machine.clock("clock", "the head", -6.1, 1), "warn", "6.1 s behind the head"),
        (machine.clock("clock", "the head", -3600, 1), "fail", "chronyc"),
        (machine.gpus(True, 0), "warn", "collect_env"),
        (machine.gpus(True, 0, need=1), "fail", "collect_env"),
        (machine.gpus(False, 0), "ok", "none"),
        (machine.gpus(False, None, need=8), "warn", "0 here, and the workers ask for 8"),
        (machine.gpus(True, 2), "ok", "2"),
        (machine.gpus(True, 2, 2, [0.01, 0.9]), "warn", "1 are in use: 90% full"),
        (machine.gpus(True, 2, 2, [0.01, 0.02]), "ok", "2"),
        (machine.gpus(True, 2, 4), "warn", "2 here, and the workers ask for 4"),
        (machine.gpus(True, None), "ok", ""),
        (dashboard.token("token", True, FILE, 0o600), "ok", ""),
        (dashboard.token("token", True, FILE, None), "ok", ""),
        (dashboard.token("token", True, FILE, 0o644), "warn", "chmod 600 /home/u"),
        (dashboard.token("token", False, FILE, None), "fail", "get-auth-token"),
        (dashboard.token("disabled", True, FILE, 0o600), "warn", "RAY_AUTH_MODE=token"),
        (dashboard.token("on", True, FILE, 0o600), "fail", "RAY_AUTH_MODE=token"),
        (dashboard.token(None, True, FILE, 0o600), "warn", "export RAY_AUTH_MODE=token"),
        (dashboard.token(None, False, FILE, None), "warn", "get-auth-token"),
        (dashboard.dashboard(HERE, False, Answer(None), None, "2"), "warn", "ray start"),
        (dashboard.dashboard(AWAY, True, Answer(None), None, "2"), "fail", "RAY_API_SERVER"),
        (dashboard.dashboard(HERE, False, Answer(401), Answer(200, "2"), "2"), "ok", ""),
        (dashboard.dashboard(HERE, False, Answer(401), Answer(403), "2"), "fail", "auth_token"),
        (dashboard.dashboard(HERE, False, Answer(401), None, "2"), "fail", "auth_token"),
        (dashboard.dashboard(HERE, False, Answer(401), Answer(200, "1"), "2"), "fail", "both"),
        (dashboard.dashboard(HERE, False, Answer(200, "2"), None, "2"), "warn", "token"),
        (dashboard.dashboard(AWAY, True, Answer(200, "2"), None, "2"), "fail", "token"),
        (dashboard.dashboard(HERE, False, Answer(404), None, "2"), "fail", "8265"),
        (network.ports(HEAD, {22, 8080}, False), "ok", "6379, 8265 are free"),
        (network.ports(HEAD, {6379}, False), "fail", "6379 (the head)"),
        (network.ports(HEAD, {6379, 8265, 10500}, True), "ok", "a cluster is up"),
        (network.ports(HEAD | {"the head": 10002}, set(), True), "fail", "10002 (the head)"),
        (network.ports(HEAD | {"the head": 19999}, set(), False), "fail", "10002-19999"),
        (network.ports(HEAD | {"the head": 20000}, set(), False), "ok", "20000"),
        (network.ports(HEAD, {10050, 19999, 20000}, False), "warn", "10050, 19999"),
        (network.interface("n1", ["10.0.0.5"], CARDS, {}), "ok", "n1 is 10.0.0.5"),
        (network.interface("n1", ["127.0.1.1"], CARDS, {}), "warn", "GLOO_SOCKET_IFNAME=ens3"),
        (network.interface("n1", ["127.0.1.1", "10.0.0.5"], CARDS, {}), "ok", "10.0.0.5"),
        (network.interface("n1", ["169.254.3.4"], CARDS, {}), "warn", "would not find each other"),
        (network.interface("n1", ["10.9.9.9"], CARDS, {}), "warn", "no card of this machine"),
        (network.interface("n1", None, CARDS, {}), "warn", "does not resolve"),
        (network.interface("n1", None, {"lo": ["127.0.0.1"]}, {}), "warn", "IFNAME=CARD"),
        (network.interface("n1", None, CARDS, {"GLOO_SOCKET_IFNAME": "ens3"}), "ok", "ens3"),
        (network.interface("n1", None, CARDS, {"GLOO_SOCKET_IFNAME": "ens"}), "fail", "ens3, lo"),
        (network.interface("n1", ["10.0.0.5"], CARDS, {"NCCL_SOCKET_IFNAME": "en"}), "ok", ""),
        (network.interface("n1", ["10.0.0.5"], CARDS, {"NCCL_SOCKET_IFNAME": "=en"}), "fail", "lo"),
        (network.interface("n1", ["10.0.0.5"], CARDS, {"NCCL_SOCKET_IFNAME": "^lo"}), "ok", ""),
        (network.interface("n1", ["10.0.0.5"], CARDS, {"NCCL_SOCKET_IFNAME": "ib"}), "fail", "ib"),
        (data.wandb("offline", False, "w", None), "ok", "to be sent later"),
        (data.wandb("disabled", False, "w", None), "ok", "not used"),
        (data.wandb("onlin", True, "w", True), "fail", "track.wandb=offline"),
        (data.wandb("online", False, "w", True), "fail", "no key for w"),
        (data.wandb("online", True, "w", False), "fail", "does not answer"),
        (data.wandb("online", True, "w", True), "ok", "with a key"),
    ],
)
def test_each_check(check, status, says):
    assert check.status == status, check
    assert says in check.line + check.fix
    assert bool(check.fix) == (check.status != "ok"), "what is wrong comes with its fix"


@pytest.mark.parametrize(
    ("pack", "status", "says"),
    [
        (Pack("d", MANIFEST, FILES), "ok", "asan (internal, 3 samples in 1 shards) at d"),
        (Pack("d", MANIFEST, FILES | {"train-00000.tar": 9}), "fail", "has 9 bytes, not 10"),
        (Pack("d", MANIFEST, {"index.parquet": 7}), "fail", "train-00000.tar is missing"),
        (Pack("d", MANIFEST, {"train-00000.tar": 10}), "fail", "index.parquet is missing"),
        (Pack("d", None), "fail", "no manifest.json"),
        (Pack("d", "{"), "fail", "is not a manifest"),
        (Pack("d", "[]"), "fail", "is not a manifest"),
        (Pack("d", "null"), "fail", "is not a manifest"),
        (Pack("d", '{"shards": [{"path": 3}]}'), "fail", "is not a manifest"),
        (Pack("s3://b/d", error="ImportError: Install s3fs"), "fail", "s3://b/d: ImportError"),
    ],
)
def test_a_dataset_is_whole_or_said_not_to_be(pack, status, says):
    (check,) = data.shards("/d", [pack], needed=False)
    assert check.status == status
    assert says in check.line
    assert bool(check.fix) == (status == "fail")


def test_something_to_train_on_is_there():
    whole = Pack("p", PUBLIC, {"index.parquet": 7})
    assert [c.status for c in data.shards("/d", [Pack("d", MANIFEST, FILES), whole])] == ["ok"] * 2
    public = data.shards("/d", [whole])
    assert [c.status for c in public] == ["ok", "fail"]
    assert public[1].line == "no internal dataset in /d"
    assert "make demo" in data.shards("/d", [])[0].fix
    broken = data.shards("/d", [Pack("d", "{")])
    assert len(broken) == 1, "one fault is said once"


def test_a_lock_is_read():
    text = "ray==2.60.0 \\\n    --hash=sha256:aa\ntorch==2.15.0 ; x == 'y' \\\nA_b==1\nA_b==2\n"
    assert software.locked_versions(text) == {"ray": "2.60.0", "torch": "2.15.0"}


@pytest.mark.parametrize(
    ("address", "port"),
    [("head:6400", 6400), ("[::1]:7", 7), ("auto", None), ("", None), (None, None), ("h:x", None)],
)
def test_the_heads_port(address, port):
    assert network.head_port(address) == port
