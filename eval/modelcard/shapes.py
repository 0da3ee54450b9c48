"""A card as data, and as Markdown in which no text acts as markup."""

from __future__ import annotations

from dataclasses import dataclass

from eval.estimate import Estimate


@dataclass(frozen=True)
class Figure:
    """A cell that is an estimate, and the digits it is printed with."""

    estimate: Estimate
    digits: int = 3

    def __str__(self) -> str:
        return self.estimate.text(self.digits).replace("-", "−")


@dataclass(frozen=True)
class Table:
    """Lines of cells under a head, all of one width."""

    head: tuple[str, ...]
    lines: tuple[tuple[str | Figure, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading with sentences, a list, facts by name and a table, each of which may be empty."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Card:
    """The card of one run."""

    name: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """The card as Markdown, with a line at the end."""
        lines = [f"# Model card: {_escape(self.name)}", ""]
        for s in self.sections:
            lines += [f"## {s.title}", ""]
            lines += [line for text in s.sentences for line in (_escape(text), "")]
            lines += [*(f"- {_escape(p)}" for p in s.points), *[""] * bool(s.points)]
            lines += [
                *(f"- {_escape(k)}: `{_escape(v)}`" for k, v in s.facts),
                *[""] * bool(s.facts),
            ]
            if s.table is not None:
                rows = (s.table.head, ("---",) * len(s.table.head), *s.table.lines)
                lines += [
                    f"| {' | '.join(_escape(str(cell)) for cell in row)} |" for row in rows
                ] + [""]
        return "\n".join(lines)


def _escape(text: str) -> str:
    """Nothing of the text acts as Markdown or HTML."""
    for sign in "\\|<>*_`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
