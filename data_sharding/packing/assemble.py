"""From the works of a cohort to samples in shards: the second, decoding pass of a pack."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from data_sharding.cohort import Candidate, Work
from data_sharding.ledger import Exclusion
from data_sharding.packing.parts import Choice, MakePart, SealPart, do, is_whole, sealed
from data_sharding.packing.pool import Crew, as_done, progress
from data_sharding.packing.shards import index_table, shard_name
from data_sharding.pictures.vendors import vendor_name
from data_sharding.private import Pseudonyms
from data_sharding.schema import Shard, Split

#: Splits lie one after the other in the index, in this order.
ORDER: tuple[Split, ...] = ("train", "tune", "test", "external", "public")
PER_PART = 32  # samples a worker makes at a time
OLDEST = 90.0  # years; above, an age names a person (HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(C))


@dataclass(frozen=True)
class Making:
    """How samples are made of works."""

    read: Literal["dicom", "grey", "photo"]
    pixels: str
    size: int
    assume_view: str
    screen: bool
    per_shard: int
    source: str
    policy: str


@dataclass(frozen=True)
class Written:
    """What came of the works."""

    shards: tuple[Shard, ...]
    index: pa.Table
    chosen: dict[str, str]  # item that was packed -> patient
    failed: dict[str, Exclusion]  # item -> why its pixels were no use


@dataclass(frozen=True)
class _Shard:
    """A shard to be: its works, in order."""

    split: Split
    number: int
    works: tuple[Work, ...]

    def done(self, folder: Path) -> Path:
        """Where the note lies that says it is sealed."""
        return folder / f"{shard_name(self.split, self.number)}.json"


def write_samples(
    out: Path,
    folder: Path,
    works: list[Work],
    splits: Mapping[str, Split],
    how: Making,
    pseudonym: Pseudonyms,
    crew: Crew,
    echo: Callable[[str], Any],
) -> Written:
    """Decode `works` and write the shards at `out`; `folder` (private) is for what is unfinished.

    Within a split the order is that of the keyed pseudonyms: it knows nothing of the classes.
    """
    shards = list(_plan(works, splits, how.per_shard, pseudonym))
    feed = _Feed(out, folder, shards, how, pseudonym)
    if feed.found:
        echo(f"going on: {feed.found} of {len(works)} samples were made before")
    shown = progress("samples", len(works) - feed.found, echo)
    for job in as_done(crew, do, feed, lambda job: job.done.stem):
        if isinstance(job, MakePart):
            shown(len(job.works))
            feed.made(job)
    return _collect(out, folder, shards)


def _plan(
    works: list[Work], splits: Mapping[str, Split], per_shard: int, pseudonym: Pseudonyms
) -> Iterator[_Shard]:
    """Which works lie in which shard: decided before any is decoded, so that work can go on."""
    named = [(pseudonym("sample", w.candidates[0].name), w) for w in works]
    for split in ORDER:
        ours = sorted((x for x in named if splits[x[1].patient] == split), key=lambda x: x[0])
        for number in range(0, len(ours), per_shard):
            group = tuple(work for _, work in ours[number : number + per_shard])
            yield _Shard(split, number // per_shard, group)


class _Feed:
    """Jobs in order: parts that are not there yet, and a shard's seal once all its parts are."""

    def __init__(
        self, out: Path, folder: Path, shards: list[_Shard], how: Making, pseudonym: Pseudonyms
    ) -> None:
        self._how, self._pseudonym = how, pseudonym
        self.found = 0
        self._ready: deque[SealPart] = deque()
        self._missing: dict[tuple[Split, int], int] = {}
        self._seals: dict[tuple[Split, int], SealPart] = {}
        todo: list[tuple[_Shard, int, tuple[Work, ...], Path]] = []
        for shard in shards:
            if sealed(shard.done(folder), out):  # one that was lost or damaged is made again
                self.found += len(shard.works)
                continue
            place: tuple[Split, int] = shard.split, shard.number
            files: list[Path] = []
            missing = 0
            for number, works in enumerate(_batched(shard.works)):
                files.append(folder / f"{shard_name(*place)}.{number:03d}.json")
                if is_whole(files[-1]):
                    self.found += len(works)
                else:
                    missing += 1
                    todo.append((shard, number, works, files[-1]))
            self._seals[place] = SealPart(tuple(files), out, *place, shard.done(folder))
            self._missing[place] = missing
            if not missing:
                self._ready.append(self._seals[place])
        self._parts = (self._part(*each) for each in todo)

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> MakePart | SealPart:
        """A job that can be begun now; StopIteration if there is none now."""
        return self._ready.popleft() if self._ready else next(self._parts)

    def made(self, job: MakePart) -> None:
        """Take note of a part that is done."""
        place = job.split, job.shard
        self._missing[place] -= 1
        if not self._missing[place]:
            self._ready.append(self._seals[place])

    def _part(self, shard: _Shard, number: int, works: tuple[Work, ...], done: Path) -> MakePart:
        how = self._how
        choices = tuple(
            tuple(Choice(c.path, self._facts(work, c, shard.split)) for c in work.candidates)
            for work in works
        )
        return MakePart(
            *(choices, how.read, how.pixels, how.size, how.assume_view, how.screen),
            *(shard.split, shard.number, number, done),
        )

    def _facts(self, work: Work, used: Candidate, split: Split) -> dict[str, Any]:
        """The sample a candidate would be, without its pixels: nothing here names a person."""
        said, hide = used.verdict, self._pseudonym
        lowest = said.lowest_t if said else None
        return {
            "key": hide("sample", used.name),
            "patient": hide("patient", work.patient),
            "source": self._how.source,
            "split": split,
            "view": used.view,
            "age": None if used.age is None else min(round(used.age, 1), OLDEST),
            "sex": used.sex if used.sex in ("F", "M") else None,
            "label": said.label if said else None,
            "severity": said.severity if said else None,
            "lowest_t": None if lowest is None else float(lowest),
            "lowest_t_site": said.site if said and lowest is not None else None,
            "policy": self._how.policy if said else "",
            "audit": said.audit if said else "",
            "days_to_dxa": used.days_to_dxa,
            "height_cm": used.height_cm,
            "weight_kg": used.weight_kg,
            "vendor": vendor_name(used.vendor, lambda text: hide("vendor", text)),
            "study_date": used.day and hide.shift(work.patient, used.day).isoformat(),
            "study_uid": hide.uid(used.study_uid),
            "fracture": used.follow_up and used.follow_up.fracture,
            "followup_days": used.follow_up and used.follow_up.days,
        }


