"""cluster/Dockerfile and its ignore file, read strictly; spoilt copies are refused."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "cluster" / "Dockerfile").read_text()
IGNORE = (ROOT / "cluster" / "Dockerfile.dockerignore").read_text()
KNOWN = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "CMD"}
SECRET = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD)\w*=|AKIA|-----BEGIN|//[^/\s]+:[^/\s]+@")


def instructions(text):
    """(INSTRUCTION, argument) of each, with continued lines joined; ValueError if unknown."""
    found, pending = [], ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        pending += line.removesuffix("\\").strip() + " "
        if line.endswith("\\"):
            continue
        word, _, rest = pending.strip().partition(" ")
        if word not in KNOWN or not rest:
            raise ValueError(f"not an instruction of ours: {word}")
        found.append((word, rest.strip()))
        pending = ""
    if pending:
        raise ValueError("the last line is continued by nothing")
    return found


def ignored(path, text=IGNORE):
    """Does .dockerignore leave out `path`? The last pattern that matches it or a parent decides."""
    left_out = False
    parents = ["/".join(path.split("/")[: i + 1]) for i in range(path.count("/") + 1)]
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        keep, pattern = line.startswith("!"), line.lstrip("!")
        deep = pattern.startswith("**/")
        expression = fnmatch.translate(pattern.removeprefix("**/")).replace(".*", "[^/]*")
        names = [p.rpartition("/")[2] for p in parents] if deep else parents
        if any(re.match(expression, n) for n in names):
            left_out = not keep
    return left_out


def check(text):
    """Assert what we promise of an image."""
    found = instructions(text)
    args = dict(a.partition("=")[::2] for w, a in found if w == "ARG")
    bases, stages = [], set()
    for word, rest in found:
        if word == "FROM":
            image, _, stage = rest.partition(" AS ")
            bases.append(image)
            stages.add(stage)
    for base in bases:
        name = re.fullmatch(r"\$\{(\w+)\}", base)
        image = args[name[1]] if name else base
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", image), f"{image} is not pinned"
    assert not any(w == "ADD" for w, _ in found)
    for word, rest in found:
        if word == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                assert (ROOT / source).exists(), f"{source} is not there"
                assert not ignored(source), f"{source} is left out by the ignore file"
        if word == "RUN":
            for tool in re.findall(r"(?:pip3? install|curl|wget)", rest):
                raise AssertionError(f"{tool}: only what the lock names")
            for sync in re.findall(r"pip sync[^&]*", rest):
                assert "--require-hashes" in sync
                assert "requirements.lock" in sync
            if "apt-get install" in rest:
                assert "--no-install-recommends" in rest
                assert "rm -rf /var/lib/apt/lists" in rest
    assert not SECRET.search(text), "a secret"
    assert "index-url" not in text, "an address of somebody's registry"
    users = [rest for w, rest in found if w == "USER"]
    assert users, "it runs as root"
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]), "it runs as root, or as who knows whom"
    last = max(i for i, (w, _) in enumerate(found) if w == "USER")
    assert all(w == "CMD" for w, _ in found[last + 1 :])
    commands = [rest for w, rest in found if w == "CMD"]
    assert len(commands) == 1
    assert json.loads(commands[0])[:2] == ["python", "-m"]
    return found


def test_the_dockerfile_keeps_its_promises():
    found = check(DOCKERFILE)
    assert ("USER", "1000:1000") in found
    (env,) = [rest for w, rest in found if w == "ENV"]
    assert {"PYTHONPATH=/opt/osteoray", "RAY_AUTH_MODE=token"} <= set(env.split())
    (python,) = re.findall(r"BASE=python:(\d+\.\d+)", DOCKERFILE)
    assert python == "3.11", "the lock's"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("USER 1000:1000\n", ""),
        ("USER 1000:1000", "USER root"),
        ("USER 1000:1000", "USER 0:0"),
        ("CMD [", "USER 0:0\nCMD ["),
        ("python:3.11.14-slim-bookworm", "python:latest"),
        ("python:3.11.14-slim-bookworm", "python"),
        ("FROM ${BASE}", "FROM python:3"),
        ("--require-hashes ", ""),
        ("COPY tuning", "COPY tunning"),
        ("COPY cluster ./cluster", "COPY demo ./demo"),
        ("WORKDIR", "WORKDIRR"),
        ("COPY requirements.lock", "ADD requirements.lock"),
        ("USER 1000:1000", "ENV WANDB_API_KEY=abc\nUSER 1000:1000"),
        ("-m compileall", "-m pip install ray &&"),
        (" --no-install-recommends", ""),
        ('CMD ["python", "-m", "cluster", "doctor"]\n', "RUN true \\\n"),
    ],
)
def test_a_spoilt_copy_is_refused(old, new):
    assert old in DOCKERFILE
    with pytest.raises((AssertionError, ValueError)):
        check(DOCKERFILE.replace(old, new, 1))


def test_nothing_but_the_code_goes_into_the_image():
    out = ["demo", "demo/shards/asan/train-00000.tar", ".git", ".git/config", ".venv/bin/ray"]
    out += ["tests/conftest.py", "runs", "site.private/key", ".ray/auth_token", "auth_token"]
    out += ["training/__pycache__/loop.pyc", "training/x.safetensors", "eval/.env", "a.dcm"]
    assert [p for p in out if not ignored(p)] == []
    listed = subprocess.run(
        ["git", "ls-files", "data_sharding", "training", "eval", "tuning", "cluster"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code = listed.stdout.split()
    assert len(code) > 50
    assert [p for p in code if ignored(p)] == []
    assert ignored("requirements.lock", IGNORE.replace("!requirements.lock\n", ""))


def test_every_folder_of_code_is_copied():
    copied = {rest.split()[0] for w, rest in instructions(DOCKERFILE) if w == "COPY"}
    commands = {p.parent.name for p in ROOT.glob("*/__main__.py")}
    assert commands <= copied
