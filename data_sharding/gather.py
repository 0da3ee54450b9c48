"""What a folder holds: which kind of source it is, and the works of its cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from data_sharding.cohort import Work, dxa_cohort
from data_sharding.ledger import Ledger, NothingUsable
from data_sharding.nih import NormalRules, find_table, image_files, read_nih
from data_sharding.parts import ScanPart, do, scanned
from data_sharding.policies import Policy, Rules
from data_sharding.pool import Crew, as_done, progress
from data_sharding.sources import (
    Site,
    read_clinical,
    read_dxa,
    site_files,
    take_radiographs,
)

Kind = Literal["dxa", "nih"]
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
    if kind not in ("auto", "dxa", "nih"):
        raise ValueError(f"kind {kind!r}: auto, dxa or nih")
    if kind in ("auto", "dxa") and (site / "dxa.csv").is_file():
        return "dxa"
    if kind in ("auto", "nih") and find_table(site):
        return "nih"
    wanted = {"dxa": "dxa.csv", "nih": "Data_Entry*.csv", "auto": "dxa.csv or Data_Entry*.csv"}
    raise NothingUsable(f"nothing to pack in {site}: there is no {wanted[kind]} in it")


def gather_paired(
    folder: Path,
    unfinished: Path,
    policy: Policy,
    rules: Rules,
    source: str,
    assume_view: str,
    crew: Crew,
    ledger: Ledger,
    echo: Callable[[str], Any],
) -> Gathered:
    """The cohort of a DXA-paired site: both tables, all headers, and the policy's rules."""
    site = Site()
    read_dxa(folder / "dxa.csv", site, ledger)
    if (folder / "clinical.csv").is_file():
        read_clinical(folder / "clinical.csv", site, ledger)
    else:
        ledger.notes.append("no clinical.csv: age and sex are those of the DICOM headers")
    _scan(folder, unfinished, site, assume_view, crew, ledger, echo)
    return Gathered(dxa_cohort(site, policy, rules, ledger, source), site)


def gather_public(folder: Path, rules: NormalRules, ledger: Ledger) -> Gathered:
    """The qualifying pictures of a public set."""
    return Gathered(read_nih(folder, image_files(folder), rules, ledger), None)


def _scan(
    folder: Path,
    unfinished: Path,
    site: Site,
    assume_view: str,
    crew: Crew,
    ledger: Ledger,
    echo: Callable[[str], Any],
) -> None:
    """Read every header, those that an earlier attempt read excepted."""
    files = site_files(folder)
    parts = [
        ScanPart(tuple(map(str, paths)), assume_view, unfinished / f"headers-{n:06d}.json")
        for n, paths in enumerate(_in_groups(files, PER_SCAN))
    ]
    todo = [part for part in parts if not part.done.exists()]
    shown = progress("headers", sum(len(part.paths) for part in todo), echo)
    for part in as_done(crew, do, iter(todo), lambda part: part.done.stem):
        shown(len(part.paths))
    facts = [answer for part in parts for answer in scanned(part.done)]
    items = [str(path.relative_to(folder)) for path in files]
    found = [(i, str(p), f) for i, p, f in zip(items, files, facts, strict=True)]
    take_radiographs(site, found, ledger)


def _in_groups(things: Sequence[Path], size: int) -> list[tuple[Path, ...]]:
    each = iter(things)
    return list(iter(lambda: tuple(islice(each, size)), ()))
