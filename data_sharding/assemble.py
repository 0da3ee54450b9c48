"""From the works of a cohort to samples in shards: the second, decoding pass of a pack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_sharding.cohort import Candidate, Work
from data_sharding.ledger import CRASH, Exclusion
from data_sharding.pool import in_order
from data_sharding.private import Pseudonyms
from data_sharding.schema import Sample, Shard, Split
from data_sharding.shards import ShardWriter
from data_sharding.work import Done, Job, make

#: Splits lie one after the other in the index, in this order.
ORDER: tuple[Split, ...] = ("train", "tune", "test", "external", "public")


@dataclass(frozen=True)
class Making:
    """How samples are made of works."""

    pixels: str  # dicom or png
    size: int
    assume_view: str
    per_shard: int
    source: str
    policy: str
    workers: int


@dataclass(frozen=True)
class Written:
    """What came of the works."""

    shards: tuple[Shard, ...]
    rows: list[dict[str, Any]]  # of the index
    chosen: dict[str, str]  # patient -> item that was packed
    failed: dict[str, Exclusion]  # item -> why its pixels were no use
    unread: tuple[Work, ...]  # works of which nothing could be read


def write_samples(
    out: Path,
    works: list[Work],
    splits: Mapping[str, Split],
    how: Making,
    pseudonym: Pseudonyms,
    echo: Callable[[str], Any],
) -> Written:
    """Decode `works` over all processes and write the shards, split by split.

    Within a split the order is that of the keyed pseudonyms: it knows nothing of the classes.
    """
    works = sorted(
        works,
        key=lambda w: (ORDER.index(splits[w.patient]), pseudonym("sample", w.candidates[0].name)),
    )
    jobs = [
        Job(tuple(c.path for c in work.candidates), how.pixels, how.size, how.assume_view)
        for work in works
    ]
    chosen: dict[str, str] = {}
    failed: dict[str, Exclusion] = {}
    unread: list[Work] = []
    with (
        ShardWriter(out, how.per_shard) as writer,
        closing(in_order(make, jobs, how.workers, _crashed, "pictures", echo)) as pictures,
    ):
        for work, done in zip(works, pictures, strict=True):
            for candidate, why in zip(work.candidates, done.failed, strict=False):
                failed[candidate.item] = Exclusion(
                    candidate.item, work.patient, why.reason, why.evidence, why.detail
                )
            if done.used is None or done.pixels is None:
                unread.append(work)
                continue
            used = work.candidates[done.used]
            chosen[work.patient] = used.item
            sample = _sample(work, used, done, pseudonym, splits[work.patient], how)
            writer.add(sample, done.pixels)
    return Written(tuple(writer.shards), writer.rows, chosen, failed, tuple(unread))


def _crashed(job: Job) -> Done:
    return Done(None, None, (), tuple(CRASH for _ in job.paths))


def _sample(
    work: Work,
    used: Candidate,
    done: Done,
    pseudonym: Pseudonyms,
    split: Split,
    how: Making,
) -> Sample:
    assert done.pixels is not None
    said = used.verdict
    return Sample(
        key=pseudonym("sample", used.name),
        patient=pseudonym("patient", work.patient),
        source=how.source,
        split=split,
        view=used.view,
        age=None if used.age is None else round(used.age, 1),
        sex="F" if used.sex == "F" else "M" if used.sex == "M" else None,
        label=said.label if said else None,
        severity=said.severity if said else None,
        lowest_t=float(said.lowest_t) if said and said.lowest_t is not None else None,
        lowest_t_site=said.site if said else None,
        policy=how.policy if said else "",
        audit=said.audit if said else "",
        days_to_dxa=used.days_to_dxa,
        height_cm=used.height_cm,
        weight_kg=used.weight_kg,
        vendor="",
        study_date=None,
        study_uid="",
        applied=done.applied,
        pixels_sha256=hashlib.sha256(done.pixels.tobytes()).hexdigest(),
    )
