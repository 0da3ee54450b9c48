"""What the best possible reader of a synthetic cohort would reach, and what age and sex alone do.

Only a synthetic world knows its latent bone density, so only there is there a ceiling. It is read
from the world.json that made the world, or from run.json, and kept as RUN/ceiling.json, so that a
report made again needs no reminder. Ceilings are those of the site's population, not of the
patients drawn, where chance may put a model above them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from data_sharding.schema import Strict, canonical_json, write_atomic
from eval.runs import Run, read_json


class Ceiling(Strict):
    """AUROC of P(low bone mass | latent density, age), and of age and sex alone."""

    auroc: float
    age_and_sex: float | None = None


def keep_ceilings(run: Run, world: Path) -> None:
    """Read the ceilings of a synthetic world and write those of the run's cohorts beside them.

    Raises:
        ValueError: `world` is not the world.json of a synthetic world, or names none of the sites.
    """
    if not world.is_file():
        raise ValueError(f"{world}: no such file; give the world.json of the synthetic world")
    sites = read_json(world).get("ceilings")
    if not isinstance(sites, dict):
        raise ValueError(f"{world}: no ceilings in it; give the world.json of a synthetic world")
    found = {c: _ceiling(sites.get(c.rsplit("-", 1)[0])) for c in run.cohorts}
    known = {c: v.model_dump() for c, v in found.items() if v is not None}
    if not known:
        raise ValueError(f"{world}: knows {', '.join(sorted(sites))}, not the cohorts of this run")
    write_atomic(run.folder / "ceiling.json", canonical_json(known) + "\n")


def ceilings(run: Run) -> dict[str, Ceiling]:
    """Cohort -> ceiling, as far as run.json and ceiling.json know; {} where nothing is synthetic.

    Raises:
        ValueError: one of the files is not JSON.
    """
    stated = run.facts.get("ceiling")
    stated = stated if isinstance(stated, dict) else {}
    merged = stated | read_json(run.folder / "ceiling.json")
    found = {c: _ceiling(merged[c]) for c in sorted(merged)}
    return {c: v for c, v in found.items() if v is not None}


def _ceiling(value: Any) -> Ceiling | None:
    """From a number, from our own file, or from a site of world.json; None from anything else."""
    if isinstance(value, dict) and isinstance(value.get("population"), dict):
        value = value["population"]
    if not isinstance(value, dict):
        value = {"auroc": value}
    auroc, simple = value.get("auroc", value.get("ceiling")), value.get("age_and_sex")
    if not _is_auroc(auroc):
        return None
    return Ceiling(auroc=float(auroc), age_and_sex=float(simple) if _is_auroc(simple) else None)


def _is_auroc(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
