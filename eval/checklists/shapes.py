"""A checklist as data: its items in our own words, and what the run's files answer to each."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from data_sharding.schema import Strict


class Item(Strict):
    """One line of a checklist, as items/*.json holds it.

    `answer` names the function of `eval.checklists.answers` that can answer it from files; without
    one it is always the author's. `adds` is what the author must say besides.
    """

    number: str
    section: str
    text: str
    answer: str | None = None
    adds: str | None = None


class Standard(Strict):
    """A reporting standard; `main_items` counts whole numbers, 15a to 15d being one."""

    name: str
    title: str
    source: str
    doi: str
    main_items: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Answer:
    """What the files say, a sentence a line, and which they are, relative to the run's folder."""

    text: str
    proofs: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.text, "an answer without words"
        assert self.proofs, "an answer that no file proves"

    @property
    def sentences(self) -> list[str]:
        """The text, sentence by sentence."""
        return self.text.split("\n")

    @property
    def links(self) -> list[tuple[str, str]]:
        """(address relative to RUN/report, name to show) of every proof."""
        return [(quote(f"../{p}"), _name(p)) for p in self.proofs]


def _name(path: str) -> str:
    """The path within the run; of a file outside it, no more than its folder's name."""
    return "/".join(path.split("/")[-2:]) if path.startswith("../") else path


@dataclass(frozen=True)
class Filled:
    """An item and its answer; without one it is the author's, and `why` says what was missing."""

    item: Item
    answer: Answer | None = None
    why: str | None = None

    @property
    def status(self) -> str:
        """'from the files', 'from the files; author to add', or 'author to complete'."""
        if self.answer is None:
            return "author to complete"
        return "from the files; author to add" if self.item.adds else "from the files"


@dataclass(frozen=True)
class Checklist:
    """A standard, filled as far as one run's files go."""

    standard: Standard
    items: tuple[Filled, ...]

    @property
    def answered(self) -> int:
        """How many items the files answer, in part or whole."""
        return sum(f.answer is not None for f in self.items)
