"""What other thresholds would keep, and how often they would be right (OsPenScreen's sweep)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_sharding.schema import CLASSES
from training.pseudo import bounds
from training.pseudo.ledger import Given, decide
from training.pseudo.prevalence import moved
from training.pseudo.thresholds import counted, score_of

P_NORMAL, P_LBM = 0.99, (0.65, 0.75, 0.85)


def sweep(
    probability: np.ndarray,
    tune_label: np.ndarray,
    tune_probability: np.ndarray,
    p_lbm: Sequence[float] = P_LBM,
    p_normal: float = P_NORMAL,
    public_prevalence: float | None = None,
) -> list[dict[str, Any]]:
    """A row for each threshold of low bone mass: counts, prevalence, precision to be expected.

    Precision comes in two kinds: `right` of `n` on the tune split with its Clopper-Pearson 95%
    interval (moved to `public_prevalence` where that is stated), and `said`, the mean score of the
    kept public pictures, which is their precision if the teacher is calibrated there.

    Args:
        probability: P(low bone mass) of the public pictures.
        tune_label: of the tune split, one picture a patient.
        tune_probability: of the same.
        p_lbm: thresholds.
        p_normal: the threshold of the other class.
        public_prevalence: of low bone mass, if it is known.

    Raises:
        ValueError: a threshold that is not above .5 and at most 1.
    """
    return [
        _row(probability, tune_label, tune_probability, (p_normal, t), public_prevalence)
        for t in p_lbm
    ]


def _row(
    p: np.ndarray,
    label: np.ndarray,
    tune_p: np.ndarray,
    thresholds: tuple[float, float],
    public_prevalence: float | None,
) -> dict[str, Any]:
    if not all(0.5 < t <= 1 for t in thresholds):
        raise ValueError(f"thresholds {thresholds}: above .5, at most 1")
    decided = decide(p, Given(*thresholds))
    counts = [int((decided == c).sum()) for c in CLASSES]
    kept = sum(counts)
    row: dict[str, Any] = {
        "p_normal": thresholds[0],
        "p_lbm": thresholds[1],
        "kept": kept,
        "dropped": len(p) - kept,
        "prevalence": counts[1] / kept if kept else None,
    }
    for c, name in enumerate(CLASSES):
        n, right = counted(c, label, tune_p, thresholds[c])
        both, share = bounds.interval(right, n), float((label == c).mean()) if len(label) else 0.0

        def here(precision: float, c: int = c, share: float = share) -> float:
            if public_prevalence is None or share in (0.0, 1.0):
                return precision
            return moved(precision, of=share, to=public_prevalence if c else 1 - public_prevalence)

        row[name] = {
            "kept": counts[c],
            "said": float(score_of(c, p)[decided == name].mean()) if counts[c] else None,
            "n": n,
            "right": right,
            "precision": here(right / n) if n else None,
            "low": here(both[0]) if both else None,
            "high": here(both[1]) if both else None,
        }
    return row


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The sweep as text."""
    head = f"{'p normal':>8} {'p lbm':>6} {'kept':>7} {'positive':>9}"
    out = [head + "".join(f"   {c + ': kept, precision on tune [95%], said':>50}" for c in CLASSES)]
    for row in rows:
        share = "-" if row["prevalence"] is None else f"{row['prevalence']:.1%}"
        line = f"{row['p_normal']:>8g} {row['p_lbm']:>6g} {row['kept']:>7} {share:>9}"
        for name in CLASSES:
            line += f"   {_cell(row[name]):>50}"
        out.append(line)
    return out


def _cell(x: dict[str, Any]) -> str:
    said = "" if x["said"] is None else f", {x['said']:.3f}"
    if not x["n"]:
        return f"{x['kept']}, nobody on tune{said}"
    interval = f"{x['precision']:.3f} [{x['low']:.3f}, {x['high']:.3f}]"
    return f"{x['kept']}, {interval} ({x['right']}/{x['n']}){said}"
