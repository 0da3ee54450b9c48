"""What is measured, against this machine itself: real sockets, files, folders."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from cluster import facts
from tests.cluster.server import serving


def test_a_port_that_is_taken_is_seen():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port in facts.listening([port])
    assert port not in facts.listening([port])


def test_the_storages_clock(tmp_path, monkeypatch):
    skew, accuracy = facts.file_clock(tmp_path)
    assert skew is not None
    assert abs(skew) <= accuracy + 0.05
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
    real = time.time
    monkeypatch.setattr(facts.time, "time", lambda: real() + 100)
    skew, _ = facts.file_clock(tmp_path)
    assert skew == pytest.approx(100, abs=1), "this machine is ahead"
    assert facts.file_clock(tmp_path / "none") == (None, 0.0)


def test_gpus_as_nvidia_smi_lists_them():
    text = "580.65.06, 1024, 81559\n580.65.06, 81000, 81559\n"
    driver, used = facts.parse_nvidia_smi(text)
    assert driver == "580.65.06"
    assert used == pytest.approx([1024 / 81559, 81000 / 81559])
    assert facts.parse_nvidia_smi("580.65.06, [N/A], [N/A]\n") == ("580.65.06", [])
    assert facts.parse_nvidia_smi("No devices were found\n") == (None, [])
    assert facts.parse_nvidia_smi("") == (None, [])


def test_this_machine_has_an_address():
    cards = facts.cards()
    assert "127.0.0.1" in {a for own in cards.values() for a in own}
    assert facts.addresses("127.0.0.1") == ["127.0.0.1"]
    assert facts.addresses("no.such.host.invalid") is None
    assert facts.addresses("x" * 300) is None
    assert facts.cpus() >= 1
    assert facts.open_files() > 0
    assert facts.memory() > 0


def test_a_dataset_is_looked_at_in_a_folder_and_behind_a_url(tmp_path):
    import fsspec

    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "train-00000.tar").write_bytes(b"12345")
    (tmp_path / "deeper").mkdir()
    pack = facts.look(str(tmp_path))
    assert pack.manifest == "{}"
    assert pack.sizes == {"manifest.json": 2, "train-00000.tar": 5}
    assert facts.look(tmp_path.as_uri()).sizes == pack.sizes
    memory = fsspec.filesystem("memory")
    memory.pipe({"/osteo/manifest.json": b"[]", "/osteo/test-00000.tar": b"1"})
    pack = facts.look("memory://osteo")
    assert (pack.manifest, pack.sizes) == ("[]", {"manifest.json": 2, "test-00000.tar": 1})
    assert facts.look(str(tmp_path / "none")).error == "there is no such folder"
    assert "nosuch" in facts.look("nosuch://bucket/x").error
    (tmp_path / "manifest.json").unlink()
    assert facts.look(str(tmp_path)).manifest is None


def test_wandbs_key_and_server(tmp_path):
    assert facts.wandb_server({}) == "api.wandb.ai"
    assert facts.wandb_server({"WANDB_BASE_URL": "https://wandb.site.example:8080"}) == (
        "wandb.site.example"
    )
    assert not facts.wandb_key({}, tmp_path, "api.wandb.ai")
    assert facts.wandb_key({"WANDB_API_KEY": "k"}, tmp_path, "api.wandb.ai")
    file = tmp_path / ".netrc"
    file.write_text("machine api.wandb.ai login user password k\n")
    file.chmod(0o600)
    assert facts.wandb_key({}, tmp_path, "api.wandb.ai")
    assert not facts.wandb_key({}, tmp_path, "wandb.site.example")
    file.write_text("machine")
    assert not facts.wandb_key({}, tmp_path, "api.wandb.ai"), "a broken file is no key"
    other = tmp_path / "other"
    other.write_text("default login user password k\n")
    other.chmod(0o600)
    assert facts.wandb_key({"NETRC": str(other)}, tmp_path, "wandb.site.example")


def test_a_server_answers_or_not(monkeypatch):
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with serving({}) as address:
        assert facts.answers(address + "/none"), "404 is an answer"
    assert not facts.answers("http://127.0.0.1:1")
    assert not facts.answers("nonsense")


def test_libraries_are_found_by_their_normal_names():
    found = facts.installed()
    assert found["ray"] == facts.module_version("ray")[0]
    assert all(n == n.lower() and "_" not in n for n in found)
    assert facts.module_version("no_such_library") == (None, "No module named 'no_such_library'")
    assert json.dumps(found)
    assert Path(facts.__file__).exists()
