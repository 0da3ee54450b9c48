"""The filter of public radiographs, against pandas on the genuine tables of NIH ChestX-ray14."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from data_sharding.ledger import Ledger
from data_sharding.sources.chexpert import read_chexpert
from data_sharding.sources.columns import CHEXPERT
from data_sharding.sources.public import (
    NO_LABEL,
    NOT_NORMAL,
    Entry,
    NormalRules,
    flow_of_table,
    pictures_under,
    stages,
)


def test_the_counts_of_the_second_edition(nih_folder):
    table = nih_folder / "Data_Entry_2017_v2020.csv.gz"
    flow = flow_of_table(table, NormalRules(views=("PA",)))
    assert [(step.n_in, step.n_out, patients) for step, patients in flow] == [
        (112_120, 112_120, 30_805),
        (112_120, 60_361, 24_907),
        (60_361, 26_956, 10_868),
        (26_956, 17_346, 9_693),
    ]
    for step, _ in flow:
        assert step.n_in == step.n_out + sum(step.excluded.values())


@pytest.mark.parametrize(
    ("edition", "views"),
    [("Data_Entry_2017.csv.gz", ("AP",)), ("Data_Entry_2017_v2020.csv.gz", ("PA", "AP"))],
)
def test_against_pandas(nih_folder, edition, views):
    frame = pd.read_csv(nih_folder / edition, dtype=str)
    raw = frame["Patient Age"].str.extract(r"^(\d+)([YMD]?)$")
    years = raw[0].astype(int) / raw[1].map({"Y": 1, "": 1, "M": 12, "D": 365.25})
    normal = frame["Finding Labels"] == "No Finding"
    aged = normal & (years >= 50) & (years < 100)
    seen = aged & frame["View Position"].isin(views)
    patient = frame["Patient ID"].astype(int)
    flow = flow_of_table(nih_folder / edition, NormalRules(views=views))
    assert [(step.n_out, patients) for step, patients in flow[1:]] == [
        (int(mask.sum()), patient[mask].nunique()) for mask in (normal, aged, seen)
    ]
    implausible = flow[2][0].excluded.get("age_implausible", 0)
    assert implausible == (normal & (years > 120)).sum()
    assert (years > 140).sum() == (16 if edition == "Data_Entry_2017.csv.gz" else 0)


def entry(**facts) -> Entry:
    usual = {
        **{"item": "a", "path": "", "name": "a", "patient": "1", "finding": ""},
        **{"support_devices": False, "age": 60.0, "view": "PA", "sex": "F"},
    }
    return Entry(**(usual | facts))


@pytest.mark.parametrize(
    ("facts", "rules", "reason"),
    [
        ({}, {}, ""),
        ({"age": 50.0}, {}, ""),
        ({"age": 49.99}, {}, "under_age"),
        ({"age": 99.0}, {}, ""),
        ({"age": 100.0}, {}, "over_age"),
        ({"age": 120.0}, {}, "over_age"),
        ({"age": 121.0}, {}, "age_implausible"),
        ({"age": None}, {}, "age_unknown"),
        ({"finding": "Mass"}, {}, "finding"),
        ({"view": "AP"}, {}, ""),
        ({"view": "AP"}, {"views": ("PA",)}, "view_not_wanted"),
        ({"view": ""}, {}, "view_missing"),
        ({"view": "LATERAL"}, {}, "lateral_view"),
        ({"support_devices": True}, {}, ""),
        ({"support_devices": True}, {"support_devices": False}, "support_devices"),
        ({"age": 40.0}, {"min_age": 40}, ""),
        ({"age": 90.0}, {"max_age": 90}, "over_age"),
    ],
)
def test_each_rule_and_its_edges(facts, rules, reason):
    out = [
        x.reason
        for _, _, excluded in stages([entry(**facts)], NormalRules(**rules))
        for x in excluded
    ]
    assert out == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("facts", "evidence"),
    [
        ({"finding": "Mass|Pleural_Thickening"}, "Mass|Pleural_Thickening"),
        ({"finding": "perhaps edema, fracture"}, "perhaps edema, fracture"),
        ({"finding": NO_LABEL}, NO_LABEL),
        ({"finding": NOT_NORMAL}, NOT_NORMAL),
        ({"finding": "KIM MINSOO 500301"}, "an unusual value"),
        ({"finding": "Mass|KIM MINSOO"}, "an unusual value"),
        ({"view": "LL"}, "view LL"),
        ({"view": "KIM"}, "view an unusual value"),
    ],
)
def test_only_known_words_are_quoted(facts, evidence):
    [out] = [x for _, _, each in stages([entry(**facts)], NormalRules()) for x in each]
    assert out.evidence == evidence
    assert out.detail == next(iter(facts.values()))  # in the private folder


def test_all_findings_of_the_real_table_are_known(nih_folder):
    table = pd.read_csv(nih_folder / "Data_Entry_2017_v2020.csv.gz", dtype=str)
    for said in table["Finding Labels"].unique():
        [out] = [x for _, _, each in stages([entry(finding=said)], NormalRules()) for x in each]
        assert out.evidence == said[:120]


def test_a_folder_that_is_not_entered_is_in_the_ledger(tmp_path):
    (tmp_path / "train.csv").write_text(",".join(c.name for c in CHEXPERT) + "\n")
    (tmp_path / "up").symlink_to("/")
    ledger = Ledger()
    assert read_chexpert(tmp_path, pictures_under(tmp_path), NormalRules(), ledger) == []
    assert ledger.flow[1].excluded == {"unreadable": 1}


def test_the_policy_says_its_own_defaults():
    text = NormalRules.__doc__ or ""
    rules = NormalRules()
    ages = re.search(r"of (\d+) to under (\d+) years", text)
    assert ages is not None
    assert (float(ages[1]), float(ages[2])) == (rules.min_age, rules.max_age)
    assert "public-normal/1" in text
    assert rules.support_devices
    assert "so they are taken" in text


@pytest.mark.parametrize("name", ["train.csv", "Data_Entry_2017.csv", "sample_labels.csv.gz"])
def test_a_table_that_is_something_else(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>Sign in</html>")
    with pytest.raises(ValueError, match=f"{name}: not a .* but a web page"):
        flow_of_table(tmp_path / name, NormalRules())


def test_a_table_of_neither_set(tmp_path):
    with pytest.raises(ValueError, match=r"labels.csv: neither NIH's table .* nor CheXpert's"):
        flow_of_table(tmp_path / "labels.csv", NormalRules())
    (tmp_path / "train.csv").write_text("id,target\n1,0\n")
    with pytest.raises(ValueError, match=r"train.csv: no column path, .*; it has 2 others\."):
        flow_of_table(tmp_path / "train.csv", NormalRules())
