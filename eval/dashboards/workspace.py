"""A W&B workspace and a W&B report of evaluated runs, defined here and written as JSON.

    made = Dashboards.of(known)
    made.write(folder)                  workspace.json, report.json: no account, no network
    made.save(folder, entity)           to the server, in place of those saved from there before

The JSON is what the library sends as a view's ``spec``, with its random ids numbered, so that equal
runs give equal bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces as ws

from eval.dashboards.known import Known
from eval.dashboards.panels import arranged, sections
from eval.runs import read_json

NAME = "OsteoRay cohorts"
WARNING = (
    "Research software; not a medical device. Numbers of a tuning cohort are optimistic. What is "
    "of fewer than five patients was not sent."
)
#: Under these keys the library keeps ids that it draws.
IDS = ("__id__", "id", "i")
SAVED = "dashboards.json"


@dataclass(frozen=True)
class Dashboards:
    """Both, for the same runs."""

    workspace: ws.Workspace
    report: wr.Report

    @classmethod
    def of(cls, known: Known, entity: str = "") -> Dashboards:
        """Lay out what is known to be logged; `entity` is who owns the project at W&B."""
        ends = ("", "_lo", "_hi")
        aurocs = known.having(*(f"eval/{c}/auroc{end}" for c in known.cohorts for end in ends))
        workspace = ws.Workspace(
            entity=entity,
            project=known.project,
            name=NAME,
            sections=[
                ws.Section(name=s.title, panels=s.panels, is_open=True) for s in sections(known)
            ],
            runset_settings=ws.RunsetSettings(
                groupby=[ws.Metric("Group")] if len(known.groups) > 1 else [],
                pinned_columns=["run:displayName", *(f"summary:{k}" for k in aurocs)],
            ),
        )
        blocks: list[Any] = [wr.P(WARNING), wr.TableOfContents()]
        for s in sections(known):
            kind = {"evaluations": "== 'evaluation'", "stages": "!= 'evaluation'"}[s.of]
            by = ["group"] if s.of == "stages" and len(known.groups) > 1 else []
            runs = wr.Runset(name=s.of, filters=f"Metric('JobType') {kind}", groupby=by)
            grid = wr.PanelGrid(runsets=[runs], panels=list(arranged(s.panels)))
            blocks += [wr.H2(s.title), wr.P(s.about), grid]
        report = wr.Report(
            project=known.project,
            entity=entity,
            title=NAME,
            description="Cohorts, drift between sites, subgroup gaps and sweeps.",
            blocks=blocks,
            width="fluid",
        )
        return cls(workspace, report)

    def specs(self) -> dict[str, Any]:
        """File name -> what is in it."""
        view, report = self.workspace._to_model(), self.report._to_model()
        return {
            "workspace.json": {"name": view.display_name, "spec": _plain(view.spec)},
            "report.json": {
                "name": report.display_name,
                "description": report.description,
                "spec": _plain(report.spec),
            },
        }

    def write(self, folder: Path) -> list[Path]:
        """Write both into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, spec in self.specs().items():
            _write(folder / name, numbered(spec))
        return [folder / name for name in self.specs()]

    def save(self, folder: Path) -> list[str]:
        """Save both at W&B and return their addresses; those saved before are replaced.

        Raises:
            Exception: whatever the library or the network comes up with.
        """
        saved = read_json(folder / SAVED)
        place = f"{self.workspace.entity}/{self.workspace.project}"
        before = saved.get(place, {})
        self.workspace._internal_name = str(before.get("workspace_name", ""))
        self.workspace._internal_id = str(before.get("workspace", ""))
        self.report.id = str(before.get("report", ""))
        self.workspace.save()
        self.report.save()
        now = {
            "workspace_name": self.workspace._internal_name,
            "workspace": self.workspace._internal_id,
            "report": self.report.id,
        }
        _write(folder / SAVED, saved | {place: now})
        return [self.workspace.url, self.report.url]


def numbered(spec: Any) -> Any:
    """The same with ids numbered in the order they come, wherever they are named."""
    ids: dict[str, str] = {}
    for value in _ids(spec):
        ids.setdefault(value, f"id{len(ids) + 1:012d}")
    text = json.dumps(spec)
    if ids:
        text = re.sub("|".join(map(re.escape, ids)), lambda m: ids[m[0]], text)
    return json.loads(text)


def _ids(value: Any) -> Any:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in IDS and isinstance(inner, str) and re.fullmatch(r"[a-z0-9]{8,16}", inner):
                yield inner
            yield from _ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner)


def _plain(model: Any) -> Any:
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def _write(path: Path, value: Any) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    temporary.replace(path)
