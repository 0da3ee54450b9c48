"""What happened to each patient: examinations, radiographs, and why some will be excluded.

A story is drawn from streams keyed by (seed, site, patient), without pixels: a few milliseconds
tell the labels of a whole world. The rendering of each picture has a stream of its own, so that
changing one thing (the confounder, say) leaves all else as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

from data_sharding.phantom.patients import draw_people, draw_t_scores
from data_sharding.phantom.vendors import Site

Kind = Literal["plain", "no_dxa", "out_of_window", "lateral_only", "ap_only"]

#: Patients in whom the label policy's exclusions have something to do. Osteoporosis and an age
#: below 50 come from the population itself.
KINDS: tuple[tuple[Kind, float], ...] = (
    ("no_dxa", 0.03),
    ("out_of_window", 0.05),
    ("lateral_only", 0.02),
    ("ap_only", 0.02),
)
_PATIENT_ID = {"asan": "{number}", "north": "NB-{number}", "south": "S{number}"}
DECLINE = 0.035  # T-score a year: the latent was higher at earlier examinations

_FAMILY = "Ahn Bae Cho Choi Han Hong Jang Jung Kang Kim Lee Lim Moon Oh Park Seo Shin Song Yoo Yoon"
_GIVEN = (
    "Areum Boram Chanho Daeun Eunji Gihun Haneul Inho Jiwon Kyung Minji Nari Sangwoo Taeho Yuna"
)


@dataclass(frozen=True)
class Exam:
    """One DXA: its date and T-scores in the order of `patients.SITES`, None if not measured."""

    day: date
    t_scores: tuple[float | None, ...]

    @property
    def lowest(self) -> float:
        """Lowest T-score of the sites measured."""
        return min(t for t in self.t_scores if t is not None)


@dataclass(frozen=True)
class Shot:
    """One radiograph. `study` counts the patient's studies, `series` those in a study."""

    day: date
    view: Literal["PA", "AP", "LL"]
    study: int
    series: int
    room: int
    follow_up: int = 0


@dataclass(frozen=True)
class Story:
    """A patient and everything that was done to them. Ages are years at the index radiograph."""

    site: str
    index: int
    patient_id: str
    name: str
    sex: Literal["F", "M"]
    birth: date
    age: float
    height_cm: float
    weight_kg: float
    latent: float
    kind: Kind
    exams: tuple[Exam, ...]
    shots: tuple[Shot, ...]

    @property
    def bmi(self) -> float:
        """kg/m2."""
        return self.weight_kg / (self.height_cm / 100) ** 2

    def latent_on(self, day: date) -> float:
        """The latent score on another day: it declines slowly."""
        index_day = self.shots[0].day
        return self.latent - DECLINE * (day - index_day).days / 365.25

    def nearest_exam(self, day: date) -> Exam | None:
        """The DXA closest to a day, if there is one."""
        return min(self.exams, key=lambda e: abs((e.day - day).days), default=None)


def stream(seed: int, site: Site, patient: int, *purpose: int) -> np.random.Generator:
    """The random stream of one purpose in one patient's life."""
    return np.random.default_rng([seed, site.code, patient, *purpose])


def tell(seed: int, site: Site, index: int) -> Story:
    """Draw patient `index` of a site."""
    rng = stream(seed, site, index, 0)
    people = draw_people(rng, site.mix, 1)
    age, latent = float(people.age[0]), float(people.latent[0])
    day = date(2015, 1, 5) + timedelta(days=int(rng.integers(0, 2200)))
    kind = _kind(float(rng.random())) if site.role != "public" else "no_dxa"
    shots = _shots(rng, site, kind, day)
    exams = _exams(rng, site, kind, day, latent, age)
    names = (_FAMILY.split(), _GIVEN.split())
    family, given = (names[k][int(rng.integers(len(names[k])))] for k in (0, 1))
    number = 10_000_000 + (index * 7_368_787 + seed * 15_485_863) % 89_999_999
    return Story(
        site=site.name,
        index=index,
        patient_id=_PATIENT_ID.get(site.name, "{index}").format(number=number, index=index + 1),
        name=f"{family}^{given}",
        sex="F" if people.female[0] else "M",
        birth=day - timedelta(days=round(age * 365.25)),
        age=age,
        height_cm=round(float(people.height_cm[0]), 1),
        weight_kg=round(float(people.weight_kg[0]), 1),
        latent=latent,
        kind=kind,
        exams=exams,
        shots=shots,
    )


def _kind(u: float) -> Kind:
    for kind, share in KINDS:
        if u < share:
            return kind
        u -= share
    return "plain"


def _shots(rng: np.random.Generator, site: Site, kind: Kind, day: date) -> tuple[Shot, ...]:
    """The index picture first, then its lateral, then earlier studies."""
    room = int(rng.choice(len(site.rooms), p=site.weights))
    other_room = int(rng.choice(len(site.rooms), p=site.weights))
    lateral, again, portable = rng.random(3)
    before = timedelta(days=int(rng.integers(300, 900)))
    if site.role == "public":
        view = "AP" if portable < 0.35 else "PA"
        shots = [Shot(day, view, 0, 1, room)]
        if again < 0.25:
            shots.append(Shot(day + before / 3, "PA", 1, 1, other_room, follow_up=1))
        return tuple(shots)
    if kind == "lateral_only":
        return (Shot(day, "LL", 0, 1, room),)
    shots = [Shot(day, "AP" if kind == "ap_only" else "PA", 0, 1, room)]
    if lateral < 0.12:
        shots.append(Shot(day, "LL", 0, 2, room))
    if again < 0.12:
        shots.append(Shot(day - before, "AP" if portable < 0.3 else "PA", 1, 1, other_room))
    return tuple(shots)


def _exams(
    rng: np.random.Generator, site: Site, kind: Kind, day: date, latent: float, age: float
) -> tuple[Exam, ...]:
    """DXA examinations in the order of their dates."""
    same_day, sign, extra = rng.random(3)
    gap = int(rng.integers(1, max(site.longest_gap, 1) + 1))
    far = int(rng.integers(400, 900))
    years = float(rng.uniform(1.2, 3.0))
    tables = draw_t_scores(
        rng, np.array([latent, latent + DECLINE * years]), np.array([age, age - years])
    )
    missing = rng.random((2, 3)) < 0.03
    missing[:, 1] = False  # the femoral neck is always there, so no examination is empty
    if kind == "no_dxa":
        return ()
    gap = 0 if same_day < site.same_day else gap
    offset = (far if kind == "out_of_window" else gap) * (1 if sign < 0.6 else -1)
    index_day = day + timedelta(days=offset)
    days = [index_day]
    if extra < 0.2 and kind == "plain":
        days.append(index_day - timedelta(days=round(years * 365.25)))
    exams = [
        Exam(d, tuple(None if m else float(t) for t, m in zip(row, gone, strict=True)))
        for d, row, gone in zip(days, tables, missing, strict=False)
    ]
    return tuple(sorted(exams, key=lambda e: e.day))
