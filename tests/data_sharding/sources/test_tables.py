from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from datetime import date
from decimal import Decimal

import pytest

from data_sharding.sources.tables import (
    MAX_BYTES,
    MAX_ROWS,
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
    (tmp_path / "t.csv").write_text("a,b,c\n 1 ,n/a,-\n2,3\n4,5,6,7\n,,\n8,9,0,,\n")
    rows = read_table(tmp_path / "t.csv", ("a",), ("a", "b", "c")).rows
    assert [rows[0].get(c) for c in "abcd"] == ["1", "", "", ""]
    assert [rows[4].get(c) for c in "abcd"] == ["8", "9", "0", ""]
    assert [row.problem for row in rows] == ["", "bad_row", "bad_row", "empty_line", ""]


def test_only_a_header_that_ends_in_a_comma_has_a_cell_to_spare(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,\n1,2,\n1,2\n1\n1,2,3\n1,2,3,4\n")
    rows = read_table(tmp_path / "t.csv", ("a",), ("a", "b")).rows
    assert [row.problem for row in rows] == ["", "", "bad_row", "", "bad_row"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_without_a_header_no_cell_is_quoted(tmp_path, delimiter):
    rows = [["Hong_Gildong", "2020-01-01", "a"], ["Kim_Minsoo", "2020-01-02", "b"]]
    (tmp_path / "t.csv").write_text("\n".join(delimiter.join(row) for row in rows))
    with pytest.raises(ValueError, match="no column patient_id") as caught:
        read_table(tmp_path / "t.csv", ("patient_id", "a"), ("patient_id", "a"))
    assert str(caught.value).endswith("it has a and 2 others.")
    assert "hong" not in str(caught.value).lower()
    (tmp_path / "t.csv").write_text("a,hong,hong\n1,2,3\n")
    with pytest.raises(ValueError, match="the column of number 2 appears twice, again as number 3"):
        read_table(tmp_path / "t.csv", ("a",), ("a",))
    (tmp_path / "t.csv").write_text("a,hong,kim\n1,2,3\n")
    assert read_table(tmp_path / "t.csv", ("a",), ("a",)).notes == ("t.csv: columns not used: 2",)


def test_what_csv_says_is_printable(tmp_path):
    (tmp_path / "t.csv").write_text('a\tb\n"1"x\t2\n')
    with pytest.raises(ValueError, match=r"t.csv row 2: not CSV \('\\t' expected") as caught:
        read_table(tmp_path / "t.csv", ("a",), ("a",))
    assert str(caught.value).isprintable()


def test_many_empty_lines_are_counted_without_being_kept(tmp_path):
    path, n = tmp_path / "t.csv.gz", 200_000
    path.write_bytes(gzip.compress(b"a,b\n" + b"\n" * n + b"1,2\n\n"))
    tracemalloc.start()
    table = read_table(path, ("a",), ("a", "b"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.n_rows == n + 2
    assert table.n_rows - len(table.rows) == table.summarised["empty_line"]
    assert [(row.line, row.get("b")) for row in table.rows if not row.problem] == [(n + 2, "2")]
    assert peak < 20 * n  # bytes a line; a Row takes many more


def test_more_rows_than_any_table_has(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"\n" * (MAX_ROWS + 1), compresslevel=1))
    with pytest.raises(ValueError, match=r"t.csv.gz: more than 2000000 rows"):
        read_table(path, ("a",), ("a",))


def test_a_row_that_never_ends(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n" + '"\n",' * 500_000)
    with pytest.raises(ValueError, match=r"not CSV \(a row of more than 1000000 characters\)"):
        read_table(tmp_path / "t.csv", ("a",), ())
