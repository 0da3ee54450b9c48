"""A face study: a folder with photographs and the tables of a DXA-paired site, read as it comes.

    STUDY/photos/**      JPEG or PNG at any depth (HEIC is refused: export it as JPEG)
    STUDY/photos.csv     file, patient_id, photo_date   (optional, see below)
    STUDY/dxa.csv        as at a site with radiographs
    STUDY/clinical.csv   with the column menopausal (pre, post) for face2bone/1
    STUDY/consent.json   {"show_faces": true, "statement": "..."}   (optional: without it, false)

Without photos.csv the folder under photos/ names the patient: photos/PATIENT/anything.jpg. With it
a file belongs to the patient of its row, and a file without a row is not taken; a row that leaves
patient_id empty means the folder's. `file` is a path under photos/ or STUDY, or a name that occurs
once. The day of a photograph is photo_date, else EXIF DateTimeOriginal; it serves the pairing only.

Photographs become `Site.radiographs` with the view FRONTAL, so that `cohort.dxa_cohort` pairs them
as it pairs radiographs. The conditions are those of Face2Bone's study (policy face2bone/1).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from data_sharding.cohort import FACE
from data_sharding.ledger import Exclusion, Ledger, Refused
from data_sharding.pictures.dicom import Facts
from data_sharding.pictures.photos import Header
from data_sharding.sources.columns import PHOTOS, check, names
from data_sharding.sources.folders import files_under
from data_sharding.sources.paired import (
    Radiograph,
    Site,
    note_spellings,
    read_tables,
)
from data_sharding.sources.tables import Row, Table, lines_of, parse_date, read_table

MAX_CONSENT = 1 << 16  # bytes
#: DICOM's modality for photographs taken by an ordinary camera.
MODALITY = "XC"


@dataclass(frozen=True)
class _Said:
    """What photos.csv or the folder says of a file: its patient and day, or why it is out."""

    patient: str = ""
    day: date | None = None
    refused: Refused | None = None


def is_face_study(folder: Path) -> bool:
    """Whether `folder` has photographs and a DXA table."""
    return (folder / "photos").is_dir() and (folder / "dxa.csv").is_file()


def may_show_faces(folder: Path) -> bool:
    """Whether consent.json allows that faces of this study are shown, in reports and logs.

    The statement, in whatever words, stays where it is.

    Raises:
        ValueError: it is there and does not say so plainly; nothing is guessed.
    """
    path = folder / "consent.json"
    if not path.exists() and not path.is_symlink():
        return False
    try:
        if path.stat().st_size > MAX_CONSENT:
            raise ValueError(f"more than {MAX_CONSENT} bytes")
        said = json.loads(path.read_bytes(), object_pairs_hook=_once)
        if not isinstance(said, dict) or not set(said) <= {"show_faces", "statement"}:
            raise ValueError("other keys than show_faces and statement")
        if not isinstance(said.get("show_faces"), bool):
            raise ValueError("show_faces is neither true nor false")
        if not isinstance(said.get("statement", ""), str):
            raise ValueError("statement is not a text")
    except (OSError, ValueError, RecursionError) as e:
        why = type(e).__name__ if isinstance(e, OSError | RecursionError) else e
        raise ValueError(
            f'{path}: {why}. It must be like {{"show_faces": false, "statement": "..."}}; '
            "without the file no face is shown."
        ) from e
    return said["show_faces"]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def photo_files(folder: Path) -> list[Path]:
    """Every file under photos/, sorted."""
    return list(files_under(folder / "photos"))


def read_study(
    folder: Path,
    ledger: Ledger,
    headers: Callable[[list[Path]], Iterable[Header | Refused]],
) -> Site:
    """A face study's photographs and tables.

    Args:
        folder: the study.
        ledger: gets the rows and files that are no use.
        headers: reads the files' headers, in their order (`work.scan` in a pool of processes).

    Raises:
        ValueError: a table cannot be read as a whole.
    """
    site = read_tables(folder, ledger)
    files = photo_files(folder)
    said = read_photos(folder, files, site, ledger)
    found = list(headers(files))
    take_photos(folder, list(zip(files, found, strict=True)), said, site, ledger)
    return site


def take_photos(
    folder: Path,
    scanned: list[tuple[Path, Header | Refused]],
    said: dict[Path, _Said],
    site: Site,
    ledger: Ledger,
) -> None:
    """Put the scanned files into `site.radiographs` and the ledger.

    Of several files with the same bytes the first is taken; if they are said to be of several
    patients none is, for it cannot be known whose face it is.
    """
    out: list[Exclusion] = []
    whose: dict[str, set[str]] = {}
    for path, header in scanned:
        if isinstance(header, Header) and said[path].patient:
            whose.setdefault(header.sha256, set()).add(said[path].patient)
    seen: dict[str, str] = {}
    undated = 0
    for path, header in scanned:
        item, of = str(path.relative_to(folder)), said[path]
        if of.patient:
            site.patients.add(of.patient)
        problem = header if isinstance(header, Refused) else of.refused
        if problem is None and isinstance(header, Header):
            problem = _copy(header, whose[header.sha256], seen)
        if problem is not None or isinstance(header, Refused):
            assert problem is not None
            why = (problem.reason, problem.evidence, problem.detail)
            out.append(Exclusion(item, of.patient, *why))
            continue
        seen[header.sha256] = item
        day = of.day or header.taken
        undated += day is None
        site.radiographs.append(Radiograph(item, str(path), _facts(of.patient, day)))
    ledger.step("files to photographs", "file", len(scanned), len(site.radiographs), out)
    if undated:
        ledger.notes.append(
            f"{undated} photographs have neither a photo_date in photos.csv nor an EXIF date: "
            "they cannot be paired with a DXA"
        )
    note_spellings(site, ledger)


def _copy(header: Header, patients: set[str], seen: dict[str, str]) -> Refused | None:
    if len(patients) > 1:
        return Refused("same_bytes", f"one photograph under {len(patients)} patients: none taken")
    if header.sha256 in seen:
        first = f"the same bytes as {seen[header.sha256]}"
        return Refused("same_bytes", "the same bytes as another photograph", first)
    return None


def _facts(patient: str, day: date | None) -> Facts:
    return Facts(
        sop_uid="",
        study_uid="",
        patient_id=patient,
        modality=MODALITY,
        body_part="",
        view=FACE,
        date=day,
        birth_date=None,
        age=None,
        sex="",
        manufacturer="",
        model="",
    )


def read_photos(folder: Path, files: list[Path], site: Site, ledger: Ledger) -> dict[Path, _Said]:
    """What photos.csv or its folder says of each file under photos/, and the ledger's step for it.

    Raises:
        ValueError: the table cannot be read as a whole.
    """
    folders = {path: _folder_patient(folder, path) for path in files}
    if not (folder / "photos.csv").is_file():
        unnamed = Refused("no_patient_id", "not in a patient's folder, and there is no photos.csv")
        return {
            path: _Said(name) if name else _Said(refused=unnamed) for path, name in folders.items()
        }
    table = read_table(folder / "photos.csv", names(PHOTOS, required=True), names(PHOTOS))
    ledger.notes.extend(table.notes)
    called, wrong = _names(folder, files), check(table, PHOTOS)
    rows: dict[Path, list[tuple[Row, _Said]]] = {}
    out: list[Exclusion] = []
    for n, row in enumerate(table.rows):
        if row.get("patient_id"):
            site.patients.add(row.get("patient_id"))
        path = called.get(row.get("file").replace("\\", "/").removeprefix("./"))
        read = _row(row, path, folders, wrong.get(n))
        if read.refused:
            out.append(_row_out(table, row, read.refused))
        if path is not None:
            rows.setdefault(path, []).append((row, read))
    said: dict[Path, _Said] = {}
    for path, found in rows.items():
        said[path] = _agreed(table, found, out)
    lone = Refused("not_in_metadata", "no row in photos.csv")
    n_out = sum(not s.refused for s in said.values())
    ledger.step("photos.csv rows", "row", table.n_rows, n_out, out, table.summarised)
    return {path: said.get(path, _Said(refused=lone)) for path in files}


def _row(row: Row, path: Path | None, folders: dict[Path, str], wrong: Refused | None) -> _Said:
    patient = row.get("patient_id") or (folders[path] if path else "")
    if wrong is None and path is None:
        wrong = Refused("no_image_file", "column file", row.get("file"))
    if wrong is None and not patient:
        wrong = Refused("no_identifier", "column patient_id")
    return _Said(patient, parse_date(row.get("photo_date")), wrong)


def _agreed(table: Table, rows: list[tuple[Row, _Said]], out: list[Exclusion]) -> _Said:
    """What the rows of one file say together; those that do not count go to `out`."""
    good = [(row, said) for row, said in rows if not said.refused]
    if not good:
        return _Said(rows[0][1].patient, refused=Refused("not_in_metadata", "its row is no use"))
    if all(said == good[0][1] for _, said in good):
        out += [_row_out(table, row, Refused("duplicate_row", "")) for row, _ in good[1:]]
        return good[0][1]
    lines = lines_of([row for row, _ in good])
    why = Refused("conflicting_rows", f"{lines} differ")
    out += [_row_out(table, row, why) for row, _ in good]
    return _Said(refused=Refused("conflicting_rows", f"photos.csv {lines} differ"))


def _row_out(table: Table, row: Row, why: Refused) -> Exclusion:
    item = f"{table.name} row {row.line}"
    evidence = f"{item}, {why.evidence}" if why.evidence else item
    return Exclusion(item, row.get("patient_id"), why.reason, evidence, why.detail)


def _folder_patient(folder: Path, path: Path) -> str:
    """The first folder under photos/; '' for a file that lies in photos/ itself."""
    parts = path.relative_to(folder / "photos").parts
    return parts[0].strip() if len(parts) > 1 else ""


def _names(folder: Path, files: list[Path]) -> dict[str, Path]:
    """What photos.csv may call each file: under photos/, under the study, or a name of its own."""
    count = Counter(path.name for path in files)
    found = {path.name: path for path in files if count[path.name] == 1}
    found |= {path.relative_to(folder).as_posix(): path for path in files}
    return found | {path.relative_to(folder / "photos").as_posix(): path for path in files}
