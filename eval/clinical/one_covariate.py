"""One covariate: what it is worth alone, and what the image score says of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.clinical.confounding import Covariate, Told
from eval.clinical.covariates import Known
from eval.clinical.rows import NOBODY, Rows, scaled
from eval.clinical.spearman import spearman
from eval.clinical.splines import logistic, out_of_fold
from eval.estimate import Estimate, undefined

#: A level with fewer rows, on either side, has no AUROC. Of sites the `LISTED` largest are listed.
FEWEST_ROWS, LISTED = 10, 12


def covariate_alone(rows: Rows, known: Known) -> Covariate:
    """The AUROC of a model of this covariate, out of fold, and how far the score tells it."""
    there = known.there
    some, values = rows.where(there), known.values[there]
    reason = NOBODY if rows.label.size == 0 else known.lacking() or some.lacking
    if reason:
        auroc = undefined(reason)
    else:
        fitted = out_of_fold(
            {known.name: scaled(values)}, some.label.astype(np.float64), some.fold, logistic
        )
        auroc = some.auroc(fitted)
    return Covariate(
        name=known.name,
        n=values.size,
        missing=rows.label.size - values.size,
        auroc=auroc,
        told=() if known.lacking() else _told(some, known, values),
    )


def _told(rows: Rows, known: Known, values: NDArray) -> tuple[Told, ...]:
    """What the score of `rows` [n] says of the covariate's `values` [n]."""
    well = rows.label == 0
    if known.numeric:
        overall, among = (
            spearman(v, r.score, r.who, r.level)
            for v, r in ((values, rows), (values[well], rows.where(well)))
        )
        return (Told(level="", measure="Spearman's rho", overall=overall, among_negatives=among),)
    levels, counts = np.unique(values, return_counts=True)
    if known.name == "sex":
        shown = np.array(["F"])
    elif levels.size == 2:
        shown = levels[:1]  # the other is its mirror image
    else:
        largest = np.argsort(-counts, kind="stable")[:LISTED]
        shown = np.sort(levels[largest[counts[largest] >= FEWEST_ROWS]])
    told = [
        Told(
            level=str(level),
            measure="AUROC",
            overall=_level(rows, values == level),
            among_negatives=_level(rows.where(well), (values == level)[well]),
        )
        for level in shown
    ]
    if levels.size > 2 and (rest := levels.size - shown.size):
        none = undefined(f"fewer than {FEWEST_ROWS} rows each, or not among the {LISTED} largest")
        other = Told(level=f"{rest} more", measure="AUROC", overall=none, among_negatives=none)
        told.append(other)
    return tuple(told)


def _level(rows: Rows, here: NDArray[np.bool_]) -> Estimate:
    """AUROC of the score for being of a level, against the rest."""
    fewest = min(int(here.sum()), int((~here).sum()))
    if fewest < FEWEST_ROWS:
        return undefined(f"{fewest} rows on one side are too few")
    return Rows(here.astype(np.int64), rows.patient, rows.score, rows.level, rows.seed).auroc(
        rows.score
    )
