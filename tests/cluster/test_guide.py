"""The guide's commands exist: ours are run dry, Ray's are asked of Ray's own command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.__main__ import app
from cluster.submit import ray_cli

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "cluster" / "README.md").read_text()
LINES = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", GUIDE, re.S)
    for line in block.splitlines()
]


@pytest.mark.parametrize("line", [x for x in LINES if x.startswith("python -m cluster submit")])
def test_our_commands_run_dry(line, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OSTEORAY_HOME", str(tmp_path))
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    words = shlex.split(line)[3:]
    done = CliRunner().invoke(app, [words[0], "--dry-run", *words[1:]])
    assert done.exit_code == 0, done.output
    assert Path(ray_cli()).name == "ray"


def test_rays_options_exist():
    from ray.dashboard.modules.job.cli import submit
    from ray.scripts.scripts import start

    known = {
        "start": {o for p in start.params for o in p.opts},
        "job": {o for p in submit.params for o in p.opts},
    }
    lines = [x.split(" -- ")[0] for x in LINES if x.startswith("ray ")]
    assert any(x.startswith("ray job submit --working-dir .") for x in lines)
    for line in lines:
        verb = line.split()[1]
        for option in re.findall(r"--[\w-]+", line):
            assert option in known.get(verb, {"--generate"}), line


def test_paths_it_names_exist():
    for name in re.findall(r"python -m (\w+)", GUIDE):
        assert (ROOT / name / "__main__.py").exists()
