"""What a folder holds: which kind of source it is, and the works of its cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from data_sharding.cohort import FACE, Work, dxa_cohort
from data_sharding.labels.policies import Policy, Rules
from data_sharding.ledger import Ledger, NothingUsable
from data_sharding.packing.parts import ScanPart, do, scanned
from data_sharding.packing.pool import Crew, as_done, progress
from data_sharding.private import Pseudonyms
from data_sharding.sources import chexpert, nih
from data_sharding.sources.faces import is_face_study, read_study
from data_sharding.sources.fractures import cut
from data_sharding.sources.paired import (
    Site,
    read_tables,
    site_files,
    take_radiographs,
)
from data_sharding.sources.public import NormalRules

Kind = Literal["dxa", "face", "nih", "chexpert"]
#: What tells each kind of source from the others.
MARKS: dict[Kind, str] = {
    "face": "dxa.csv and photos/",
    "dxa": "dxa.csv",
    "nih": "Data_Entry*.csv",
    "chexpert": "train.csv or valid.csv",
}
PER_SCAN = 64  # headers a worker reads at a time


@dataclass(frozen=True)
class Gathered:
    """The works of a cohort, and the site they came from where it is paired with DXA."""

    works: list[Work]
    site: Site | None


def kind_of(site: Path, kind: str) -> Kind:
    """What kind of source `site` is; `kind` is auto or says so.

    Raises:
        ValueError: there is no such folder or kind.
        NothingUsable: the folder has no table that tells.
    """
    if not site.is_dir():
        raise ValueError(f"{site}: no such folder")
    if kind != "auto" and kind not in MARKS:
        raise ValueError(f"kind {kind!r}: auto, {', '.join(MARKS)}")
    there: dict[Kind, bool] = {
        "face": is_face_study(site),
        "dxa": (site / "dxa.csv").is_file(),
        "nih": nih.find_table(site) is not None,
        "chexpert": chexpert.find_table(site) is not None,
    }
    for each, found in there.items():
        if found and kind in ("auto", each):
            return each
    wanted = " or ".join(mark for each, mark in MARKS.items() if kind in ("auto", each))
    raise NothingUsable(f"nothing to pack in {site}: there is no {wanted} in it")


def gather_paired(
    folder: Path,
    unfinished: Path,
    policy: Policy,
    rules: Rules,
    source: str,
    assume_view: str,
    pseudonym: Pseudonyms,
    crew: Crew,
    ledger: Ledger,
    echo: Callable[[str], Any],
) -> Gathered:
    """The cohort of a DXA-paired site: its tables, all headers, and the policy's rules.

    Follow-up is cut by each patient's keyed number of days (`fractures.cut`).
    """

    def scan(files: list[Path], kind: Literal["dicom", "photo"]) -> list[Any]:
        parts = [
            ScanPart(
                kind, tuple(map(str, paths)), assume_view, unfinished / f"headers-{n:06d}.json"
            )
            for n, paths in enumerate(_in_groups(files, PER_SCAN))
        ]
        todo = [part for part in parts if scanned(part) is None]  # an earlier attempt did others
        shown = progress("headers", sum(len(part.paths) for part in todo), echo)
        for part in as_done(crew, do, iter(todo), lambda part: part.done.stem):
            shown(len(part.paths))
        return [answer for part in parts for answer in scanned(part) or ()]

    if rules.view == FACE:
        site = read_study(folder, ledger, lambda files: scan(files, "photo"))
    else:
        site = read_tables(folder, ledger)
        files = site_files(folder)
        items = [str(path.relative_to(folder)) for path in files]
        facts = scan(files, "dicom")
        found = [(i, str(p), f) for i, p, f in zip(items, files, facts, strict=True)]
        take_radiographs(site, found, ledger)
    site.followed = {
        patient: cut(seen, pseudonym.sooner(patient)) for patient, seen in site.followed.items()
    }
    return Gathered(dxa_cohort(site, policy, rules, ledger, source), site)


def gather_public(folder: Path, kind: Kind, rules: NormalRules, ledger: Ledger) -> Gathered:
    """The qualifying pictures of a public set."""
    if kind == "nih":
        return Gathered(nih.read_nih(folder, nih.image_files(folder), rules, ledger), None)
    files = chexpert.image_files(folder)
    return Gathered(chexpert.read_chexpert(folder, files, rules, ledger), None)


def _in_groups(things: Sequence[Path], size: int) -> list[tuple[Path, ...]]:
    each = iter(things)
    return list(iter(lambda: tuple(islice(each, size)), ()))
