"""Recipes in files: read as data, run as the command line would, refused by file and line."""

from __future__ import annotations

import time

import pytest
import yaml
from typer.testing import CliRunner

from training.__main__ import app
from training.overrides import override
from training.recipe_file import FORMAT, read_recipe
from training.recipes import recipe

GOOD = f"""\
format: {FORMAT}
recipe: ospenscreen:smoke
fixed:
  seed: 3
  paths.external: []
settings:
  student.lr: {{from: 0.003, to: 1e-3}}
  student.augment:
    from: strong
    to: weak
  student.alpha: 0.25
found:
  anything: [that, people, read]
"""


def write(tmp_path, text, name="best.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_is_what_the_same_words_on_the_command_line_are(tmp_path):
    made, remarks = read_recipe(write(tmp_path, GOOD), ["student.epochs=2"])
    words = ["seed=3", "paths.external=[]", "student.lr=0.001", "student.augment=weak"]
    typed = override(recipe("ospenscreen:smoke"), [*words, "student.alpha=.25", "student.epochs=2"])
    assert made == typed
    assert not remarks


def test_changes_of_the_command_line_come_last(tmp_path):
    made, _ = read_recipe(write(tmp_path, GOOD), ["student.lr=0.5", "seed=9"])
    assert (made.student.lr, made.seed) == (0.5, 9)


def test_a_recipe_that_has_changed_since_is_told(tmp_path):
    path = write(tmp_path, GOOD.replace("from: 0.003", "from: 0.1"))
    made, remarks = read_recipe(path)
    assert made.student.lr == 1e-3
    assert remarks == [
        "best.yaml was made when student.lr of ospenscreen:smoke was 0.1; it is 0.003 now"
    ]


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ("'123'", "track.project", "123"),
        ("2020-01-01", "track.project", "2020-01-01"),
        ("'[a]'", "track.project", "[a]"),
        ("'null'", "track.project", "null"),
        ("'true'", "track.project", "true"),
        ("null", "track.group", None),
        ("1_0", "seed", 10),
        ("1e-4", "student.lr", 1e-4),
        ("'a: b'", "track.project", "a: b"),
    ],
)
def test_values_arrive_as_they_are_written(tmp_path, given, name, value):
    text = f"format: {FORMAT}\nrecipe: ospenscreen:smoke\nsettings:\n  {name}: {given}\n"
    made, _ = read_recipe(write(tmp_path, text))
    section, _, key = name.rpartition(".")
    assert getattr(getattr(made, section) if section else made, key) == value


def head(rest, settings=True):
    return f"format: {FORMAT}\nrecipe: ospenscreen:smoke\n{'settings:' * settings}\n{rest}"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", None, "empty"),
        (b"\x00\xff\xfe", None, "not text"),
        ("a: [1,\nb: 2\n", 3, "not YAML"),
        ("- just\n- a list\n", 1, "names and values"),
        ("recipe: ospenscreen\n", None, "no format"),
        (f"format: {FORMAT}\n", None, "no recipe"),
        ("format: other/7\nrecipe: ospenscreen\n", 1, "format other/7"),
        (f"format: {FORMAT}\nrecipe: ospenscren\n", 2, "Did you mean ospenscreen"),
        (f"format: {FORMAT}\nrecipe: [ospenscreen]\n", 2, "single value"),
        (f"format: {FORMAT}\nrecipe: ospenscreen\nsetting: {{}}\n", 3, "setting: no such word"),
        (head("  student.lr: 1\n  student.lr: 2\n"), 5, "set twice"),
        (head("  student.lr: 1\nfixed:\n  student.lr: 2\n"), 4, "set twice"),
        (head("  student.lrr: 1\n"), 4, "Did you mean student.lr"),
        (head("  student.alpha: .2\n  student.lr: -1\n"), 5, "greater than 0"),
        (head("  student.lr: {from: 1}\n"), 4, "from: and to:"),
        (head("  student: {lr: 1}\n"), 4, "from: and to:"),
        (head("  student.lr: {from: 1, to: {a: 1}}\n"), 4, "a single value or a list"),
        (head("  student.lr: .nan\n"), 4, "no number"),
        (head("  seed: " + "9" * 6000 + "\n"), 4, "no number"),
        (head("  ? [a, b]\n  : 1\n"), 4, "a name is expected"),
        (head("  student.lr: &x 1\n  teacher.lr: *x\n"), 4, "anchors"),
        (head("  student.lr: !!python/object/apply:os.system ['touch HERE']\n"), 4, "tags"),
        (head("  student.lr: !!float 1\n"), 4, "tags"),
        (head("  recipe: li2026\n"), 4, "no such setting"),
        (head("  - student.lr=1\n"), 4, "names and values"),
    ],
)
def test_what_is_broken_or_hostile_is_an_error_with_file_and_line(
    tmp_path, monkeypatch, text, line, said
):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"best\.yaml") as e:
        read_recipe(path)
    assert str(e.value).startswith(f"{path}:{line}: " if line else f"{path}: "), e.value
    assert said in str(e.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.yaml"]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "x" * 300_000, "- " * 60_000])
def test_pages_of_nothing_are_refused_in_time(tmp_path, text):
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"best\.yaml"):
        read_recipe(write(tmp_path, text))
    assert time.monotonic() - started < 5


def test_a_file_that_is_not_there_or_a_folder(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ValueError, match="cannot be read as a recipe file"):
            read_recipe(path)


def test_the_command_takes_a_file_and_changes(tmp_path):
    path, run = write(tmp_path, GOOD), CliRunner().invoke
    shown = run(app, ["--recipe", str(path), "student.epochs=7", "--show"])
    assert shown.exit_code == 0, shown.output
    facts = yaml.safe_load(shown.stdout)
    assert facts["student"]["epochs"] == 7
    assert facts["student"]["lr"] == 1e-3
    both = run(app, ["li2026", "--recipe", str(path)])
    assert both.exit_code == 2
    assert "leave li2026 out" in both.output
    wrong = run(app, ["--recipe", str(write(tmp_path, "nonsense", "x.yaml")), "--show"])
    assert wrong.exit_code == 2
    assert "x.yaml:1" in wrong.output
