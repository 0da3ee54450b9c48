"""One answer a patient: the mean of the probabilities of all their pictures.

Somebody with six photographs is one person. Pictures of one person are alike, so that results on
pictures weigh people by how often they were photographed, and only results on people say how often
somebody who comes once is told rightly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def several(patient: NDArray) -> bool:
    """Whether somebody has more than one row [n]."""
    return np.unique(patient).size < patient.size


def conflict(truth: NDArray[np.int64], patient: NDArray) -> str:
    """Why rows [n] cannot be taken together by patient; '' where they can."""
    names, code = np.unique(patient, return_inverse=True)
    low, high = np.full(names.size, truth.max(initial=0)), np.zeros(names.size, np.int64)
    np.minimum.at(low, code, truth)
    np.maximum.at(high, code, truth)
    odd = np.flatnonzero(low != high)
    if not odd.size:
        return ""
    return f"{odd.size} patients have pictures of different classes, such as {names[odd[0]]}"


def classes_of(truth: NDArray[np.int64], patient: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    """Class of each patient and who they are, [patients], in the order of their names.

    Raises:
        ValueError: a patient has rows of two classes.
    """
    if why := conflict(truth, patient):
        raise ValueError(why)
    names, first = np.unique(patient, return_index=True)
    return truth[first], names


def mean_of(P: NDArray[np.float64], patient: NDArray) -> NDArray[np.float64]:
    """Mean of the rows [n, k] of each patient [patients, k], in the order of their names."""
    names, code = np.unique(patient, return_inverse=True)
    sums = np.zeros((names.size, P.shape[1]))
    np.add.at(sums, code, P)
    return sums / np.bincount(code, minlength=names.size)[:, None]
