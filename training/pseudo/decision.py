"""A round of proxy labels in a folder: what was decided, by whom, on what, and when first.

pseudo/scores/*.npy            what the teachers said, shard by shard (`score`)
pseudo/decision.json           thresholds, and all that the ledger follows from
pseudo/pseudo_labels.parquet   the ledger
pseudo/shift.json, sweep.json  whom it keeps, and what other thresholds would
pseudo/summary.json            counts; written last, so it means that the round is complete
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit

from data_sharding.reader import ShardDataset
from data_sharding.schema import Strict, write_atomic
from training.config import Pseudo
from training.pseudo import ledger
from training.pseudo.prevalence import estimated
from training.pseudo.shift import shift
from training.pseudo.summary import summary
from training.pseudo.sweep import sweep
from training.pseudo.thresholds import Thresholds, choose, one_each

LEDGER = "pseudo_labels.parquet"
#: A prevalence estimated so far from the tune split's is worth a warning.
APART = 0.05


class Decision(Strict):
    """``decision.json``: with the scores and the pack's index it gives the ledger again."""

    format: Literal["osteoray-pseudo/1"] = "osteoray-pseudo/1"
    rule: Literal["class-thresholds/1"] = ledger.RULE
    date: dt.date  # the day of the first decision; decides nothing
    teacher_sha256: str
    temperature: float
    public: str  # hash of the public set's manifest
    tune: str  # hash of the manifest whose tune split the thresholds were held against
    thresholds: Thresholds
    ledger_sha256: str

    @classmethod
    def load(cls, folder: Path) -> Decision:
        """Read ``decision.json``.

        Raises:
            ValueError: there is none, or it is not one.
        """
        path = folder / "decision.json"
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as e:
            raise ValueError(f"{path}: no decision was made here yet") from e
        except ValueError as e:
            first = str(e).splitlines()[:3]
            raise ValueError(f"{path}: not a decision: {' '.join(first)}") from e


@dataclass(frozen=True)
class Said:
    """A packed split and the teachers' logits of its samples, float64 [len(data)]."""

    data: ShardDataset
    logit: np.ndarray


def record(
    folder: Path,
    settings: Pseudo,
    teacher_sha256: str,
    calibration: dict[str, Any],
    public: Said,
    tune: Said,
    labelled: pd.DataFrame,
    day: dt.date | None = None,
    public_prevalence: float | None = None,
) -> dict[str, Any]:
    """Decide on every public picture, write the round's files, return the summary.

    Args:
        folder: of the round. A decision there that came to the same keeps its date.
        settings: thresholds or target precisions.
        teacher_sha256: `Teachers.hash`.
        calibration: with `temperature`; a `reason` not to trust it becomes a warning.
        public: what is labelled.
        tune: DXA-labelled, never trained on.
        labelled: index of the labelled training set, to compare with.
        day: of the decision, else `ledger.today()`.
        public_prevalence: of low bone mass, if it is known.

    Raises:
        ValueError: samples of the tune split without a label, or numbers that are none.
    """
    temperature = float(calibration["temperature"])
    table, p = public.data.index, expit(public.logit / temperature)
    facts, tune_p = tune.data.index, expit(tune.logit / temperature)
    if any(pd.isna(x) for x in facts["label"].to_list()):
        raise ValueError(f"{tune.data.folder}: the tune split has samples without a label")
    label, patient, key = (facts[c].to_numpy() for c in ("label", "patient", "key"))
    label = label.astype(np.int64)
    chosen = choose(settings, label, tune_p, patient, key, public_prevalence)
    decision = Decision(
        date=day or ledger.today(),
        teacher_sha256=teacher_sha256,
        temperature=temperature,
        public=public.data.manifest.hash,
        tune=tune.data.manifest.hash,
        thresholds=chosen,
        ledger_sha256="",
    )
    decision = decision.model_copy(update={"date": _first_day(folder, decision)})
    rows = ledger.table(table, p, chosen, teacher_sha256, decision.date)
    data = ledger.encode(rows)
    decision = decision.model_copy(update={"ledger_sha256": hashlib.sha256(data).hexdigest()})
    once = one_each(patient, key)
    swept = sweep(p, label[once], tune_p[once], public_prevalence=public_prevalence)
    about = _about(decision, calibration, p, label[once])
    found = summary(rows) | about | {"calibration": calibration}
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "decision.json", decision.model_dump(mode="json"))
    write_atomic(folder / LEDGER, data)
    _write_json(folder / "shift.json", shift(rows, labelled))
    _write_json(folder / "sweep.json", swept)
    _write_json(folder / "summary.json", found)
    return found


def _first_day(folder: Path, decision: Decision) -> dt.date:
    """The date of the decision that is there already, if it came to the same."""
    try:
        there = Decision.load(folder)
    except ValueError:
        return decision.date
    same = {"date": decision.date, "ledger_sha256": decision.ledger_sha256}
    return there.date if there.model_copy(update=same) == decision else decision.date


def _about(
    decision: Decision, calibration: dict[str, Any], p: np.ndarray, label: np.ndarray
) -> dict[str, Any]:
    chosen = decision.thresholds
    there = estimated(p, float(label.mean())) if len(label) else None
    warnings = list(chosen.warnings)
    if "reason" in calibration:
        warnings.append(f"the scores are not calibrated: {calibration['reason']}")
    for one in (chosen.normal, chosen.low_bone_mass):
        if one.threshold is None:
            warnings.append(f"no proxy of {one.name}: {one.reason}")
    assumed = chosen.public_prevalence or chosen.tune_prevalence
    if there is not None and assumed is not None and abs(there - assumed) > APART:
        warnings.append(
            f"{assumed:.0%} low bone mass are assumed in public; if it differs from the tune "
            f"split in nothing else, the scores speak for {there:.0%}"
        )
    return {
        "date": decision.date.isoformat(),
        "teacher_sha256": decision.teacher_sha256,
        "ledger_sha256": decision.ledger_sha256,
        "thresholds": chosen.model_dump(mode="json"),
        "estimated_prevalence": there,
        "warnings": warnings,
    }


def _write_json(path: Path, content: Any) -> None:
    write_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_decided(folder: Path, public: pd.DataFrame) -> pd.DataFrame:
    """The ledger of a round, for the pictures of `public` (an index), in its order.

    Raises:
        ValueError: unreadable, not as it was written, or of other pictures.
    """
    path = folder / LEDGER
    rows = ledger.read(path, Decision.load(folder).ledger_sha256)
    if rows["key"].to_list() != public["key"].to_list():
        raise ValueError(f"{path}: proxy labels of other pictures; start over with --fresh")
    return rows
