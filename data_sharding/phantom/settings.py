"""What a world was asked to be: its arguments, checked, and the sites that follow from them.

The settings lie in world.json, so that a world can be told again (`atlas`) and is never mixed with
another. Options that came later (`south`, `osteoporosis`, `faces`) are written only where they are
used: a world without them is the same to the byte as one made before there were any.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from data_sharding.phantom.faces.law import Law
from data_sharding.phantom.patients import referred_for
from data_sharding.phantom.vendors import ASAN, NORTH, PUBLIC, SOUTH, Site
from data_sharding.schema import Strict

MOST = 1_000_000  # patients; a world.json that says more was not written by us


class Settings(Strict):
    """The settings in a world.json; arguments of `world.make_world`, which says what they mean."""

    seed: int
    internal: int
    external: int
    public: int
    size: int
    confounder: float
    south: int = 0
    osteoporosis: float = 0.0
    faces: int = 0
    photos_each: int = 2
    face_weights: str = ""
    face_confounding: float = 0.5

    def check(self) -> Settings:
        """Itself.

        Raises:
            ValueError: an argument is out of range.
        """
        if not 0 <= self.confounder <= 1:
            raise ValueError(f"confounder is {self.confounder}: give a number from 0 to 1.")
        if self.size < 64 or self.size % 8:
            raise ValueError(f"size is {self.size}: give a multiple of 8, 64 or more.")
        if self.seed < 0 or min(self.internal, self.external, self.public, self.south) < 0:
            raise ValueError("seed and numbers of patients cannot be negative.")
        if self.patients > MOST:
            raise ValueError(f"more than {MOST} patients: give fewer.")
        if self.osteoporosis:
            referred_for(ASAN.mix, self.osteoporosis)
        self._check_faces()
        return self

    def _check_faces(self) -> None:
        if self.faces < 0 or not 1 <= self.photos_each <= 20:
            raise ValueError("faces cannot be negative; photographs of each are 1 to 20.")
        if not 0 <= self.face_confounding <= 1:
            raise ValueError(f"face confounding is {self.face_confounding}: give 0 to 1.")
        Law.parse(self.face_weights)
        alone = Settings.model_fields
        asked = {
            n
            for n in ("photos_each", "face_weights", "face_confounding")
            if getattr(self, n) != alone[n].default
        }
        if asked and not self.faces:
            raise ValueError(f"{', '.join(sorted(asked))}: there are no faces. Give their number.")

    @property
    def patients(self) -> int:
        """People in all."""
        beyond = max(self.faces - self.internal, 0)  # the others are asan's
        return self.internal + self.external + self.south + self.public + beyond

    def written(self) -> dict[str, Any]:
        """As in world.json: what came later only where it is used."""
        return self.model_dump(exclude_defaults=True)

    def counts(self) -> tuple[tuple[Site, int], ...]:
        """(site, patients) in the order of truth.csv; `south` only if somebody goes there.

        With `osteoporosis` some of those who have a DXA were referred to it: as many as give asan
        that share. The other sites have as many, and keep what sets their people apart.
        """
        sent = referred_for(ASAN.mix, self.osteoporosis) if self.osteoporosis else 0.0
        sites = [(ASAN, self.internal), (NORTH, self.external), (SOUTH, self.south)]
        return (
            *(
                (replace(site, mix=replace(site.mix, referred=sent)), n)
                for site, n in sites
                if n or site is not SOUTH
            ),
            (PUBLIC, self.public),
        )
