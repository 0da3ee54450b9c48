"""Near copies among many pictures: proposed by fingerprints, then compared, by a crew.

    from data_sharding.copies.near import Pictures, pairs
    for pair in pairs(pictures, queries, stored, checked, Here(), folder): ...

Three rounds of jobs: what some pictures have in common (a whitener), the fingerprints of all (a
store), and for a few queries at a time a search of the store and the comparison of what it
proposes. What jobs share lies in a folder as plain arrays, so a job is a range of rows. Who does it
and in which order has no say in the result: ranges and sums are the same for any crew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data_sharding.copies.alike import View, Views, one_thread_each, settle, start
from data_sharding.copies.fingerprint import (
    DIMENSIONS,
    WINDOWS,
    Floats,
    Found,
    Whitener,
    describe,
    moment,
    search,
)
from data_sharding.packing.pool import Crew, as_done, progress
from data_sharding.pictures.shown import Picture

#: From this score of `alike.compare` on a pair is a copy. Measured on 174 radiographs of NIH:
#: copies resized, recompressed, flipped, re-windowed or turned from 0.87 up; cropped by 5-15% from
#: 0.84 up, but for one that is turned away before; bordered with black from 0.46 up (90% reach
#: 0.8); other patients up to 0.21, follow-ups up to 0.43. Of 418 phantoms, alike by construction:
#: recompressed from 0.81 up, other patients up to 0.70.
COPY = 0.8
CANDIDATES = 16  # pictures compared with each judged one, and so the most copies named
#: Pictures found to be no copies before the rest, less alike at 64 pixels, is left alone. Of NIH a
#: copy was the first or second of 16, of phantoms too but for 1-4% of those cropped or bordered.
PATIENCE = 2
SAMPLE = 512  # pictures that say what pictures have in common
#: Rows of a job: described in the first and second round, and searched for, which takes 20 ms each.
ROWS, QUERIES = 64, 8

Codes = npt.NDArray[np.int64]
Image = Callable[[int], Picture]


@dataclass(frozen=True)
class Pictures:
    """Picture n is ``images[side[n]](row[n])``, uint8 or uint16 [S, S], or uint8 [S, S, 3].

    Pictures of one `cell`, of one `patient` or with the same `pixels` are no pairs; cells are rows
    and columns of the matrix that says which of them are. Columns are int64 [N].
    """

    images: tuple[Image, ...]
    side: Codes
    row: Codes
    cell: Codes
    patient: Codes
    pixels: Codes


@dataclass(frozen=True)
class Pair:
    """Picture `a`, which was asked for, and picture `b` of the store are copies.

    `how`: what was done, such as 'flipped and cropped'; `score`: of `alike.Likeness`.
    """

    a: int
    b: int
    how: str
    score: float


@dataclass(frozen=True)
class Job:
    """Rows begin..end - 1 of a round; `images` must travel to other processes, if it is to."""

    round: Literal["sample", "stored", "queries"]
    folder: Path
    images: tuple[Image, ...]
    begin: int
    end: int
    careful: bool = False  # `as_done` asks for it; there is nothing to be careful about


def pairs(
    pictures: Pictures,
    queries: Codes,
    stored: Codes,
    checked: npt.NDArray[np.bool_],
    crew: Crew,
    folder: Path,
    echo: Callable[[str], Any] | None = None,
) -> Iterator[Pair]:
    """Copies of the pictures `queries` among the pictures `stored`, in no certain order.

    Args:
        pictures: all of them.
        queries: numbers of pictures, sorted.
        stored: numbers of pictures, sorted.
        checked: for two cells, whether pictures in them may be a pair.
        crew: those who read, describe and compare.
        folder: an empty one that all of the crew see, for arrays; 516 bytes a picture and more.
        echo: gets progress, line by line.
    """
    both = np.union1d(stored, queries)
    some = both[np.linspace(0, len(both) - 1, min(SAMPLE, len(both))).astype(np.int64)]
    columns = [getattr(pictures, f.name) for f in fields(Pictures)[1:]]
    shared = {"columns": np.stack(columns), "checked": checked}
    for name, array in (shared | {"sample": some, "stored": stored, "queries": queries}).items():
        np.save(folder / f"{name}.npy", array)

    def rounds(name: Any, label: str, total: int, rows: int) -> Iterator[tuple[Job, Any]]:
        jobs = (
            Job(name, folder, pictures.images, at, min(at + rows, total))
            for at in range(0, total, rows)
        )
        shown = progress(label, total, echo) if echo else lambda _: None
        for job, answer in as_done(crew, do, jobs, lambda job: f"{label} {job.begin}"):
            shown(job.end - job.begin)
            yield job, answer

    try:
        with one_thread_each():
            sums = {j.begin: x for j, x in rounds("sample", "sampled", len(some), ROWS)}
            total = np.sum([sums[at] for at in sorted(sums)], axis=0)  # rounded: in one order
            np.save(folder / "whitener.npy", Whitener.of(total, len(some)).matrix)
            store = np.zeros((len(stored), DIMENSIONS), np.float16)
            for job, answer in rounds("stored", "fingerprints", len(stored), ROWS):
                store[job.begin : job.end] = answer
            np.save(folder / "store.npy", store)
            for _, found in rounds("queries", "near-duplicates", len(queries), QUERIES):
                yield from found
    finally:
        _desks.pop(folder, None)


class _Desk:
    """What a process keeps from one job of a folder to the next."""

    def __init__(self, folder: Path, images: tuple[Image, ...]) -> None:
        self._folder = folder
        columns = np.load(folder / "columns.npy", mmap_mode="r")
        self.pictures = Pictures(images, *columns)
        self.checked = np.load(folder / "checked.npy")
        self.views = Views(self.image)

    def image(self, i: int) -> Picture:
        """Picture `i`."""
        return self.pictures.images[self.pictures.side[i]](int(self.pictures.row[i]))

    def small(self, rows: Codes) -> npt.NDArray[np.int8]:
        """Fingerprints of pictures, int8 [n, 64, 64]."""
        return np.stack([describe(self.image(i)).small for i in rows.tolist()])

    def rows(self, name: str) -> Codes:
        """The numbers of a round's pictures."""
        return np.load(self._folder / f"{name}.npy", mmap_mode="r")

    @cached_property
    def whitener(self) -> Whitener:
        """What the first round came to."""
        return Whitener(np.load(self._folder / "whitener.npy"))

    @cached_property
    def store(self) -> npt.NDArray[np.float16]:
        """What the second round came to."""
        return np.load(self._folder / "store.npy", mmap_mode="r")

    def barred(self, mine: Codes, theirs: Codes) -> npt.NDArray[np.bool_]:
        """Pairs that may meet, one patient's, and those with equal pixels."""
        p = self.pictures
        may = ~self.checked[p.cell[mine][:, None], p.cell[theirs]]
        same = p.patient[mine][:, None] == p.patient[theirs]
        return may | same | (p.pixels[mine][:, None] == p.pixels[theirs])


