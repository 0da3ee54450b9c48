"""What is sent, to whom, and what is refused; no Ray is started."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster import __main__ as main
from cluster.access import address_of, auth_mode, is_loopback, token_of
from cluster.submit import LIMIT, check_recipe, check_upload, command, uploaded

HERE = "http://127.0.0.1:8265"
AWAY = "http://10.0.0.7:8265"


def test_the_command_is_what_one_would_type():
    line = command("ray", HERE, Path("/data/osteo"), ["ospenscreen:smoke", "paths.external=[]"])
    assert shlex.join(line) == (
        "ray job submit --address http://127.0.0.1:8265 --working-dir . --runtime-env-json "
        """'{"env_vars": {"OSTEORAY_HOME": "/data/osteo"}}' -- """
        "python -m training ospenscreen:smoke 'paths.external=[]'"
    )
    line = command("ray", HERE, Path("/d"), ["x", "--trials", "5"], "tuning", "sweep-1", wait=False)
    cut = line.index("--")
    assert line[cut + 1 :] == ["python", "-m", "tuning", "x", "--trials", "5"]
    assert {"--no-wait", "--submission-id", "sweep-1"} < set(line[:cut])


@pytest.mark.parametrize(
    ("words", "module", "home", "says"),
    [
        ([], "training", "/d", "nothing to run"),
        (["x"], "trainig", "/d", "not one of training, tuning"),
        (["x"], "training", "demo", "must be absolute"),
    ],
)
def test_a_command_that_cannot_work_is_refused(words, module, home, says):
    with pytest.raises(ValueError, match=says):
        command("ray", HERE, Path(home), words, module)


@pytest.mark.parametrize(
    ("address", "token", "allow", "mode", "warns"),
    [
        (HERE, "t", False, "token", ""),
        ("http://localhost:8265", "t", False, "token", ""),
        ("http://[::1]:8265", None, False, "disabled", "every user of this machine"),
        (HERE, None, True, "disabled", "as you asked"),
        (AWAY, "t", False, "token", "in the clear"),
        ("https://ray.hospital.example", "t", False, "token", ""),
        (AWAY, None, True, "disabled", "as you asked"),
    ],
)
def test_who_is_spoken_to_and_how(address, token, allow, mode, warns):
    found, warning = auth_mode({}, address, token, allow)
    assert found == mode
    assert warns in warning
    assert bool(warns) == bool(warning)


@pytest.mark.parametrize("address", [AWAY, "https://ray.hospital.example", "http://127.example:1"])
def test_a_cluster_elsewhere_wants_a_token(address):
    with pytest.raises(ValueError, match="there is no token, and this is not loopback"):
        auth_mode({}, address, None, False)
    with pytest.raises(ValueError, match="RAY_AUTH_MODE is not token"):
        auth_mode({"RAY_AUTH_MODE": "disabled"}, address, "t", False)


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://host:10001", "auto", "http://"])
def test_what_is_no_dashboard_is_refused(address):
    with pytest.raises(ValueError, match="not a dashboard's address"):
        auth_mode({}, address, "t", False)


def test_names_that_look_like_this_machine_are_not():
    assert is_loopback("http://127.8.8.8:1")
    for address in ("http://127.0.0.1.example.org", "http://localhost.evil.org", AWAY):
        assert not is_loopback(address)


def test_token_and_address_are_found_where_ray_finds_them(tmp_path):
    assert token_of({}, tmp_path) is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("abc\n")
    (tmp_path / "other").write_text("def")
    assert token_of({}, tmp_path) == "abc"
    assert token_of({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "other")}, tmp_path) == "def"
    assert token_of({"RAY_AUTH_TOKEN": "ghi"}, tmp_path) == "ghi"
    assert address_of({}) == HERE
    assert address_of({"RAY_API_SERVER_ADDRESS": AWAY}) == AWAY
    assert address_of({"RAY_API_SERVER_ADDRESS": AWAY}, HERE) == HERE


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "code"
    (root / "training").mkdir(parents=True)
    (root / "training" / "__init__.py").touch()
    (root / "training" / "__main__.py").write_text("print()\n")
    (root / "demo" / "shards").mkdir(parents=True)
    (root / "demo" / "shards" / "train.tar").write_bytes(b"patients")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def test_patients_are_not_uploaded(repository):
    home = repository / "demo"
    files = uploaded(repository)
    assert files is not None
    with pytest.raises(ValueError, match=r"1 file.* of OSTEORAY_HOME would be uploaded.*/demo/"):
        check_upload(repository, home, files)
    (repository / ".gitignore").write_text("/demo/\n")
    files = uploaded(repository)
    assert files is not None
    assert {p.name for p in files} == {"__init__.py", "__main__.py", ".gitignore"}
    assert check_upload(repository, home, files) == len("print()\n/demo/\n")
    assert check_upload(repository, repository.parent, files) == len("print()\n/demo/\n")
    link = repository.parent / "link"
    link.symlink_to(repository / "demo")
    with pytest.raises(ValueError, match="would be uploaded"):
        check_upload(repository, link, [repository / "demo" / "shards" / "train.tar"])


def test_too_much_is_refused_before_it_is_packed(repository):
    (repository / "demo" / "shards" / "train.tar").unlink()
    with (repository / "weights.bin").open("wb") as f:
        f.truncate(LIMIT + 1)
    files = uploaded(repository)
    assert files is not None
    with pytest.raises(ValueError, match=r"512 MiB to upload.*weights"):
        check_upload(repository, Path("/data"), files)
    with pytest.raises(ValueError, match="not the repository's root"):
        check_upload(repository / "demo", Path("/data"), [])
    assert uploaded(Path("/")) is None


def test_a_misspelt_setting_is_found_before_it_is_sent(monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    check_recipe(["ospenscreen:smoke", "student.temperature=2", "--fresh"])
    with pytest.raises(ValueError, match=r"^student.temprature: no such setting. Did you mean"):
        check_recipe(["ospenscreen:smoke", "student.temprature=2"])


def test_the_verb_runs_ray_with_the_token(repository, monkeypatch):
    (repository / ".gitignore").write_text("/demo/\n")
    monkeypatch.chdir(repository)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t")
    for name in ("RAY_AUTH_MODE", "RAY_API_SERVER_ADDRESS", "OSTEORAY_HOME"):
        monkeypatch.delenv(name, raising=False)
    seen = []

    def ran(line, env, check):
        seen.append((line, env["RAY_AUTH_MODE"]))
        return subprocess.CompletedProcess(line, 1)

    real = subprocess.run
    monkeypatch.setattr(
        main.subprocess, "run", lambda x, **k: ran(x, **k) if "submit" in x else real(x, **k)
    )
    run = CliRunner().invoke
    done = run(main.app, ["submit", "--", "ospenscreen:smoke", "--fresh"])
    assert done.exit_code == 1, "the job's own"
    (line, mode) = seen[0]
    assert mode == "token"
    assert line[-3:] == ["training", "ospenscreen:smoke", "--fresh"]
    env = json.loads(line[line.index("--runtime-env-json") + 1])
    assert env == {"env_vars": {"OSTEORAY_HOME": str(repository / "demo")}}
    assert "RAY_AUTH_TOKEN" not in done.output
    assert run(main.app, ["submit", "--dry-run", "--", "x"]).exit_code == 0
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(repository / "none"))
    refused = run(main.app, ["submit", "--address", AWAY, "--", "x"])
    assert refused.exit_code == 2
    assert "--allow-unauthenticated" in refused.output
    assert len(seen) == 1
