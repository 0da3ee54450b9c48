"""CheXpert as it is downloaded: JPEG files, train.csv and valid.csv of 19 columns.

    DIR/train.csv, DIR/valid.csv (or one of them; or DIR/CheXpert-v1.0*/train.csv ...)
    DIR/train/patient00001/study1/view1_frontal.jpg ...

A finding is 1, 0, -1 (uncertain) or empty (not mentioned). The table's paths begin with the folder
of whoever made it (CheXpert-v1.0-small/train/...): an image is found by its last four parts.

Decisions: an image counts as normal if "No Finding" is 1 and no other finding is 1 or -1; what a
support device means is `NormalRules.support_devices`. The ages are cut off at 90, which stands for
90 and older; 0 stands for unknown (the set is of adults). Laterals have no AP/PA. All images of
patient00001 are of one patient, in train and in valid. Source: Irvin et al., AAAI 2019.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_sharding.cohort import Work
from data_sharding.ledger import Ledger
from data_sharding.sources.columns import CHEXPERT, CHEXPERT_FINDINGS, CHEXPERT_PATH
from data_sharding.sources.public import (
    NOT_NORMAL,
    Entry,
    NormalRules,
    PublicSet,
    pictures_under,
    read_public,
)
from data_sharding.sources.tables import Row, parse_decimal

TABLES = re.compile(r"(train|valid).*\.csv(\.gz)?")
_PATH = re.compile(CHEXPERT_PATH, re.IGNORECASE)


def find_tables(folder: Path) -> list[Path]:
    """train.csv and valid.csv, in the folder or in its CheXpert-v1.0*."""
    places = [folder, *sorted(p for p in folder.glob("CheXpert-v1.0*") if p.is_dir())]
    wanted = [f"{name}.csv{gz}" for name in ("train", "valid") for gz in ("", ".gz")]
    return [place / name for place in places for name in wanted if (place / name).is_file()]


def find_table(folder: Path) -> Path | None:
    """The first of its tables, None if there is none."""
    return next(iter(find_tables(folder)), None)


def image_files(folder: Path) -> list[Path]:
    """Every file that is not a table or a text."""
    return pictures_under(folder)


def read_chexpert(
    folder: Path, files: list[Path], rules: NormalRules, ledger: Ledger
) -> list[Work]:
    """The qualifying images, as `read_public`.

    Raises:
        ValueError: no table, or one that is not CheXpert's.
    """
    tables = find_tables(folder)
    if not tables:
        raise ValueError(f"{folder}: no train.csv or valid.csv")
    return read_public(SET, tables, folder, files, rules, ledger)


def image_of(path: str) -> str:
    """``train/patient00001/study1/view1_frontal.jpg``: what all spellings of a path share."""
    found = _PATH.fullmatch(path)
    return f"{found[1]}/{_patient(found[2])}/{found[3]}/{found[4]}".lower() if found else path


def _patient(number: str) -> str:
    return f"patient{int(number):05d}"


def _entry(row: Row, item: str, path: str) -> Entry:
    image = image_of(row.get("path"))
    return Entry(
        item=item,
        path=path,
        name=image,
        patient=image.split("/")[1],
        finding=_finding(row),
        support_devices=_said(row, "support_devices") in (1, -1),
        age=_age(row),
        view=_view(row),
        sex={"female": "F", "male": "M"}.get(row.get("sex").lower(), ""),
    )


def _said(row: Row, column: str) -> int | None:
    number = parse_decimal(row.get(column))
    return None if number is None else int(number)


def _finding(row: Row) -> str:
    said = ((column, _said(row, column)) for column in CHEXPERT_FINDINGS)
    found = [c if value == 1 else f"perhaps {c}" for c, value in said if value in (1, -1)]
    if found or _said(row, "no_finding") == 1:
        return ", ".join(found)
    return NOT_NORMAL


def _age(row: Row) -> float | None:
    years = parse_decimal(row.get("age"))
    return float(years) if years else None


def _view(row: Row) -> str:
    code = row.get("ap/pa").upper()
    lateral = row.get("frontal/lateral").lower() == "lateral" or code in ("LL", "RL")
    return "LATERAL" if lateral else code


SET = PublicSet(
    title="CheXpert",
    columns=CHEXPERT,
    also=(),
    key_of_row=lambda row: image_of(row.get("path")),
    key_of_file=image_of,
    entry=_entry,
    top_age=90,
)
