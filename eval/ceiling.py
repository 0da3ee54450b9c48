"""What the best possible reader of a synthetic cohort would reach, and what age and sex alone do.

Only a synthetic world knows its latent bone density, so only there is there a ceiling. It is read
from the world.json that made the world, or from run.json, and kept as RUN/ceiling.json, so that a
report made again needs no reminder. It is that of the run's own task (`target` in run.json; low
bone mass where it does not say), in the site's population, not in the patients drawn, where chance
may put a model above it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from data_sharding.schema import Strict, canonical_json, write_atomic
from eval.runs import Run, read_json

#: The task that every world knows, and a run without a target has.
FIRST = "low bone mass"
#: A synthetic world's face study.
FACES = "faces"


class Ceiling(Strict):
    """AUROC of P(positive | latent density, age), and of what is known without a picture.

    `clinical` is of P(positive | age, sex, BMI). Of three classes the AUROCs are of normal against
    the rest; `accuracy` and `macro_f1` are of the class likeliest given latent density and age.
    """

    auroc: float
    age_and_sex: float | None = None
    clinical: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None


def keep_ceilings(run: Run, world: Path) -> None:
    """Read the ceilings of a synthetic world and write those of the run's cohorts beside them.

    Raises:
        ValueError: `world` is not the world.json of a synthetic world, names none of the sites, or
            does not know the run's task.
    """
    if not world.is_file():
        raise ValueError(f"{world}: no such file; give the world.json of the synthetic world")
    sites = read_json(world).get("ceilings")
    if not isinstance(sites, dict):
        raise ValueError(f"{world}: no ceilings in it; give the world.json of a synthetic world")
    task = _task(run)
    # a face study may be packed under the name of its hospital, whose ceilings are of X-rays
    name = FACES if run.faces and FACES in sites else ""
    sites_of = {c: sites.get(name or c.rsplit("-", 1)[0]) for c in run.cohorts}
    here = {c: site for c, site in sites_of.items() if site is not None}
    if not here:
        raise ValueError(f"{world}: knows {', '.join(sorted(sites))}, not the cohorts of this run")
    found = {c: _ceiling(_of_task(site, task)) for c, site in here.items()}
    known = {c: v.model_dump(exclude_none=True) for c, v in found.items() if v is not None}
    if not known:
        raise ValueError(
            f"{world}: has no ceiling of the task {task}; make the world again with --fresh"
        )
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


def _task(run: Run) -> str:
    """The run's target, or that of the class it names; low bone mass where it says neither."""
    stated = run.facts.get("target")
    if isinstance(stated, str):
        return stated
    positive = run.learnt.positive
    return "three classes" if positive == "low bone mass or osteoporosis" else positive


def _of_task(site: Any, task: str) -> Any:
    """What a site of world.json says of a task; worlds were once made for the first one only."""
    tasks = site.get("tasks") if isinstance(site, dict) else None
    if isinstance(tasks, dict) and task in tasks:
        return tasks[task]
    return site if task == FIRST else None


def _ceiling(value: Any) -> Ceiling | None:
    """From a number, from our own file, or from a site of world.json; None from anything else."""
    if isinstance(value, dict) and isinstance(value.get("population"), dict):
        value = value["population"]
    if not isinstance(value, dict):
        value = {"auroc": value}
    auroc = value.get("auroc", value.get("ceiling"))
    if not _is_share(auroc):
        return None
    names = ("age_and_sex", "clinical", "accuracy", "macro_f1")
    rest = {name: float(value[name]) for name in names if _is_share(value.get(name))}
    return Ceiling(auroc=float(auroc), **rest)


def _is_share(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
