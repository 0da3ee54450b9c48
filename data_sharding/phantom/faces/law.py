"""How much of the bone latent each region of a face shows, and what can be read from it at best.

    law = Law.parse("nasolabial=0.9,midface=0.1")
    law.signs(latent, rng)     # {region: amplitude}, each of variance 1 in a mixed cohort
    law.reading_error          # SD, T-score, of the best reading of the latent from all regions

A region's sign is ``(slope * (CENTRE - latent) + noise) / spread`` with standard normal noise of
the person: there are deep folds over sound bone. A weight is a region's share of the information
about the latent, ``slope^2``; together they leave a normal error with the SD `READING_ERROR`. Signs
are scaled to one variance, whatever their weight: a region that carries nothing varies as much
as one that carries all, and a map of what varies is not a map of what tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_sharding.faces.regions import REGIONS

#: Carries most unless somebody asks for another: its sagging is what the paper's Table 6 turns on.
CARRIER = "nasolabial"
READING_ERROR = 0.5  # T-score
CENTRE = -1.0  # T-score at which a face shows no sign either way
LATENT_SPREAD = 1.3  # T-score, SD in a cohort with a third of osteoporosis; for the scaling only


@dataclass(frozen=True)
class Law:
    """Weights of the regions, in the order of `REGIONS`; they sum to 1."""

    weights: tuple[float, ...]

    @classmethod
    def parse(cls, text: str = "") -> Law:
        """The law that an option says: ``region=weight,...``; what is not named gets nothing.

        A single region without a weight, ``jawline``, carries 0.9 and the others 0.025 each.

        Raises:
            ValueError: no such region, not a weight, or the weights do not sum to 1.
        """
        text = text.strip() or CARRIER
        if "=" not in text and text in REGIONS:
            return cls(tuple(0.9 if name == text else 0.025 for name in REGIONS))
        said: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = (p.strip() for p in part.partition("="))
            if name not in REGIONS or name in said:
                raise ValueError(
                    f"face weights: {name!r} is no region or is named twice: give one of "
                    f"{', '.join(REGIONS)}, or region=weight,... with weights that sum to 1."
                )
            try:
                said[name] = float(value)
            except ValueError:
                raise ValueError(f"face weights: {part!r} is not region=weight.") from None
        if not all(0 <= w <= 1 for w in said.values()) or abs(sum(said.values()) - 1) > 1e-6:
            raise ValueError(f"face weights sum to {sum(said.values()):g}: let them sum to 1.")
        return cls(tuple(said.get(name, 0.0) for name in REGIONS))

    @property
    def slopes(self) -> np.ndarray:
        """Change of each region's sign a T-score of bone loss, before the scaling; shape (5,)."""
        return np.sqrt(np.array(self.weights)) / READING_ERROR

    @property
    def spreads(self) -> np.ndarray:
        """What the signs are divided by; shape (5,)."""
        return np.sqrt(1 + (self.slopes * LATENT_SPREAD) ** 2)

    @property
    def reading_error(self) -> float:
        """SD, T-score, of the best reading of the latent from all signs."""
        return READING_ERROR

    def region_errors(self) -> dict[str, float | None]:
        """Region -> the same from that region alone; None where it says nothing."""
        return {
            name: round(READING_ERROR / w**0.5, 4) if w else None
            for name, w in zip(REGIONS, self.weights, strict=True)
        }

    def signs(self, latent: float, noise: np.ndarray) -> np.ndarray:
        """Each region's sign, shape (5,); positive is bone loss. `noise`: standard normal, (5,)."""
        return (self.slopes * (CENTRE - latent) + noise) / self.spreads

    def read(self, signs: np.ndarray) -> np.ndarray:
        """The best reading of the latent, T-score, from signs of shape (..., 5).

        Least squares: its error is normal with the SD `reading_error`, whatever the latent.
        """
        raw = signs * self.spreads
        return CENTRE - raw @ self.slopes / (self.slopes @ self.slopes)
