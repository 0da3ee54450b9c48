"""How much of each concept a place holds: non-negative least squares on a fixed bank.

    u(a) = argmin over u >= 0 of ||a - u W||^2

solved exactly by active sets (Lawson and Hanson 1974, scipy's `nnls`) after one QR decomposition of
W^T, which leaves r equations of every row in place of p.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

#: Below this share of the largest, a concept is a mixture of the others.
DEPENDENT = 1e-10
#: Changes of the active set, for each concept, after which scipy would give up; it needs a few.
SWAPS = 100


def coefficients(rows: NDArray, bank: NDArray[np.float64]) -> NDArray[np.float64]:
    """u >= 0, float64 [..., r].

    Args:
        rows: activations [..., p].
        bank: W, float64 [r, p]; its rows must not depend on each other.

    Raises:
        ValueError: they do, or do not fit the rows; a number is not finite.
    """
    if rows.shape[-1] != bank.shape[1]:
        raise ValueError(f"rows of {rows.shape[-1]} channels and a bank of {bank.shape[1]}")
    if not (np.isfinite(rows).all() and np.isfinite(bank).all()):
        raise ValueError("an activation or a concept is not finite: the weights are damaged")
    q, r = decomposed(bank)
    flat = rows.reshape(-1, rows.shape[-1]).astype(np.float64) @ q
    found = np.array([nnls(r, row, maxiter=SWAPS * len(bank))[0] for row in flat]).reshape(
        len(flat), len(bank)
    )
    return found.reshape(*rows.shape[:-1], len(bank))


def decomposed(bank: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Q [p, r] and upper triangular R [r, r] with W^T = Q R.

    Raises:
        ValueError: the rows of W depend on each other: u would not be one answer but many.
    """
    if len(bank) > bank.shape[1]:
        raise ValueError(f"{len(bank)} concepts of {bank.shape[1]} channels: ask for fewer")
    q, r = np.linalg.qr(bank.T)
    size = np.abs(np.diagonal(r))
    if size.min() <= DEPENDENT * size.max():
        raise ValueError("a concept is a mixture of others: ask for fewer concepts")
    return q, r
