"""Does the best of a sweep hold? On new seeds, with an interval, and only then on the test set.

\b
python -m tuning confirm SWEEP                # resumable: the same command goes on
python -m tuning confirm SWEEP --no-test      # the tune split alone; the test set another time

The best trial was the luckiest of many, so its score says little. The recipe as it was and the best
are each trained on three seeds that the sweep has not used, in SWEEP/confirm. First they are
compared on the tune split (still a little kind to the best: its settings were chosen there). Then,
once, on the test split of the same site: the result stays in SWEEP/confirmed.json, and the same
command prints it and looks no second time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from optuna.study import Study
from optuna.trial import FrozenTrial
from pydantic import BaseModel, ConfigDict

from data_sharding.private import only_one
from data_sharding.schema import write_atomic
from eval.console import aligned
from eval.estimate import Estimate
from training.config import Config
from training.folder import read_facts
from training.followup import Followed
from training.interrupt import EXIT_CODE, Interrupted
from training.launch import start
from training.overrides import override
from training.tracking import say
from tuning.results.best import best, diff, overrides_of
from tuning.results.gain import Gain, gain_in_auroc, gain_in_c
from tuning.store import by_slot, open_study
from tuning.sweep import Sweep

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
SEEDS, SPLITS = 3, ("tune", "test")


class Confirmed(BaseModel):
    """``confirmed.json``; a split that has not been looked at is None."""

    model_config = ConfigDict(extra="forbid")

    format: str = "osteoray-confirmed/1"
    trial: int
    overrides: list[str]
    seeds: list[int]
    measure: str
    runs: dict[str, list[str]]
    tune: Gain | None = None
    test: Gain | None = None


@app.command(help=__doc__, no_args_is_help=True)
def command(
    folder: Annotated[Path, typer.Argument(metavar="SWEEP", help="<runs>/sweeps/<recipe>-<hash>")],
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="of the database that holds its study")
    ] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="look at the test set")] = True,
) -> None:
    """See the module's docstring."""
    from tuning.results.page import write_page

    try:
        sweep = Sweep.at(folder, storage)
        study = open_study(sweep)
        found = confirm(sweep, study, test)
        typer.echo(table(found))
        typer.echo(f"page:    {write_page(sweep, study)}")
    except Interrupted as e:
        typer.echo(f"interrupted: {e}; the same command goes on", err=True)
        raise typer.Exit(EXIT_CODE) from e
    except (OSError, ValueError) as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e


def confirm(sweep: Sweep, study: Study, test: bool = True) -> Confirmed:
    """Train what is left to train, compare, and keep what was found.

    What was begun goes on with its trial, also where the sweep has a better one by now.

    Raises:
        Interrupted: asked to stop.
        ValueError: no trial is complete, the best is the recipe as it is, another process is at it,
            or a training failed.
    """
    place = sweep.folder / "confirm"
    place.mkdir(parents=True, exist_ok=True)
    with only_one(place):
        known = confirmed(sweep) or _plan(sweep, study)
        _say_if_not_the_best(study, known)
        for split in SPLITS[: 1 + test]:
            if getattr(known, split) is None:
                runs = _train(sweep, known, split)
                known = known.model_copy(update={"runs": _names(runs)})
                known = known.model_copy(update={split: compare(runs, split)})
                _keep(sweep, known)
    return known


def confirmed(sweep: Sweep) -> Confirmed | None:
    """What ``confirmed.json`` says, if it is there.

    Raises:
        ValueError: it is torn or edited.
    """
    path = sweep.folder / "confirmed.json"
    try:
        return Confirmed.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise ValueError(f"{path}: torn or edited: {e}; put it back") from e


def _plan(sweep: Sweep, study: Study) -> Confirmed:
    """Which trial, on which seeds: kept before anything is trained."""
    trial = best(study)
    if trial is None:
        raise ValueError(f"{sweep.folder}: no trial is complete, so there is nothing to confirm")
    if not diff(sweep, trial):
        raise ValueError(
            f"trial {trial.user_attrs['slot']}, the recipe as it is, is the best of the sweep: "
            "there is no gain to confirm; more trials may find one"
        )
    known = Confirmed(
        trial=trial.user_attrs["slot"],
        overrides=overrides_of(trial),
        seeds=[(sweep.base.seed + 1 + i) % 2**31 for i in range(SEEDS)],
        measure="Harrell's C" if sweep.base.fracture else "AUROC",
        runs={},
    )
    _keep(sweep, known)
    return known


def _keep(sweep: Sweep, known: Confirmed) -> None:
    text = json.dumps(known.model_dump(mode="json"), indent=1, allow_nan=False)
    write_atomic(sweep.folder / "confirmed.json", text + "\n")


def _say_if_not_the_best(study: Study, known: Confirmed) -> None:
    now = best(study)
    if now is None or known.trial == now.user_attrs["slot"]:
        return
    said: FrozenTrial | None = by_slot(study).get(known.trial)
    word = "has been" if known.tune else "is being"
    if said is not None:
        say(
            f"trial {known.trial} {word} confirmed; the sweep's best is trial "
            f"{now.user_attrs['slot']} by now. A sweep is confirmed once: the test set is not for "
            "choosing"
        )


