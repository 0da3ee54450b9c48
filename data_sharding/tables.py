"""CSV tables as hospitals export them: read strictly by row, with every row accounted for.

A byte-order mark, UTF-16, CRLF, semicolons, decimal commas (with semicolons), empty lines and
unknown columns are all fine. A file that is no CSV at all is refused in a line that says what it
is. What cannot be read is an error that names the file and the row, and the reader of each table
turns row errors into ledger rows (columns.py has the checks).
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

#: A table larger than this is not read: NIH's has 8 MiB, CheXpert's 24.
MAX_BYTES = 256 << 20
MAX_COLUMNS = 1000

_MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "."}

#: What a file that is no table begins with, and what it is then.
_SIGNATURES = (
    (rb"d\d{1,3}:(announce|created by|creation date|comment|info|url-list)", "a torrent file"),
    (rb"\s*<(!doctype html|html|head|body|script|meta)\b", "a web page (HTML)"),
    (rb"\s*<\?xml", "an XML file"),
    (
        rb"version https://git-lfs\.github\.com",
        "a Git LFS pointer; get the file with `git lfs pull`",
    ),
    (rb"(\.\./)*[^\n,;\t]{0,500}/annex/objects/", "a git-annex pointer; get the file first"),
    (rb"PK(\x03\x04|\x05\x06)", "a ZIP archive or an Excel workbook; save it as CSV"),
    (rb"\xd0\xcf\x11\xe0", "an old Excel workbook; save it as CSV"),
    (rb"\x1f\x8b", "a gzip file; give it a name that ends in .gz"),
    (rb"%PDF", "a PDF file"),
    (rb"PAR1", "a Parquet file; save it as CSV"),
    (rb"\x89PNG|\xff\xd8\xff", "a picture"),
    (rb"BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a compressed file; unpack it first"),
    (rb"(?s).{128}DICM", "a DICOM file"),
    (rb"(?s).{257}ustar", "a tar archive; unpack it first"),
    (rb"\s*[\[{]\s*[\[{\"]", "a JSON file"),
    (rb"(/|\.\./)[^\n,;\t\"]{1,500}\.csv(\.gz)?\s*\Z", "the target of a link; get the file itself"),
)
_CONTROL = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1a")


@dataclass(frozen=True, slots=True)
class Row:
    """One data row: its line in the file (the header is line 1) and its cells.

    `values` are stripped, and '' where a cell says nothing (NA, -, ...).
    """

    line: int
    values: tuple[str, ...]
    place: dict[str, int] = field(hash=False, repr=False)  # column -> its number; one for all rows
    problem: str = ""  # empty_line or bad_row

    def get(self, column: str) -> str:
        """The cell, '' where the column is absent or says nothing."""
        at = self.place.get(column)
        return "" if at is None or at >= len(self.values) else self.values[at]


@dataclass(frozen=True)
class Table:
    """A header and all rows, good or not, in the file's order."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    decimal_comma: bool


def read_table(path: Path, required: tuple[str, ...], known: tuple[str, ...]) -> Table:
    """Read a CSV (or .csv.gz) file with a header.

    Column names are compared in lower case with spaces as underscores. Unknown columns are kept
    and noted.

    Raises:
        ValueError: not a table at all, no header, a required column is missing, or the CSV itself
            is broken. One line, which says what to do.
    """
    text = _text(path)
    header = text.split("\n", 1)[0][:100_000]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    columns: tuple[str, ...] = ()
    place: dict[str, int] = {}
    said: dict[str, str] = {}
    try:
        for cells in reader:
            if not columns:
                columns = tuple(re.sub(r"\s+", "_", c.strip().lower()) for c in cells)
                place = {column: at for at, column in enumerate(columns) if column}
                _check_header(path, columns, required)
                one_line = [place[column] for column in known if column in place]
                continue
            for at in one_line:
                if at < len(cells) and "\n" in cells[at]:  # rows in it would be lost
                    raise csv.Error(f"a cell of {columns[at]} runs over several lines")
            rows.append(_row(reader.line_num, place, columns, cells, said))
    except csv.Error as e:
        raise ValueError(
            f"{path.name} row {reader.line_num}: not CSV ({e}). Look for a stray quote mark."
        ) from e
    unknown = [c for c in columns if c and c not in known]
    notes = (f"{path.name}: columns not used: {_named(unknown)}",) if unknown else ()
    return Table(path.name, columns, tuple(rows), notes, delimiter != ",")


def what_it_is(head: bytes) -> str:
    """What the first bytes of a file that should be a table show it to be; '' for a table."""
    if not head.strip():
        return "empty"
    for pattern, name in _SIGNATURES:
        if re.match(pattern, head, re.IGNORECASE):
            return name
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    strange = len(head) - len(head.translate(None, _CONTROL))
    return "a binary file" if not wide and strange * 10 > len(head) else ""


