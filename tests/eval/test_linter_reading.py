"""Tables as they come: JSON, CSV, broken and hostile."""

import json

import pytest

from eval.linter import Table, from_csv, from_json, lint, read_table

HEAD = {"format": "osteoray-table/1"}


def judged(*rows, **more):
    return lint(Table.model_validate(HEAD | {"rows": rows} | more))


def test_csv_and_json_read_alike(tmp_path):
    text = (
        "\ufeffname,part_of,by,n,tp,fn,sens %,AUC,share:mild\n"
        "all,,,100,40,10,80.0 (67.0-88.8),0.90,\n"
        'women,all,sex,"60",,,,,"30 (50%)"\n'
    )
    (tmp_path / "t.csv").write_text(text)
    table = read_table(tmp_path / "t.csv")
    assert table.rows[0].metrics == {"sensitivity": "80.0 (67.0-88.8)%", "auroc": "0.90"}
    assert table.rows[1].shares == {"mild": "30 (50%)"}
    (tmp_path / "t.json").write_text(table.model_dump_json())
    assert read_table(tmp_path / "t.json") == table
    assert {f.rule for f in lint(table)} == {
        "parts add up to the whole",
        "percentages of all parts sum to 100",
    }


def good(**row):
    return json.dumps(HEAD | {"rows": [{"name": "r"} | row]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "EOF|Expecting"),
        ("[]", "table: Input should be"),
        ("[" * 100_000, "nested|recursion|Expecting"),
        ("{}", "format"),
        (good(metrics={"auroc": 0.9}), r"write numbers as text"),
        (good(metrics={"auroc": "NaN"}), "not a printed number"),
        ('{"format": "osteoray-table/1", "rows": NaN}', "NaN is not a number"),
        ('{"format": "osteoray-table/1", "format": "x"}', "twice"),
        (good(metrics={"AUC": "0.9"}), "metrics"),
        (good(typo=1), "Extra inputs"),
        (good(counts={"n": "1" * 40}), "not a printed number"),
        (good(confusion=[[1, 2], [3]]), "square"),
        (good(confusion=[[-1]]), "greater than or equal to 0"),
        (good(part_of="nobody", by="sex"), "names no other row"),
        (good(part_of="r"), "go together"),
        (json.dumps(HEAD | {"rows": [{"name": "r"}, {"name": "r"}]}), "same name"),
        (json.dumps(HEAD | {"claims": [{"kind": "guess"}]}), "kind|tag"),
    ],
)
def test_hostile_json_is_refused_in_one_line(text, says):
    with pytest.raises(ValueError, match=says) as e:
        from_json(text)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header"),
        ("sens\n0.9\n", "no column 'name'"),
        ("name,colour\n", "not known"),
        ("name,sens,recall\n", "column twice"),
        ("name,n\na\n", "line 2: 1 cells under 2"),
        ("name,n\na,\0\n", "NUL"),
        ('name,n\n"a,1\n', "not a CSV"),
        ("name,n\na,=1+1\n", "not a printed number"),
        ("name,n\n" + "a,1\n" * 2, "same name"),
    ],
)
def test_hostile_csv_is_refused_in_one_line(text, says):
    with pytest.raises(ValueError, match=says) as e:
        from_csv(text)
    assert "\n" not in str(e.value)


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "t.json").write_bytes(b"\xff\xfe{}")
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_table(tmp_path / "t.json")
    with pytest.raises(ValueError, match=r"\.json or a \.csv"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(OSError, match=r"no\.json"):
        read_table(tmp_path / "no.json")


@pytest.mark.parametrize(
    "counts",
    [
        {"positives": "0", "negatives": "0"},
        {"positives": "0", "negatives": "5"},
        {"tp": "0", "fp": "0", "fn": "0", "tn": "0"},
        {"n": "0"},
        {"positives": "999999999", "negatives": "999999999"},
        {"n": "-5"},
        {"tp": "1.5"},
        {"n": "3", "positives": "9"},
    ],
)
@pytest.mark.parametrize("value", ["0", "1", "0.5", "1.00 (1.00-1.00)", "<0.5", "-3", "500%"])
def test_odd_numbers_are_judged_not_fatal(counts, value):
    names = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "kappa", "auroc")
    for kind in ("binary", "multiclass"):
        row = {"name": "r", "kind": kind, "counts": counts, "metrics": dict.fromkeys(names, value),
               "shares": {"a": value}}  # fmt: skip
        found = judged(row)
        assert all(f.sentence and f.row for f in found)
        assert found or value not in ("-3", "500%")
