"""A run and one of its models, as it was named: `RUN` or `RUN:MODEL`.

A model that learnt something else than its place in the system asks for is refused; where run.json
does not say what it learnt, as of predictions made elsewhere, it is taken at its word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from data_sharding.schema import sha256_file
from eval.classes.shapes import Part
from eval.frames import Frame
from eval.peer import as_run
from eval.runs import Run

Task = Literal["osteoporosis", "low bone mass", "three classes"]
#: Of several models of a run the first that it has of these, unless one is named.
PREFERRED = ("student", "image")


@dataclass(frozen=True)
class Source:
    """`frames`: cohort -> the model's rows, sorted by key, each key once."""

    task: Task
    name: str
    run: Run
    model: str
    frames: dict[str, Frame]

    @classmethod
    def at(cls, named: str, task: Task, taken: Sequence[str] = ()) -> Source:
        """Open what the command line names.

        Args:
            named: RUN or RUN:MODEL, a run's folder or a file of predictions.
            task: what it is to answer.
            taken: names that other sources have; one that is taken is numbered.

        Raises:
            ValueError: there is no such run or model, it cannot be read, or it learnt another task.
        """
        path, asked = split(named)
        run = Run.at(as_run(path))
        target = str(run.facts.get("target") or "")
        if target not in ("", task):
            raise ValueError(f"{named}: learnt {target}; here a model of {task} is needed")
        every = {c: run.predictions(c) for c in run.cohorts}
        model = _chosen(named, asked, every)
        frames = {c: f[f["model"] == model].reset_index(drop=True) for c, f in every.items()}
        name = str(run.facts.get("run_id") or run.folder.resolve().name)
        name = f"{name}, {model}" if asked else name
        alike = sum(t == name or t.startswith(f"{name} (") for t in taken)
        name = f"{name} ({alike + 1})" if alike else name
        return cls(task, name, run, model, {c: f for c, f in frames.items() if len(f)})

    @property
    def part(self) -> Part:
        """Itself in three_classes.json."""
        facts = self.run.facts
        return Part(
            task=self.task,
            run=self.name,
            model=self.model,
            recipe=str(facts.get("recipe") or ""),
            target=str(facts.get("target") or ""),
            head=_head(self.run) if self.task == "three classes" else "",
            predictions_sha256={
                c: sha256_file(self.run.cohort(c, "predictions.parquet")) for c in self.frames
            },
        )

    def threshold(self, cohorts: Sequence[str]) -> float:
        """The threshold that was frozen on tuning data.

        Raises:
            ValueError: there is none, it is no probability, or it differs between rows.
        """
        found: set[float] = set()
        for cohort in cohorts:
            frozen = self.frames[cohort]["threshold"]
            if missing := int(frozen.isna().sum()):
                raise ValueError(
                    f"{self.name}, {cohort}: {missing} of {len(frozen)} rows of model {self.model} "
                    "have no threshold; two stages need one that was frozen on tuning data"
                )
            found |= set(frozen.astype(float))
        if len(found) != 1:
            raise ValueError(
                f"{self.name}: {len(found)} thresholds of model {self.model}, "
                f"{', '.join(f'{t:g}' for t in sorted(found)[:3])}...: a frozen one is the same "
                "in every cohort"
            )
        (value,) = found
        if not 0 <= value <= 1:
            raise ValueError(f"{self.name}: threshold {value:g} is not a probability in [0, 1]")
        return value

    def three(self, cohort: str) -> np.ndarray:
        """Probabilities of the three classes [n, 3].

        Raises:
            ValueError: the columns are empty, or rows do not sum to 1.
        """
        columns = ["p_normal", "p_low_bone_mass", "p_osteoporosis"]
        p = self.frames[cohort][columns].to_numpy(np.float64)
        where = f"{self.name}, {cohort}, model {self.model}"
        if missing := int(np.isnan(p).any(axis=1).sum()):
            raise ValueError(
                f"{where}: {missing} of {len(p)} rows lack {', '.join(columns)}; "
                "a run with the target three classes writes them"
            )
        bad = ((p < 0) | (p > 1)).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > 1e-4)
        if bad.any():
            raise ValueError(
                f"{where}: {int(bad.sum())} of {len(p)} rows of {', '.join(columns)} are no "
                "probabilities that sum to 1"
            )
        return p


def split(named: str) -> tuple[Path, str]:
    """The path and the model's name, '' where none is given. A path with a colon stays whole."""
    path, colon, model = named.rpartition(":")
    if colon and model and not Path(named).exists() and Path(path).exists():
        return Path(path), model
    return Path(named), ""


def _chosen(named: str, model: str, frames: dict[str, Frame]) -> str:
    models = sorted({m for f in frames.values() for m in f["model"].unique()})
    if not models:
        raise ValueError(f"{named}: no predictions in it; give a run with cohorts/ that has some")
    if model and model not in models:
        raise ValueError(f"{named}: no model {model}; there is {', '.join(models)}")
    if model or len(models) == 1:
        return model or models[0]
    if preferred := next((m for m in PREFERRED if m in models), None):
        return preferred
    raise ValueError(f"{named}: has {', '.join(models)}; name one as {named}:{models[0]}")


def _head(run: Run) -> Literal["", "softmax", "cumulative link"]:
    """How three classes were learnt, as config.yaml says."""
    try:
        config = yaml.safe_load(run.config)
    except yaml.YAMLError:
        return ""
    model = config.get("model") if isinstance(config, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("ordinal"), bool):
        return ""
    return "cumulative link" if model["ordinal"] else "softmax"
