"""The columns of every table that is read: what they mean, and pandera schemas that check them.

    from data_sharding.sources.columns import DXA, check, describe
    check(table, DXA)      # number of the row -> why it is no use
    print(describe())      # the columns for people: units, ranges, examples

All cells are checked as the text that they are, so that -2.5 stays -2.5; a row that fails is named
with its columns. A cell that says nothing (empty, NA, -) is nothing, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from data_sharding.ledger import Refused
from data_sharding.schema import DXA_SITES
from data_sharding.sources.tables import Table, parse_date, parse_decimal

if TYPE_CHECKING:
    import pandera.pandas as pa

Fits = Callable[[str, bool], bool]  # (cell, decimal comma) -> whether it may be used


@dataclass(frozen=True)
class Rule:
    """What a cell must be; where it is not, its row goes to the ledger for `reason`."""

    reason: str
    fits: Fits
    words: str = ""  # for the evidence: what is taken


@dataclass(frozen=True)
class Column:
    """One column: `about` has its unit, `takes` the values in words."""

    name: str
    about: str
    takes: str
    example: str
    rules: tuple[Rule, ...] = ()
    required: bool = False


def _given(text: str, _: bool) -> bool:
    return bool(text)


def _dated(text: str, _: bool) -> bool:
    return parse_date(text) is not None


def _date_or_nothing(text: str, _: bool) -> bool:
    return not text or parse_date(text) is not None


def _number(text: str, comma: bool) -> bool:
    return not text or parse_decimal(text, comma) is not None


def _within(low: str, high: str) -> Fits:
    lowest, highest = parse_decimal(low), parse_decimal(high)
    assert lowest is not None
    assert highest is not None

    def fits(text: str, comma: bool) -> bool:
        number = parse_decimal(text, comma) if text else None
        return not text or (number is not None and lowest <= number <= highest)

    return fits


def _pattern(pattern: str) -> Fits:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text, _: not text or compiled.fullmatch(text) is not None


def _measure(name: str, about: str, low: str, high: str, unit: str, example: str) -> Column:
    """A number in a range; anything else is a value that cannot be."""
    words = f"{low} to {high}{' ' if unit else ''}{unit} are taken"
    return Column(
        name, about, f"{low} to {high} {unit}", example, (_bad(_within(low, high), words),)
    )


def _bad(fits: Fits, words: str = "") -> Rule:
    return Rule("bad_value", fits, words)


def _one_of(name: str, about: str, pattern: str, takes: str, example: str = "") -> Column:
    """One of some words, or nothing."""
    return Column(name, about, takes, example, (_bad(_pattern(pattern), f"taken are {takes}"),))


def _named(name: str, about: str, example: str) -> Column:
    return Column(name, about, "text", example, (Rule("no_identifier", _given),), required=True)


def _free(name: str, about: str, takes: str, example: str) -> Column:
    """A column that must be there; what its cells say is for the filter, not for the check."""
    return Column(name, about, takes, example, required=True)


_PLACES = {
    "lumbar_spine": "lumbar spine (L1-L4)",
    "femoral_neck": "femoral neck",
    "total_hip": "total hip",
}
_T_RULES = (Rule("bad_t_score", _number), Rule("t_score_out_of_range", _within("-10", "10")))
VERTEBRAE = r"L[1-4](\s*[-\u2013]\s*L?[1-4])?([\s,;/+&]+L[1-4](\s*[-\u2013]\s*L?[1-4])?)*"
PRE = r"pre|pre-?\s?menopausal"
POST = r"post|post-?\s?menopausal"

DXA = (
    _named("patient_id", "the DICOM Patient ID", "HOSP-0001"),
    Column(
        *("exam_date", "day of the densitometry", "YYYY-MM-DD, with or without a time"),
        *("2020-02-29", (Rule("bad_date", _dated),)),
        required=True,
    ),
    *(
        Column(f"{site}_t", f"T-score, {_PLACES[site]}", "-10 to 10", "-1.3", _T_RULES)
        for site in DXA_SITES
    ),
    *(
        _measure(f"{site}_z", f"Z-score, {_PLACES[site]}", "-10", "10", "", "0.2")
        for site in DXA_SITES
    ),
    *(
        _measure(f"{site}_bmd", f"areal BMD, {_PLACES[site]}", "0.2", "2.5", "g/cm2", "0.874")
        for site in DXA_SITES
    ),
    Column(
        *("excluded_vertebrae", "of L1-L4, left out of the lumbar value (artefact, fracture)"),
        *("such as L2, L1 L3 or L1-L2", "L2"),
        (_bad(_pattern(VERTEBRAE), "L1, L2, L3 and L4 are taken"),),
    ),
)

CLINICAL = (
    _named("patient_id", "the DICOM Patient ID", "HOSP-0001"),
    _one_of("sex", "sex", "f|female|w|m|male|o|u|unknown|other", "F, M, unknown, other", "F"),
    Column(
        *("birth_date", "day of birth", "YYYY-MM-DD", "1950-03-01"),
        (Rule("bad_date", _date_or_nothing),),
    ),
    _measure("height_cm", "height", "50", "250", "cm", "160"),
    _measure("weight_kg", "weight", "15", "400", "kg", "58.5"),
    _one_of(
        *("menopausal", "menopausal state of a woman", f"{PRE}|{POST}|u|unknown"),
        *("pre, post, unknown", "post"),
    ),
)

FRACTURES = (
    _named("patient_id", "the DICOM Patient ID", "HOSP-0001"),
    Column(
        "last_seen",
        "last day on which a fracture would have been known (samples: 1 to 365 days sooner)",
        *("YYYY-MM-DD", "2021-05-04", (Rule("bad_date", _dated),)),
        required=True,
    ),
    Column(
        "fracture_date",
        "day of a fracture; empty where there was none up to last_seen, no placeholder",
        "YYYY-MM-DD",
        *("2018-02-11", (Rule("bad_date", _date_or_nothing),)),
        required=True,
    ),
)

NIH = (
    _named("image_index", "file name of the image", "00000001_000.png"),
    _free("finding_labels", "findings, joined by |", '"No Finding" is taken', "No Finding"),
    _named("patient_id", "number of the patient, padded or not", "00000001"),
    _free("patient_age", "age at the image", "058Y, 008M, 005D or years", "058Y"),
    Column("patient_gender", "sex (or a column patient_sex)", "F, M", "F"),
    _free("view_position", "view", "PA, AP", "PA"),
)

NIH_FINDINGS = (
    *("no_finding", "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule"),
    *("pneumonia", "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis"),
    *("pleural_thickening", "hernia"),
)

CHEXPERT_PATH = (
    r"(?:.*[/\\])?(train|valid|test)[/\\]patient(\d{1,9})[/\\](study\d+)[/\\](view\d+_[^/\\]+)"
)
CHEXPERT_FINDINGS = (
    *("enlarged_cardiomediastinum", "cardiomegaly", "lung_opacity", "lung_lesion", "edema"),
    *("consolidation", "pneumonia", "atelectasis", "pneumothorax", "pleural_effusion"),
    *("pleural_other", "fracture"),
)
CHEXPERT = tuple(
    replace(column, required=True)
    for column in (
        Column(
            *("path", "path of the image", "text"),
            *("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg",),
            (Rule("no_identifier", _given), Rule("no_identifier", _pattern(CHEXPERT_PATH))),
        ),
        _one_of("sex", "sex", "female|male|unknown", "Female, Male, Unknown"),
        _measure("age", "age; 90 means 90 or older, 0 unknown", "0", "120", "years", "68"),
        _one_of("frontal/lateral", "frontal or lateral", "frontal|lateral", "Frontal, Lateral"),
        _one_of("ap/pa", "view; empty for a lateral", "ap|pa|ll|rl", "AP, PA, LL, RL"),
        *(
            _one_of(name, "in the report", r"[01](\.0*)?|-1(\.0*)?", "1 yes, 0 no, -1 uncertain")
            for name in ("no_finding", *CHEXPERT_FINDINGS, "support_devices")
        ),
    )
)

PHOTOS = (
    Column(
        *("file", "path under photos/ or the study, or a name that occurs once", "text"),
        *("P0001/front.jpg", (Rule("no_identifier", _given),)),
        required=True,
    ),
    Column("patient_id", "as in dxa.csv; empty: the folder under photos/", "text", "P0001"),
    Column(
        *("photo_date", "day of the photograph; empty: that of its EXIF", "YYYY-MM-DD"),
        *("2024-04-01", (Rule("bad_date", _date_or_nothing),)),
    ),
)

TABLES = {
    "dxa.csv: a DXA examination a row": DXA,
    "clinical.csv: a patient a row (the table is optional)": CLINICAL,
    "fractures.csv: a patient, or one of their fractures, a row (the table is optional)": FRACTURES,
    "photos.csv of a face study: a photograph a row (the table is optional)": PHOTOS,
    "NIH ChestX-ray14, Data_Entry*.csv or sample_labels.csv: an image a row": NIH,
    "CheXpert, train.csv and valid.csv: an image a row": CHEXPERT,
}


def names(columns: tuple[Column, ...], required: bool = False) -> tuple[str, ...]:
    """The names of the columns, or only of those that a table must have."""
    return tuple(c.name for c in columns if c.required or not required)


@cache
def schema(columns: tuple[Column, ...], decimal_comma: bool = False) -> pa.DataFrameSchema:
    """The pandera schema of a table whose cells are all text, '' where they say nothing."""
    import pandas as pd
    import pandera.pandas as pa

    def column_check(rule: Rule) -> pa.Check:
        def fits(cells: pd.Series) -> pd.Series:  # each different cell once: rows have few
            texts = cells.tolist()
            known = {text: rule.fits(text, decimal_comma) for text in set(texts)}
            return pd.Series([known[text] for text in texts], cells.index, dtype=bool)

        return pa.Check(fits, name=rule.reason, error=rule.reason)

    return pa.DataFrameSchema(
        {
            c.name: pa.Column(
                checks=[column_check(rule) for rule in c.rules],
                required=c.required,
                description=c.about,
                metadata={"takes": c.takes, "example": c.example},
            )
            for c in columns
        }
    )


def check(table: Table, columns: tuple[Column, ...]) -> dict[int, Refused]:
    """Number of a row in `table.rows` -> why it is no use; rows that are fine are not in it.

    The reason is that of the first column that fails, the evidence names all that do.
    """
    import pandas as pd
    from pandera.errors import SchemaErrors

    problems = {name: Refused(name, "") for name in ("empty_line", "bad_row")}  # not one a row
    wrong = {n: problems[row.problem] for n, row in enumerate(table.rows) if row.problem}
    fine = [n for n in range(len(table.rows)) if n not in wrong]
    here = [c for c in columns if c.name in table.columns]
    cells = {c.name: [table.rows[n].get(c.name) for n in fine] for c in here}
    try:
        schema(columns, table.decimal_comma).validate(
            pd.DataFrame(cells, index=fine, dtype=object), lazy=True
        )
    except SchemaErrors as e:
        failed = e.failure_cases
        order = {c.name: at for at, c in enumerate(columns)}
        found: dict[int, dict[int, int]] = {}  # row -> column -> the first rule it breaks
        for n, name, rule in zip(
            failed["index"], failed["column"], failed["check_number"], strict=True
        ):
            of_row = found.setdefault(int(n), {})
            at = order[name]
            of_row[at] = min(int(rule), of_row.get(at, int(rule)))
        for n, of_row in found.items():
            wrong[n] = _refusal(table, n, [(columns[at], of_row[at]) for at in sorted(of_row)])
    return wrong


def _refusal(table: Table, n: int, failed: list[tuple[Column, int]]) -> Refused:
    column, at = failed[0]
    rule = column.rules[at]
    also = f" (also {', '.join(c.name for c, _ in failed[1:])})" if len(failed) > 1 else ""
    evidence = f"column {column.name}{also}" + (f", {rule.words}" if rule.words else "")
    return Refused(rule.reason, evidence, table.rows[n].get(column.name)[:200])


def describe() -> str:
    """All tables and columns for people, as ``python -m data_sharding columns`` prints them."""
    lines: list[str] = []
    for title, columns in TABLES.items():
        wide = max(len(c.name) for c in columns)
        lines += ["", title] if lines else [title]
        for c in columns:
            need = "required" if c.required else "optional"
            example = f"; such as {c.example}" if c.example else ""
            lines.append(f"  {c.name:{wide}}  {need}  {c.about}: {c.takes.strip()}{example}")
    return "\n".join(lines)
