from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from data_sharding.tables import parse_age, parse_date, parse_decimal, read_table, years_between


@pytest.mark.parametrize(
    "text", ["2020-02-29", "20200229", "2020/2/29", "2020-02-29 08:15", " 2020.02.29 "]
)
def test_dates(text):
    assert parse_date(text) == date(2020, 2, 29)


@pytest.mark.parametrize(
    "text", ["", "29/02/2020", "2/29/20", "2021-02-29", "202002", "0001-01-01", "x"]
)
def test_dates_that_are_none(text):
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "years"),
    [("058Y", 58), ("58", 58), ("008M", 8 / 12), ("005D", 5 / 365.25), ("411Y", 411), ("0", 0)],
)
def test_ages(text, years):
    assert parse_age(text) == pytest.approx(years)


def test_ages_that_are_none():
    assert [parse_age(t) for t in ("", "Y", "58.5", "-5", "old")] == [None] * 5


def test_decimals_are_exact():
    assert parse_decimal("-2.5") == Decimal("-2.5")
    assert parse_decimal("\u22122,5", decimal_comma=True) == Decimal("-2.5")
    for text in ("", "abc", "1e5", "nan", "inf", "--1", "1,5", "0x1", "1" * 30):
        assert parse_decimal(text) is None


def test_years_between_counts_birthdays():
    assert years_between(date(1950, 6, 1), date(2000, 6, 1)) == 50
    assert years_between(date(1950, 6, 1), date(2000, 5, 31)) < 50
    assert years_between(date(1952, 2, 29), date(2002, 2, 28)) < 50
    assert years_between(date(1952, 2, 29), date(2002, 3, 1)) == 50


def test_rows_end_where_csv_says_they_do(tmp_path):
    """Neither a line separator nor a next-line character inside a cell begins a row."""
    path = tmp_path / "t.csv"
    path.write_text('a,b\r\n1,"x\u2028y"\r\n2,z\x85z\r\n\r\n3,"two\nlines"\r\n', newline="")
    table = read_table(path, ("a",), ("a",))
    assert [(r.line, r.get("a"), r.problem) for r in table.rows] == [
        (2, "1", ""),
        (3, "2", ""),
        (4, "", "empty_line"),
        (6, "3", ""),
    ]


def test_a_damaged_gz(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(b"\x1f\x8b\x08\x00 damaged")
    with pytest.raises(ValueError, match="damaged gzip"):
        read_table(tmp_path / "t.csv.gz", ("a",), ())


def test_two_stray_quotes_do_not_swallow_rows(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"x\n2,y\n3,z",\n4,w\n')
    with pytest.raises(ValueError, match=r"t.csv row 4: .*b runs over several lines.*quote"):
        read_table(path, ("a",), ("a", "b"))
