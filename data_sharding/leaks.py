"""Leaks: a patient or a picture that is learnt from and judged on.

    from data_sharding.leaks import find, lines, of_dataset
    found = find([of_dataset(Path("shards/asan")), of_dataset(Path("shards/nih"))])
    print(*lines(found), sep="\\n")

What is learnt from (train, and public pictures that get pseudo-labels) must not share a patient or
a picture with what is judged on (tune, test, external), nor may two splits that are judged on.
Three nets, in this order:

- patient: the same pseudonym under the same key;
- identical: the same pixels for two patients;
- near: resized, recompressed, flipped, cropped or re-windowed copies (`copies.near`).

Pseudonyms are keyed and salted with the source's name: they can be compared only where `key_id` is
equal, and a person who went to two hospitals has two. Across sources the pictures are the only net,
and they catch the same picture, not the same person: follow-up radiographs are not copies.
Memory is constant but for 512 bytes a picture; pictures are read again to be compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_sharding.copies.near import Pictures, pairs
from data_sharding.packing.pool import Crew, Here
from data_sharding.pictures.shown import Picture
from data_sharding.reader import ShardDataset

LEARNT = frozenset({"train", "public"})
JUDGED = frozenset({"tune", "test", "external"})


@dataclass(frozen=True)
class Side:
    """The pictures of one packed dataset. Row i of every column is sample i.

    `image(i)` gives uint8 or uint16 [S, S], or uint8 [S, S, 3].
    """

    name: str
    key_id: str
    splits: Sequence[str]
    keys: Sequence[str]
    patients: Sequence[str]
    hashes: Sequence[str]
    image: Callable[[int], Picture]


@dataclass(frozen=True, order=True)
class Leak:
    """Two things on two sides that must not meet; `a` and `b` are dataset/split/key.

    `how`: of kind near, what was done to the picture, such as 'flipped and cropped'.
    """

    kind: Literal["patient", "identical", "near"]
    a: str
    b: str
    how: str
    evidence: str


def of_dataset(dataset: Path | str | ShardDataset) -> Side:
    """The side of a packed dataset, all splits of a folder or those of an open one.

    Raises:
        ValueError: there is no readable dataset.
    """
    data = dataset if isinstance(dataset, ShardDataset) else ShardDataset(dataset)
    splits, keys, patients, hashes = (
        data.index[c].tolist() for c in ("split", "key", "patient", "pixels_sha256")
    )
    manifest = data.manifest
    return Side(manifest.name, manifest.key_id, splits, keys, patients, hashes, data.image)


def opposed(a: str, b: str) -> bool:
    """Whether samples of these two splits must not meet."""
    return a != b and (a in JUDGED or b in JUDGED)


def find(
    sides: Sequence[Side],
    *,
    new: Collection[str] | None = None,
    near: bool = True,
    crew: Crew | None = None,
    scratch: Path | None = None,
    echo: Callable[[str], Any] | None = None,
) -> tuple[Leak, ...]:
    """Every leak within and between datasets, sorted; the order of `sides` has no say in it.

    Pairs within one split are no leaks. Of near copies at most 16 are named for a judged picture.

    Args:
        sides: the datasets of one run.
        new: names of datasets; pairs within and between the others are neither looked for nor
            reported. None: all are new.
        near: look at the pictures too, not only at patients and hashes.
        crew: those who read, describe and compare pictures; by default this process. Others must
            be able to receive `Side.image`.
        scratch: folder for a temporary one that all of the crew see; by default the system's.
        echo: gets progress, line by line.

    Raises:
        ValueError: a split that is none, columns of unequal length, a name in `new` that no
            dataset has, or an unreadable picture.
    """
    every = _Table(sides, new)
    leaks = [*_patients(every), *_identical(every)]
    if near:
        leaks += _near(every, crew or Here(), scratch, echo)
    # two judged pictures may have found each other
    once = {(x.kind, x.a, x.b): x for x in sorted(leaks)}
    return tuple(sorted(once.values()))


def lines(leaks: Sequence[Leak], most: int = 20) -> list[str]:
    """The leaks for a terminal: a count of each kind, then the pairs, at most `most` of them."""
    if not leaks:
        return ["no leaks found"]
    words = {"patient": "patients", "identical": "identical pictures", "near": "copies of pictures"}
    counts = {k: sum(leak.kind == k for leak in leaks) for k in words}
    said = ", ".join(f"{n} {words[k]}" for k, n in counts.items() if n)
    out = [f"{len(leaks)} leaks: {said} on two sides that must not meet"]
    out += [f"  {x.a} = {x.b}: {x.how or x.kind} ({x.evidence})" for x in leaks[:most]]
    if len(leaks) > most:
        out.append(f"  ... and {len(leaks) - most} more")
    return out


class _Table:
    """All samples of all sides, numbered through; equal names are equal integers."""

    def __init__(self, sides: Sequence[Side], new: Collection[str] | None = None) -> None:
        if unknown := set(new or ()) - {side.name for side in sides}:
            raise ValueError(f"no dataset is called {sorted(unknown)[0]!r}")
        self.sides = sides
        of_side, of_row, splits, patients, hashes = [], [], [], [], []
        for n, side in enumerate(sides):
            columns = (side.splits, side.keys, side.patients, side.hashes)
            if len({len(c) for c in columns}) != 1:
                raise ValueError(f"{side.name}: columns of unequal length")
            if unknown := set(side.splits) - LEARNT - JUDGED:
                raise ValueError(f"{side.name}: no split is called {sorted(unknown)[0]!r}")
            of_side.append(np.full(len(side.keys), n, np.int64))
            of_row.append(np.arange(len(side.keys)))
            splits += side.splits
            # a dataset without a key can only be compared with itself
            scope = side.key_id or f"\0{n}"
            patients += [f"{scope}\0{p}" for p in side.patients]
            hashes += side.hashes
        self.side = np.concatenate(of_side) if of_side else np.zeros(0, np.int64)
        self.row = np.concatenate(of_row) if of_row else np.zeros(0, np.int64)
        self.split, self.split_names = pd.factorize(np.array(splits, object))
        self.patient = pd.factorize(np.array(patients, object))[0]
        self.pixels = pd.factorize(np.array(hashes, object))[0]
        names = self.split_names
        #: Cells are the splits of the datasets; the matrix says which of them are checked.
        self.in_cell = self.side * len(names) + self.split
        cells = [(side.name, split) for side in sides for split in names]
        fresh = {side.name for side in sides} if new is None else set(new)
        self.checked = np.array(
            [[opposed(a, b) and (x in fresh or y in fresh) for y, b in cells] for x, a in cells],
            bool,
        ).reshape(len(cells), len(cells))
        self.judged = np.array([name in JUDGED for name in names], bool)

    def __len__(self) -> int:
        return len(self.side)

    def name(self, i: int) -> str:
        """dataset/split/key of sample `i`."""
        side = self.sides[self.side[i]]
        return f"{side.name}/{self.split_names[self.split[i]]}/{side.keys[self.row[i]]}"

    def cell(self, i: int) -> str:
        """dataset/split of sample `i`."""
        return self.name(i).rsplit("/", 1)[0]


def _groups(every: _Table, codes: npt.NDArray[np.int64]) -> Iterator[list[list[int]]]:
    """Samples that share a code and lie in more than one cell: lists, one for each cell."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for members in np.split(order, starts[1:]) if len(order) else []:
        if len(members) < 2:
            continue
        cells: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i in members.tolist():
            cells[int(every.side[i]), int(every.split[i])].append(i)
        if len(cells) > 1:
            yield list(cells.values())


