"""Predictions as people keep them: parquet, or CSV as any spreadsheet saves it.

Everything that can be wrong with such a file is one line that names the file, the row as the
spreadsheet counts it (the header is row 1), and what to do.
"""

from __future__ import annotations

import csv
import difflib
import io
from pathlib import Path

import numpy as np
import pandas as pd

from data_sharding.schema import OPTIONAL_PREDICTION_COLUMNS, PREDICTION_COLUMNS
from eval.frames import Column, Frame
from eval.runs import read_parquet

SUFFIXES = (".parquet", ".csv")
COLUMNS = PREDICTION_COLUMNS | OPTIONAL_PREDICTION_COLUMNS
ABSENT = ("", "na", "nan", "null", "none")


def read_predictions(path: Path) -> Frame:
    """The rows of a file, with columns of the contract; its index counts rows as people do.

    Raises:
        ValueError: unreadable, empty, a column of the contract is missing or there twice, or a
            number is not one.
    """
    frame = _csv(path) if path.suffix.lower() == ".csv" else _parquet(path)
    _check_names(frame, path)
    if frame.empty:
        raise ValueError(f"{path}: no rows in it")
    return frame


def _parquet(path: Path) -> Frame:
    frame = read_parquet(path)
    return frame.set_axis(np.arange(1, len(frame) + 1), axis=0)


def _csv(path: Path) -> Frame:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8; save it as CSV UTF-8") from None
    head = text.split("\n", 1)[0]
    # Spreadsheets where the comma is a decimal sign part cells with semicolons.
    semicolons = head.count(";") > head.count(",")
    sign = ";" if semicolons else ","
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=sign, strict=True))
    except csv.Error as e:
        raise ValueError(f"{path}: not a CSV file: {e}") from None
    names = [c.strip() for c in rows[0]] if rows else []
    if repeated := sorted({c for c in names if c in COLUMNS and names.count(c) > 1}):
        raise ValueError(f"{path}: column {repeated[0]!r} is there twice")
    filled = [(i, row) for i, row in enumerate(rows[1:], 2) if any(c.strip() for c in row)]
    for i, row in filled:
        if len(row) != len(names):
            raise ValueError(f"{path}: row {i}: {len(row)} cells under {len(names)} columns")
    index = [i for i, _ in filled]
    frame: Frame = pd.DataFrame([row for _, row in filled], index, names, dtype=str)
    frame = frame[[c for c in names if c in COLUMNS]]
    _check_names(frame, path, names)
    return pd.DataFrame({c: _cells(frame[c], c, path, semicolons) for c in frame})


def _cells(column: Column, name: str, path: Path, commas: bool) -> Column:
    """Text as the contract's kind, with what is absent missing.

    Raises:
        ValueError: a number is not one.
    """
    text = column.str.strip()
    if COLUMNS[name] == "string":
        return text.where(text != "", None)
    text = text.mask(text.str.lower().isin(ABSENT))
    plain = text.str.replace(",", ".", regex=False) if commas else text
    values: Column = pd.to_numeric(plain, errors="coerce")
    values = values.astype(float)
    bad = (values.isna() & text.notna()) | np.isinf(values)
    if bad.any():
        row, cell = bad.index[bad][0], text[bad].iloc[0]
        raise ValueError(f"{path}: row {row}: {name} must be a number, not {cell!r}")
    return values


def _check_names(frame: Frame, path: Path, names: list[str] | None = None) -> None:
    """Raise ValueError for missing columns, with what they may be called in the file."""
    missing = [c for c in PREDICTION_COLUMNS if c not in frame]
    others = [c for c in map(str, names or frame) if c not in COLUMNS]
    hints = [
        f"{c} (is it {near[0]!r}?)" if (near := difflib.get_close_matches(c, others, 1)) else c
        for c in missing
    ]
    if missing:
        raise ValueError(f"{path}: columns missing: {', '.join(hints)}")
