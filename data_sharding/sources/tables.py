"""CSV tables as hospitals export them: read strictly by row, with every row accounted for.

A byte-order mark, UTF-16, CRLF, semicolons, decimal commas (with semicolons), empty lines and
unknown columns are all fine. A file that is no CSV at all is refused in a line that says what it
is. What cannot be read is an error that names the file and the row, and the reader of each table
turns row errors into ledger rows (columns.py has the checks).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

#: A table larger than this is not read: NIH's has 8 MiB, CheXpert's 24.
MAX_BYTES = 256 << 20
MAX_COLUMNS = 1000
#: Nor one of more rows, empty lines among them: NIH's has 112,120, CheXpert's 223,414.
MAX_ROWS = 2_000_000
#: A row of more is a quote that never closes.
MAX_CHARACTERS = 1_000_000
#: Empty lines that get a `Row` each; further ones are counted.
EMPTY_LINES = 1000

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
    """A header and all rows, good or not, in the file's order.

    `more_empty`: empty lines that were counted and have no `Row`; `n_rows` has them too.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    decimal_comma: bool
    more_empty: int = 0

    @property
    def n_rows(self) -> int:
        """All rows below the header, empty lines among them."""
        return len(self.rows) + self.more_empty

    @property
    def summarised(self) -> dict[str, int]:
        """Reason -> rows that no `Row` stands for, as `Ledger.step` takes them."""
        return {"empty_line": self.more_empty}


def read_table(path: Path, required: tuple[str, ...], known: tuple[str, ...]) -> Table:
    """Read a CSV (or .csv.gz) file with a header.

    Column names are compared in lower case with spaces as underscores. Unknown columns are kept
    and counted in a note; they are not named, for without a header they are cells of a patient.

    Raises:
        ValueError: not a table at all, no header, a required column is missing, too large, or the
            CSV itself is broken. One line, which says what to do.
    """
    lines = _Lines(*_content(path))
    delimiter = max(",;\t", key=lines.first.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows: list[Row] = []
    columns: tuple[str, ...] = ()
    place: dict[str, int] = {}
    said: dict[str, str] = {}
    n_rows = n_empty = 0
    try:
        for cells in reader:
            lines.since_row = 0
            if not columns:
                columns = tuple(re.sub(r"\s+", "_", c.strip().lower()) for c in cells)
                place = {column: at for at, column in enumerate(columns) if column}
                _check_header(path, columns, required, known)
                one_line = [place[column] for column in known if column in place]
                continue
            for at in one_line:
                if at < len(cells) and "\n" in cells[at]:  # rows in it would be lost
                    raise csv.Error(f"a cell of {columns[at]} runs over several lines")
            n_rows += 1
            if n_rows > MAX_ROWS:
                raise ValueError(f"{path.name}: more than {MAX_ROWS} rows. No table has that many.")
            row = _row(reader.line_num, place, columns, cells, said)
            n_empty += row.problem == "empty_line"
            if row.problem != "empty_line" or n_empty <= EMPTY_LINES:
                rows.append(row)
    except csv.Error as e:  # its words may hold a tab
        why = "".join(ch if ch.isprintable() else repr(ch)[1:-1] for ch in str(e))
        raise ValueError(
            f"{path.name} row {reader.line_num}: not CSV ({why}). Look for a stray quote mark."
        ) from e
    unknown = sum(bool(c) and c not in known for c in columns)
    notes = (f"{path.name}: columns not used: {unknown}",) if unknown else ()
    return Table(path.name, columns, tuple(rows), notes, delimiter != ",", n_rows - len(rows))


class _Lines:
    """The lines of a text, decoded one by one; `since_row`: characters since it was last zero."""

    def __init__(self, raw: bytes, encoding: str) -> None:
        self._file = io.TextIOWrapper(io.BytesIO(raw), encoding, errors="replace", newline="")
        self.first = self._file.readline(MAX_CHARACTERS)
        self._file.seek(0)
        self.since_row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_CHARACTERS)
        self.since_row += len(line)
        if self.since_row >= MAX_CHARACTERS:
            raise csv.Error(f"a row of more than {MAX_CHARACTERS} characters")
        if not line:
            raise StopIteration
        return line


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


def _content(path: Path) -> tuple[bytes, str]:
    """The bytes of a table, unpacked, and their encoding."""
    if path.is_dir():
        raise ValueError(f"{path.name}: a folder, not a table.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.name}: more than {MAX_BYTES >> 20} MiB: no table is so large.")
        raw = path.read_bytes()
    except OSError as e:
        raise ValueError(f"{path.name}: cannot be read ({e.strerror}).") from e
    if path.suffix == ".gz":
        if raw[:2] != b"\x1f\x8b":
            what = what_it_is(raw[:4096]) or "a plain file; give it a name without .gz"
            raise ValueError(f"{path.name}: not a gzip file but {what}.")
        raw = _gunzip(path, raw)
    what = what_it_is(raw[:4096])
    if what:
        raise ValueError(f"{path.name}: not a CSV table but {what}.")
    return raw, _encoding(raw)


def _encoding(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(raw), 1 << 20):  # not whole: the text may take four times as much
            decoder.decode(raw[at : at + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _gunzip(path: Path, raw: bytes) -> bytes:
    """The content of a gzip file, but no more than `MAX_BYTES` of it."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as f:
            out = bytearray()  # by pieces: a read of MAX_BYTES takes that much at once
            while len(out) <= MAX_BYTES and (piece := f.read(1 << 20)):
                out += piece
    except (OSError, EOFError, zlib.error) as e:
        raise ValueError(f"{path.name}: damaged gzip file ({e}). Download it again.") from e
    if len(out) > MAX_BYTES:
        raise ValueError(f"{path.name}: unpacks to more than {MAX_BYTES >> 20} MiB.")
    return bytes(out)


def _check_header(
    path: Path, columns: tuple[str, ...], required: tuple[str, ...], known: tuple[str, ...]
) -> None:
    """Names in messages are those that we know: any other may be a cell, where no header is."""
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"{path.name}: {len(columns)} columns. No table has that many.")
    missing = [c for c in required if c not in columns]
    if missing:
        here = [c for c in dict.fromkeys((*required, *known)) if c in columns]
        others = sum(bool(c) and c not in here for c in columns)
        has = f"{', '.join(here)} and {others} others" if here else f"{others} others"
        raise ValueError(
            f"{path.name}: no column {', '.join(missing)}. Its first line must be a header with "
            f"{', '.join(required)}; it has {has}."
        )
    repeated = next((c for c, n in Counter(columns).items() if c and n > 1), None)
    if repeated:
        first, second = [n for n, c in enumerate(columns, 1) if c == repeated][:2]
        name = repeated if repeated in (*required, *known) else f"of number {first}"
        raise ValueError(
            f"{path.name}: the column {name} appears twice, again as number {second}. Remove one."
        )


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
    # a header that ends in a comma (NIH, 2017) promises a cell that no row needs to have
    if extra or len(cells) < len(columns) - (not columns[-1]):
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
