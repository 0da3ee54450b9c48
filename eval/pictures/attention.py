"""How much of a model's attention lies where: in bone, in lung, beside the patient, on a marker.

A map [H, W] is attention once divided by its sum. A region's share of it says little by itself,
because a large region gets much by chance: *enrichment* is the share of attention over the share of
area, 1 for a model that looks everywhere alike. The *pointing game* asks where the map is largest
(Zhang et al., IJCV 2018). A map of zeros has no shares: it is counted and left out.

::

    found = of_region(cam, {"bone": bone, "lung": lung})     # one picture
    table(found, patients)                                   # a cohort, with intervals

Intervals resample patients. What is needed to know the regions is not known here: see
`eval.pictures.explain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_sharding.schema import Strict
from eval.bootstrap import PatientDraws, of_sums, percentile
from eval.estimate import Estimate, undefined
from eval.inputs import patient_codes

NO_MAP = "every map is zero: nowhere is positive evidence"
DRAWS = 1000


@dataclass(frozen=True)
class Attention:
    """One picture: of each region its share of attention, of area, and whether the peak is there.

    `share` and `peak` are None for a map of zeros. Where several pixels share the maximum, `peak`
    is the share of them that lies in the region.
    """

    area: dict[str, float]
    share: dict[str, float] | None
    peak: dict[str, float] | None


class RegionAttention(Strict):
    """One region in a cohort. `control` is the share with random weights; `above_control` that of
    the model minus it, picture by picture.
    """

    region: str
    area: Estimate
    share: Estimate
    enrichment: Estimate
    pointing: Estimate
    control: Estimate
    above_control: Estimate


def of_region(cam: ArrayLike, regions: Mapping[str, ArrayLike]) -> Attention:
    """Where the attention of one map lies.

    Args:
        cam: [H, W], not negative.
        regions: name -> bool, or the share of each pixel in [0, 1], [H, W].

    Raises:
        ValueError: shapes that differ, values that are negative or not finite, no regions.
    """
    heat = np.asarray(cam, np.float64)
    if heat.ndim != 2 or not heat.size or not np.isfinite(heat).all() or heat.min() < 0:
        raise ValueError(f"a map must be [H, W], finite and not negative; this is {heat.shape}")
    if not regions:
        raise ValueError("no regions: name at least one")
    masks = {name: np.asarray(mask, np.float64) for name, mask in regions.items()}
    for name, mask in masks.items():
        if mask.shape != heat.shape:
            raise ValueError(f"region {name} is {mask.shape}, the map {heat.shape}")
        if not (np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1 + 1e-6):
            raise ValueError(f"region {name} must be bool, or shares between 0 and 1")
    area = {name: float(mask.mean()) for name, mask in masks.items()}
    total = heat.sum()
    if total == 0:
        return Attention(area, None, None)
    most = heat == heat.max()
    return Attention(
        area,
        {name: float((heat * mask).sum() / total) for name, mask in masks.items()},
        {name: float(mask[most].mean()) for name, mask in masks.items()},
    )


def averaged(networks: Sequence[Attention]) -> Attention:
    """One picture seen by several networks: means over those whose map is not all zero."""
    seen = [(a.share, a.peak) for a in networks if a.share is not None and a.peak is not None]
    if not seen:
        return networks[0]
    share, peak = (
        {name: float(np.mean([parts[name] for parts in of])) for name in networks[0].area}
        for of in zip(*seen, strict=True)
    )
    return Attention(networks[0].area, share, peak)


def table(
    found: Sequence[Attention],
    patients: ArrayLike,
    control: Sequence[Attention] | None = None,
    seed: int = 0,
) -> tuple[RegionAttention, ...]:
    """Means over pictures with 95% intervals that resample patients; () without pictures.

    Args:
        found: one for each picture, all of the same regions.
        patients: [n], who each picture is of.
        control: of the same pictures, by a model of random weights.
        seed: of the resamples.

    Raises:
        ValueError: other regions in one of them, or sequences of different lengths.
    """
    if not found:
        return ()
    code = patient_codes(patients, len(found))
    names = list(found[0].area)
    controls = list(control) if control is not None else []
    if any(list(a.area) != names for a in [*found, *controls]):
        raise ValueError("not all pictures have the same regions")
    if control is not None and len(controls) != len(found):
        raise ValueError(f"{len(controls)} controls for {len(found)} pictures")
    share, peak = (np.array([_values(a, part, names) for a in found]) for part in ("share", "peak"))
    area = np.array([[a.area[name] for name in names] for a in found])
    other = np.array([_values(a, "share", names) for a in controls]) if controls else None
    none = undefined("no control was run")
    return tuple(
        RegionAttention(
            region=name,
            area=mean(area[:, k], code, seed=seed),
            share=mean(share[:, k], code, NO_MAP, seed),
            enrichment=_ratio(share[:, k], area[:, k], code, seed),
            pointing=mean(peak[:, k], code, NO_MAP, seed),
            control=none if other is None else mean(other[:, k], code, NO_MAP, seed),
            above_control=none
            if other is None
            else mean(share[:, k] - other[:, k], code, NO_MAP, seed),
        )
        for k, name in enumerate(names)
    )


def _values(attention: Attention, part: str, names: list[str]) -> list[float]:
    values: dict[str, float] | None = getattr(attention, part)
    return [np.nan if values is None else values[name] for name in names]


def mean(
    values: ArrayLike, patients: ArrayLike, why: str = "no pictures", seed: int = 0
) -> Estimate:
    """The mean of what is not NaN, with an interval that resamples patients.

    Args:
        values: [n], NaN where undefined.
        patients: [n].
        why: the reason to give where all are NaN.
        seed: of the resamples.
    """
    value = np.asarray(values, np.float64)
    return _over(value, np.ones(value.size), patients, why, seed)


def _ratio(share: NDArray, area: NDArray, code: NDArray, seed: int) -> Estimate:
    if not np.isnan(share).all() and area[~np.isnan(share)].sum() == 0:
        return undefined("the region is in none of the pictures")
    return _over(share, area, code, NO_MAP, seed)


def _over(top: NDArray, bottom: NDArray, patients: ArrayLike, why: str, seed: int) -> Estimate:
    """Sum of `top` over the sum of `bottom`, where `top` is not NaN."""
    known = ~np.isnan(top)
    if not known.any():
        return undefined(why)
    code = patient_codes(np.asarray(patients)[known], int(known.sum()))
    sums = np.stack([top[known], bottom[known]], axis=1)
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    people = int(code.max()) + 1
    if people < 2:
        return Estimate(value=value, undefined="one patient cannot be resampled")
    draws = PatientDraws.of(people, DRAWS, seed)
    drawn = of_sums(draws.counts, code, sums, lambda s: s[:, 0] / s[:, 1])
    drawn = drawn[np.isfinite(drawn)]  # a region that few pictures have may be drawn nowhere
    return percentile(value, drawn) if drawn.size else Estimate(value=value, undefined="too rare")
