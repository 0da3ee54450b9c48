"""The README tells the truth: its paths, commands, options, make targets and CSV columns exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from data_sharding.sources.paired import CLINICAL_COLUMNS, DXA_COLUMNS
from training.__main__ import VERBS
from training.overrides import override
from training.recipes import RECIPES, recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(?:bash|sh)\n(.*?)```", README, re.S)
LINES = [
    line.split(" #")[0].strip()
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


@cache
def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
    )
    return done.stdout


def test_every_file_it_names_is_there():
    named = re.findall(
        r"`([\w./-]+\.(?:py|md|lock|toml))`|\]\(([\w./-]+)\)|src=\"([\w./-]+)\"", README
    )
    names = {n for groups in named for n in groups if n}
    assert names
    missing = [n for n in names if not (ROOT / n).exists()]
    assert not missing, missing


def test_every_make_target_is_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {w for line in LINES for w in re.findall(r"^make ([a-z0-9-]+)", line)}
    assert {"demo", "test"} <= named
    assert named <= targets


@pytest.mark.parametrize("line", [x for x in LINES if "python -m" in x])
def test_every_command_and_option_is_there(line):
    words = shlex.split(line[line.index("python -m") :])[2:]
    module, rest = words[0], words[1:]
    assert (ROOT / module / "__main__.py").exists()
    verb = module == "training" and rest[0] in VERBS
    if module == "training":
        rest = rest[verb:]
        valued = {i + 1 for i, w in enumerate(rest) if w in ("--folds", "--recipe")}
        given = [w for i, w in enumerate(rest) if not w.startswith("-") and i not in valued]
        if given:
            override(recipe(given[0]), given[1:])
        shown = help_of(module, words[1]) if verb else help_of(module)
    else:
        shown = help_of(module, rest[0])
    for option in (w for w in rest if w.startswith("--")):
        assert option.split("=")[0] in shown, f"{option} of: {line}"


def test_the_csv_columns_are_those_the_readers_want():
    for column in (*DXA_COLUMNS, *CLINICAL_COLUMNS):
        assert f"`{column}`" in README, column


def test_every_recipe_is_named():
    for name in RECIPES:
        assert f"`{name}`" in README
