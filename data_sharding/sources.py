"""A DXA-paired site: a folder with radiographs and two tables, read as it comes.

    SITE/dicom/**       radiographs; any name, any extension (without dicom/, all of SITE is tried)
    SITE/dxa.csv        patient_id, exam_date, lumbar_spine_t, femoral_neck_t, total_hip_t
    SITE/clinical.csv   patient_id, sex, birth_date, height_cm, weight_kg   (optional)

Rows and files that are no use go to the ledger; a table that cannot be read at all is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from data_sharding.dicom import Facts
from data_sharding.ledger import Exclusion, Ledger, Refused
from data_sharding.schema import DXA_SITES
from data_sharding.tables import Row, Table, parse_date, parse_decimal, read_table

T_COLUMNS = tuple(f"{site}_t" for site in DXA_SITES)
DXA_COLUMNS = ("patient_id", "exam_date", *T_COLUMNS, *(f"{site}_bmd" for site in DXA_SITES))
CLINICAL_COLUMNS = ("patient_id", "sex", "birth_date", "height_cm", "weight_kg")
_SEX = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M"}
_RANGES = {"height_cm": (50, 250), "weight_kg": (15, 400)}


@dataclass(frozen=True)
class Radiograph:
    """A usable file: `item` is its path inside the site, `path` where it is."""

    item: str
    path: str
    facts: Facts


@dataclass(frozen=True)
class Dxa:
    """One examination of one patient: by site T-scores, Z-scores and BMD in g/cm2, as written.

    None where not measured. `excluded_vertebrae`: those of L1 to L4 left out of the lumbar value.
    """

    patient: str
    day: date
    t_scores: tuple[tuple[str, Decimal | None], ...]
    z_scores: tuple[tuple[str, Decimal | None], ...] = ()
    bmd: tuple[tuple[str, Decimal | None], ...] = ()
    excluded_vertebrae: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clinical:
    """What clinical.csv knows of one patient; None or '' where it says nothing."""

    sex: str = ""
    birth_date: date | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    menopausal: str = ""  # pre or post


@dataclass
class Site:
    """All that is usable of a site, and every patient it names, usable or not."""

    radiographs: list[Radiograph] = field(default_factory=list)
    dxa: dict[str, list[Dxa]] = field(default_factory=dict)
    clinical: dict[str, Clinical] = field(default_factory=dict)
    patients: set[str] = field(default_factory=set)


def files_under(folder: Path) -> Iterator[Path]:
    """Every file under `folder`, sorted; linked folders are followed once."""
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (Path(root) / name for name in sorted(files))


def site_files(site: Path) -> list[Path]:
    """The files that may be radiographs: all under dicom/, or all but the tables without it."""
    folder = site / "dicom"
    if folder.is_dir():
        return list(files_under(folder))
    tables = {site / "dxa.csv", site / "clinical.csv"}
    return [path for path in files_under(site) if path not in tables]


def take_radiographs(
    site: Site, scanned: list[tuple[str, str, Facts | Refused]], ledger: Ledger
) -> None:
    """Put the scanned files (item, path, facts or refusal) into `site` and the ledger."""
    out: list[Exclusion] = []
    seen: dict[str, str] = {}
    for item, path, facts in sorted(scanned, key=lambda s: s[0]):
        if isinstance(facts, Refused):
            out.append(Exclusion(item, "", facts.reason, facts.evidence, facts.detail))
        elif not facts.patient_id:
            out.append(Exclusion(item, "", "no_patient_id", "PatientID is absent or empty"))
        elif facts.sop_uid and facts.sop_uid in seen:
            same = f"same SOP instance as {seen[facts.sop_uid]}"
            site.patients.add(facts.patient_id)
            out.append(
                Exclusion(item, facts.patient_id, "duplicate_file", "same SOP instance", same)
            )
        else:
            if facts.sop_uid:
                seen[facts.sop_uid] = item
            site.radiographs.append(Radiograph(item, path, facts))
            site.patients.add(facts.patient_id)
    ledger.step("files to chest radiographs", "file", len(scanned), len(site.radiographs), out)


def read_dxa(path: Path, site: Site, ledger: Ledger) -> None:
    """Read dxa.csv into `site.dxa`.

    One bad T-score costs its row: the lowest of three cannot be known from two. Rows of one
    patient and day are joined if they measure different sites, and all refused if they differ.

    Raises:
        ValueError: the table as a whole cannot be read; names the file and what to change.
    """
    table = read_table(path, ("patient_id", "exam_date"), DXA_COLUMNS)
    if not any(column in table.columns for column in T_COLUMNS):
        raise ValueError(f"{path.name}: no column {', '.join(T_COLUMNS)}. At least one is needed.")
    ledger.notes.extend(table.notes)
    out: list[Exclusion] = []
    good: dict[tuple[str, date], list[tuple[Row, dict[str, Decimal | None]]]] = {}
    for row in table.rows:
        patient = row.get("patient_id")
        if patient:
            site.patients.add(patient)
        read = _dxa_row(table, row)
        if isinstance(read, Refused):
            out.append(_row_out(table, row, read))
            continue
        good.setdefault((patient, read[0]), []).append((row, read[1]))
    n_out = 0
    for (patient, day), rows in good.items():
        kept, dropped = _join(table, rows)
        out += dropped
        n_out += len(rows) - len(dropped)
        if kept:
            site.dxa.setdefault(patient, []).append(Dxa(patient, day, tuple(kept.items())))
    ledger.step("dxa.csv rows", "row", len(table.rows), n_out, out)


def _dxa_row(table: Table, row: Row) -> tuple[date, dict[str, Decimal | None]] | Refused:
    if row.problem:
        return Refused(row.problem, "")
    if not row.get("patient_id"):
        return Refused("no_identifier", "column patient_id")
    day = parse_date(row.get("exam_date"))
    if day is None:
        return Refused("bad_date", "column exam_date", row.get("exam_date"))
    scores: dict[str, Decimal | None] = {}
    for dxa_site, column in zip(DXA_SITES, T_COLUMNS, strict=True):
        text = row.get(column)
        score = parse_decimal(text, table.decimal_comma) if text else None
        if text and score is None:
            return Refused("bad_t_score", f"column {column}", text)
        if score is not None and abs(score) > 10:
            return Refused("t_score_out_of_range", f"column {column}", text)
        scores[dxa_site] = score
    if all(score is None for score in scores.values()):
        return Refused("no_t_score", "all sites are empty")
    return day, scores


def _row_out(table: Table, row: Row, why: Refused) -> Exclusion:
    evidence = f"{table.name} row {row.line}" + (f", {why.evidence}" if why.evidence else "")
    item = f"{table.name} row {row.line}"
    return Exclusion(item, row.get("patient_id"), why.reason, evidence, why.detail)


def _join(
    table: Table, rows: list[tuple[Row, dict[str, Decimal | None]]]
) -> tuple[dict[str, Decimal | None], list[Exclusion]]:
    """Rows of one patient and day as one examination, and those that do not count."""
    joined = dict(rows[0][1])
    dropped: list[Exclusion] = []
    for n, (row, scores) in enumerate(rows[1:], 1):
        if any(scores == earlier for _, earlier in rows[:n]):
            dropped.append(_row_out(table, row, Refused("duplicate_row", "")))
            continue
        for place, score in scores.items():
            if score is None:
                continue
            if joined[place] not in (None, score):
                lines = ", ".join(str(r.line) for r, _ in rows)
                why = Refused("conflicting_rows", f"rows {lines} give different T-scores")
                return {}, [_row_out(table, r, why) for r, _ in rows]
            joined[place] = score
    return joined, dropped


def read_clinical(path: Path, site: Site, ledger: Ledger) -> None:
    """Read clinical.csv into `site.clinical`. Raises ValueError as `read_dxa` does."""
    table = read_table(path, ("patient_id",), CLINICAL_COLUMNS)
    ledger.notes.extend(table.notes)
    out: list[Exclusion] = []
    of_patient: dict[str, list[tuple[Row, Clinical]]] = {}
    for row in table.rows:
        patient = row.get("patient_id")
        if patient:
            site.patients.add(patient)
        read = _clinical_row(table, row)
        if isinstance(read, Refused):
            out.append(_row_out(table, row, read))
        else:
            of_patient.setdefault(patient, []).append((row, read))
    for patient, rows in of_patient.items():
        if all(facts == rows[0][1] for _, facts in rows):
            site.clinical[patient] = rows[0][1]
            out += [_row_out(table, r, Refused("duplicate_row", "")) for r, _ in rows[1:]]
        else:
            lines = ", ".join(str(r.line) for r, _ in rows)
            why = Refused("conflicting_rows", f"rows {lines} differ")
            out += [_row_out(table, r, why) for r, _ in rows]
    ledger.step("clinical.csv rows", "row", len(table.rows), len(site.clinical), out)


def _clinical_row(table: Table, row: Row) -> Clinical | Refused:
    if row.problem:
        return Refused(row.problem, "")
    if not row.get("patient_id"):
        return Refused("no_identifier", "column patient_id")
    sex = row.get("sex").lower()
    if sex and sex not in _SEX and sex not in ("o", "u", "unknown", "other"):
        return Refused("bad_value", "column sex", row.get("sex"))
    born = parse_date(row.get("birth_date"))
    if row.get("birth_date") and born is None:
        return Refused("bad_date", "column birth_date", row.get("birth_date"))
    sizes: dict[str, float | None] = {}
    for column, (low, high) in _RANGES.items():
        text = row.get(column)
        number = parse_decimal(text, table.decimal_comma) if text else None
        if text and (number is None or not low <= number <= high):
            return Refused("bad_value", f"column {column}, {low} to {high} are taken", text)
        sizes[column] = None if number is None else float(number)
    return Clinical(_SEX.get(sex, ""), born, sizes["height_cm"], sizes["weight_kg"])
