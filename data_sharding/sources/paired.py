"""A DXA-paired site: a folder with radiographs and two tables, read as it comes.

    SITE/dicom/**       radiographs; any name, any extension (without dicom/, all of SITE is tried)
    SITE/dxa.csv        patient_id, exam_date, lumbar_spine_t, femoral_neck_t, total_hip_t, ...
    SITE/clinical.csv   patient_id, sex, birth_date, height_cm, weight_kg, ...   (optional)
    SITE/fractures.csv  patient_id, last_seen, fracture_date   (optional)

columns.py has every column with its unit and range (``python -m data_sharding columns``).

Rows and files that are no use go to the ledger; a table that cannot be read at all is an error.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from data_sharding.ledger import Exclusion, Ledger, Refused
from data_sharding.pictures.dicom import Facts
from data_sharding.schema import DXA_SITES
from data_sharding.sources import fractures
from data_sharding.sources.columns import CLINICAL, DXA, check, names
from data_sharding.sources.folders import files_under
from data_sharding.sources.fractures import Seen
from data_sharding.sources.tables import (
    Row,
    Table,
    lines_of,
    parse_date,
    parse_decimal,
    read_table,
)

T_COLUMNS = tuple(f"{site}_t" for site in DXA_SITES)
Z_COLUMNS = tuple(f"{site}_z" for site in DXA_SITES)
DXA_COLUMNS = names(DXA)
CLINICAL_COLUMNS = names(CLINICAL)
_SEX = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M"}


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
    followed: dict[str, Seen] = field(default_factory=dict)
    patients: set[str] = field(default_factory=set)


def site_files(site: Path) -> list[Path]:
    """The files that may be radiographs: all under dicom/, or all but the tables without it."""
    folder = site / "dicom"
    if folder.is_dir():
        return list(files_under(folder))
    tables = {site / name for name in ("dxa.csv", "clinical.csv", fractures.NAME)}
    return [path for path in files_under(site) if path not in tables]


def take_radiographs(
    site: Site, scanned: list[tuple[str, str, Facts | Refused]], ledger: Ledger
) -> None:
    """Put the scanned files (item, path, facts or refusal) into `site` and the ledger.

    Of several files of one SOP instance the first is taken; if they name several patients none is,
    for it cannot be known whose picture it is.
    """
    out: list[Exclusion] = []
    whose: dict[str, set[str]] = {}
    for _, _, facts in scanned:
        if not isinstance(facts, Refused) and facts.sop_uid and facts.patient_id:
            whose.setdefault(facts.sop_uid, set()).add(facts.patient_id)
    seen: dict[str, str] = {}
    for item, path, facts in sorted(scanned, key=lambda s: s[0]):
        if isinstance(facts, Refused):
            out.append(Exclusion(item, "", facts.reason, facts.evidence, facts.detail))
        elif not facts.patient_id:
            out.append(Exclusion(item, "", "no_patient_id", "PatientID is absent or empty"))
        elif facts.sop_uid and len(whose[facts.sop_uid]) > 1:
            site.patients.add(facts.patient_id)
            why = f"one SOP instance under {len(whose[facts.sop_uid])} patients: none taken"
            out.append(Exclusion(item, facts.patient_id, "conflicting_files", why))
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
    note_spellings(site, ledger)


def note_spellings(site: Site, ledger: Ledger) -> None:
    """Say how many patient ids look like another's, once all files and tables are read.

    They are not joined: 007 and 7 may be two people, and a radiograph with another's DXA is worse
    than one without.
    """
    same: dict[str, int] = {}
    for patient in site.patients:
        spelt = unicodedata.normalize("NFKC", patient).casefold().strip()
        spelt = re.sub(r"^(\d+)\.0+$", r"\1", spelt)  # a number, as a spreadsheet writes it
        spelt = re.sub(r"(?<![\d.])0+(?=\d)", "", spelt)
        same[spelt] = same.get(spelt, 0) + 1
    alike = sum(count for count in same.values() if count > 1)
    if alike:
        ledger.notes.append(
            f"{alike} patient ids match another's but for zeros, case, spaces or .0: "
            "the same person may be counted twice"
        )


def read_tables(folder: Path, ledger: Ledger) -> Site:
    """dxa.csv, and clinical.csv and fractures.csv if there are any.

    Raises ValueError as `read_dxa` does.
    """
    site = Site()
    read_dxa(folder / "dxa.csv", site, ledger)
    if (folder / "clinical.csv").is_file():
        read_clinical(folder / "clinical.csv", site, ledger)
    else:
        ledger.notes.append(
            "no clinical.csv: age and sex are those of headers, where there are any"
        )
    if (folder / fractures.NAME).is_file():
        site.followed, named = fractures.read_fractures(folder / fractures.NAME, ledger)
        site.patients |= named
    return site


def read_dxa(path: Path, site: Site, ledger: Ledger) -> None:
    """Read dxa.csv into `site.dxa`.

    One bad value costs its row, and with it the other rows of that patient and day: the lowest of
    three T-scores cannot be known from two. Rows of one patient and day are joined if they measure
    different sites, and all refused if they differ. Where the day of a refused row cannot be read,
    a note counts its patient.

    Raises:
        ValueError: the table as a whole cannot be read; names the file and what to change.
    """
    table = read_table(path, names(DXA, required=True), DXA_COLUMNS)
    if not any(column in table.columns for column in (*T_COLUMNS, *Z_COLUMNS)):
        raise ValueError(f"{path.name}: no column {', '.join(T_COLUMNS)}. At least one is needed.")
    ledger.notes.extend(table.notes)
    wrong = check(table, DXA)
    out: list[Exclusion] = []
    good: dict[tuple[str, date], list[tuple[Row, Dxa]]] = {}
    unread: dict[tuple[str, date], list[Row]] = {}
    undated: set[str] = set()
    for n, row in enumerate(table.rows):
        if row.get("patient_id"):
            site.patients.add(row.get("patient_id"))
        read = wrong.get(n) or _dxa_row(table, row)
        if isinstance(read, Refused):
            out.append(_row_out(table, row, read))
            day = parse_date(row.get("exam_date"))
            if day is None:
                undated.add(row.get("patient_id"))
            elif read.reason != "no_t_score":  # such a row is read, and has nothing to add
                unread.setdefault((row.get("patient_id"), day), []).append(row)
        else:
            good.setdefault((read.patient, read.day), []).append((row, read))
    n_out = 0
    for exam, rows in good.items():
        if exam in unread:
            why = Refused("incomplete_exam", f"because of {lines_of(unread[exam])}")
            out += [_row_out(table, row, why) for row, _ in rows]
            continue
        joined, dropped = _join(table, rows)
        out += dropped
        n_out += len(rows) - len(dropped)
        if joined:
            site.dxa.setdefault(joined.patient, []).append(joined)
    ledger.step("dxa.csv rows", "row", table.n_rows, n_out, out, table.summarised)
    if torn := undated & set(site.dxa):
        ledger.notes.append(
            f"{len(torn)} patients have a row in {table.name} whose date cannot be read: "
            "it may belong to an examination that was taken without it"
        )


def _dxa_row(table: Table, row: Row) -> Dxa | Refused:
    """The examination of a row whose cells have passed the checks."""

    def measured(kind: str) -> tuple[tuple[str, Decimal | None], ...]:
        cells = ((site, row.get(f"{site}_{kind}")) for site in DXA_SITES)
        return tuple((s, parse_decimal(c, table.decimal_comma) if c else None) for s, c in cells)

    t, z, bmd = measured("t"), measured("z"), measured("bmd")
    if not any(score is not None for _, score in (*t, *z)):
        return Refused("no_t_score", "all sites are empty")
    day = parse_date(row.get("exam_date"))
    assert day is not None  # checked
    left_out = parse_vertebrae(row.get("excluded_vertebrae"))
    dxa = Dxa(row.get("patient_id"), day, t, z, bmd, left_out)
    if len(left_out) == 4 and _has_spine(dxa):
        why = "column excluded_vertebrae: a lumbar spine value of no vertebra"
        return Refused("bad_value", why, row.get("excluded_vertebrae"))
    return dxa


def parse_vertebrae(text: str) -> tuple[str, ...]:
    """The vertebrae that 'L2', 'L1 L3', 'L1,L2' or 'L1-L3' name, in order."""
    found: set[int] = set()
    for first, last in re.findall(r"L([1-4])(?:\s*[-\u2013]\s*L?([1-4]))?", text.upper()):
        low, high = sorted((int(first), int(last or first)))
        found.update(range(low, high + 1))
    return tuple(f"L{n}" for n in sorted(found))


def _row_out(table: Table, row: Row, why: Refused) -> Exclusion:
    evidence = f"{table.name} row {row.line}" + (f", {why.evidence}" if why.evidence else "")
    item = f"{table.name} row {row.line}"
    return Exclusion(item, row.get("patient_id"), why.reason, evidence, why.detail)


def _join(table: Table, rows: list[tuple[Row, Dxa]]) -> tuple[Dxa | None, list[Exclusion]]:
    """Rows of one patient and day as one examination, and those that do not count."""
    joined = rows[0][1]
    dropped: list[Exclusion] = []
    seen = {joined}
    for row, dxa in rows[1:]:
        if dxa in seen:
            dropped.append(_row_out(table, row, Refused("duplicate_row", "")))
            continue
        seen.add(dxa)
        merged = _merge(joined, dxa)
        if merged is None:
            lines = lines_of([r for r, _ in rows])
            why = Refused("conflicting_rows", f"{lines} give different values")
            return None, [_row_out(table, r, why) for r, _ in rows]
        joined = merged
    return joined, dropped


def _merge(a: Dxa, b: Dxa) -> Dxa | None:
    """Two rows of one examination that measure different sites as one; None if they contradict."""
    if a.excluded_vertebrae != b.excluded_vertebrae:
        spines = [dxa for dxa in (a, b) if _has_spine(dxa) or dxa.excluded_vertebrae]
        if len(spines) > 1:
            return None
    merged = []
    for of_a, of_b in ((a.t_scores, b.t_scores), (a.z_scores, b.z_scores), (a.bmd, b.bmd)):
        pairs = [(site, x, y) for (site, x), (_, y) in zip(of_a, of_b, strict=True)]
        if any(x is not None and y is not None and x != y for _, x, y in pairs):
            return None
        merged.append(tuple((site, y if x is None else x) for site, x, y in pairs))
    left_out = a.excluded_vertebrae or b.excluded_vertebrae
    return Dxa(a.patient, a.day, merged[0], merged[1], merged[2], left_out)


def _has_spine(dxa: Dxa) -> bool:
    return any(values[0][1] is not None for values in (dxa.t_scores, dxa.z_scores, dxa.bmd))


def read_clinical(path: Path, site: Site, ledger: Ledger) -> None:
    """Read clinical.csv into `site.clinical`. Raises ValueError as `read_dxa` does."""
    table = read_table(path, names(CLINICAL, required=True), CLINICAL_COLUMNS)
    ledger.notes.extend(table.notes)
    wrong = check(table, CLINICAL)
    out: list[Exclusion] = []
    of_patient: dict[str, list[tuple[Row, Clinical]]] = {}
    for n, row in enumerate(table.rows):
        patient = row.get("patient_id")
        if patient:
            site.patients.add(patient)
        read = wrong.get(n) or _clinical_row(table, row)
        if isinstance(read, Refused):
            out.append(_row_out(table, row, read))
        else:
            of_patient.setdefault(patient, []).append((row, read))
    for patient, rows in of_patient.items():
        if all(facts == rows[0][1] for _, facts in rows):
            site.clinical[patient] = rows[0][1]
            out += [_row_out(table, r, Refused("duplicate_row", "")) for r, _ in rows[1:]]
        else:
            why = Refused("conflicting_rows", f"{lines_of([r for r, _ in rows])} differ")
            out += [_row_out(table, r, why) for r, _ in rows]
    n_out = len(site.clinical)
    ledger.step("clinical.csv rows", "row", table.n_rows, n_out, out, table.summarised)


def _clinical_row(table: Table, row: Row) -> Clinical | Refused:
    """What a row says of a patient, whose cells have passed the checks."""
    sex = _SEX.get(row.get("sex").lower(), "")
    stated = row.get("menopausal").lower()
    menopausal = next((state for state in ("pre", "post") if stated.startswith(state)), "")
    if menopausal and sex == "M":
        return Refused("bad_value", "column menopausal: of a man", row.get("menopausal"))
    sizes = {
        column: parse_decimal(row.get(column), table.decimal_comma)
        for column in ("height_cm", "weight_kg")
    }
    height, weight = (None if n is None else float(n) for n in sizes.values())
    return Clinical(sex, parse_date(row.get("birth_date")), height, weight, menopausal)
