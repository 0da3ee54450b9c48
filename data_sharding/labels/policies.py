"""What a DXA measurement means for a picture's label: policies, named and versioned.

    from data_sharding.labels.policies import Measurement, policy
    policy("ospenscreen/1").judge(Measurement({"total_hip": Decimal("-1.3")}))

    python -m data_sharding policies

A policy never changes once it has a version; a new reading gets a new number. How each reads a
measurement is in `readings`; here are the conditions around it (sites that must be there, vertebrae
that must count) and the pairing rules each starts from, which a user may change.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from data_sharding.labels.readings import (
    BELOW,
    WITHIN,
    Measurement,
    Verdict,
    evaluable,
    face2bone_1,
    li2026_1,
    no_label,
    ospenscreen_1,
    three_class_1,
    who_1,
    without_lumbar,
    z_score_1,
)
from data_sharding.schema import DXA_SITES

# "Three months" and "six months" as days: the longest span of that many calendar months, so that
# nobody is left out whom a study by the calendar would have taken.
THREE_MONTHS, SIX_MONTHS = 92, 184


@dataclass(frozen=True)
class Rules:
    """A cohort's criteria (OsPenScreen: PA, 50 years and older, paired within 180 days).

    `windows` holds (source name, days) of sites that have a window of their own. `min_age` is in
    years at the picture, inclusive. `study`: of several pairs the closest in time, or the first.
    `every`: each qualifying picture of a patient is a sample with the label of its own pair, in one
    split; otherwise a patient has one.
    """

    window_days: int = 180
    windows: tuple[tuple[str, int], ...] = ()
    min_age: float = 50
    view: str = "PA"
    study: Literal["closest", "first"] = "closest"
    every: bool = False

    def window(self, source: str = "") -> int:
        """Most days between picture and DXA at this source (its name in any case)."""
        return dict(self.windows).get(source.lower(), self.window_days)

    def overridden(
        self,
        window_days: int | None = None,
        min_age: float | None = None,
        view: str | None = None,
        study: str | None = None,
        every: bool | None = None,
    ) -> Rules:
        """These rules with what a user gave; None keeps. A given window holds for every source.

        Raises:
            ValueError: a negative window, or a `study` that is neither closest nor first.
        """
        if window_days is not None and window_days < 0:
            raise ValueError(f"a window of {window_days} days: at least 0")
        if study not in (None, "closest", "first"):
            raise ValueError(f"study {study!r}: closest or first")
        given: dict[str, Any] = {
            **{"window_days": window_days, "min_age": min_age, "study": study},
            **{"view": view.upper() if view else None},
            **{"windows": None if window_days is None else (), "every": every},
        }
        return replace(self, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Policy:
    """A reading with its conditions. `says` is what ``policies`` prints; label i is `classes[i]`.

    `required`: sites without which a measurement does not count. `min_vertebrae`: of L1 to L4, how
    many must be evaluable for the lumbar spine to count (ISCD: 2); 0 takes it as reported.
    """

    name: str
    says: str
    classes: tuple[str, ...]
    reading: Callable[[Measurement], Verdict]
    rules: Rules = field(default_factory=Rules)
    required: tuple[str, ...] = ()
    min_vertebrae: int = 0

    def judge(self, measurement: Measurement) -> Verdict:
        """The verdict on one measurement; pure, never raises."""
        left_out = ""
        lumbar = {
            "no_t_score": measurement.t_scores.get("lumbar_spine"),
            "no_z_score": measurement.z_scores.get("lumbar_spine"),
        }
        n = evaluable(measurement)
        if n < self.min_vertebrae and any(score is not None for score in lumbar.values()):
            measurement = without_lumbar(measurement)
            left_out = (
                f"lumbar spine left out, {n} evaluable of L1 to L4, {self.min_vertebrae} needed"
            )
        verdict = self.reading(measurement)
        by_z = verdict.site is not None and verdict.lowest_t is None
        decided = measurement.z_scores if by_z else measurement.t_scores
        absent = [site for site in self.required if decided.get(site) is None]
        if absent and verdict.excluded in ("", "osteoporosis", "no_t_score"):
            places = ", ".join(site.replace("_", " ") for site in absent)
            verdict = no_label("site_missing", f"no {'Z' if by_z else 'T'}-score at {places}")
        if not left_out:
            return verdict
        lost = lumbar.get(verdict.excluded) is not None  # it was the only one
        reason = "too_few_vertebrae" if lost else verdict.excluded
        return replace(verdict, excluded=reason, audit=f"{verdict.audit} ({left_out})")


def _policy(
    name: str, classes: tuple[str, ...], reading: Callable[[Measurement], Verdict], **rest: Any
) -> Policy:
    return Policy(name, inspect.cleandoc(reading.__doc__ or ""), classes, reading, **rest)


#: The paper's own data sets: same day, a three-month interval, same day, 180 days, six months.
_OSPENSCREEN_WINDOWS = (
    ("amc", 0),
    ("amc-external", THREE_MONTHS),
    ("sch", 0),
    ("vhsmc", 180),
    ("gh", SIX_MONTHS),
)
_WHO = ("normal", "osteopenia", "osteoporosis")

#: Readings of which a variant may say what T = -1.0 exactly is.
_BOUNDED = {"who/1": who_1, "face2bone/1": face2bone_1}

POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        _policy("who/1", _WHO, who_1, min_vertebrae=2),
        _policy(
            *("ospenscreen/1", ("normal", "low bone mass"), ospenscreen_1),
            rules=Rules(windows=_OSPENSCREEN_WINDOWS),
        ),
        _policy(
            *("three-class/1", ("normal", "low bone mass", "osteoporosis"), three_class_1),
            rules=Rules(windows=_OSPENSCREEN_WINDOWS),
        ),
        _policy(
            *("li2026/1", ("not osteoporosis", "osteoporosis"), li2026_1),
            # the paper says over 40; the day of the 40th birthday is taken too
            rules=Rules(window_days=SIX_MONTHS, min_age=40, study="first"),
        ),
        _policy(
            *("face2bone/1", _WHO, face2bone_1),
            # the reading asks age and menopause
            rules=Rules(min_age=0, view="FRONTAL", every=True),
            required=DXA_SITES,
            min_vertebrae=2,
        ),
        _policy(
            *("z-score/1", (*_WHO, WITHIN, BELOW), z_score_1),
            rules=Rules(min_age=20),
            min_vertebrae=2,
        ),
    )
}

#: What a public, unlabelled picture must be.
PUBLIC_POLICY = "public-normal/1"
#: Filters of pictures that have no DXA: they choose, and give no label.
FILTERS = {
    PUBLIC_POLICY: """OsPenScreen's public normals: pictures to be labelled by a model, not by DXA.

