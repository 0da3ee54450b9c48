"""Public chest radiographs without DXA: one filter for every set, and its flow from a table alone.

    from data_sharding.sources.public import NormalRules, flow_of_table
    for step, patients in flow_of_table(Path("Data_Entry_2017_v2020.csv.gz"), NormalRules()):
        print(step.step, step.n_out, patients)

nih.py and chexpert.py say how the set is laid out (`PublicSet`); what is taken is said here once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_sharding.cohort import Candidate, Work
from data_sharding.ledger import Exclusion, Ledger, Refused
from data_sharding.pictures.terms import quoted
from data_sharding.schema import FlowStep
from data_sharding.sources.columns import (
    CHEXPERT_FINDINGS,
    NIH_FINDINGS,
    Column,
    check,
    names,
)
from data_sharding.sources.folders import files_under
from data_sharding.sources.tables import Row, Table, lines_of, read_table

#: Files beside the pictures that are none.
_TEXTS = (".csv", ".csv.gz", ".txt", ".pdf", ".md")
#: What a table says of an image instead of a finding.
NO_LABEL, NOT_NORMAL = "no label given", "not said to be without a finding"
#: The findings and views that may be quoted: any other text of a table could be a name.
_FINDINGS = frozenset(
    {*NIH_FINDINGS, *CHEXPERT_FINDINGS, *(s.replace(" ", "_") for s in (NO_LABEL, NOT_NORMAL))}
)
_VIEWS = frozenset({"PA", "AP", "LL", "RL", "LATERAL"})


@dataclass(frozen=True)
class NormalRules:
    """The policy public-normal/1, OsPenScreen's filter of public radiographs.

    Taken are images whose only finding is "No Finding", of patients of 50 to under 100 years
    (`min_age` <= age < `max_age`), in a frontal view. The paper does not say whether AP pictures
    (bedside, often the sicker patients) were taken; both views are taken here, and
    ``views=("PA",)`` is the stricter reading. Nor does it say what of support devices (pacemaker,
    lines): CheXpert's "No Finding" does not count them as a finding, and neither does the paper's
    "labelled as normal", so they are taken; `support_devices` False leaves them out. NIH has no
    label of them. An age that stands for "90 and older" qualifies; it is a lower bound.
    """

    min_age: float = 50
    max_age: float = 100  # exclusive
    views: tuple[str, ...] = ("PA", "AP")
    support_devices: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a public set. `item` and `path` are private."""

    item: str
    path: str
    name: str  # unique in the set
    patient: str
    finding: str  # what was found; '' if "No Finding" is all that is said
    support_devices: bool
    age: float | None
    view: str  # PA, AP, LATERAL or another code; '' if it is not said
    sex: str


@dataclass(frozen=True)
class PublicSet:
    """How one set is laid out.

    Args:
        title: its name.
        columns: of its table.
        also: further columns that are known, and not used.
        key_of_row: what names the image of a row.
        key_of_file: the same of a path inside the folder.
        entry: (row, item, path) -> the image.
        wrong: why a row whose cells are fine is of no use, None if it is.
        top_age: an age that stands for itself and older, None if there is none.
    """

    title: str
    columns: tuple[Column, ...]
    also: tuple[str, ...]
    key_of_row: Callable[[Row], str]
    key_of_file: Callable[[str], str]
    entry: Callable[[Row, str, str], Entry]
    wrong: Callable[[Row], Refused | None] = lambda _: None
    top_age: float | None = None

    def read(self, path: Path) -> Table:
        """One of its tables. Raises ValueError as `read_table` does."""
        known = (*names(self.columns), *self.also)
        return read_table(path, names(self.columns, required=True), known)


def pictures_under(folder: Path) -> list[Path]:
    """Every file of a folder that is not a table or a text."""
    return [p for p in files_under(folder) if not p.name.lower().endswith(_TEXTS)]


def read_public(
    of: PublicSet,
    paths: Sequence[Path],
    folder: Path,
    files: Sequence[Path],
    rules: NormalRules,
    ledger: Ledger,
) -> list[Work]:
    """The qualifying images, each a sample of its own; all images of a patient may be taken.

    Metadata rows whose image is not here are counted, not listed one by one.

    Args:
        of: how the set is laid out.
        paths: its tables.
        folder: the set's folder; items are named by their path inside it.
        files: all files that may be images.
        rules: what is taken.
        ledger: gets every step.

    Raises:
        ValueError: a table that is not the set's.
    """
    items = {path: path.relative_to(folder).as_posix() for path in files}
    keys = {path: of.key_of_file(items[path]) for path in files}
    tables = [of.read(path) for path in paths]
    for table in tables:
        ledger.notes.extend(table.notes)
    rows = match_rows(of, tables, set(keys.values()), ledger)
    out: list[Exclusion] = []
    here: list[Entry] = []
    seen: dict[str, str] = {}
    for path in files:
        item, key = items[path], keys[path]
        if key not in rows:
            if path.is_dir():
                out.append(Exclusion(item, "", "unreadable", "a folder that was not entered"))
                continue
            evidence = f"no row in {', '.join(table.name for table in tables)}"
            out.append(Exclusion(item, "", "not_in_metadata", evidence))
        elif key in seen:
            same = f"same name as {seen[key]}"
            out.append(Exclusion(item, "", "duplicate_file", "same file name", same))
        else:
            seen[key] = item
            here.append(of.entry(rows[key], item, str(path)))
    ledger.step("files to images with metadata", "image", len(files), len(here), out)
    left = here
    for step, kept, excluded in stages(here, rules):
        ledger.step(step, "image", len(left), len(kept), excluded)
        left = kept
    if of.top_age is not None:
        n = sum(entry.age == of.top_age for entry in left)
        if n:
            ledger.notes.append(
                f"{n} images have the age {of.top_age:g}, which in {of.title} stands for "
                f"{of.top_age:g} and older: their age is a lower bound"
            )
    return [_work(entry) for entry in left]


