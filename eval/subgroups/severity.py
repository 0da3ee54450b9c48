"""Each severity against all normals: how much disease must there be before the model sees it?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from data_sharding.schema import SEVERITIES
from eval.estimate import undefined
from eval.performance import Cases, distinct, resampled, share
from eval.subgroups.groups import Rule
from eval.subgroups.levels import Levels
from eval.subgroups.shapes import SeverityBand
from eval.subgroups.suppression import hidden


def by_severity(split: Levels, cases: Cases, rule: Rule) -> tuple[SeverityBand, ...]:
    """Normal, mild, moderate, advanced; empty where the cohort states no severity at all, or where
    the label is of something else: of osteoporosis all four are negative, and right is not flagged.

    Args:
        split: the severities of the rows of `cases`.
        cases: the model's labelled rows.
        rule: what is shown.
    """
    if not split.known:
        return ()
    severity = split.of.to_numpy()
    graded = np.isin(severity.astype(str), SEVERITIES[1:])
    if graded.any() and not cases.label[graded].any():
        return ()
    sizes = {s: distinct(cases.patient[severity == s]) for s in split.names}
    away: Collection[str] = hidden(sizes, rule.least, rule.kept_back.get(split.name, ()))
    return tuple(
        _kept_back(level, rule) if level in away else _band(cases, severity == level, level, rule)
        for level in SEVERITIES
    )


def _kept_back(level: str, rule: Rule) -> SeverityBand:
    none = undefined(rule.reason)
    return SeverityBand(
        level=level,
        n=None,
        patients=None,
        accuracy=none,
        auroc_against_normal=none,
        suppressed=rule.reason,
    )


def _band(cases: Cases, rows: np.ndarray, level: str, rule: Rule) -> SeverityBand:
    band = cases.where(rows)
    nobody = f"nobody here is {level}"
    if cases.threshold is None:
        accuracy = undefined("no threshold was frozen for this model")
    else:
        right = band.flagged == (band.label == 1)
        accuracy = share(band, right, np.ones(right.size, bool), nobody)
    if level == "normal":
        auroc = undefined("normal is what the other bands are compared with")
    elif not rows.any():
        auroc = undefined(nobody)
    else:
        against = cases.where(rows | (cases.label == 0)).compact()
        auroc = resampled(against, rule.least_of_class)["auroc"]
    return SeverityBand(
        level=level,
        n=int(rows.sum()),
        patients=distinct(band.patient),
        accuracy=accuracy,
        auroc_against_normal=auroc,
    )
