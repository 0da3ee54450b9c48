"""On whom two label policies disagree: every examination of dxa.csv judged by both.

    python -m data_sharding policies --compare ospenscreen/1 face2bone/1 --site data/asan

Only dxa.csv and clinical.csv are read, so the pairing rules (window, view, least age, closest or
first) play no part. Age is that at the DXA, by the birth date of clinical.csv; sex and menopausal
status are clinical.csv's. Runs inside the hospital; patients are numbered as they first appear in
dxa.csv unless the caller names them otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from data_sharding.cohort import measurement_of
from data_sharding.labels.policies import Policy, Verdict
from data_sharding.ledger import Ledger, NothingUsable
from data_sharding.schema import REASONS
from data_sharding.sources.paired import Site, read_clinical, read_dxa
from data_sharding.sources.tables import years_between

#: What a class says in WHO's categories: two names for one thing, or one name for two, are no
#: disagreement. A class that is not here stands for itself.
_MEANS = {
    "low bone mass": frozenset({"osteopenia"}),  # ISCD: the preferred word for it
    "not osteoporosis": frozenset({"normal", "osteopenia"}),
}
Kind = Literal["same", "class", "only first", "only second", "neither"]
_SAID: dict[Kind, str] = {
    "class": "in different classes",
    "only first": "labelled by the first only",
    "only second": "labelled by the second only",
}


@dataclass(frozen=True)
class Compared:
    """One examination, the `number`-th of `of` of its patient by date, as two policies see it."""

    patient: str
    day: date
    number: int
    of: int
    first: Verdict
    second: Verdict
    kind: Kind


def read_tables(folder: Path) -> tuple[Site, Ledger]:
    """The DXA and clinical rows of a site, without its pictures.

    Raises:
        NothingUsable: no dxa.csv.
        ValueError: a table cannot be read as a whole.
    """
    if not (folder / "dxa.csv").is_file():
        raise NothingUsable(f"nothing to compare in {folder}: there is no dxa.csv in it")
    site, ledger = Site(), Ledger()
    read_dxa(folder / "dxa.csv", site, ledger)
    if (folder / "clinical.csv").is_file():
        read_clinical(folder / "clinical.csv", site, ledger)
    else:
        ledger.notes.append("no clinical.csv: age, sex and menopausal status are not known")
    return site, ledger


def compare(site: Site, first: Policy, second: Policy) -> list[Compared]:
    """Every examination, judged by both; patients as dxa.csv has them, examinations by date."""
    out = []
    for patient, examinations in site.dxa.items():
        clinical = site.clinical.get(patient)
        born = clinical.birth_date if clinical else None
        for number, dxa in enumerate(sorted(examinations, key=lambda d: d.day), 1):
            age = years_between(born, dxa.day) if born else None
            measurement = measurement_of(dxa, clinical, age)
            a, b = first.judge(measurement), second.judge(measurement)
            kind = _kind(first, second, a, b)
            out.append(Compared(patient, dxa.day, number, len(examinations), a, b, kind))
    return out


def cross_table(rows: list[Compared], first: Policy, second: Policy) -> list[tuple[str, str, int]]:
    """(what the first says, what the second says, examinations), in the order of the classes."""
    counts = Counter((_outcome(first, r.first), _outcome(second, r.second)) for r in rows)

    def order(pair: tuple[str, str]) -> tuple[object, ...]:
        return tuple(
            (policy.classes.index(said) if said in policy.classes else 99, said)
            for policy, said in zip((first, second), pair, strict=True)
        )

    return [(*pair, counts[pair]) for pair in sorted(counts, key=order)]


def report(
    site: Site, first: Policy, second: Policy, name: Callable[[str], str] | None = None
) -> Iterator[str]:
    """The lines of ``policies --compare``: the cross table, then each disagreement and why.

    Args:
        site: of `read_tables`.
        first, second: the policies.
        name: what to call a patient; by default "patient N", the N-th to appear in dxa.csv. Keyed
            pseudonyms are `Pseudonyms(key, source)("patient", id)`, ids themselves `str`. Dates of
            examinations are printed only with a `name` that is `str`.
    """
    rows = compare(site, first, second)
    numbers = {patient: f"patient {n}" for n, patient in enumerate(site.dxa, 1)}
    unborn = sum(1 for p in site.dxa if p not in site.clinical or not site.clinical[p].birth_date)
    yield f"{first.name} and {second.name}: {_counted(rows)} judged by both"
    yield "age is that at the DXA, by clinical.csv; window, view and least age play no part"
    if unborn:
        yield f"{unborn} patients have no birth date in clinical.csv: their age is not known"
    for said, other, count in cross_table(rows, first, second):
        yield f"{count:8d}  {first.name} {said} | {second.name} {other}"
    for kind, words in _SAID.items():
        some = [row for row in rows if row.kind == kind]
        yield f"{words}: {_counted(some)}"
        for row in some:
            who = numbers[row.patient] if name is None else name(row.patient)
            when = f" of {row.day}" if name is str else ""
            yield f"  {who}, examination {row.number} of {row.of}{when}"
            for policy, verdict in ((first, row.first), (second, row.second)):
                yield f"    {policy.name}: {_outcome(policy, verdict)} ({verdict.audit})"


def _counted(rows: list[Compared]) -> str:
    return f"{len(rows)} examinations of {len({row.patient for row in rows})} patients"


def _outcome(policy: Policy, verdict: Verdict) -> str:
    if verdict.label is None:
        return f"excluded: {REASONS[verdict.excluded]}"
    return policy.classes[verdict.label]


def _kind(first: Policy, second: Policy, a: Verdict, b: Verdict) -> Kind:
    if a.label is None or b.label is None:
        if a.label is None and b.label is None:
            return "neither"
        return "only second" if a.label is None else "only first"
    one, other = first.classes[a.label], second.classes[b.label]
    means = _MEANS.get(one, frozenset({one})) & _MEANS.get(other, frozenset({other}))
    return "same" if means else "class"
