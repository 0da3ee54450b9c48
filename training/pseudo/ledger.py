"""The ledger of proxy labels: one row a public picture, every decision with what it rests on.

OsPenScreen, Methods: a public picture is kept as normal when p(normal) >= .99 and as low bone mass
when p(low bone mass) >= .75, else it is dropped. The probabilities are the teacher's, temperature-
scaled on the tune split, for the thresholds act on them as if they were calibrated.

The bytes are a function of the rows. One column is of no consequence, the date, and it is an input
like the others: the day of the first decision, which ``decision.json`` keeps, so that whoever
resumes or replays on another day writes the same file.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data_sharding.schema import CLASSES

DECISIONS = (*CLASSES, "dropped")
#: Name and version of the rule that `decide` is. A ledger of another rule is not read.
RULE = "class-thresholds/1"

#: The columns. A null is: an age or sex not known, a threshold that nobody reaches.
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("patient", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("age", pa.float64()),
        pa.field("sex", pa.string()),
        pa.field("teacher_sha256", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),  # P(low bone mass), calibrated
        pa.field("p_normal", pa.float64()),  # normal: 1 - probability >= p_normal
        pa.field("p_lbm", pa.float64()),  # low bone mass: probability >= p_lbm
        pa.field("decision", pa.string(), nullable=False),
        pa.field("date", pa.date32(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
    ]
)
TEXTS = [f.name for f in SCHEMA if f.type == pa.string()]
#: What a file may hold: more is not a ledger, but something that wants our memory.
MAX_ROWS, MAX_TEXT = 5_000_000, 200


class Rule(Protocol):
    """Class thresholds above .5; None keeps nobody of that class."""

    @property
    def p_normal(self) -> float | None: ...  # noqa: D102
    @property
    def p_lbm(self) -> float | None: ...  # noqa: D102


def decide(probability: np.ndarray, thresholds: Rule) -> np.ndarray:
    """P(low bone mass) [N] -> decision [N], one of `DECISIONS`.

    Compared as 1 - p >= p_normal, in float64. Both classes cannot be reached at once: thresholds
    are above .5.

    Raises:
        ValueError: a probability that is not in [0, 1].
    """
    p = np.asarray(probability, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("a probability is not in [0, 1]")
    normal, lbm = (math.inf if t is None else t for t in (thresholds.p_normal, thresholds.p_lbm))
    return np.where(1 - p >= normal, CLASSES[0], np.where(p >= lbm, CLASSES[1], "dropped"))


def table(
    index: pd.DataFrame,
    probability: np.ndarray,
    thresholds: Rule,
    teacher_sha256: str,
    day: date | None = None,
) -> pd.DataFrame:
    """One row a public picture: who, what the teacher said, what was decided, by which rule."""
    facts = {name: index[name] for name in ("key", "patient", "source", "age", "sex")}
    frame = pd.DataFrame(facts).assign(
        teacher_sha256=teacher_sha256,
        probability=np.asarray(probability, np.float64),
        p_normal=_number(thresholds.p_normal),
        p_lbm=_number(thresholds.p_lbm),
        decision=decide(probability, thresholds),
        date=day or today(),
        rule=RULE,
    )
    return frame.reset_index(drop=True)


def today() -> date:
    """The day, UTC; ``$SOURCE_DATE_EPOCH`` instead, where set, as for reproducible builds."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return now.date()


def _number(threshold: float | None) -> float:
    return math.nan if threshold is None else threshold


def encode(ledger: pd.DataFrame) -> bytes:
    """The ledger as parquet: the same rows give the same bytes (with the same pyarrow).

    Raises:
        ValueError: it is not a ledger (`check`).
    """
    check(ledger, "the ledger")
    columns = {f.name: pa.array(ledger[f.name].to_list(), f.type, from_pandas=True) for f in SCHEMA}
    out = io.BytesIO()
    whole = pa.Table.from_pydict(columns, schema=SCHEMA)
    pq.write_table(whole, out, compression="zstd", write_page_checksum=True)
    return out.getvalue()


