"""The checks of every table, against a slow second reading of each cell."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pytest

from data_sharding.schema import REASONS
from data_sharding.sources.columns import (
    CHEXPERT,
    CLINICAL,
    DXA,
    NIH,
    TABLES,
    check,
    describe,
    names,
    schema,
)
from data_sharding.sources.tables import read_table


def table(path: Path, lines: list[str], columns=DXA):
    path.write_text("\n".join(lines) + "\n")
    return read_table(path, names(columns, required=True), names(columns))


@pytest.mark.parametrize("columns", TABLES.values(), ids=TABLES)
def test_every_column_says_what_it_is_and_takes_its_own_example(columns, tmp_path):
    text = describe()
    for column in columns:
        assert column.about
        assert column.takes
        assert f"  {column.name} " in text
        assert {rule.reason for rule in column.rules} <= set(REASONS)
    header = ",".join(column.name for column in columns)
    good = ",".join(f'"{column.example}"' for column in columns)
    assert check(table(tmp_path / "t.csv", [header, good], columns), columns) == {}


def test_the_schema_is_pandera_and_carries_the_words():
    said = schema(DXA).columns["lumbar_spine_bmd"]
    assert said.description == "areal BMD, lumbar spine (L1-L4)"
    assert said.metadata["takes"] == "0.2 to 2.5 g/cm2"
    assert [c.name for c in said.checks] == ["bad_value"]


def test_the_first_column_gives_the_reason_and_all_are_named(tmp_path):
    lines = [
        ",".join(names(DXA)),
        "A,2020-01-01,-1.0,,,,,,,,,",
        "B,someday,abc,,99,,,,850,,,L7",
        ",2020-01-01,-1,,,,,,,,,",
        "C,2020-01-01,-10.1,,,,,,,,,",
    ]
    wrong = check(table(tmp_path / "dxa.csv", lines), DXA)
    assert {n: (why.reason, why.evidence, why.detail) for n, why in wrong.items()} == {
        1: (
            "bad_date",
            "column exam_date (also lumbar_spine_t, total_hip_t, lumbar_spine_bmd, "
            "excluded_vertebrae)",
            "someday",
        ),
        2: ("no_identifier", "column patient_id", ""),
        3: ("t_score_out_of_range", "column lumbar_spine_t", "-10.1"),
    }


CELLS = {
    "_t": [
        "",
        "0",
        "-2.5",
        "-10",
        "10",
        "-10.0001",
        "10.1",
        "abc",
        "1e1",
        "--1",
        "\u22121.5",
        "NA",
    ],
    "_z": ["", "2.5", "-11", "x"],
    "_bmd": ["", "0.2", "2.5", "0.19", "2.51", "850", "none"],
    "date": ["2020-02-29", "2021-02-29", "29/02/2020", "", "20200101"],
    "id": ["A", "", "-", "HOSP 1"],
    "vertebrae": ["", "L1", "L1 L3", "L1-L2", "L1;L4", "L5", "T12", "l2", "none", "L1-4", "L0"],
}
REASON_OF = {"_t": "bad_t_score", "date": "bad_date", "id": "no_identifier"}


def kind_of(column: str) -> str:
    return next(k for k in CELLS if column.endswith(k))


def slowly(column: str, text: str) -> str:
    """The reason a cell is refused for, by Python's own Decimal and plain comparisons."""
    kind = kind_of(column)
    text = "" if text.lower() in ("na", "none", "-") else text
    if kind == "id":
        return "" if text else "no_identifier"
    if kind == "date":
        return "" if text in ("2020-02-29", "20200101") else "bad_date"
    if not text:
        return ""
    if kind == "vertebrae":
        return (
            "" if text.upper() in ("L1", "L1 L3", "L1-L2", "L1;L4", "L2", "L1-4") else "bad_value"
        )
    try:
        number = Decimal(text.replace("\u2212", "-"))
    except InvalidOperation:
        number = None
    if number is None or "e" in text:
        return "bad_t_score" if kind == "_t" else "bad_value"
    low, high = ("0.2", "2.5") if kind == "_bmd" else ("-10", "10")
    if Decimal(low) <= number <= Decimal(high):
        return ""
    return "t_score_out_of_range" if kind == "_t" else "bad_value"


def test_two_thousand_random_rows_against_a_slow_reading(tmp_path):
    rng = np.random.default_rng(0)
    columns = names(DXA)
    rows = [[str(rng.choice(CELLS[kind_of(c)])) for c in columns] for _ in range(2000)]
    # most cells are good, so that some rows are and each column is the first to fail in some
    for row in rows:
        for at, column in enumerate(columns):
            if rng.random() < 0.8:
                row[at] = {"id": "A", "date": "2020-02-29"}.get(kind_of(column), "")
    lines = [",".join(columns), *(",".join(row) for row in rows)]
    wrong = check(table(tmp_path / "dxa.csv", lines), DXA)
    expected = {}
    for n, row in enumerate(rows):
        reasons = [slowly(c, text) for c, text in zip(columns, row, strict=True)]
        failed = [c for c, reason in zip(columns, reasons, strict=True) if reason]
        if not any(row):
            expected[n] = ("empty_line", [])
        elif failed:
            expected[n] = (next(filter(None, reasons)), failed)
    assert 200 < len(expected) < 1800
    assert {n: why.reason for n, why in wrong.items()} == {n: r for n, (r, _) in expected.items()}
    for n, (_, failed) in expected.items():
        assert re.findall(r"[a-z]\w+_\w+", wrong[n].evidence.split(")")[0])[: len(failed)] == failed


def test_decimal_commas_are_numbers_only_with_semicolons(tmp_path):
    header = "patient_id;exam_date;total_hip_t;total_hip_bmd"
    wrong = check(table(tmp_path / "a.csv", [header, "A;2020-01-01;-1,5;0,9"]), DXA)
    assert wrong == {}
    header = header.replace(";", ",")
    wrong = check(table(tmp_path / "b.csv", [header, 'A,2020-01-01,"-1,5",0.9']), DXA)
    assert wrong[0].reason == "bad_t_score"


@pytest.mark.parametrize(
    ("columns", "header", "line", "evidence"),
    [
        (CLINICAL, "patient_id,menopausal", "A,perhaps", "menopausal, taken are pre, post"),
        (CLINICAL, "patient_id,sex", "A,x", "sex, taken are"),
        (CLINICAL, "patient_id,height_cm", "A,1.65", "height_cm, 50 to 250 cm"),
        (CLINICAL, "patient_id,weight_kg", "A,14.9", "weight_kg, 15 to 400 kg"),
        (NIH, ",".join(names(NIH)), "a.png,Mass,,58,F,PA", "patient_id"),
        (CHEXPERT, ",".join(names(CHEXPERT)), "a/b.jpg" + "," * 18, "path"),
        (
            *(CHEXPERT, ",".join(names(CHEXPERT))),
            "train/patient1/study1/view1_frontal.jpg,Male,50,Frontal,PA,2" + "," * 13,
            "no_finding, taken are 1 yes, 0 no, -1",
        ),
    ],
)
def test_the_other_tables(tmp_path, columns, header, line, evidence):
    wrong = check(table(tmp_path / "t.csv", [header, line], columns), columns)
    assert evidence in wrong[0].evidence


def test_an_empty_table_and_one_of_bad_rows_only(tmp_path):
    header = ",".join(names(DXA))
    assert check(table(tmp_path / "a.csv", [header]), DXA) == {}
    wrong = check(table(tmp_path / "b.csv", [header, "", "A", ",,,"]), DXA)
    assert [why.reason for why in wrong.values()] == ["empty_line", "bad_row", "empty_line"]
