"""A round's ledger once more, from the saved scores and thresholds: is it the one that lies there?

Nothing is asked of the teachers, nothing is written. The facts (age, sex, source) come from the
public set's own index, so a ledger that was edited by hand does not confirm itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from scipy.special import expit

from data_sharding.reader import ShardDataset
from training.pseudo import ledger
from training.pseudo.decision import LEDGER, Decision
from training.pseudo.score import Scores


@dataclass(frozen=True)
class Replayed:
    """What came out; `difference` is None where it is byte-identical."""

    rows: int
    sha256: str
    difference: str | None
    undone: bool  # there is no ledger any more: held against the SHA-256 of the one there was


def replay(folder: Path, public: ShardDataset) -> Replayed:
    """Derive the ledger in `folder` again and compare.

    Args:
        folder: of the round.
        public: the set that was labelled.

    Raises:
        ValueError: no decision, scores or set to derive it from.
    """
    decision = Decision.load(folder)
    if public.manifest.hash != decision.public:
        raise ValueError(
            f"{public.folder}: not the set that was labelled (manifest {public.manifest.hash[:12]} "
            f"instead of {decision.public[:12]})"
        )
    logit = Scores(folder / "scores", decision.teacher_sha256, public).whole()
    rows = ledger.table(
        public.index,
        expit(logit / decision.temperature),
        decision.thresholds,
        decision.teacher_sha256,
        decision.date,
    )
    data = ledger.encode(rows)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / LEDGER
    if not path.exists():
        same = sha256 == decision.ledger_sha256
        words = None if same else f"the ledger that was undone was {decision.ledger_sha256}"
        return Replayed(len(rows), sha256, words, undone=True)
    if path.read_bytes() == data:
        return Replayed(len(rows), sha256, None, undone=False)
    try:
        words = ledger.first_difference(rows, ledger.read(path))
    except ValueError as e:
        words = str(e)
    other = "the same rows in other bytes: written by another version of pyarrow"
    return Replayed(len(rows), sha256, words or other, undone=False)
