"""Patients to train, tune and test: hashed, stratified, and every patient in one split only."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping
from types import MappingProxyType

from data_sharding.schema import Role, Split

FRACTIONS: dict[Split, float] = {"train": 0.7, "tune": 0.1, "test": 0.2}


def rank_hash(seed: int, *words: str) -> str:
    """A hash to sort by: the same for ever, and unrelated between seeds."""
    return hashlib.sha256("\0".join([str(seed), *words]).encode()).hexdigest()


def stratum(label: int | None, sex: str | None, age: float | None) -> tuple[str, str, str]:
    """Label x sex x ten-year age band."""
    band = "?" if age is None else f"{int(age // 10) * 10}s"
    return (str(label), sex or "?", band)


def assign(
    strata: Mapping[str, Hashable],
    seed: int,
    role: Role = "internal",
    fractions: Mapping[Split, float] = FRACTIONS,
    kept: Mapping[str, Split] = MappingProxyType({}),
) -> dict[str, Split]:
    """Patient pseudonym -> split; `kept` says it for some of them, who come first.

    An external cohort is all "external", a public one all "public". Within each stratum patients
    are put in hashed order and the strata laid end to end; position k of n then takes the split
    that lags furthest behind its fraction. So the fractions hold within every stratum and over
    all patients, each to within one or two patients, however small the strata are.
    """
    if role != "internal":
        return dict.fromkeys(strata, role)
    of_stratum: dict[Hashable, list[str]] = defaultdict(list)
    for patient, group in strata.items():
        of_stratum[group].append(patient)
    names = list(fractions)
    overall = dict.fromkeys(names, 0)
    out: dict[str, Split] = {}
    for group in sorted(of_stratum, key=str):
        here = dict.fromkeys(names, 0)
        ranked = sorted(of_stratum[group], key=lambda p: (p not in kept, rank_hash(seed, p)))
        for n, patient in enumerate(ranked, 1):
            total = len(out) + 1
            # behind in its own stratum first; what is behind over all patients breaks near ties
            chosen = kept.get(patient) or max(
                names,
                key=lambda s: (
                    round(fractions[s] * n - here[s] + fractions[s] * total - overall[s], 9),
                    fractions[s],
                ),
            )
            out[patient] = chosen
            here[chosen] += 1
            overall[chosen] += 1
    return out


def fold(patient: str, folds: int, seed: int = 0) -> int:
    """The cross-validation fold, 0 <= fold < folds, of a patient: a hash, so it never moves."""
    if folds < 2:
        raise ValueError(f"{folds} folds: at least 2")
    return int(rank_hash(seed, "fold", patient)[:15], 16) % folds
