"""Names, ids, paths and hosts planted wherever a run can hold them: none of them leaves."""

from __future__ import annotations

import json
import socket

import pandas as pd
import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from tests.eval.dashboards.reading import everything, offline
from training.overrides import override
from training.recipes import recipe

PATIENT, KEY, HOST, USER = "Canary^Patient", "canary-key", "canary-host.example.org", "canaryuser"
WORDS = ("canary", "Canary", "CANARY")


@pytest.fixture
def planted(run, tmp_path, monkeypatch):
    """A canary in everything that is read, in a folder and on a machine of that name."""
    for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    place = tmp_path / "canary-hospital" / run.name
    place.parent.mkdir()
    run = run.rename(place)
    for i, path in enumerate(sorted(run.glob("cohorts/*/predictions.parquet"))):
        frame = pd.read_parquet(path)
        number = frame["key"].str[-5:]
        frame["patient"] = f"{PATIENT}-{i}-" + frame["patient"].str[-5:]
        frame["key"] = f"{KEY}-{i}-" + number
        frame["vendor"] = frame["vendor"].replace({"GE": "Dr Canary's room"})
        frame["source"] = frame["source"].where(number.astype(int) % 3 > 0, f"{HOST}:/srv/canary")
        frame["note"] = "CANARY fell ill on 1.1.1956"
        frame.to_parquet(path)
    config = override(
        recipe("ospenscreen:smoke"),
        ["paths.internal=/srv/canary/asan", "student.teachers=[canary/run/teacher/weights]"],
    )
    (run / "config.yaml").write_text(config.to_yaml())
    facts = json.loads((run / "run.json").read_text())
    facts["manifests"]["asan"]["path"] = "/srv/canary/asan"
    facts |= {"host": HOST, "user": USER, "note": PATIENT, "recipe": "canary"}
    (run / "run.json").write_text(json.dumps(facts))
    return run


def test_nothing_of_it_is_in_what_is_sent(planted):
    done = CliRunner().invoke(app, ["track", str(planted)])
    assert done.exit_code == 0, done.output
    (found,) = offline(planted)
    assert "eval/asan-test/subgroups" in found.tables
    whole = everything(planted)
    for word in WORDS:
        assert word.encode() not in whole, word
    assert str(planted.parent).encode() not in whole
    assert b"1.1.1956" not in whole
    # what is looked for would be found
    assert b"asan-test" in whole
    assert b"Siemens" in whole


def test_nor_in_the_dashboards(planted, tmp_path):
    done = CliRunner().invoke(app, ["dashboard", str(planted), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    for path in (tmp_path / "out").iterdir():
        assert not [w for w in WORDS if w in path.read_text()], path


def test_nor_in_what_goes_to_a_server(planted, server):
    done = CliRunner().invoke(app, ["track", str(planted), "--online"])
    assert done.exit_code == 0, done.output
    assert len(server.runs) == 1
    said = "\n".join(server.said)
    assert "eval/asan-test/auroc" in said
    for word in WORDS:
        assert word not in said, word
    assert str(planted.parent) not in said


def test_a_pseudonym_as_a_cohorts_name_is_refused(run):
    (run / "cohorts" / "asan-test").rename(run / "cohorts" / "00112233445566778899")
    path = run / "cohorts" / "00112233445566778899" / "predictions.parquet"
    pd.read_parquet(path).assign(cohort="00112233445566778899").to_parquet(path)
    done = CliRunner().invoke(app, ["track", str(run)])
    assert done.exit_code == 2
    assert "a pseudonym is no name for a cohort" in done.output
    assert not offline(run)