_desks: dict[Path, _Desk] = {}


def do(job: Job) -> tuple[Job, Any]:
    """Do a job: the job and its answer, a moment, a part of the store, or pairs."""
    if job.folder not in _desks:
        _desks.clear()
        _desks[job.folder] = _Desk(job.folder, job.images)
    desk = _desks[job.folder]
    rows = desk.rows(job.round)[job.begin : job.end]
    answer: npt.NDArray[Any] | list[Pair]
    with one_thread_each():
        small = desk.small(rows)
        if job.round == "sample":
            answer = moment(small)
        elif job.round == "stored":
            answer = desk.whitener.whole(small).astype(np.float16)
        else:
            answer = _copies(desk, rows, desk.whitener.hypotheses(small))
    return replace(job, images=()), answer


def _copies(desk: _Desk, queries: Codes, hypotheses: Floats) -> list[Pair]:
    """The pairs of some queries."""
    stored = desk.rows("stored")
    found = search(
        hypotheses, desk.store, lambda rows: desk.barred(queries, stored[rows]), CANDIDATES
    )
    return [
        pair for q, i in enumerate(queries.tolist()) for pair in _compare(desk, i, stored, found, q)
    ]


def _compare(desk: _Desk, i: int, stored: Codes, found: Found, q: int) -> Iterator[Pair]:
    """The copies among the candidates of one picture, which are aligned coarsely first."""
    seen = View.of(desk.image(i))
    sides = {False: seen, True: seen.mirrored()}
    begun = []
    for row, score, hypothesis in zip(
        found.row[q].tolist(), found.score[q], found.hypothesis[q].tolist(), strict=True
    ):
        if not np.isfinite(score):
            break
        flipped, j = hypothesis >= len(WINDOWS), int(stored[row])
        first = start(desk.views[j], sides[flipped], WINDOWS[hypothesis % len(WINDOWS)])
        if first:
            begun.append((-first.likeness, j, flipped, first))
    misses = 0
    for _, j, flipped, first in sorted(begun, key=lambda x: x[:2]):
        likeness = settle(desk.views[j], sides[flipped], first)
        if likeness and likeness.score >= COPY:
            how = " and ".join(filter(None, ["flipped" if flipped else "", likeness.how]))
            yield Pair(i, j, how or "copied", likeness.score)
        else:
            misses += 1
        if misses == PATIENCE:
            break
