"""What a run learnt to find, in words: run.json says it, and the pages print it.

    Run.at(folder).learnt.positive      "low bone mass", "osteoporosis", ...

Evaluators take arrays and speak of positive labels. What a positive label means is said here, and
nowhere else. Severity (mild, moderate, advanced) has a definition of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Of runs that do not say.
POSITIVE = "low bone mass"
#: Whoever has none of these is normal by DXA; without osteoporosis one may still not be.
LEAVES_NORMAL = (POSITIVE, "low bone mass or osteoporosis")
#: Longer is not a name.
LONGEST = 80


@dataclass(frozen=True)
class Learnt:
    """The class that `probability` and a label of 1 are of, and how the others are called."""

    positive: str = POSITIVE

    @classmethod
    def of(cls, facts: dict[str, object]) -> Learnt:
        """As run.json's `positive` says; low bone mass where it says nothing, or no name."""
        stated = facts.get("positive")
        name = " ".join(stated.split()) if isinstance(stated, str) else ""
        return cls(name) if 0 < len(name) <= LONGEST else cls()

    def of_answer(self, answer: int) -> str:
        """The name of class 1 or 0."""
        return self.positive if answer else self.negative

    @property
    def negative(self) -> str:
        """The other class: ``normal``, ``no osteoporosis``."""
        return "normal" if self.positive in LEAVES_NORMAL else f"no {self.positive}"

    @property
    def without(self) -> str:
        """Of people: ``120 normal``, ``120 without osteoporosis``."""
        return "normal" if self.positive in LEAVES_NORMAL else f"without {self.positive}"

    @property
    def graded(self) -> bool:
        """Whether mild, moderate and advanced grade it: of osteoporosis all three are without."""
        return self.positive in LEAVES_NORMAL

    @property
    def others(self) -> str:
        """Those people: ``the normal``, ``those without osteoporosis``."""
        return "the normal" if self.positive in LEAVES_NORMAL else f"those without {self.positive}"


#: What is said where no run is at hand.
DEFAULT = Learnt()
