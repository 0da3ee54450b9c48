"""The dashboard is asked over a real socket, and what it says is not trusted."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from cluster import api
from cluster.checks.dashboard import Answer
from tests.cluster.server import serving


def test_the_dashboard_is_asked():
    reply = {"/api/version": {"version": "4", "ray_version": "2.60.0"}}
    with serving(reply, secret="s3cret") as address:
        assert api.ask(address).status == 401
        assert api.ask(address, "wrong").status == 401
        known = api.ask(address + "/", "s3cret")
        assert (known.status, known.ray) == (200, "2.60.0")
        assert known.skew is not None
        assert abs(known.skew) < 2, "the same machine"
    with serving(reply, date=formatdate(time.time() - 3600, usegmt=True)) as address:
        assert api.ask(address).skew == pytest.approx(3600, abs=2)
    with serving(reply, date="yesterday") as address:
        assert api.ask(address) == Answer(200, "2.60.0", None)
    with serving({"/api/version": ["no", "Ray"]}) as address:
        assert api.ask(address) == Answer(404)
    assert api.ask("http://127.0.0.1:1") == Answer(None)
    assert api.ask("nonsense") == Answer(None)


def test_the_machines_clocks():
    def node(name, lag, state="ALIVE"):
        return {"hostname": name, "now": time.time() - lag, "raylet": {"state": state}}

    nodes = [node("n1", 2), node("n2", 60), node("n3", -60), node("n4", 900, "DEAD"), {}]
    reply = {"/nodes?view=summary": {"result": True, "data": {"summary": nodes}}}
    with serving(reply, secret="t") as address:
        found = api.node_clocks(address, "t")
        assert api.node_clocks(address, None) == {}
    assert set(found) == {"n1", "n2", "n3"}
    assert found["n1"] == pytest.approx(-3, abs=1), "within what a report may be late"
    assert found["n2"] == pytest.approx(55, abs=1)
    assert found["n3"] == pytest.approx(-65, abs=1)


@pytest.mark.parametrize(
    "said",
    [[], {}, {"data": None}, {"data": {"summary": 3}}, {"data": {"summary": [{"now": "x"}]}}],
)
def test_what_is_no_list_of_machines_is_none(said):
    with serving({"/nodes?view=summary": said}) as address:
        assert api.node_clocks(address, "t") == {}


def test_ray_says_so_itself():
    """The names that we read are those that Ray's own reporter and data centre write."""
    from pathlib import Path

    import ray

    modules = Path(ray.__file__).parent / "dashboard" / "modules"
    reporter = (modules / "reporter" / "reporter_agent.py").read_text()
    assert '"now": now' in reporter
    assert '"hostname": self._hostname' in reporter
    assert "summary=all_node_summary" in (modules / "node" / "node_head.py").read_text()
