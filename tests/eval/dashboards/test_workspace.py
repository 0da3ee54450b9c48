"""The workspace and the report: every panel names what is logged; equal runs give equal bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from eval.dashboards.identity import evaluation
from eval.dashboards.known import Known, varied
from eval.dashboards.log import log
from eval.dashboards.told import of_run
from eval.dashboards.workspace import Dashboards
from tests.eval.dashboards.reading import offline
from training.overrides import override
from training.recipes import recipe
from training.tracking.sync import sync

SECTIONS = [
    "Cohorts side by side",
    "Drift between sites",
    "Subgroup gaps",
    "Sweeps: settings against the tuning cohort",
    "Sweeps: settings against the objective",
    "Sweeps: learning curves",
]


@pytest.fixture(scope="module")
def sweep(evaluated, tmp_path_factory):
    """Two trials in one group, which differ in a learning rate: all of it logged offline."""
    root = tmp_path_factory.mktemp("sweep")
    told = {}
    for i, lr in enumerate((0.001, 0.003)):
        run = shutil.copytree(evaluated, root / f"ospenscreen-smoke-000000000{i}")
        facts = json.loads((run / "run.json").read_text()) | {"run_id": run.name}
        (run / "run.json").write_text(json.dumps(facts))
        own = ["track.group=ospenscreen-smoke-sweep", "track.one_run=true"]
        config = override(recipe("ospenscreen:smoke"), [f"teacher.lr={lr}", *own])
        (run / "config.yaml").write_text(config.to_yaml())
        end = {"slot": i, "complete": 1, "objective": {"auroc_low": 0.8}}
        (run / "trial").mkdir()
        (run / "trial" / "metrics.jsonl").write_text(json.dumps({"step": 0, "summary": end}))
        told[run] = of_run(run, str(i))
        log(evaluation(run), told[run], "offline")
        sync(run, None, "offline", lambda _: None)
    return told


@pytest.fixture(scope="module")
def specs(sweep):
    return Dashboards.of(Known.of(sweep)).specs()


def panels(spec: Any) -> Iterator[dict[str, Any]]:
    """Every panel, wherever it is."""
    if isinstance(spec, dict):
        if "viewType" in spec:
            yield spec
        for value in spec.values():
            yield from panels(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from panels(value)


def named(panel: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Keys and settings (dotted) that a panel asks for, by W&B's own fields."""
    c, kind = panel["config"], panel["viewType"]
    if kind == "Bar Chart":
        return set(c["metrics"]), set()
    if kind == "Run History Line Plot":
        assert c["xAxis"] == "_step"
        return set(c["metrics"]), set()
    if kind == "Vega2":
        (query,) = c["userQuery"]["queryFields"]
        (of,) = [f for f in query["fields"] if f["name"] == "summaryTable"]
        return {a["value"] for a in of["args"]}, set()
    if kind == "Media Browser":
        return set(c["mediaKeys"]), set()
    if kind == "Parameter Importance":
        return {c["targetKey"]}, set()
    if kind == "Run Comparer":
        return set(), set()
    if kind == "Weave":
        text = json.dumps(c)
        at = text.index('"key"')
        return {json.loads(text[text.index('"val": ', at) + 7 :].split("}")[0])}, set()
    if kind == "Parallel Coordinates Plot":
        places = [column["accessor"] for column in c["columns"]]
    else:
        assert kind == "Scatter Plot", kind
        places = [c["xAxis"], c["yAxis"]]
    keys = {p.removeprefix("summary:") for p in places if p.startswith("summary:")}
    settings = [p.removeprefix("config:") for p in places if p.startswith("config:")]
    assert len(keys) + len(settings) == len(places)
    return keys, {s.replace(".value", "") for s in settings}


def settings_of(run: Any) -> set[str]:
    def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"

    return set(leaves({i.key: json.loads(i.value_json) for i in run.config.update}))


@pytest.mark.parametrize("name", ["workspace.json", "report.json"])
def test_every_panel_names_what_is_in_the_logs(sweep, specs, name):
    logs = [o for run in sweep for o in offline(run)]
    history = {k for o in logs for record in o.log.history for k in record}
    keys = {k for o in logs for k in (o.keys | set(o.log.summary))} | history
    settings = {s for o in logs for s in settings_of(o.log.run)}
    found = list(panels(specs[name]))
    assert len(found) > 40
    for panel in found:
        asked, of = named(panel)
        assert asked <= keys, panel
        assert of <= settings, panel
    kinds = {p["viewType"] for p in found}
    assert kinds >= {"Bar Chart", "Vega2", "Weave", "Run History Line Plot", "Scatter Plot"}
    assert {"Parallel Coordinates Plot", "Parameter Importance", "Run Comparer"} <= kinds


def test_the_table_columns_that_charts_are_of_are_there(sweep, specs):
    tables = {k: t for run in sweep for o in offline(run) for k, t in o.tables.items()}
    charts = [p for p in panels(specs["workspace.json"]) if p["viewType"] == "Vega2"]
    assert charts
    for panel in charts:
        ((key,), _) = named(panel)
        assert set(panel["config"]["fieldSettings"].values()) <= set(tables[key][0])


def test_sections(specs):
    found = specs["workspace.json"]["spec"]["section"]["panelBankConfig"]["sections"]
    assert [s["name"] for s in found] == SECTIONS
    text = json.dumps(specs["report.json"])
    assert all(name in text for name in SECTIONS)
    assert "not a medical device" in text
    assert "teacher.value.lr" in text


def test_the_groups_are_the_sweeps(sweep):
    groups = {o.log.run.run_group for run in sweep for o in offline(run)}
    assert groups == {"ospenscreen-smoke-sweep"}
    kinds = sorted(o.log.run.job_type for run in sweep for o in offline(run))
    assert kinds == ["evaluation", "evaluation", "run", "run"]


def test_panels_of_what_is_not_logged_are_not_there(evaluated):
    told = of_run(evaluated, "x")
    known = Known.of({evaluated: told})
    text = json.dumps(Dashboards.of(known).specs())
    assert "gradcam" not in text
    assert "Parallel Coordinates" not in text
    told.pictures["eval/asan-test/gradcam"] = []
    text = json.dumps(Dashboards.of(Known.of({evaluated: told})).specs())
    assert "eval/asan-test/gradcam" in text


def test_equal_runs_give_equal_bytes(sweep, tmp_path):
    made = [Dashboards.of(Known.of(sweep)).write(tmp_path / name) for name in "ab"]
    for first, second in zip(*made, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_what_is_varied():
    a = {"teacher": {"lr": 1, "wd": 2}, "x": [1], "same": None}
    b = {"teacher": {"lr": 1, "wd": 3}, "x": [2], "same": None, "more": 1}
    assert varied([a, b]) == ("teacher.wd", "more")
    assert varied([a]) == ()