def _batched(works: tuple[Work, ...]) -> Iterator[tuple[Work, ...]]:
    return (works[i : i + PER_PART] for i in range(0, len(works), PER_PART))


def _collect(out: Path, folder: Path, shards: list[_Shard]) -> Written:
    """What the notes of all shards say together."""
    entries: list[Shard] = []
    tables: list[pa.Table] = []
    chosen: dict[str, str] = {}
    failed: dict[str, Exclusion] = {}
    for shard in shards:
        note = sealed(shard.done(folder), out, hashed=False)  # it was made or hashed just now
        if note is None:
            raise RuntimeError(f"{shard.done(folder).stem}: damaged on disk. Run pack again.")
        if note.shard is not None:
            entries.append(note.shard)
            tables.append(index_table(note.rows))
        for works, part in zip(_batched(shard.works), note.parts, strict=True):
            for n, candidate, reason, evidence, detail in part["failed"]:
                item, patient = works[n].candidates[candidate].item, works[n].patient
                failed[item] = Exclusion(item, patient, reason, evidence, detail)
            for work, used in zip(works, part["used"], strict=True):
                if used is not None:
                    chosen[work.candidates[used].item] = work.patient
    index = pa.concat_tables(tables) if tables else index_table([])
    return Written(tuple(entries), index, chosen, failed)