def config_of(sweep: Sweep, drawn: Sequence[str], seed: int, split: str) -> Config:
    """A run of the recipe with what was drawn, that predicts the tune split, or the test split too.

    Other sites are left to the runs that the user makes of best.yaml.
    """
    group = sweep.base.track.group or f"{sweep.folder.name}-confirm"
    return override(
        sweep.base,
        [
            *drawn,
            f"seed={seed}",
            f"predict={'tune' if split == 'tune' else 'all'}",
            "paths.external=[]",
            "paths.unlabelled=[]",
            f"paths.runs={sweep.folder / 'confirm'}",
            f"track.group={json.dumps(group)}",
        ],
    )


def _train(sweep: Sweep, known: Confirmed, split: str) -> dict[str, list[Path]]:
    """Folders of the runs, by recipe in the order of seeds; what is done already is not again."""
    runs: dict[str, list[Path]] = {"default": [], "best": []}
    todo = [(arm, seed) for seed in known.seeds for arm in runs]
    for i, (arm, seed) in enumerate(todo, 1):
        what = "the recipe as it is" if arm == "default" else f"trial {known.trial}"
        drawn = [] if arm == "default" else known.overrides
        say(f"{split} split: {what} on seed {seed} ({i} of {len(todo)})")
        folder, _ = start(config_of(sweep, drawn, seed, split))
        runs[arm].append(folder)
    return runs


def _names(runs: dict[str, list[Path]]) -> dict[str, list[str]]:
    return {arm: [f"confirm/{folder.name}" for folder in of] for arm, of in runs.items()}


def compare(runs: dict[str, list[Path]], split: str) -> Gain:
    """The gain on a split of the runs' own site.

    Raises:
        ValueError: runs that judged other pictures, or too few patients.
    """
    frames = {arm: [said(run, split) for run in of] for arm, of in runs.items()}
    first = frames["default"][0]
    for frame in [f for of in frames.values() for f in of]:
        for column in ("key", "patient"):
            if frame[column].tolist() != first[column].tolist():
                raise ValueError(f"{split}: the runs judged other pictures: train them again")
    default, other = (
        np.stack([f["logit"].to_numpy(np.float64) for f in frames[arm]])
        for arm in ("default", "best")
    )
    if not first["label"].notna().to_numpy(bool).any():
        followed = Followed.of_index(first, split)
        return gain_in_c(followed, default, other, first["patient"])
    return gain_in_auroc(first["label"].to_numpy(np.int64), default, other, first["patient"])


def said(run: Path, split: str) -> pd.DataFrame:
    """What the model that a run is for says of a split of its own site, by key.

    Raises:
        ValueError: it has no such predictions, or some are not finite.
    """
    facts = read_facts(run)
    (own,) = [n for n, m in facts["manifests"].items() if m["role"] == "internal"]
    path = run / "cohorts" / f"{own}-{split}" / "predictions.parquet"
    frame = pd.read_parquet(path)
    mine = frame.loc[frame["model"] == facts["models"][-1]].sort_values("key", ignore_index=True)
    labelled = mine["label"].notna().to_numpy(bool)
    if labelled.any():  # a survival model's rows have none
        mine = mine.loc[labelled].reset_index(drop=True)
    if not len(mine) or not np.isfinite(mine["logit"].to_numpy(np.float64)).all():
        raise ValueError(f"{path}: no answers, or some are not finite: the training diverged")
    return mine


def table(known: Confirmed) -> str:
    """What was found, as lines."""
    seeds = ", ".join(map(str, known.seeds))
    rows = [("split", "the recipe", f"trial {known.trial}", "gain", "")]
    for split in SPLITS:
        made: Gain | None = getattr(known, split)
        if made is None:
            rows.append((split, "not looked at", "", "", ""))
        else:
            gain = estimate(made).text() if made.low is not None else f"{made.value:.3f}"
            rows.append((split, _each(made.default), _each(made.best), gain, made.verdict))
    made = known.test or known.tune
    last = [f"{known.measure} of models of seeds {seeds}; gain in the mean [95%]"]
    if made:
        last += [made.method]
        last += [made.undefined] if made.undefined else []
    if known.test:
        last += ["The test set has been looked at, and is not looked at again."]
    return "\n".join([*aligned(rows), *last])


def estimate(made: Gain) -> Estimate:
    """As the pages print it."""
    return Estimate(
        value=made.value,
        low=made.low,
        high=made.high,
        method=made.method,
        undefined=made.undefined or None,
    )


def splits(known: Confirmed) -> list[dict[str, Any]]:
    """A row a split, for the page."""
    return [
        {
            "split": split,
            "made": made,
            "default": _each(made.default),
            "best": _each(made.best),
            "gain": estimate(made),
        }
        for split in SPLITS
        if (made := getattr(known, split)) is not None
    ]


def _each(values: Sequence[float]) -> str:
    return " ".join(f"{v:.3f}" for v in values)
