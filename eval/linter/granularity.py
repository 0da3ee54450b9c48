"""Is a printed proportion k/n for a whole k? (GRIM: Brown & Heathers, SPPS 2017)

One per cent of 13 patients is nobody: 99.74% of 13 does not exist, while a mean over models does.
"""

from __future__ import annotations

import numpy as np

from eval.linter.confusion import whole_range
from eval.linter.finding import AVERAGED, Finding
from eval.linter.printed import Printed, show

#: How far `smallest_n` looks.
FURTHEST = 20_000


def not_a_proportion(row: str, column: str, said: Printed, of: int) -> Finding | None:
    """A finding if no whole number out of `of` is printed like `said`."""
    first, last = whole_range(said, of)
    if first <= last:
        return None
    k = min(max(round(said.value * of), 0), of)
    low, high = max(0, int(said.value * of)), min(of, int(said.value * of) + 1)
    between = f"{low}/{of} is {show(low / of, said)} and {high}/{of} is {show(high / of, said)}"
    return Finding(
        severity=AVERAGED,
        row=row,
        column=column,
        numbers={column: said.text, "out of": str(of)},
        rule="a proportion is a whole number out of n",
        sentence=f"{said.text} is not a share of {of} patients ({between}); it may be a mean over "
        "models or resamples, or be out of another number.",
        nearest=f"{show(k / of, said)} ({k}/{of})",
    )


def smallest_n(proportions: list[Printed], limit: int = FURTHEST) -> int | None:
    """The smallest n of which every printed proportion may be a whole number, up to `limit`.

    None if there is none, or if so large a number would fit any proportions.
    """
    n = np.arange(1, limit + 1)
    good = np.ones(n.size, bool)
    for p in proportions:
        good &= np.ceil(max(p.low, 0.0) * n) <= np.floor(min(p.high, 1.0) * n)
    if not good.any():
        return None
    found = int(n[good.argmax()])
    return found if _by_chance(proportions, n[:found]) < 0.01 else None


def _by_chance(proportions: list[Printed], n: np.ndarray) -> float:
    """Roughly how likely some n of these fits as many numbers picked at random."""
    fit = np.ones(n.size)
    for p in proportions:
        fit *= np.minimum(1.0, n * (p.high - p.low))
    return float(fit.sum())
