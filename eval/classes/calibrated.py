"""Do the probabilities of three classes hold: Brier, ECE, Hosmer-Lemeshow, class by class too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.bootstrap import PatientDraws, of_sums
from eval.calibration import bin_of, brier, ece, hosmer_lemeshow, top_label_ece
from eval.classes.shapes import NAMES
from eval.classes.single_shapes import Calibrated, CalibratedClass, Fit
from eval.classes.statistics import Cases, Statistic
from eval.goodness import HosmerLemeshow, of_classes
from eval.performance import Cases as Rows
from eval.reliability import Bin, reliability

BINS = 10
#: Simulated cohorts that `ece_if_right` is the mean of.
SIMULATED = 400


def calibrated(cases: Cases, P: NDArray[np.float64], seed: int) -> Calibrated:
    """Calibration of probabilities [n, 3] of rows that the model was not fitted to.

    Args:
        cases: the rows, one a person where the tests are to be believed.
        P: what is said of them.
        seed: of the simulated cohorts.
    """
    truth = cases.truth
    return Calibrated(
        ece_top_label=float(top_label_ece(truth, P, BINS)),
        ece_if_right=ece_if_right(P, seed),
        fit=_fit(of_classes(truth, P)),
        classes=tuple(
            CalibratedClass(
                name=name,
                n=int((truth == c).sum()),
                mean_predicted=float(P[:, c].mean()),
                ece=float(ece(truth == c, P[:, c], BINS)),
                brier=float(brier(truth == c, P[:, c])),
                fit=_fit(hosmer_lemeshow(truth == c, P[:, c], external=True)),
                bins=_bins(cases, truth == c, P[:, c]),
            )
            for c, name in enumerate(NAMES)
        ),
    )


def brier_of(cases: Cases, P: NDArray[np.float64]) -> Statistic:
    """Brier score summed over the classes, resampled."""
    each = ((P - np.eye(P.shape[1])[cases.truth]) ** 2).sum(axis=1)
    drawn = None
    if cases.counts is not None:
        values = np.column_stack([each, np.ones_like(each)])
        drawn = of_sums(cases.counts, cases.patient, values, lambda s: s[:, 0] / s[:, 1])
    return Statistic(float(each.mean()), drawn)


def ece_if_right(P: NDArray[np.float64], seed: int) -> float:
    """Mean ECE of the top label of cohorts whose truth is drawn from the probabilities [n, 3].

    Even a model whose every word is true shows an ECE above 0 where bins hold few rows.
    """
    top = P.max(axis=1)
    place = np.eye(BINS)[bin_of(top, BINS)]
    right = np.random.default_rng(seed).random((SIMULATED, top.size)) < top
    return float(np.abs((right - top) @ place).sum(axis=1).mean() / top.size)


def _bins(cases: Cases, positive: NDArray[np.bool_], p: NDArray[np.float64]) -> tuple[Bin, ...]:
    nothing = PatientDraws.of(1, 1)  # bins have intervals of their own
    label = positive.astype(np.int64)
    rows = Rows(cases.patient, label, p, None, nothing, "wilson", cases.level)
    return reliability(rows, BINS)


def _fit(h: HosmerLemeshow) -> Fit:
    return Fit(chi2=h.chi2, df=h.df, p=h.p, undefined=h.undefined)
