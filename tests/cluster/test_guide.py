"""The guide's commands exist: ours are run dry, Ray's are asked of Ray's own command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.__main__ import app
from cluster.submit import ray_cli
from training.overrides import override
from training.recipes import recipe

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "cluster" / "README.md").read_text()
FILES = ("onprem.yaml", "raycluster.yaml", "rayjob.yaml", "slurm.sbatch", "Dockerfile")
HEADS = {name: (ROOT / "cluster" / name).read_text() for name in FILES}


def commands(text):
    return [line.split(" #")[0].strip() for line in text.splitlines() if line.strip()]


LINES = [x for block in re.findall(r"```bash\n(.*?)```", GUIDE, re.S) for x in commands(block)]
#: What the files' own comments say is typed.
NOTES = [
    re.split(r"\s{4,}", line.removeprefix("#").strip())[0]
    for text in HEADS.values()
    for line in text.splitlines()
    if line.startswith("#   ")
]


SUBMITS = sorted({x[x.index("python") :] for x in LINES + NOTES if "-m cluster submit" in x})


@pytest.mark.parametrize("line", SUBMITS)
def test_our_commands_run_dry(line, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OSTEORAY_HOME", str(tmp_path))
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    words = shlex.split(line)[3:]
    done = CliRunner().invoke(app, [words[0], "--dry-run", *words[1:]])
    assert done.exit_code == 0, done.output
    assert Path(ray_cli()).name == "ray"


RECIPES = (
    r"(?:python|torchrun --nproc-per-node \d+) -m training .*|.*slurm\.sbatch osp.*|.*doctor -- .*"
)


@pytest.mark.parametrize("line", [x for x in LINES + NOTES if re.fullmatch(RECIPES, x)])
def test_every_recipe_and_setting_exists(line):
    words = re.split(r"-m training |slurm\.sbatch |doctor -- ", line)[1].split()
    override(recipe(words[0]), words[1:])


def test_rays_commands_and_options_exist():
    from ray.scripts.scripts import cli

    lines = [x.split(" -- ")[0] for x in LINES + NOTES if x.startswith("ray ")]
    lines += re.findall(r"`(ray [^`]+)`", GUIDE)
    assert len(lines) > 10
    for line in lines:
        command, words = cli, shlex.split(line)[1:]
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {o for p in command.params for o in [*p.opts, *p.secondary_opts]}
        options = {w.split("=")[0] for w in words if w.startswith("-")}
        assert options <= known, line


def test_paths_it_names_exist():
    for name in re.findall(r"python -m (\w+)", GUIDE):
        assert (ROOT / name / "__main__.py").exists()
    linked = re.findall(r"\]\(([\w.]+)\)", GUIDE)
    assert set(linked) == set(FILES), "every file is explained"
    named = re.findall(r"(?<!/)cluster/[\w.]+", GUIDE + "".join(HEADS.values()))
    assert len(named) > 10
    assert [n for n in named if not (ROOT / n.rstrip(".")).exists()] == []


def test_options_of_ours_that_it_names_exist():
    def help_of(*words):
        done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        return done.output

    ours = help_of("submit")
    for option in ("--resubmit", "--env", "--dry-run", "--allow-unauthenticated", "--module"):
        assert option in GUIDE
        assert option in ours