def _patients(every: _Table) -> Iterator[Leak]:
    """One leak for each patient and pair of cells."""
    for cells in _groups(every, every.patient):
        for n, a in enumerate(cells):
            for b in cells[n + 1 :]:
                if every.checked[every.in_cell[a[0]], every.in_cell[b[0]]]:
                    x, y = sorted((a, b), key=lambda cell: every.name(cell[0]))
                    who = every.sides[every.side[x[0]]].patients[every.row[x[0]]]
                    counts = " and ".join(f"{len(c)} in {every.cell(c[0])}" for c in (x, y))
                    said = f"patient {who}: {counts}"
                    yield Leak("patient", every.name(x[0]), every.name(y[0]), "", said)


def _identical(every: _Table) -> Iterator[Leak]:
    """One leak for each judged picture and each cell with the same pixels for another patient."""
    for cells in _groups(every, every.pixels):
        for a in cells:
            for b in cells:
                ours, theirs = every.split[a[0]], every.split[b[0]]
                checked = every.checked[every.in_cell[a[0]], every.in_cell[b[0]]]
                if not (checked and every.judged[theirs]):
                    continue
                if every.judged[ours] and every.name(a[0]) > every.name(b[0]):
                    continue  # two judged cells: once is enough
                for i in b:
                    others = [j for j in a if every.patient[j] != every.patient[i]]
                    if others:
                        x, y = sorted((every.name(others[0]), every.name(i)))
                        more = f", {len(others)} times" if len(others) > 1 else ""
                        yield Leak("identical", x, y, "", f"the same pixels{more}")


def _near(
    every: _Table, crew: Crew, scratch: Path | None, echo: Callable[[str], Any] | None
) -> Iterator[Leak]:
    """Copies: proposed by fingerprints, then compared."""
    # a picture that is there several times for one patient is looked at once in each cell
    keys = np.stack([every.in_cell, every.patient, every.pixels], axis=1)
    once = np.sort(np.unique(keys, axis=0, return_index=True)[1]) if len(keys) else every.side
    cells = np.unique(every.in_cell[once])
    judged = cells[every.judged[cells % max(1, len(every.split_names))]]
    # only cells that are checked against another that is there
    queried = judged[every.checked[np.ix_(judged, cells)].any(axis=1)]
    stored = cells[every.checked[np.ix_(judged, cells)].any(axis=0)]
    queries = once[np.isin(every.in_cell[once], queried)]
    once = once[np.isin(every.in_cell[once], stored)]
    if not len(queries):
        return
    pictures = Pictures(
        *(tuple(side.image for side in every.sides), every.side, every.row),
        *(every.in_cell, every.patient, every.pixels),
    )
    with TemporaryDirectory(dir=scratch, prefix="leaks-") as folder:
        for pair in pairs(pictures, queries, once, every.checked, crew, Path(folder), echo):
            x, y = sorted((every.name(pair.a), every.name(pair.b)))
            yield Leak("near", x, y, pair.how, f"correlation {pair.score:.3f}")
