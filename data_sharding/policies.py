"""What a DXA measurement means for a chest radiograph's label: named, versioned, pure.

A policy never changes once it has a version; a new reading gets a new number. T-scores are
compared as the decimals that were written: "-2.5" is exactly -2.5, whatever a float makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from data_sharding.schema import DXA_SITES, Severity


@dataclass(frozen=True)
class Verdict:
    """What a policy says of one measurement. `excluded` is a reason, or '' if there is a label."""

    label: Literal[0, 1] | None
    severity: Severity | None
    lowest_t: Decimal | None
    site: str | None
    excluded: str
    audit: str


Policy = Callable[[Mapping[str, Decimal | None]], Verdict]


def lowest(t_scores: Mapping[str, Decimal | None]) -> tuple[str, Decimal] | None:
    """The site with the lowest T-score (the first of `DXA_SITES` if several), None if none."""
    measured = [(t, site) for site in DXA_SITES if (t := t_scores.get(site)) is not None]
    if not measured:
        return None
    t, site = min(measured, key=lambda pair: pair[0])
    return site, t


def ospenscreen_1(t_scores: Mapping[str, Decimal | None]) -> Verdict:
    """OsPenScreen: the lowest T of lumbar spine, femoral neck and total hip decides.

    T >= -1.0 normal (0); -2.5 < T < -1.0 low bone mass (1); T <= -2.5 excluded: osteoporosis is
    found by a first-stage model. Severity: mild -1.5 < T < -1.0, moderate -2.0 < T <= -1.5,
    advanced -2.5 < T <= -2.0. WHO counts T = -1.0 as normal, and so does the paper.
    """
    found = lowest(t_scores)
    if found is None:
        return Verdict(None, None, None, None, "no_t_score", "no T-score at any site")
    site, t = found
    said = f"lowest T {t} at {site.replace('_', ' ')}"
    if t <= Decimal("-2.5"):
        return Verdict(None, None, t, site, "osteoporosis", f"{said} <= -2.5: osteoporosis")
    if t >= Decimal("-1.0"):
        return Verdict(0, "normal", t, site, "", f"{said} >= -1.0: normal")
    severity: Severity = "advanced"
    if t > Decimal("-1.5"):
        severity = "mild"
    elif t > Decimal("-2.0"):
        severity = "moderate"
    return Verdict(1, severity, t, site, "", f"{said}, -2.5 < T < -1.0: {severity} low bone mass")


POLICIES: dict[str, Policy] = {"ospenscreen/1": ospenscreen_1}

#: What a public, unlabelled picture must be; see `sources.read_nih`.
PUBLIC_POLICY = "public-normal/1"


def policy(name: str) -> Policy:
    """The policy of this name and version.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in POLICIES:
        raise ValueError(f"no label policy {name!r}; there is {', '.join(sorted(POLICIES))}")
    return POLICIES[name]