def _text(path: Path) -> str:
    """The text of a table, unpacked and decoded."""
    if path.is_dir():
        raise ValueError(f"{path.name}: a folder, not a table.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name}: more than {MAX_BYTES >> 20} MiB. No table is that large.")
    raw = path.read_bytes()
    if path.suffix == ".gz":
        if raw[:2] != b"\x1f\x8b":
            what = what_it_is(raw[:4096]) or "a plain file; give it a name without .gz"
            raise ValueError(f"{path.name}: not a gzip file but {what}.")
        raw = _gunzip(path, raw)
    what = what_it_is(raw[:4096])
    if what:
        raise ValueError(f"{path.name}: not a CSV table but {what}.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _gunzip(path: Path, raw: bytes) -> bytes:
    """The content of a gzip file, but no more than `MAX_BYTES` of it."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as f:
            out = f.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as e:
        raise ValueError(f"{path.name}: damaged gzip file ({e}). Download it again.") from e
    if len(out) > MAX_BYTES:
        raise ValueError(f"{path.name}: unpacks to more than {MAX_BYTES >> 20} MiB.")
    return out


def _check_header(path: Path, columns: tuple[str, ...], required: tuple[str, ...]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"{path.name}: {len(columns)} columns. No table has that many.")
    missing = [c for c in required if c not in columns]
    if missing:
        raise ValueError(
            f"{path.name}: no column {', '.join(missing)}. Its header must have "
            f"{', '.join(required)}; it has {_named([c for c in columns if c])}."
        )
    repeated = sorted(c for c, n in Counter(columns).items() if c and n > 1)
    if repeated:
        raise ValueError(
            f"{path.name}: the column {_named(repeated[:1])} appears twice. Remove one."
        )


def _named(columns: list[str]) -> str:
    """Column names for a message: one line, however long or strange they are."""
    shown = ["".join(ch if ch.isprintable() else "?" for ch in c[:40]) for c in columns[:12]]
    more = f" and {len(columns) - 12} more" if len(columns) > 12 else ""
    return ", ".join(shown) + more or "nothing"


def _row(
    line: int,
    place: dict[str, int],
    columns: tuple[str, ...],
    cells: list[str],
    said: dict[str, str],  # cell -> what it says: each different text is worked out and kept once
) -> Row:
    values = []
    for cell in cells:
        value = said.get(cell)
        if value is None:
            value = cell.strip()
            value = said[cell] = "" if value.lower() in _MISSING else value
        values.append(value)
    if not any(cell and not cell.isspace() for cell in cells):
        return Row(line, (), place, "empty_line")
    extra = any(cell and not cell.isspace() for cell in cells[len(columns) :])
    if extra or len(cells) < len(columns) - 1:
        return Row(line, tuple(values[: len(columns)]), place, "bad_row")
    return Row(line, tuple(values[: len(columns)]), place)


def lines_of(rows: Sequence[Row]) -> str:
    """'rows 2, 3, 4' for a message that stays short: all rows may be of one patient."""
    shown = ", ".join(str(row.line) for row in rows[:6])
    return f"rows {shown}" + (f" and {len(rows) - 6} more" if len(rows) > 6 else "")


@lru_cache(maxsize=16384)
def parse_date(text: str) -> date | None:
    """YYYY-MM-DD, YYYY/MM/DD, YYYY.MM.DD or YYYYMMDD, with or without a time; else None.

    31/12/2020 and 12/31/2020 are not guessed.
    """
    found = re.match(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})(?:$|[ T])", text.strip())
    if not found or (not found[2] and len(found[3] + found[4]) != 4):
        return None
    try:
        day = datetime(int(found[1]), int(found[3]), int(found[4])).date()
    except ValueError:
        return None
    return day if 1880 <= day.year <= 2100 else None


@lru_cache(maxsize=1024)
def parse_age(text: str) -> float | None:
    """Years from '058Y', '008M', '005D', '012W' or '58'; None if it is none of these."""
    found = re.fullmatch(r"(\d{1,3})([YMWD]?)", text.strip().upper())
    if not found:
        return None
    per_year = {"Y": 1.0, "": 1.0, "M": 12.0, "W": 52.1775, "D": 365.25}
    return int(found[1]) / per_year[found[2]]


@lru_cache(maxsize=16384)  # a table has many cells and few different numbers
def parse_decimal(text: str, decimal_comma: bool = False) -> Decimal | None:
    """An exact decimal number, None if it is not one. A typographic minus is a minus."""
    text = text.strip().replace("\u2212", "-")
    if decimal_comma:
        text = text.replace(",", ".")
    if len(text) > 24 or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def years_between(birth: date, day: date) -> float:
    """Age in years: whole birthdays plus the fraction of the year since the last one."""
    whole = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
    last = _birthday(birth, birth.year + whole)
    following = _birthday(birth, birth.year + whole + 1)
    return round(whole + (day - last).days / (following - last).days, 4)


def _birthday(birth: date, year: int) -> date:
    try:
        return birth.replace(year=year)
    except ValueError:  # 29 February
        return date(year, 3, 1)
