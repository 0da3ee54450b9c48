"""NIH ChestX-ray14 as it is downloaded: PNG files and Data_Entry*.csv, either edition.

    DIR/images/*.png (or images_001/images/*.png, or beside the table)
    DIR/Data_Entry_2017.csv or Data_Entry_2017_v2020.csv, or .csv.gz

The first edition writes ages as 058Y, 008M or 005D, has 16 ages above 140, CRLF and a trailing
comma; the second corrected them. Where both are there the second is used. Source: Wang et al.,
CVPR 2017; the criteria are OsPenScreen's for its public normals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_sharding.cohort import Candidate, Work
from data_sharding.ledger import Exclusion, Ledger
from data_sharding.sources import files_under
from data_sharding.tables import Row, Table, parse_age, read_table

COLUMNS = (
    *("image_index", "finding_labels", "follow-up_#", "patient_id", "patient_age"),
    *("patient_gender", "patient_sex", "view_position", "originalimage[width", "height]"),
    *("originalimagepixelspacing[x", "y]"),
)
REQUIRED = ("image_index", "finding_labels", "patient_id", "patient_age", "view_position")


@dataclass(frozen=True)
class NormalRules:
    """Public normals: no finding, 50 to 99 years, frontal.

    OsPenScreen does not say whether AP pictures (bedside, often the sicker patients) were taken;
    both views are taken here, and `views=("PA",)` is the stricter reading.
    """

    min_age: float = 50
    max_age: float = 100  # exclusive
    views: tuple[str, ...] = ("PA", "AP")


def find_table(folder: Path) -> Path | None:
    """The metadata table; of both editions the corrected one (v2020)."""
    found = [p for p in folder.glob("Data_Entry*") if p.name.endswith((".csv", ".csv.gz"))]
    return max(found, key=lambda p: ("2020" in p.name, p.name), default=None)


def image_files(folder: Path) -> list[Path]:
    """Every file in the image folders; without one, every file that is not a table or a text."""
    folders = sorted(p for p in folder.glob("images*") if p.is_dir())
    if folders:
        return [path for images in folders for path in files_under(images)]
    beside = (".csv", ".csv.gz", ".txt", ".pdf", ".md")
    return [p for p in files_under(folder) if not p.name.lower().endswith(beside)]


def read_nih(folder: Path, files: list[Path], rules: NormalRules, ledger: Ledger) -> list[Work]:
    """The qualifying images, each a sample of its own; all images of a patient may be taken.

    Metadata rows whose image is not here are counted, not listed one by one.

    Raises:
        ValueError: no table, or one that is not NIH's.
    """
    path = find_table(folder)
    if path is None:
        raise ValueError(f"{folder}: no Data_Entry*.csv")
    table = read_table(path, REQUIRED, COLUMNS)
    # the header is split at the commas of "OriginalImage[Width,Height]": nothing is unknown
    ledger.notes.extend(table.notes)
    if len(list(folder.glob("Data_Entry*"))) > 1:
        ledger.notes.append(f"of several metadata tables {path.name} was read")
    items = {path: str(path.relative_to(folder)) for path in files}
    rows = _match_rows(table, {path.name for path in files}, ledger)
    out: list[Exclusion] = []
    left: list[tuple[Path, Row]] = []
    seen: dict[str, str] = {}
    for path in files:
        if path.name not in rows:
            out.append(Exclusion(items[path], "", "not_in_metadata", f"no row in {table.name}"))
        elif path.name in seen:
            same = f"same name as {seen[path.name]}"
            out.append(Exclusion(items[path], "", "duplicate_file", "same file name", same))
        else:
            seen[path.name] = items[path]
            left.append((path, rows[path.name]))
    ledger.step("files to images with metadata", "image", len(files), len(left), out)

    def keep(step: str, why: Callable[[Row], tuple[str, str] | None]) -> None:
        nonlocal left
        checked = [(path, row, why(row)) for path, row in left]
        left = [(path, row) for path, row, reason in checked if not reason]
        out = [Exclusion(items[p], patient_of(r), *x) for p, r, x in checked if x]
        ledger.step(step, "image", len(checked), len(left), out)

    keep("images without a finding", _finding)
    keep(f"images of the views {', '.join(rules.views)}", lambda row: _view(row, rules))
    keep(f"images at {rules.min_age:g} to under {rules.max_age:g} years", lambda r: _age(r, rules))
    return [Work(patient_of(row), (_candidate(path, items[path], row),)) for path, row in left]


def patient_of(row: Row) -> str:
    """00000123 of the first edition and 123 of the second are one patient."""
    text = row.get("patient_id")
    return str(int(text)) if text.isdecimal() else text


def _match_rows(table: Table, names: set[str], ledger: Ledger) -> dict[str, Row]:
    """Image name -> its row, for the images that are here."""
    out: list[Exclusion] = []
    found: dict[str, Row] = {}
    absent = 0
    for row in table.rows:
        item, name = f"{table.name} row {row.line}", row.get("image_index")
        reason = row.problem or ("" if name and patient_of(row) else "no_identifier")
        if not reason and name in found:
            reason = "duplicate_row" if row.cells == found[name].cells else "conflicting_rows"
        if reason:
            out.append(Exclusion(item, "", reason, item))
        elif name in names:
            found[name] = row
        else:
            absent += 1
    ledger.step(
        f"{table.name} rows", "row", len(table.rows), len(found), out, {"no_image_file": absent}
    )
    return found


def _finding(row: Row) -> tuple[str, str] | None:
    finding = row.get("finding_labels")
    return None if finding == "No Finding" else ("finding", finding[:120] or "no label given")


def _view(row: Row, rules: NormalRules) -> tuple[str, str] | None:
    view = row.get("view_position").upper()
    if not view:
        return "view_missing", "column View Position is empty"
    return None if view in rules.views else ("view_not_wanted", f"view {view[:8]}")


def _age(row: Row, rules: NormalRules) -> tuple[str, str] | None:
    age = parse_age(row.get("patient_age"))
    if age is None:
        return "age_unknown", "column Patient Age"
    if age > 120:
        return "age_implausible", f"{age:g} years"
    if age < rules.min_age:
        return "under_age", f"{age:.4g} years"
    return None if age < rules.max_age else ("over_age", f"{age:g} years")


def _candidate(path: Path, item: str, row: Row) -> Candidate:
    sex = (row.get("patient_gender") or row.get("patient_sex")).upper()
    return Candidate(
        item=item,
        path=str(path),
        name=path.name,
        view=row.get("view_position").upper(),
        age=parse_age(row.get("patient_age")),
        sex=sex if sex in ("F", "M") else "",
    )
