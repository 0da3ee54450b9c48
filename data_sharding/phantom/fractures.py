"""Who of the phantom world breaks a bone, and when: a known hazard, and follow-up that ends.

The law, for a patient of latent score L (at the index radiograph) and age A there::

    hazard a year = BASE * PER_T ** -(L + 1) * PER_DECADE ** ((A - 57) / 10)

It is constant in a patient's time, so that from any day without a fracture before, the time to the
first one is exponential with that hazard, whichever picture is the first day. It begins a year
before a patient's earliest radiograph, so that some have a prevalent fracture. Patients are seen
last between half a year and nine years after the index radiograph, whatever their bones; one in
fifty left the registry before it, one in ten is not in it.

PER_T is nature's (a standard deviation of hip BMD raises the risk of a hip fracture 2.6 times,
Marshall et al., BMJ 1996); BASE is several times nature's, so that small worlds have fractures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, timedelta

from data_sharding.phantom.stories import Story, stream
from data_sharding.phantom.vendors import Site

FRACTURE_COLUMNS = ("patient_id", "last_seen", "fracture_date")
BASE, PER_T, PER_DECADE = 0.10, 2.6, 1.5
BEFORE_DAYS = 365
UNKNOWN, LOST = 0.10, 0.02  # shares of patients
SHORTEST_DAYS, LONGEST_DAYS = 182, 3285


def yearly_hazard(latent: float, age: float) -> float:
    """Fractures a year of somebody who has had none; `age` in years."""
    return BASE * PER_T ** -(latent + 1) * PER_DECADE ** ((age - 57) / 10)


def fracture_of(seed: int, site: Site, story: Story) -> tuple[date, date | None] | None:
    """When the patient was last seen, and their first fracture up to then; None: not followed."""
    rng = stream(seed, site, story.index, 6)
    known, lost = rng.random(2)
    seen_for = int(rng.integers(SHORTEST_DAYS, LONGEST_DAYS))
    lost_for = int(rng.integers(1, 365))
    years = float(rng.exponential()) / yearly_hazard(story.latent, story.age)
    if known < UNKNOWN:
        return None
    index_day = story.shots[0].day
    last_seen = index_day + timedelta(days=-lost_for if lost < LOST else seen_for)
    start = min(shot.day for shot in story.shots) - timedelta(days=BEFORE_DAYS)
    days = math.ceil(years * 365.25)
    if days > (last_seen - start).days:
        return last_seen, None
    return last_seen, start + timedelta(days=days)


def fracture_rows(seed: int, site: Site, stories: Iterable[Story]) -> list[list[str]]:
    """Rows of fractures.csv: one for each patient who is followed."""
    rows = []
    for story in stories:
        if found := fracture_of(seed, site, story):
            last_seen, fracture = found
            broken = fracture.isoformat() if fracture else ""
            rows.append([story.patient_id, last_seen.isoformat(), broken])
    return rows
