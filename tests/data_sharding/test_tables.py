from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from datetime import date
from decimal import Decimal

import pytest

from data_sharding.tables import (
    MAX_BYTES,
    parse_age,
    parse_date,
    parse_decimal,
    read_table,
    years_between,
)


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


HTML = b"\n<!DOCTYPE html>\n<html><head><title>Sign in, please</title></head></html>\n"
XLSX = io.BytesIO()
with zipfile.ZipFile(XLSX, "w") as workbook:
    workbook.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
TAR = io.BytesIO()
with tarfile.open(fileobj=TAR, mode="w") as archive:
    archive.addfile(tarfile.TarInfo("dxa.csv"))
DISGUISED = {
    "a torrent": b"d8:announce33:http://tracker.example/a.php?x=1,13:creation date4:infod",
    "a web page": HTML,
    "an XML file": b'<?xml version="1.0"?><a/>',
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n",
    "a git-annex pointer": b"../.git/annex/objects/xx/yy/MD5E-s1--ab.csv\n",
    "an Excel workbook": XLSX.getvalue(),
    "an old Excel workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "a gzip file": gzip.compress(b"a,b\n1,2\n"),
    "a PDF file": b"%PDF-1.7\n",
    "a Parquet file": b"PAR1\x15\x04",
    "a picture": b"\x89PNG\r\n\x1a\n",
    "a compressed file": b"BZh91AY",
    "a DICOM file": bytes(128) + b"DICM",
    "a tar archive": TAR.getvalue(),
    "a JSON file": b'[{"patient_id": 1}]',
    "the target of a link": b"/home/someone/datasets/chexpert/train.csv",
    "empty": b"\r\n \n",
    "a binary file": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("what", DISGUISED)
def test_a_file_that_is_no_table_is_named_for_what_it_is(tmp_path, what, name):
    data = DISGUISED[what]
    packed = name.endswith(".gz") and what != "a gzip file"
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    if name.endswith(".gz") and what == "a gzip file":
        assert read_table(tmp_path / name, ("a",), ("a", "b")).rows[0].get("b") == "2"
        return
    with pytest.raises(ValueError, match=what) as caught:
        read_table(tmp_path / name, ("a",), ())
    assert str(caught.value).startswith("t.csv")
    assert "\n" not in str(caught.value)


def test_a_gz_that_is_none_and_a_folder(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(HTML)
    with pytest.raises(ValueError, match="not a gzip file but a web page"):
        read_table(tmp_path / "t.csv.gz", ("a",), ())
    (tmp_path / "t.csv.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ValueError, match="a plain file; give it a name without"):
        read_table(tmp_path / "t.csv.gz", ("a",), ())
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(ValueError, match="a folder, not a table"):
        read_table(tmp_path / "t.csv", ("a",), ())


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_encodings_of_spreadsheets(tmp_path, code):
    path = tmp_path / "t.csv"
    path.write_bytes("Patient ID;größe\r\nMüller;1,5\r\n".encode(code))
    table = read_table(path, ("patient_id",), ("patient_id", "größe"))
    assert (table.rows[0].get("patient_id"), table.rows[0].get("größe")) == ("Müller", "1,5")
    assert (table.decimal_comma, table.notes) == (True, ())


def test_what_would_take_all_memory_is_refused(tmp_path):
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as f:
        for _ in range(MAX_BYTES // (1 << 20) + 1):
            f.write(b"1,2\n" * (1 << 18))
    with pytest.raises(ValueError, match="unpacks to more than 256 MiB"):
        read_table(path, ("a",), ())
    (tmp_path / "wide.csv").write_text(",".join(map(str, range(100_000))) + "\n")
    with pytest.raises(ValueError, match="100000 columns"):
        read_table(tmp_path / "wide.csv", ("0",), ())
    (tmp_path / "long.csv").write_text("x" * 500_000 + ",\x1b[2Jy\n1,2\n")
    with pytest.raises(ValueError, match=r"not CSV|no column") as caught:
        read_table(tmp_path / "long.csv", ("a",), ())
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_rows_know_their_cells(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n 1 ,n/a,-\n2,3\n4,5,6,7\n,,\n")
    rows = read_table(tmp_path / "t.csv", ("a",), ("a", "b", "c")).rows
    assert [[row.get(c) for c in "abcd"] for row in rows[:2]] == [
        ["1", "", "", ""],
        ["2", "3", "", ""],
    ]
    assert [row.problem for row in rows] == ["", "", "bad_row", "empty_line"]
