"""What is sent, to whom, and what is refused; no Ray is started."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster import __main__ as main
from cluster.access import address_of, auth_mode, is_loopback, token_of
from cluster.jobs import Outcome, exit_code, outcome
from cluster.plan import resolved
from cluster.submit import EXCLUDES, command, new_id, variables
from cluster.upload import LIMIT, check_upload, excluded, uploaded
from tests.cluster.server import serving

HERE = "http://127.0.0.1:8265"
AWAY = "http://10.0.0.7:8265"


def test_the_command_is_what_one_would_type():
    words = ["ospenscreen:smoke", "paths.external=[]"]
    line = command("ray", HERE, Path("/data/osteo"), words, env={"OSTEORAY_CACHE": "/scratch"})
    env = line.pop(line.index("--runtime-env-json") + 1)
    assert shlex.join(line) == (
        "ray job submit --address http://127.0.0.1:8265 --working-dir . --runtime-env-json -- "
        "python -m training ospenscreen:smoke 'paths.external=[]'"
    )
    assert json.loads(env) == {
        "env_vars": {
            "OSTEORAY_HOME": "/data/osteo",
            "RAY_JOB_STOP_WAIT_TIME_S": "120",
            "OSTEORAY_CACHE": "/scratch",
        },
        "excludes": list(EXCLUDES),
    }
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
    (root / "demo" / "shards" / "a.png").write_bytes(b"patients")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def test_patients_are_not_uploaded(repository):
    home = repository / "demo"
    files = uploaded(repository)
    with pytest.raises(ValueError, match=r"1 file.* of OSTEORAY_HOME would be uploaded.*/demo/"):
        check_upload(repository, home, files)
    (repository / ".gitignore").write_text("/demo/\n")
    files = uploaded(repository)
    assert {p.name for p in files} == {"__init__.py", "__main__.py", ".gitignore"}
    assert check_upload(repository, home, files) == len("print()\n/demo/\n")
    assert check_upload(repository, repository.parent, files) == len("print()\n/demo/\n")
    link = repository.parent / "link"
    link.symlink_to(repository / "demo")
    with pytest.raises(ValueError, match="would be uploaded"):
        check_upload(repository, link, [repository / "demo" / "shards" / "a.png"])


def test_too_much_is_refused_before_it_is_packed(repository):
    (repository / "demo" / "shards" / "a.png").unlink()
    with (repository / "weights.bin").open("wb") as f:
        f.truncate(LIMIT + 1)
    files = uploaded(repository)
    with pytest.raises(ValueError, match=r"512 MiB to upload.*weights"):
        check_upload(repository, Path("/data"), files)
    with pytest.raises(ValueError, match="not the repository's root"):
        check_upload(repository / "demo", Path("/data"), [])


def test_without_git_the_folder_itself_is_counted(repository, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))
    shutil.rmtree(repository / ".git")
    (repository / ".gitignore").write_text("# big\n/demo/\n*.bin\n")
    (repository / ".rayignore").write_text("notes/\n")
    for name in ("weights.bin", "notes/a.txt", "training/notes.txt", "tests/b.py", "c.tar"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("x")
    found = {p.relative_to(repository).as_posix() for p in uploaded(repository)}
    code = {"training/__init__.py", "training/__main__.py", "training/notes.txt"}
    assert found == code | {".gitignore", ".rayignore"}


def test_what_is_left_out_is_what_ray_leaves_out(tmp_path):
    from ray._private.runtime_env.packaging import _get_excludes

    patterns = [*EXCLUDES, "/demo/", "/top.txt"]
    rays = _get_excludes(tmp_path, patterns)
    names = [
        "training/loop.py",
        "tests/x.py",
        "a/tests/x.py",
        "tests",
        "demo/shards/train.tar",
        "a/demo/x.py",
        "demo",
        "top.txt",
        "a/top.txt",
        "deep/er/x.tar",
        "x.tar.py",
        "site.private/map.csv",
        "auth_token",
        "a/auth_token",
        "auth_token.py",
        ".env",
        "wandb/run/x",
        "training/tracking/wandb.py",
        "b/__pycache__/x.pyc",
        "requirements.lock",
    ]
    for name in names:
        assert excluded(name, patterns) == rays(tmp_path / name), name
    assert not excluded("a/b.py", ["!a", "**/b.py", "a/b.py", "# a", ""]), "too much, never less"


@pytest.mark.parametrize("pair", ["NAME", "=x", "1A=x", "A-B=x"])
def test_a_variable_has_a_name_and_a_value(pair):
    with pytest.raises(ValueError, match="write --env NAME=VALUE"):
        variables([pair])


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "RAY_AUTH_TOKEN", "aws_secret", "DB_PASSWORD"])
def test_no_secret_goes_into_a_jobs_environment(name):
    with pytest.raises(ValueError, match="can read a job's environment") as e:
        variables(["OSTEORAY_CACHE=/scratch", f"{name}=hunter2"])
    assert "hunter2" not in str(e.value)
    assert variables(["A=b=c", "D="]) == {"A": "b=c", "D": ""}


def test_ray_understands_what_we_send_and_ask_for():
    from ray.dashboard.modules.dashboard_sdk import parse_runtime_env_args
    from ray.dashboard.modules.job.pydantic_models import JobDetails
    from ray.runtime_env import RuntimeEnv

    line = command("ray", HERE, Path("/d"), ["x"])
    sent = line[line.index("--runtime-env-json") + 1]
    found = RuntimeEnv(**parse_runtime_env_args(runtime_env_json=sent))
    assert found["excludes"] == list(EXCLUDES)
    assert found["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == "120"
    assert JobDetails is not None
    assert {"status", "driver_exit_code"} <= set(JobDetails.model_fields)


def test_how_a_job_ended_is_asked():
    jobs = {
        "/api/jobs/a": {"status": "FAILED", "driver_exit_code": 75},
        "/api/jobs/b": {"status": "SUCCEEDED", "driver_exit_code": 0},
        "/api/jobs/c": {"status": "STOPPED", "driver_exit_code": None},
        "/api/jobs/d": {"status": "FAILED", "driver_exit_code": 3},
        "/api/jobs/e": ["what"],
    }
    with serving(jobs, secret="t") as address:
        found = {name: outcome(address, name, "t") for name in "abcdef"}
        assert outcome(address, "a", None) is None
    assert found["a"] == Outcome("FAILED", 75)
    assert found["e"] is None
    assert found["f"] is None
    assert [n for n, o in found.items() if o and o.interrupted] == ["a"]
    # what `ray job submit` said -> what we say
    codes = {n: exit_code(0 if n in "bc" else 1, o) for n, o in found.items()}
    assert codes == {"a": 75, "b": 0, "c": 75, "d": 3, "e": 1, "f": 1}
    assert new_id("tuning").startswith("tuning-")
    assert new_id("x") != new_id("x")


def test_a_misspelt_setting_is_found_before_it_is_sent(monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    assert "temperature: 2.0" in resolved(["ospenscreen:smoke", "student.temperature=2", "--fresh"])
    with pytest.raises(ValueError, match=r"^student.temprature: no such setting. Did you mean"):
        resolved(["ospenscreen:smoke", "student.temprature=2"])


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
    assert env["env_vars"]["OSTEORAY_HOME"] == str(repository / "demo")
    assert "RAY_AUTH_TOKEN" not in done.output
    assert run(main.app, ["submit", "--dry-run", "--", "x"]).exit_code == 0
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(repository / "none"))
    refused = run(main.app, ["submit", "--address", AWAY, "--", "x"])
    assert refused.exit_code == 2
    assert "--allow-unauthenticated" in refused.output
    assert len(seen) == 1


def test_an_interrupted_run_is_submitted_again(repository, monkeypatch):
    (repository / ".gitignore").write_text("/demo/\n")
    monkeypatch.chdir(repository)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    jobs = {"/api/jobs/r": {"status": "FAILED", "driver_exit_code": 75}}
    jobs |= {"/api/jobs/r-1": {"status": "SUCCEEDED", "driver_exit_code": 0}}
    sent = []

    def ran(line, env, check):
        name = line[line.index("--submission-id") + 1]
        sent.append(name)
        return subprocess.CompletedProcess(line, 0 if name == "r-1" else 1)

    real = subprocess.run
    monkeypatch.setattr(
        main.subprocess, "run", lambda x, **k: ran(x, **k) if "submit" in x else real(x, **k)
    )
    with serving(jobs, secret="t") as address:
        words = ["submit", "--address", address, "--submission-id", "r", "--", "x"]
        once = CliRunner().invoke(main.app, words)
        assert (once.exit_code, sent) == (75, ["r"])
        assert "goes on where it was" in once.output
        again = CliRunner().invoke(main.app, [*words[:5], "--resubmit", "3", "--", "x"])
    assert (again.exit_code, sent) == (0, ["r", "r", "r-1"])
