"""Both dashboards saved at a server: made once, replaced when they are saved again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from tests.training.tracking.server import Server

#: To who asks who is asking, which projects there are, and for a new one.
ANYTHING = {
    "viewer": {
        **{"id": "u", "username": "somebody", "entity": "clinic", "email": "", "flags": "{}"},
        "teams": {"edges": []},
    },
    "models": {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}},
}


class Views(Server):
    """A server that keeps views as well: id -> name, type and spec."""

    def __init__(self) -> None:
        self.views: dict[str, dict[str, Any]] = {}
        super().__init__()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path != "/graphql":
            return {}
        asked = json.loads(body)
        if "upsertView(" not in asked["query"]:
            return {"data": ANYTHING}
        v = asked["variables"]
        key = v.get("id") or f"view{len(self.views) + 1}"
        self.views[key] = v
        view = {
            "id": key,
            "name": v["name"],
            "type": v["type"],
            "displayName": v["displayName"],
            "description": v["description"],
            "project": {"id": "p", "name": v["projectName"], "entityName": v["entityName"]},
            "user": {"id": "u"},
            "spec": v["spec"],
            "createdAt": "2026-01-01T00:00:00",
            "updatedAt": "2026-01-01T00:00:00",
        }
        return {"data": {"upsertView": {"view": view, "inserted": True}}}


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> Iterator[Views]:
    server = Views()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    yield server
    server.close()


def test_they_are_saved_once_and_then_replaced(run, tmp_path, views):
    out = tmp_path / "out"
    words = ["dashboard", str(run), "--out", str(out), "--online", "--entity", "clinic"]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    assert {v["type"] for v in views.views.values()} == {"project-view", "runs"}
    kept = {v["type"]: json.loads(v["spec"]) for v in views.views.values()}
    written = json.loads((out / "workspace.json").read_text())["spec"]
    assert kept["project-view"].keys() == written.keys()
    assert "/clinic/osteoray" in first.output
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0, again.output
    assert len(views.views) == 2
    assert again.output == first.output
