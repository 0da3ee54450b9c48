"""cluster/onprem.yaml, as `ray up` itself reads it; spoilt copies are refused."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml
from click import ClickException
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from cluster.checks.network import PORTS, WORKERS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "cluster" / "onprem.yaml").read_text()


def checked(text):
    """What `ray up` makes of it."""
    config = prepare_config(yaml.safe_load(text))
    validate_config(config)
    return config


def options(line):
    """--name=value and --name value of each `ray start` in a shell line."""
    found = {}
    for part in line.split(";"):
        words = shlex.split(part)
        if words[:2] == ["ray", "start"]:
            for word in words[2:]:
                name, _, value = word.partition("=")
                found[name] = value
    return found


def test_ray_takes_it():
    config = checked(TEXT)
    workers = len(config["provider"]["worker_ips"])
    (kind,) = config["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == workers
    assert config["max_workers"] == workers


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cluster_name:", "cluster_nam:"),
        ("provider:", "providers:"),
        ("ssh_user:", "ssh_usr:"),
        ("  type: local", "  type: [local]"),
        ("worker_ips: [10.0.0.11, 10.0.0.12]", "worker_ips: 10.0.0.11"),
        ("worker_ips:", "workers:"),
        ("head_ip:", "head:"),
        ("max_workers: 2", "max_workers: two"),
        ("head_start_ray_commands:", "head_start_ray_command:"),
        ("file_mounts:\n  ~/.ray/auth_token:", "file_mounts:\n  -"),
    ],
)
def test_a_spoilt_copy_is_refused(old, new):
    assert old in TEXT
    # Ray checks in several places, and not all of them were meant to be checks.
    refusals = (jsonschema.ValidationError, ClickException, KeyError, TypeError, AttributeError)
    with pytest.raises(refusals):
        checked(TEXT.replace(old, new, 1))


def test_the_start_commands():
    config = checked(TEXT)
    known = {o for p in start.params for o in p.opts}
    head, worker = (config[f"{x}_start_ray_commands"][-1] for x in ("head", "worker"))
    for line in (head, worker):
        assert set(options(line)) <= known
        assert "RAY_AUTH_MODE=token" in line
        assert "OSTEORAY_HOME=/" in line
        assert int(options(line)["--object-store-memory"]) >= 75 * 2**20, "Ray's least"
    port = int(options(head)["--port"])
    assert port == PORTS["the head"]
    assert port not in WORKERS
    assert options(worker)["--address"] == f"$RAY_HEAD_IP:{port}"
    assert options(head)["--dashboard-host"] == "127.0.0.1"
    assert int(options(head)["--dashboard-port"]) == PORTS["the dashboard"]
    assert "--autoscaling-config" in options(head), "else nobody starts the workers"


def test_the_token_goes_to_every_machine_and_stays_secret():
    config = checked(TEXT)
    assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    assert "chmod 600 ~/.ray/auth_token" in config["worker_setup_commands"]
    assert "chmod 600 ~/.ray/auth_token" in config["head_setup_commands"]
    assert not re.search(r"RAY_AUTH_TOKEN=", TEXT)
