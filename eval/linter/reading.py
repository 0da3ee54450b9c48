"""A table from a file: typed in as JSON (everything) or CSV (rows only), or our metrics.json.

CSV has one row a line and a header. Columns are the names of `Row`, of its counts and of its
metrics (the usual short names too); ``sensitivity %`` holds percentages without their sign;
``share:mild`` is one part of n. An empty cell says nothing.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eval.linter.own import from_metrics
from eval.linter.table import COUNTS, METRICS, Table

#: The format of metrics.json, whatever its version.
OURS = "osteoray-metrics/"
#: Bytes; no printed table is larger.
LARGEST = 20_000_000
WORDS = ("name", "source", "population", "part_of", "by", "kind", "average", "interval")
SHORT = {
    "sens": "sensitivity",
    "recall": "sensitivity",
    "spec": "specificity",
    "precision": "ppv",
    "acc": "accuracy",
    "auc": "auroc",
    "pos": "positives",
    "neg": "negatives",
    "ap": "average_precision",
}


def read_table(path: Path | str) -> Table:
    """Read and check a table.

    Args:
        path: a file ending in .json or .csv.

    Raises:
        ValueError: it is not UTF-8, too large, of another kind or not the schema; says where.
        OSError: it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in (".json", ".csv"):
        raise ValueError(f"{path.name}: a table is a .json or a .csv file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"{path.name}: larger than {LARGEST:,} bytes is not a printed table")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ValueError(f"{path.name}: not UTF-8 (byte {e.start}); save it as UTF-8") from None
    try:
        content = from_csv(text, path.stem) if path.suffix.lower() == ".csv" else from_json(text)
    except ValueError as e:
        raise ValueError(f"{path.name}: {e}") from None
    return content


def from_json(text: str) -> Table:
    """A table from JSON text, or from that of our own metrics.json.

    A key twice, NaN and unquoted numbers in cells are refused with a ValueError.
    """
    try:
        content = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        if isinstance(content, dict) and str(content.get("format")).startswith(OURS):
            return from_metrics(content)
        return Table.model_validate_json(text, strict=True)
    except ValidationError as e:
        raise ValueError(_first(e)) from None
    except RecursionError:
        raise ValueError("nested too deeply for a table") from None


def from_csv(text: str, title: str = "table") -> Table:
    """A table from CSV text, see the module."""
    if "\0" in text:
        raise ValueError("holds a NUL byte: not a CSV file")
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as e:
        raise ValueError(f"not a CSV file: {e}") from None
    lines = [line for line in lines if any(c.strip() for c in line)]
    if not lines:
        raise ValueError("no header: the first line names the columns")
    columns = [_column(c) for c in lines[0]]
    names = [c for c, _ in columns]
    if doubled := {c for c in names if names.count(c) > 1}:
        raise ValueError(f"column twice: {', '.join(sorted(doubled))}")
    if "name" not in names:
        raise ValueError("no column 'name'")
    rows = []
    for i, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns):
            raise ValueError(f"line {i}: {len(line)} cells under {len(columns)} columns")
        rows.append(_row(columns, line))
    try:
        return Table.model_validate(
            {"format": "osteoray-table/1", "title": title[:200] or "table", "rows": rows}
        )
    except ValidationError as e:
        raise ValueError(_first(e)) from None


def _column(header: str) -> tuple[str, bool]:
    """The column's name, and whether it holds percentages without a sign."""
    text = header.strip()
    if text.lower().startswith("share:"):
        return "share:" + text[6:].strip(), False
    plain = text.rstrip("%").strip().lower().replace(" ", "_")
    name = SHORT.get(plain, plain)
    if name not in (*WORDS, *COUNTS, *METRICS):
        known = ", ".join((*WORDS, *COUNTS, *METRICS, "share:..."))
        raise ValueError(f"column {header[:60]!r} is not known; columns are {known}")
    return name, text.endswith("%")


def _row(columns: list[tuple[str, bool]], line: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"counts": {}, "metrics": {}, "shares": {}}
    for (name, percent), raw in zip(columns, line, strict=True):
        text = raw.strip()
        if not text:
            continue
        if name in WORDS:
            row[name] = text
        elif name.startswith("share:"):
            row["shares"][name[6:]] = text
        else:
            text = text + "%" if percent and "%" not in text else text
            row["metrics" if name in METRICS else "counts"][name] = text
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number that was printed")


def _first(e: ValidationError) -> str:
    """The first error in one line, and how many more there are."""
    error = e.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(x) for x in error["loc"]) or "table"
    hint = ': write numbers as text, as printed ("0.90")' if error["type"] == "string_type" else ""
    more = f" (and {e.error_count() - 1} more)" if e.error_count() > 1 else ""
    return f"{where}: {error['msg']}{hint}{more}"
