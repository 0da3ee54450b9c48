"""Whose error it is: each wrong answer belongs to the decision that it was made at.

Somebody with osteoporosis whom the first stage let pass is its error, whatever the second stage
said of them; so is somebody without it whom the first stage took. The second stage answers for
those without osteoporosis who reached it, and for nobody else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.classes.compose import OSTEOPOROSIS, compose, decide
from eval.classes.shapes import Errors


def attribute(
    truth: NDArray[np.int64], said: NDArray[np.int64], below: NDArray[np.int64] | None = None
) -> Errors:
    """Count the errors by kind; the kinds add up to all of them.

    Args:
        truth: class [n].
        said: class answered, [n].
        below: what the second stage says of each row, 0 or 1, asked or not; None of one model.
    """
    sick, called = truth == OSTEOPOROSIS, said == OSTEOPOROSIS
    alarms = called & ~sick
    return Errors(
        wrong=int((truth != said).sum()),
        missed=int((sick & ~called).sum()),
        alarms=int(alarms.sum()),
        below=int((~sick & ~called & (truth != said)).sum()),
        alarms_wrong_below=None if below is None else int((alarms & (below != truth)).sum()),
    )


def first_perfect(
    truth: NDArray[np.int64], p2: NDArray[np.float64], t2: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities [n, 3] and answers [n] if the first stage knew who has osteoporosis."""
    known = (truth == OSTEOPOROSIS).astype(float)
    return compose(known, p2), decide(known, p2, 1.0, t2)


def second_perfect(
    truth: NDArray[np.int64],
    p1: NDArray[np.float64],
    p2: NDArray[np.float64],
    t1: float,
    t2: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The same if the second stage knew low bone mass from normal.

    Of those with osteoporosis there is no right answer that it could give: its own stays.
    """
    sick = truth == OSTEOPOROSIS
    known = np.where(sick, p2, truth == 1)
    answers = np.where(sick, decide(p1, p2, t1, t2), decide(p1, known, t1, 1.0))
    return compose(p1, known), answers
