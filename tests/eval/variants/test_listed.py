"""The list of runs that training leaves for the table."""

from __future__ import annotations

import json

import pytest

from eval.variants.listed import listed


def test_runs_lie_beside_the_list_in_its_order(tmp_path):
    path = tmp_path / "variants.json"
    path.write_text(json.dumps({"runs": {"Face2Bone": "b-1", "-FSA": "a-2"}}))
    runs, called = listed(path)
    assert runs == [str(tmp_path / "b-1"), str(tmp_path / "a-2")]
    assert called == ["Face2Bone", "-FSA"]


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "{}", '{"runs": 3}', '{"runs": ["a"]}', '{"runs": {"A": "../a"}}']
    + ['{"runs": {"A": "/etc"}}', '{"runs": {"A": ""}}', "\x00" * 9],
)
def test_what_is_no_list_is_refused_by_name(tmp_path, text):
    path = tmp_path / "variants.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"variants\.json"):
        listed(path)
