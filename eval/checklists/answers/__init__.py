"""What files can answer: one function an answer, named in items/*.json.

Each takes `Evidence` and returns a sentence made of what it read, or raises `Missing`.
"""

from __future__ import annotations

from collections.abc import Callable

from eval.checklists.answers import data, method, people, results
from eval.checklists.evidence import Evidence

#: Name in items/*.json -> function.
ANSWERS: dict[str, Callable[[Evidence], str]] = {
    name: function
    for module in (data, people, method, results)
    for name, function in module.ANSWERS.items()
}
