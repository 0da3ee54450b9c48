"""Two stages as one answer: first osteoporosis or not, then low bone mass among the rest.

    P(osteoporosis) = p1,  P(low bone mass) = (1 - p1) p2,  P(normal) = (1 - p1) (1 - p2)

where p1 = P(osteoporosis) and p2 = P(low bone mass | no osteoporosis), which is what a second stage
says that has learnt from people without osteoporosis only. The decision asks the stages in turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.inputs import probabilities
from eval.multiclass import classes

NORMAL, LOW, OSTEOPOROSIS = range(3)


def compose(p1: ArrayLike, p2: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of normal, low bone mass and osteoporosis, [n, 3].

    Args:
        p1: P(osteoporosis), [n].
        p2: P(low bone mass | no osteoporosis), [n].

    Raises:
        ValueError: other lengths, or a value that is no probability.
    """
    n = np.asarray(p1).size
    first = probabilities(p1, n, "probabilities of osteoporosis")
    second = probabilities(p2, n, "probabilities of low bone mass")
    return np.column_stack([(1 - first) * (1 - second), (1 - first) * second, first])


def decide(p1: ArrayLike, p2: ArrayLike, t1: float, t2: float) -> NDArray[np.int64]:
    """Class of each row [n]: osteoporosis if p1 >= t1, else low bone mass if p2 >= t2, else normal.

    Raises:
        ValueError: a threshold is not in [0, 1].
    """
    for t in (t1, t2):
        if not 0 <= t <= 1:
            raise ValueError(f"threshold {t}: a probability in [0, 1]")
    second = np.where(np.asarray(p2) >= t2, LOW, NORMAL)
    return np.where(np.asarray(p1) >= t1, OSTEOPOROSIS, second).astype(np.int64)


def parts(P: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p1 and p2 [n] of the probabilities [n, 3] of one model: the inverse of `compose`.

    Where osteoporosis is certain p2 cannot be told, and is 0.

    Raises:
        ValueError: rows that are not probabilities of three classes.
    """
    p = classes(np.zeros(len(np.asarray(P)), np.int64), P)[1]
    rest = p[:, NORMAL] + p[:, LOW]
    second = np.divide(p[:, LOW], rest, out=np.zeros_like(rest), where=rest > 0)
    return p[:, OSTEOPOROSIS], second
