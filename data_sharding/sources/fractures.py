"""fractures.csv beside dxa.csv: until when each patient was followed, and the fracture they had.

    patient_id,last_seen,fracture_date
    HOSP-0001,2021-05-04,               followed up to that day, no fracture
    HOSP-0002,2021-05-04,2018-02-11     a fracture

The table is optional, a patient a row; a patient with several fractures has a row for each. What
goes into a sample are whole days: from its picture to the first fracture, or to when the patient
was last seen (death counts as last seen). A patient whose first fracture came before the picture
or on its day has a prevalent fracture and no follow-up: such a picture may show it.

A registry closes on one day, which no secret keeps: that day minus the days of follow-up would be
the day of the picture. So each patient's observation ends sooner by their own keyed number of days
(`Pseudonyms.sooner`, 1 to 365), whatever became of them; a fracture after that end is not known,
its patient is censored there. The times that remain are true ones, and censoring says nothing of
the outcome. For the same reason no evidence counts days from or to a day that many may share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from data_sharding.ledger import Exclusion, Ledger, Refused
from data_sharding.sources.columns import FRACTURES, check, names
from data_sharding.sources.tables import Row, Table, lines_of, parse_date, read_table

NAME = "fractures.csv"
COLUMNS = names(FRACTURES)
#: How follow-up is made of the table, as a manifest's settings have it.
FOLLOWUP = "cut/1"
#: No registry follows anybody for longer: a day such as 2099-12-31 stands for one not known.
LONGEST_YEARS = 50
LONGEST_DAYS = LONGEST_YEARS * 365.25


@dataclass(frozen=True)
class Seen:
    """One patient: followed up to `last_seen`; `fracture` is the first one, if any."""

    last_seen: date
    fracture: date | None
    line: int  # of the table, the patient's first


@dataclass(frozen=True)
class FollowUp:
    """Of one picture: did it end with a fracture (1) or without (0), and after how many days."""

    fracture: int
    days: int


def cut(seen: Seen, days: int) -> Seen:
    """As if the patient had been seen last `days` before they were: later fractures are unknown."""
    end = seen.last_seen - timedelta(days=days)
    known = seen.fracture if seen.fracture and seen.fracture <= end else None
    return replace(seen, last_seen=end, fracture=known)


def follow_up(seen: Seen, day: date) -> FollowUp | Refused:
    """From a picture's day on, or why there is none."""
    if seen.fracture and seen.fracture <= day:
        before = (day - seen.fracture).days
        return Refused("prevalent_fracture", "no later than the picture", f"{before} days before")
    if (seen.last_seen - day).days > LONGEST_DAYS:  # whether with a fracture or without
        late = (seen.last_seen - day).days
        why = f"column last_seen: over {LONGEST_YEARS} years after the picture, a placeholder?"
        return Refused("bad_value", why, f"{late} days after the picture")
    if seen.last_seen < day:
        early = (day - seen.last_seen).days
        return Refused("no_followup", f"last seen {early} days before the picture")
    if seen.fracture:
        return FollowUp(1, (seen.fracture - day).days)
    return FollowUp(0, (seen.last_seen - day).days)


def read_fractures(path: Path, ledger: Ledger) -> tuple[dict[str, Seen], set[str]]:
    """The followed patients, and every patient the table names.

    One bad row costs all rows of its patient: the first of two fractures cannot be known from one.

    Raises:
        ValueError: the table as a whole cannot be read; names the file and what to change.
    """
    table = read_table(path, names(FRACTURES, required=True), COLUMNS)
    ledger.notes.extend(table.notes)
    wrong = check(table, FRACTURES)
    out: list[Exclusion] = []
    rows_of: dict[str, list[Row]] = {}
    unread: dict[str, list[Row]] = {}
    for n, row in enumerate(table.rows):
        why = wrong.get(n) or _impossible(row)
        if why:
            out.append(_row_out(table, row, why))
            unread.setdefault(row.get("patient_id"), []).append(row)
        else:
            rows_of.setdefault(row.get("patient_id"), []).append(row)
    followed: dict[str, Seen] = {}
    n_out = 0
    for patient, rows in rows_of.items():
        first, again = _without_copies(rows)
        out += [_row_out(table, row, Refused("duplicate_row", "")) for row in again]
        if patient in unread:
            why = Refused("incomplete_patient", f"because of {lines_of(unread[patient])}")
        else:
            why = _conflict(first)
        if why:
            out += [_row_out(table, row, why) for row in first]
            continue
        dates = [d for row in first if (d := parse_date(row.get("fracture_date")))]
        last_seen = parse_date(first[0].get("last_seen"))
        assert last_seen is not None  # checked
        followed[patient] = Seen(last_seen, min(dates, default=None), first[0].line)
        n_out += len(first)
    ledger.step(f"{NAME} rows", "row", table.n_rows, n_out, out, table.summarised)
    return followed, {p for p in (*rows_of, *unread) if p}


def _impossible(row: Row) -> Refused | None:
    """Of a row whose cells have passed the checks."""
    last_seen, fracture = (parse_date(row.get(c)) for c in ("last_seen", "fracture_date"))
    assert last_seen is not None  # checked
    if fracture and fracture > last_seen:
        late = (fracture - last_seen).days
        return Refused("bad_value", "column fracture_date: after last_seen", f"{late} days after")
    return None


def _without_copies(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Rows that say something new, and those that say it again."""
    new: dict[tuple[date | None, date | None], Row] = {}
    again = []
    for row in rows:
        said = parse_date(row.get("last_seen")), parse_date(row.get("fracture_date"))
        if said in new:
            again.append(row)
        else:
            new[said] = row
    return list(new.values()), again


def _conflict(rows: list[Row]) -> Refused | None:
    last = {parse_date(row.get("last_seen")) for row in rows}
    broken = {bool(row.get("fracture_date")) for row in rows}
    if len(last) > 1:
        return Refused("conflicting_rows", f"{lines_of(rows)} give different days of last_seen")
    if len(broken) > 1:
        return Refused("conflicting_rows", f"{lines_of(rows)}: a fracture, and none")
    return None


def _row_out(table: Table, row: Row, why: Refused) -> Exclusion:
    item = f"{table.name} row {row.line}"
    evidence = f"{item}, {why.evidence}" if why.evidence else item
    return Exclusion(item, row.get("patient_id"), why.reason, evidence, why.detail)


def account(followed: Mapping[str, Seen], days: Mapping[str, date], ledger: Ledger) -> None:
    """Enter what became of the followed patients: how many have a sample with follow-up.

    Args:
        followed: of `read_fractures`, cut.
        days: patient -> day of the picture that was packed.
        ledger: gets the step, and a note of the samples without a row in the table.
    """
    out = []
    for patient, seen in followed.items():
        item = f"{NAME} row {seen.line}"
        if patient not in days:
            out.append(Exclusion(item, patient, "patient_excluded", "see the patient's row"))
            continue
        found = follow_up(seen, days[patient])
        if isinstance(found, Refused):
            evidence = f"{item}, {found.evidence}"
            out.append(Exclusion(item, patient, found.reason, evidence, found.detail))
    n = len(followed)
    ledger.step("followed patients to samples", "row", n, n - len(out), out, after=f"{NAME} rows")
    _note_unfollowed(followed, days, ledger)


def _note_unfollowed(followed: Mapping[str, Seen], packed: Iterable[str], ledger: Ledger) -> None:
    without = sum(patient not in followed for patient in packed)
    if without:
        ledger.notes.append(f"{without} samples are of patients without a usable row in {NAME}")
