"""Each check on facts that were made up, and the dashboard asked over a real socket."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster import checks, doctor
from cluster.__main__ import app
from cluster.checks import Answer, GiB

FILE = Path("/home/u/.ray/auth_token")
HERE, AWAY = "http://127.0.0.1:8265", "http://10.0.0.7:8265"
MANIFEST = json.dumps({"name": "asan", "role": "internal", "shards": [{"samples": 3}]})
PUBLIC = json.dumps({"name": "nih", "role": "public", "shards": []})


@pytest.mark.parametrize(
    ("check", "status", "says"),
    [
        (checks.python_version((3, 11)), "ok", ""),
        (checks.python_version((3, 13)), "fail", "python3.11"),
        (checks.package("ray", "2.60.0", "2.60.0"), "ok", ""),
        (checks.package("torch", "2.15.0+cu132", "2.15.0"), "ok", ""),
        (checks.package("ray", "2.59.0", "2.60.0"), "warn", "make setup"),
        (checks.package("ray", None, "2.60.0", "No module"), "fail", "make setup"),
        (checks.package("torch", None, "2.15.0"), "warn", "make setup"),
        (checks.cpus(1), "warn", "compute.workers=1"),
        (checks.cpus(2), "ok", ""),
        (checks.memory(GiB), "fail", "compute.launcher=local"),
        (checks.memory(3 * GiB), "warn", "compute.workers=1"),
        (checks.memory(16 * GiB), "ok", ""),
        (checks.disk(FILE, 100 * GiB, False), "fail", "OSTEORAY_HOME"),
        (checks.disk(FILE, GiB, True), "fail", "OSTEORAY_HOME"),
        (checks.disk(FILE, 5 * GiB, True), "warn", "old runs"),
        (checks.disk(FILE, 50 * GiB, True), "ok", ""),
        (checks.shared_memory(64 * 2**20), "warn", "--shm-size"),
        (checks.shared_memory(8 * GiB), "ok", ""),
        (checks.shared_memory(None), "ok", ""),
        (checks.gpus(True, 0), "warn", "collect_env"),
        (checks.gpus(False, 0), "ok", ""),
        (checks.gpus(True, 2), "ok", ""),
        (checks.gpus(True, None), "ok", ""),
        (checks.token("token", True, FILE, 0o600), "ok", ""),
        (checks.token("token", True, FILE, None), "ok", ""),
        (checks.token("token", True, FILE, 0o644), "warn", "chmod 600 /home/u"),
        (checks.token("token", False, FILE, None), "fail", "get-auth-token"),
        (checks.token("disabled", True, FILE, 0o600), "warn", "RAY_AUTH_MODE=token"),
        (checks.token("on", True, FILE, 0o600), "fail", "RAY_AUTH_MODE=token"),
        (checks.token(None, True, FILE, 0o600), "warn", "export RAY_AUTH_MODE=token"),
        (checks.token(None, False, FILE, None), "warn", "get-auth-token"),
        (checks.dashboard(HERE, False, Answer(None), None, "2"), "warn", "ray start"),
        (checks.dashboard(AWAY, True, Answer(None), None, "2"), "fail", "RAY_API_SERVER"),
        (checks.dashboard(HERE, False, Answer(401), Answer(200, "2"), "2"), "ok", ""),
        (checks.dashboard(HERE, False, Answer(401), Answer(403), "2"), "fail", "auth_token"),
        (checks.dashboard(HERE, False, Answer(401), None, "2"), "fail", "auth_token"),
        (checks.dashboard(HERE, False, Answer(401), Answer(200, "1"), "2"), "fail", "both"),
        (checks.dashboard(HERE, False, Answer(200, "2"), None, "2"), "warn", "token"),
        (checks.dashboard(AWAY, True, Answer(200, "2"), None, "2"), "fail", "token"),
        (checks.dashboard(HERE, False, Answer(404), None, "2"), "fail", "8265"),
        (checks.shards(Path("/d"), {}), "fail", "make demo"),
        (checks.shards(Path("/d"), {Path("n"): PUBLIC}), "fail", "pack"),
        (checks.shards(Path("/d"), {Path("a"): MANIFEST, Path("n"): PUBLIC}), "ok", ""),
        (checks.shards(Path("/d"), {Path("a"): MANIFEST, Path("n"): "{"}), "fail", "--fresh"),
        (checks.shards(Path("/d"), {Path("a"): "[]"}), "fail", "--fresh"),
    ],
)
def test_each_check(check, status, says):
    assert check.status == status, check
    assert says in check.fix
    assert bool(check.fix) == (check.status != "ok"), "what is wrong comes with its fix"


def test_the_lock_of_this_repository_is_read():
    found = checks.locked_versions(doctor.LOCK.read_text())
    assert {"ray", "torch", "optuna"} <= set(found)
    assert all(v[0].isdigit() for v in found.values())


class Dashboard(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers.get("Authorization") == "Bearer s3cret"
        self.send_response(200 if known else 401)
        self.end_headers()
        if known:
            self.wfile.write(json.dumps({"version": "4", "ray_version": "2.60.0"}).encode())

    def log_message(self, *_):  # type: ignore[override]
        pass


@pytest.fixture
def address():
    server = HTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_dashboard_is_asked(address):
    assert doctor.ask(address) == Answer(401)
    assert doctor.ask(address, "wrong") == Answer(401)
    assert doctor.ask(address + "/", "s3cret") == Answer(200, "2.60.0")
    assert doctor.ask("http://127.0.0.1:1") == Answer(None)
    assert doctor.ask("nonsense") == Answer(None)


def test_the_verb_measures_and_fails_where_data_is_missing(address, tmp_path, monkeypatch):
    monkeypatch.setenv("OSTEORAY_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert f"no internal dataset in {tmp_path / 'shards'}" in done.output
    assert "s3cret" not in done.output, "the token is not printed"
    (tmp_path / "shards" / "asan").mkdir(parents=True)
    (tmp_path / "shards" / "asan" / "manifest.json").write_text(MANIFEST)
    assert "asan (internal, 3)" in CliRunner().invoke(app, ["doctor"]).output


def test_no_token_is_sent_where_others_can_listen(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(doctor, "ask", lambda *a: asked.append(a) or Answer(None))
    doctor.examine({"RAY_AUTH_TOKEN": "t", "RAY_API_SERVER_ADDRESS": AWAY}, tmp_path)
    assert asked == [(AWAY,)]