def read(path: Path, sha256: str | None = None) -> pd.DataFrame:
    """A ledger as it was written, every row checked.

    Args:
        path: the parquet file; it may be broken or hostile.
        sha256: of the file, where it is known.

    Raises:
        ValueError: one line that says what is wrong with it.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise ValueError(f"{path}: no ledger to be read: {e.strerror}") from e
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path}: not the ledger that was written (sha256 differs)")
    try:
        found = _table(data)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as e:
        raise ValueError(f"{path}: not a ledger of proxy labels: {_line(e)}") from e
    return check(found.to_pandas(), str(path))


def _table(data: bytes) -> pa.Table:
    about = pq.ParquetFile(io.BytesIO(data))
    names, rows = about.schema_arrow.names, about.metadata.num_rows
    if missing := [n for n in SCHEMA.names if n not in names]:
        raise ValueError(f"columns missing: {', '.join(missing)}; an earlier version's, perhaps")
    if names != SCHEMA.names:
        raise ValueError("columns that no ledger has, or in another order")
    if not 0 <= rows <= MAX_ROWS:
        raise ValueError(f"{rows} rows; {MAX_ROWS} are the most")
    file = pq.ParquetFile(io.BytesIO(data), read_dictionary=TEXTS, page_checksum_verification=True)
    found = file.read()
    for name in TEXTS:  # short texts only, before they are written out row by row
        if not pa.types.is_dictionary(found[name].type):
            raise ValueError(f"column {name} holds no text")
        for chunk in found[name].chunks:
            if any(len(t or "") > MAX_TEXT for t in chunk.dictionary.to_pylist()):
                raise ValueError(f"column {name} holds texts above {MAX_TEXT} characters")
    return found.cast(SCHEMA)


def check(ledger: pd.DataFrame, where: str) -> pd.DataFrame:
    """That the rows are a ledger's: the decision of each is what its rule and score say.

    Raises:
        ValueError: the first thing that is wrong.
    """

    def wrong(bad: Any, what: str) -> None:
        rows = np.flatnonzero(np.asarray(bad, bool))
        if len(rows):
            raise ValueError(f"{where}: {what} ({len(rows)} rows, the first is row {rows[0]})")

    text = ledger[["key", "patient", "source", "teacher_sha256", "decision", "rule", "date"]]
    wrong(text.isna().any(axis=1), "a cell that must say something is empty")
    wrong(ledger["rule"] != RULE, f"a rule other than {RULE}")
    wrong(ledger["key"].duplicated(), "one key twice")
    wrong(~ledger["sex"].isin(["F", "M"]) & ledger["sex"].notna(), "a sex other than F and M")
    age, p = ledger["age"].to_numpy(np.float64), ledger["probability"].to_numpy(np.float64)
    wrong(~np.isnan(age) & ~((age >= 0) & (age <= 150)), "an age no person has")
    wrong(~((p >= 0) & (p <= 1)), "a probability that is not in [0, 1]")
    for name in ("teacher_sha256", "date", "p_normal", "p_lbm"):
        wrong(ledger[name].nunique(dropna=False) > 1, f"more than one {name}")
    wrong(~ledger["teacher_sha256"].str.fullmatch("[0-9a-f]{64}"), "a teacher that is no SHA-256")
    rule = Given.of(ledger)
    for name, t in (("p_normal", rule.p_normal), ("p_lbm", rule.p_lbm)):
        wrong([t is not None and not 0.5 < t <= 1], f"{name} is not above .5 and at most 1")
    wrong(ledger["decision"] != decide(p, rule), "a decision that score and thresholds do not give")
    return ledger


class Given:
    """Thresholds as a ledger names them."""

    def __init__(self, p_normal: float | None, p_lbm: float | None) -> None:
        self.p_normal, self.p_lbm = p_normal, p_lbm

    @classmethod
    def of(cls, ledger: pd.DataFrame) -> Given:
        """Those of its first row; none in an empty ledger."""
        first = [ledger[c].iloc[0] if len(ledger) else math.nan for c in ("p_normal", "p_lbm")]
        return cls(*(None if pd.isna(t) else float(t) for t in first))


def first_difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> str | None:
    """Where two ledgers first differ, in words; None if they say the same."""
    if len(ours) != len(theirs):
        return f"{len(theirs)} rows against {len(ours)}"
    for name in SCHEMA.names:
        a, b = (pd.Series(x[name].to_list(), dtype=object) for x in (ours, theirs))
        differs = np.flatnonzero(((a != b) & ~(a.isna() & b.isna())).to_numpy())
        if len(differs):
            row = int(differs[0])
            return f"row {row}, {name}: {b[row]!r} against {a[row]!r} ({len(differs)} rows differ)"
    return None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
