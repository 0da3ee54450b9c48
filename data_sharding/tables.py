"""CSV tables as hospitals export them: read strictly by row, with every row accounted for.

A byte-order mark, CRLF, semicolons, decimal commas (with semicolons), empty lines and unknown
columns are all fine. What cannot be read is an error that names the file and the row, and the
reader of each table turns row errors into ledger rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

_MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "."}


@dataclass(frozen=True)
class Row:
    """One data row: its line in the file (the header is line 1) and its cells by column."""

    line: int
    cells: dict[str, str] = field(hash=False)
    problem: str = ""  # empty_line or bad_row

    def get(self, column: str) -> str:
        """The stripped cell, '' where the column is absent or says nothing (NA, -, ...)."""
        text = self.cells.get(column, "").strip()
        return "" if text.lower() in _MISSING else text


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
        ValueError: no header, a required column is missing, or the CSV itself is broken.
    """
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as e:
            raise ValueError(f"{path.name}: damaged gzip file ({e}). Download it again.") from e
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    columns: tuple[str, ...] = ()
    try:
        for cells in reader:
            if not columns:
                columns = tuple(re.sub(r"\s+", "_", c.strip().lower()) for c in cells)
                continue
            row = _row(reader.line_num, columns, cells)
            for column in known:
                if "\n" in row.cells.get(column, ""):  # rows inside a cell would be lost unseen
                    raise csv.Error(f"a cell of {column} runs over several lines")
            rows.append(row)
    except csv.Error as e:
        raise ValueError(
            f"{path.name} row {reader.line_num}: not CSV ({e}). Look for a stray quote mark."
        ) from e
    missing = [c for c in required if c not in columns]
    if missing:
        raise ValueError(
            f"{path.name}: no column {', '.join(missing)}. Its header must have "
            f"{', '.join(required)}; it has {', '.join(c for c in columns if c) or 'nothing'}."
        )
    repeated = sorted({c for c in columns if c and columns.count(c) > 1})
    if repeated:
        raise ValueError(f"{path.name}: the column {repeated[0]} appears twice. Remove one.")
    unknown = [c for c in columns if c and c not in known]
    notes = (f"{path.name}: columns not used: {', '.join(unknown)}",) if unknown else ()
    return Table(path.name, columns, tuple(rows), notes, delimiter != ",")


def _row(line: int, columns: tuple[str, ...], cells: list[str]) -> Row:
    if not any(c.strip() for c in cells):
        return Row(line, {}, "empty_line")
    extra = cells[len(columns) :]
    named = dict(zip(columns, cells, strict=False))
    if any(c.strip() for c in extra) or len(cells) < len(columns) - 1:
        return Row(line, named, "bad_row")
    return Row(line, named)


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


def parse_age(text: str) -> float | None:
    """Years from '058Y', '008M', '005D', '012W' or '58'; None if it is none of these."""
    found = re.fullmatch(r"(\d{1,3})([YMWD]?)", text.strip().upper())
    if not found:
        return None
    per_year = {"Y": 1.0, "": 1.0, "M": 12.0, "W": 52.1775, "D": 365.25}
    return int(found[1]) / per_year[found[2]]


def parse_decimal(text: str, decimal_comma: bool = False) -> Decimal | None:
    """An exact decimal number, None if it is not one. A typographic minus is a minus."""
    text = text.strip().replace("\u2212", "-")
    if decimal_comma:
        text = text.replace(",", ".")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text) or len(text) > 24:
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
