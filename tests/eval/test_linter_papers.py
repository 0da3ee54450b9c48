"""Every contradiction that is listed for three published papers, found from their printed numbers.

The minimal tables stand in `papers`, so that this runs everywhere. Where the papers' file lies
beside the checkout, every line of its list must be answered here, and its numbers must be the
ones judged.
"""

import json
from pathlib import Path

import pytest

from eval.linter import Table, lint
from tests.eval.papers import EXPECTED, SHORT, TABLES

PAPERS = Path(__file__).resolve().parents[3] / "shared" / "papers" / "paper_tables.json"
LISTED = [
    pytest.param(paper, finding, id=f"{paper}-{i}-{first}-{finding[1]}-{finding[2]}")
    for paper, lines in EXPECTED.items()
    for i, (first, findings) in enumerate(lines.items())
    if not isinstance(findings, str)
    for finding in findings
]


@pytest.fixture(scope="module")
def found():
    head = {"format": "osteoray-table/1"}
    return {k: lint(Table.model_validate_json(json.dumps(head | t))) for k, t in TABLES.items()}


@pytest.mark.parametrize(("paper", "finding"), LISTED)
def test_listed_contradiction_is_found(found, paper, finding):
    severity, row, column, rule = finding
    lines = [f.line() for f in found[paper]]
    assert any(
        f.severity.endswith(severity)
        and (f.row == row or (row.endswith("*") and f.row.startswith(row[:-1])))
        and column in f.column
        and rule in f.rule
        for f in found[paper]
    ), "\n".join(lines)


def test_what_makes_them_consistent_is_named(found):
    nearest = {(f.row, f.column): f.nearest for f in found["OsPenScreen"] + found["Face2Bone"]}
    assert nearest["AMC internal, 60-64", "positives, negatives"] == "positives 128, negatives 93"
    assert nearest["AMC internal, 55-59", "positives"] == "207 (48.9%)"
    assert nearest["VHSMC", "npv"] == "0.74"
    assert nearest["GH", "n"] == "763"
    assert nearest["osteopenia SHAP", "alike"] == "9.4e-05"
    assert nearest["Normal against the rest", "kappa"] == "0.9061"
    assert nearest["calibration, all", "p"] == "6 groups"
    many = [f for f in found["Face2Bone"] if "the smallest number" in f.sentence]
    assert [f.nearest for f in many] == ["n 1609"]
    lone = [f for f in found["Face2Bone"] if f.row == "Normal against the rest"]
    assert [f.severity for f in lone] == ["misprint?"]


@pytest.fixture(scope="module")
def papers():
    if not PAPERS.exists():
        pytest.skip("no ../shared/papers beside this checkout: the papers' list is not compared")
    return json.loads(PAPERS.read_text())


def test_every_line_of_the_papers_list_is_answered(papers):
    for paper, lines in EXPECTED.items():
        listed = papers[paper]["inconsistencies"]
        for text in listed:
            assert [k for k in lines if text.startswith(k)], f"{paper}: unanswered: {text}"
        for k in lines:
            assert sum(text.startswith(k) for text in listed) == 1, f"{paper}: not listed: {k}"


def test_the_tables_here_hold_the_papers_numbers(papers):
    rows = {r["name"]: r for t in TABLES.values() for r in t["rows"]}

    def equal(name, said, places=None, percent=()):
        for k, text in rows[name]["metrics"].items():
            key = next((a for a, b in SHORT.items() if b == k and a in said), None)
            if key is None:
                continue
            value = said[key]["est"] if isinstance(said[key], dict) else said[key]
            assert float(text.split(" ")[0].rstrip("%")) == value, (name, k)

    o, li, f = (papers[k] for k in TABLES)
    for name, key in (("AMC internal", "AMC_internal"), ("VHSMC", "VHSMC_external")):
        equal(name, o["table2"][key])
        assert all(int(rows[name]["counts"][k.lower()]) == o["table2"][key][k]
                   for k in ("TP", "TN", "FP", "FN"))  # fmt: skip
    third = {(r["dataset"], r["subgroup"]): r for r in o["table3"]}
    for name, key in (("women", "Female"), ("60-64", "60-64"), ("65+", ">=65")):
        equal(f"AMC internal, {name}", third["AMC_internal", key])
    equal("external 2, combined", li["table2"]["external2"]["combined"])
    equal("external 1, DL", li["table2"]["external1"]["DL"])
    equal("external 2, DL", li["table2"]["external2"]["DL"])
    equal("internal, DL", li["table2"]["internal_test"]["DL"])
    for name, said in (f["table2"] | f["table5"]).items():
        equal(name, said)
