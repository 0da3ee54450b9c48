"""What a sweep optimises: numbers of one finished run, read from its tune split's predictions.

    objectives(run, ("auroc_low", "gap"))   # [0.81, 0.04]

``cohorts/<its own site>-tune/predictions.parquet`` is the only cohort that is read. Test splits and
other sites must stay unknown to the search, or their numbers mean nothing; a trial does not predict
them at all (``predict=tune``). Each is of the model that the run is for: the student, or the one
model that is learnt. Of three classes an AUROC is that of any bone loss against the first class, as
in training.

auroc      AUROC.
auroc_low  its lower 95% bound (DeLong, patients as clusters): of two the same, the surer one.
gap        how unequal it is: the largest AUROC of a sex minus the smallest, or that of age bands,
           whichever is more.
cost       multiply-adds of one prediction, at the size that pictures have in this run.
c          Harrell's C of a survival model.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from eval.delong import delong_auc
from eval.subgroups.levels import SEXES, UNKNOWN, age_band
from training.config import Config
from training.folder import read_facts
from training.followup import Followed
from training.survival import concordance
from tuning.cost import multiply_adds

#: Patients of each class without whom a group has no AUROC to be compared by; as in the report.
LEAST = 10


def auroc(said: pd.DataFrame, run: Path) -> float:
    """Of the tune split's rows; ValueError where a class is absent."""
    found = delong_auc(said["label"], said["logit"], patients=said["patient"])
    if found.auc is None:
        raise ValueError(f"AUROC: {found.undefined}")
    return found.auc


def auroc_low(said: pd.DataFrame, run: Path) -> float:
    """Its lower 95% bound; ValueError where a class has fewer than two patients."""
    found = delong_auc(said["label"], said["logit"], patients=said["patient"])
    if found.low is None:
        raise ValueError(f"AUROC's lower bound: {found.undefined}")
    return found.low


def gap(said: pd.DataFrame, run: Path) -> float:
    """The larger of two: the largest AUROC minus the smallest between sexes, and between age bands.

    Groups count that have `LEAST` patients of each class, which no model changes. ValueError where
    there are not two such groups of either kind.
    """
    sex = pd.Series([SEXES.get(x, UNKNOWN) for x in said["sex"]], said.index)
    found, few = [], []
    for of in (sex, age_band(said["age"])):
        scores = []
        for level, rows in said.groupby(of):
            patients = [rows.loc[rows["label"] == k, "patient"].nunique() for k in (0, 1)]
            if level == UNKNOWN or min(patients) < LEAST:
                few.append(str(level))
            else:
                scores.append(auroc(rows, run))
        if len(scores) > 1:
            found.append(max(scores) - min(scores))
    if not found:
        raise ValueError(
            f"gap: no two sexes or age bands have {LEAST} patients of each class in the tune split "
            f"(too few: {', '.join(few)}); pack more patients, or take another objective"
        )
    return max(found)


def cost(said: pd.DataFrame, run: Path) -> float:
    """Multiply-adds of one prediction."""
    return float(multiply_adds(Config.from_yaml(run / "config.yaml")))


def c(said: pd.DataFrame, run: Path) -> float:
    """Harrell's C; ValueError where no pair can be compared."""
    known = Followed.of_index(said, "the tune split")
    found = concordance(said["logit"].to_numpy()[known.rows], known.days, known.event)
    if found is None:
        raise ValueError("C: nobody in the tune split can be compared with anybody")
    return found


#: Name -> how it is found, and whether more is better.
OBJECTIVES: dict[str, tuple[Callable[[pd.DataFrame, Path], float], bool]] = {
    "auroc_low": (auroc_low, True),
    "auroc": (auroc, True),
    "gap": (gap, False),
    "cost": (cost, False),
    "c": (c, True),
}
#: What only a model of classes has.
OF_CLASSES = {"auroc", "auroc_low", "gap"}


def directions(names: Sequence[str]) -> list[str]:
    """``maximize`` or ``minimize`` for each; ValueError: no such objective, or one named twice."""
    for name in names:
        if name not in OBJECTIVES:
            near = difflib.get_close_matches(name, OBJECTIVES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(OBJECTIVES)}"
            raise ValueError(f"--objective {name}: no such objective; {hint}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--objective {','.join(names)}: name each once, and at least one")
    return ["maximize" if OBJECTIVES[name][1] else "minimize" for name in names]


def check(names: Sequence[str], config: Config) -> None:
    """ValueError where a run of `config` has no such number, said before anything is trained."""
    directions(names)
    wrong = [n for n in names if n in (OF_CLASSES if config.fracture else {"c"})]
    if wrong:
        what = "a survival model" if config.fracture else "no survival model"
        has = "c, cost" if config.fracture else "auroc_low, auroc, gap, cost"
        raise ValueError(f"--objective {wrong[0]}: {config.recipe} is {what}; it has {has}")


def objectives(run: Path, names: Sequence[str]) -> list[float]:
    """The numbers called `names` of the finished run in folder `run`, in that order.

    Raises:
        ValueError: there is no such number, and why; or the run is not finished.
    """
    directions(names)
    said = tune_predictions(run)
    values = []
    for name in names:
        try:
            value = OBJECTIVES[name][0](said, run)
        except ValueError as e:
            raise ValueError(f"{run.name}: {e}") from e
        if not math.isfinite(value):
            raise ValueError(f"{run.name}: {name} is {value}")
        values.append(value)
    return values


def tune_predictions(run: Path) -> pd.DataFrame:
    """What the run's last model says of the tune split of its own site.

    Raises:
        ValueError: the run has not predicted it, or with something else than numbers.
    """
    facts = read_facts(run)
    own = [n for n, m in facts.get("manifests", {}).items() if m.get("role") == "internal"]
    if len(own) != 1 or not facts.get("models"):
        raise ValueError(f"{run}: run.json names no dataset of its own site: not a finished run")
    path = run / "cohorts" / f"{own[0]}-tune" / "predictions.parquet"
    try:
        frame = pd.read_parquet(path)
        said = frame.loc[frame["model"] == facts["models"][-1]].reset_index(drop=True)
    except (OSError, ValueError, KeyError) as e:
        raise ValueError(f"{path}: no predictions of the tune split: {e}") from e
    if not len(said) or not np.isfinite(said["logit"].to_numpy(np.float64)).all():
        raise ValueError(
            f"{path}: the tune split's answers are missing or not finite: the training diverged "
            "(lower the learning rate)"
        )
    return said
