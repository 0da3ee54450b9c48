"""NIH ChestX-ray14 as it is downloaded: PNG files and Data_Entry*.csv, either edition.

    DIR/images/*.png (or images_001/images/*.png, or beside the table)
    DIR/Data_Entry_2017.csv or Data_Entry_2017_v2020.csv, or .csv.gz; or the sample's
    DIR/sample_labels.csv

The first edition writes ages as 058Y, 008M or 005D, has 16 ages above 140, CRLF and a trailing
comma; the second corrected them. Where both are there the second is used. The sample's table goes
round in three spellings: of the columns (Image Index or Image_Index), of the numbers (00000013 or
13) and of "No Finding" (or No_Finding). Source: Wang et al., CVPR 2017.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_sharding.cohort import Work
from data_sharding.ledger import Ledger, Refused
from data_sharding.sources.columns import NIH
from data_sharding.sources.folders import files_under
from data_sharding.sources.public import (
    NO_LABEL,
    Entry,
    NormalRules,
    PublicSet,
    pictures_under,
    read_public,
)
from data_sharding.sources.tables import Row, parse_age

TABLES = re.compile(r"(Data_Entry|sample_labels).*\.csv(\.gz)?")
#: Columns that nothing is taken from, in every spelling. The first edition's header is split at
#: the commas of "OriginalImage[Width,Height]".
_ALSO = (
    *("follow-up_#", "follow_up_#", "patient_sex", "originalimage[width", "height]"),
    *("originalimagepixelspacing[x", "y]", "originalimagewidth", "originalimageheight"),
    *("originalimagepixelspacing_x", "originalimagepixelspacing_y"),
)


def find_table(folder: Path) -> Path | None:
    """The metadata table; of both editions the corrected one (v2020), before the sample's."""
    found = _tables(folder)
    order = ("sample_labels", "Data_Entry")
    return max(
        found,
        key=lambda p: (p.name.startswith(order[1]), "2020" in p.name, p.name),
        default=None,
    )


def _tables(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if TABLES.fullmatch(p.name)] if folder.is_dir() else []


def image_files(folder: Path) -> list[Path]:
    """Every file in the image folders; without one, every file that is not a table or a text."""
    folders = sorted(p for p in folder.glob("images*") if p.is_dir())
    if folders:
        return [path for images in folders for path in files_under(images)]
    return pictures_under(folder)


def read_nih(folder: Path, files: list[Path], rules: NormalRules, ledger: Ledger) -> list[Work]:
    """The qualifying images, as `read_public`.

    Raises:
        ValueError: no table, or one that is not NIH's.
    """
    path = find_table(folder)
    if path is None:
        raise ValueError(f"{folder}: no Data_Entry*.csv or sample_labels.csv")
    if len(_tables(folder)) > 1:
        ledger.notes.append(f"of several metadata tables {path.name} was read")
    return read_public(SET, [path], folder, files, rules, ledger)


def patient_of(row: Row) -> str:
    """00000123 of the first edition and 123 of the second are one patient."""
    text = row.get("patient_id")
    return (text.lstrip("0") or "0") if text.isascii() and text.isdecimal() else text


def _wrong(row: Row) -> Refused | None:
    """A patient other than the image's name says: somebody sorted one column of the table."""
    named = re.fullmatch(r"(\d{8})_\d{3}\.png", row.get("image_index"))
    if named and (named[1].lstrip("0") or "0") != patient_of(row):
        return Refused("bad_value", "column patient_id: not the patient of the image's name")
    return None


def _entry(row: Row, item: str, path: str) -> Entry:
    said = row.get("finding_labels")
    normal = said.replace("_", " ").casefold() == "no finding"
    sex = (row.get("patient_gender") or row.get("patient_sex")).upper()
    return Entry(
        item=item,
        path=path,
        name=row.get("image_index"),
        patient=patient_of(row),
        finding="" if normal else said or NO_LABEL,
        support_devices=False,  # there is no such label
        age=parse_age(row.get("patient_age")),
        view=row.get("view_position").upper(),
        sex=sex if sex in ("F", "M") else "",
    )


SET = PublicSet(
    title="NIH ChestX-ray14",
    columns=NIH,
    also=_ALSO,
    key_of_row=lambda row: row.get("image_index"),
    key_of_file=lambda item: Path(item).name,
    entry=_entry,
    wrong=_wrong,
)