The only finding is "No Finding"; 50 <= age < 100 years; a frontal view, PA or AP as chosen.
Source: OsPenScreen, Archives of Osteoporosis 2025;20:131, NIH ChestX-ray8 and CheXpert."""
}


def policy(name: str) -> Policy:
    """The policy of this name and version, or a stricter variant of it.

    ``NAME+required=SITE,SITE`` (or ``required=all``) asks for sites, ``NAME+vertebrae=N`` for
    evaluable lumbar vertebrae. ``NAME+minus-one=normal`` (or ``=osteopenia``) says what T = -1.0
    exactly is, of who/1 (normal) and face2bone/1 (osteopenia) only. The variant carries the whole
    name, so a dataset says what was done.

    Raises:
        ValueError: there is none; the message says which there are and which was meant.
    """
    base, *conditions = name.split("+")
    if base in FILTERS:
        raise ValueError(f"{base!r} chooses public pictures; it labels no DXA. {_there_is()}")
    if base not in POLICIES:
        near = difflib.get_close_matches(base.lower(), POLICIES, 1, 0.5)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"no label policy {base!r}.{meant} {_there_is()}")
    found = POLICIES[base]
    for condition in conditions:
        found = _variant(found, condition)
    return found


def _variant(base: Policy, condition: str) -> Policy:
    key, _, value = condition.partition("=")
    name = f"{base.name}+{condition}"
    if key == "vertebrae" and re.fullmatch("[1-4]", value):
        return replace(base, name=name, min_vertebrae=int(value))
    if key == "minus-one" and value in _WHO[:2] and base.name.split("+")[0] in _BOUNDED:
        reading = partial(_BOUNDED[base.name.split("+")[0]], normal_at_minus_one=value == "normal")
        return replace(base, name=name, reading=reading)
    sites = DXA_SITES if value == "all" else tuple(value.split(","))
    if key == "required" and set(sites) <= set(DXA_SITES):
        return replace(base, name=name, required=sites)
    raise ValueError(
        f"policy condition {condition!r}: required=all, required= with some of "
        f"{','.join(DXA_SITES)}, vertebrae=1 to 4, or of {' and '.join(_BOUNDED)} "
        f"minus-one={' or '.join(_WHO[:2])}"
    )


def _there_is() -> str:
    return f"There is {', '.join(sorted(POLICIES))}."


def describe(found: Policy) -> list[str]:
    """The lines ``policies`` prints of one policy: its text, classes, conditions and rules."""
    rules = found.rules
    lines = [found.name, *(f"  {line}".rstrip() for line in found.says.splitlines())]
    lines.append("  classes: " + ", ".join(f"{n} {name}" for n, name in enumerate(found.classes)))
    if found.required:
        lines.append(f"  sites required: {', '.join(found.required)}")
    if found.min_vertebrae:
        lines.append(f"  lumbar spine counts with {found.min_vertebrae} evaluable vertebrae")
    age = f"{rules.min_age:g} years and older" if rules.min_age else "any age"
    lines.append(
        f"  pairing: view {rules.view}, {age}, within {rules.window_days} days, "
        + (f"the {rules.study} pair" if not rules.every else "each picture with its closest DXA")
    )
    if rules.windows:
        each = ", ".join(f"{days} at {source}" for source, days in rules.windows)
        lines.append(f"  days at sources of these names: {each}")
    return lines
