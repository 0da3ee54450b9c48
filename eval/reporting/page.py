"""The page as text: templates, their filters, and everything a section may speak of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from data_sharding.schema import REASONS
from eval.estimate import Estimate
from eval.reporting import text

#: Address and title of every section, in the order of the page.
SECTIONS = (
    ("results", "Results"),
    ("three", "Three classes"),
    ("scores", "What it says of everybody"),
    ("people", "Who was studied"),
    ("flow", "From the archive to the cohort"),
    ("curves", "Ranking"),
    ("decisions", "Decisions"),
    ("benefit", "Is acting on it worth it?"),
    ("calibration", "Calibration"),
    ("subgroups", "For whom it works"),
    ("probe", "What age, sex and body tell"),
    ("clinical", "With age, sex, height and weight"),
    ("tables", "Tables 1 and 2"),
    ("fractures", "Fractures"),
    ("proxies", "Proxy labels"),
    ("pictures", "What it looks at"),
    ("card", "Model card and limitations"),
    ("checklists", "Checklists"),
    ("run", "What was run"),
)


@cache
def environment() -> Environment:
    """Jinja over eval/templates: everything is escaped, and an unknown name is an error."""
    made = Environment(
        loader=PackageLoader("eval"),
        autoescape=select_autoescape(["html", "j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "estimate": text.estimate,
        "interval": text.interval,
        "quantity": text.quantity,
        "p": text.p_value,
        "minus": text.minus,
        "count": text.count,
        "svg": Markup,
        "sentence": lambda s: s[:1].upper() + s[1:],
        "hundred": hundred,
        "measures": measures,
        "splits": splits,
        "reason": lambda code: REASONS.get(code, code.replace("_", " ")),
    }
    return made


def page(sections: dict[str, bool], **facts: Any) -> str:
    """The report.

    Args:
        sections: address -> whether it has something to say; those not named are always there.
        facts: what the templates speak of.
    """
    contents = [(a, title) for a, title in SECTIONS if sections.get(a, True)]
    return environment().get_template("report.html.j2").render(contents=contents, **facts)


def hundred(e: Estimate) -> Estimate:
    """The same per 100."""
    value, low, high = (None if v is None else 100 * v for v in (e.value, e.low, e.high))
    return Estimate(value=value, low=low, high=high, method=e.method, undefined=e.undefined)


def measures(of_all: Sequence[Any]) -> list[tuple[str, str]]:
    """Names and units of the measures of several cohorts, each once, in their order."""
    return list(dict.fromkeys((m.name, m.unit) for m in of_all))


def splits(of_all: Sequence[Any]) -> list[tuple[str, list[str]]]:
    """Characteristics of several cohorts with all their levels, each once, in their order."""
    found: dict[str, dict[str, None]] = {}
    for split in of_all:
        found.setdefault(split.name, {}).update(dict.fromkeys(r.level for r in split.levels))
    return [(name, list(levels)) for name, levels in found.items()]