def match_rows(
    of: PublicSet, tables: Sequence[Table], wanted: set[str] | None, ledger: Ledger
) -> dict[str, Row]:
    """What names an image -> its row; of the images `wanted`, or of all for None."""
    found: dict[str, Row] = {}
    for table in tables:
        wrong = check(table, of.columns)
        out: list[Exclusion] = []
        of_image: dict[str, list[Row]] = {}
        n_absent = 0
        for n, row in enumerate(table.rows):
            why = wrong.get(n) or of.wrong(row)
            if why:
                out.append(_row_out(table, row, why.reason, why.evidence, why.detail))
                continue
            key = of.key_of_row(row)
            if wanted is None or key in wanted:
                of_image.setdefault(key, []).append(row)
            else:
                n_absent += 1
        n_found = len(found)
        for key, rows in of_image.items():
            first = found.get(key, rows[0])
            if any(row.values != first.values for row in rows):
                lines = f"{lines_of(rows)} name one image"  # of two tables the first is believed
                out += [_row_out(table, row, "conflicting_rows", lines) for row in rows]
            else:
                again = rows if key in found else rows[1:]
                out += [_row_out(table, row, "duplicate_row", "") for row in again]
                found[key] = first
        step = f"{table.name} rows"
        absent = {"no_image_file": n_absent} | table.summarised
        ledger.step(step, "row", table.n_rows, len(found) - n_found, out, absent)
    return found


def _row_out(table: Table, row: Row, reason: str, why: str, detail: str = "") -> Exclusion:
    item = f"{table.name} row {row.line}"
    return Exclusion(item, "", reason, f"{item}, {why}" if why else item, detail)


def stages(
    entries: list[Entry], rules: NormalRules
) -> Iterator[tuple[str, list[Entry], list[Exclusion]]]:
    """The steps of the filter: what each is called, what it keeps, and what it does not."""
    ages = f"images at {rules.min_age:g} to under {rules.max_age:g} years"
    for step, why in (
        ("images without a finding", _finding),
        (ages, _age),
        (f"images of the views {', '.join(rules.views)}", _view),
    ):
        checked = [(entry, why(entry, rules)) for entry in entries]
        entries = [entry for entry, reason in checked if not reason]
        yield step, entries, [Exclusion(e.item, e.patient, *r) for e, r in checked if r]


_Why = tuple[str, str] | tuple[str, str, str]  # reason, evidence and what is private


def _finding(entry: Entry, rules: NormalRules) -> _Why | None:
    if entry.finding:
        return "finding", _findings(entry.finding), entry.finding[:200]
    if entry.support_devices and not rules.support_devices:
        return "support_devices", "a support device is reported"
    return None


def _findings(text: str) -> str:
    """`text` if all it says are findings of the sets: joined by | in NIH's, by us in CheXpert's."""
    said = re.split(r"\||, ", text)
    terms = [re.sub("[ _]+", "_", s.strip().casefold().removeprefix("perhaps ")) for s in said]
    return text[:120] if _FINDINGS.issuperset(terms) else "an unusual value"


def _age(entry: Entry, rules: NormalRules) -> _Why | None:
    if entry.age is None:
        return "age_unknown", "no age is stated"
    if entry.age > 120:
        return "age_implausible", f"{entry.age:g} years"
    if entry.age < rules.min_age:
        return "under_age", f"{entry.age:.4g} years"
    return None if entry.age < rules.max_age else ("over_age", f"{entry.age:g} years")


def _view(entry: Entry, rules: NormalRules) -> _Why | None:
    if not entry.view:
        return "view_missing", "no view is stated"
    if entry.view in rules.views:
        return None
    if entry.view == "LATERAL":
        return "lateral_view", "a lateral view"
    return "view_not_wanted", f"view {quoted(entry.view, _VIEWS)}", entry.view[:200]


def _work(entry: Entry) -> Work:
    candidate = Candidate(
        *(entry.item, entry.path, entry.name),
        *(entry.view, entry.age, entry.sex),
    )
    return Work(entry.patient, (candidate,))


def flow_of_table(path: Path, rules: NormalRules) -> list[tuple[FlowStep, int]]:
    """What the filter makes of a metadata table, without any image: each step and its patients.

    Raises:
        ValueError: the table is neither NIH's nor CheXpert's.
    """
    of = public_set(path.name)
    ledger = Ledger()
    rows = match_rows(of, [of.read(path)], None, ledger)
    left = [of.entry(row, f"row {row.line}", "") for row in rows.values()]
    flow = [(ledger.flow[0], len({entry.patient for entry in left}))]
    for step, kept, out in stages(left, rules):
        counts = dict(sorted(Counter(x.reason for x in out).items()))
        assert len(left) == len(kept) + len(out)
        box = FlowStep(step=step, unit="image", n_in=len(left), excluded=counts, n_out=len(kept))
        flow.append((box, len({entry.patient for entry in kept})))
        left = kept
    return flow


def public_set(table_name: str) -> PublicSet:
    """The set whose table has this name.

    Raises:
        ValueError: none has.
    """
    from data_sharding.sources import (
        chexpert,
        nih,  # they import this module
    )

    for of, pattern in ((nih.SET, nih.TABLES), (chexpert.SET, chexpert.TABLES)):
        if pattern.fullmatch(table_name):
            return of
    raise ValueError(
        f"{table_name}: neither NIH's table (Data_Entry*.csv, sample_labels*.csv) nor CheXpert's "
        "(train*.csv, valid*.csv), .gz or not"
    )
