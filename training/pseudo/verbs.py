"""Look at a run's proxy labels, replay them, take them back: ``python -m training pseudo VERB``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""The proxy labels of a run: every decision on record.

\b
python -m training pseudo show runs/latest      what was decided, on what, whom it keeps
python -m training pseudo sweep runs/latest     what other thresholds would keep
python -m training pseudo replay runs/latest    derive the ledger again: the same bytes?
python -m training pseudo undo runs/latest      take them back, and the student

Thresholds are settings of the run: pseudo.p_normal=.99 pseudo.p_lbm=.75, or for a precision that
holds with confidence pseudo.target_precision_lbm=.9 (chosen on the DXA-labelled tune split).""",
)
Run = Annotated[Path, typer.Argument(metavar="RUN", help="a run's folder, such as runs/latest")]
Public = Annotated[
    str, typer.Option(metavar="PLACE", help="the public set, if it has moved [the run's]")
]
Prevalence = Annotated[
    float | None,
    typer.Option(help="of low bone mass in public: moves the tune split's precision there"),
]


@app.command()
def show(run: Run) -> None:
    """What was decided in each round: teachers, thresholds and their evidence, counts, shift.

    A threshold's evidence is how many of the tune split reach it, how many of those are right, and
    the Clopper-Pearson lower bound of that share. Shift compares the kept with those offered and
    with those labelled by DXA: differences in standard deviations, then tests.
    """
    for folder in _or_exit(lambda: _rounds(run)):
        for line in _or_exit(lambda f=folder: shown(f)):
            typer.echo(line)


def shown(folder: Path) -> list[str]:
    """A round as text.

    Raises:
        ValueError: a file of it is missing or not what was written.
    """
    from training.pseudo import ledger
    from training.pseudo.decision import LEDGER, Decision
    from training.pseudo.shift import lines
    from training.pseudo.summary import summary

    decision = Decision.load(folder)
    chosen = decision.thresholds
    out = [f"{folder}: decided on {decision.date}, by {decision.rule}"]
    out += [f"teacher {decision.teacher_sha256[:16]}, temperature {decision.temperature:.3f}"]
    for one in (chosen.normal, chosen.low_bone_mass):
        at = "nobody is kept" if one.threshold is None else f"at {one.threshold:.4f} and above"
        asked = "" if one.target is None else f", asked for {one.target:g}"
        found = f"on tune {one.right} of {one.n} right, at least {one.lower:.3f}"
        sure = f"({chosen.confidence:.0%} confidence{asked})"
        out.append(f"{one.name}: {at} ({one.rule}); {one.reason or f'{found} {sure}'}")
    if not (folder / LEDGER).exists():
        return [*out, "undone: no ledger"]
    rows = ledger.read(folder / LEDGER, decision.ledger_sha256)
    counts = summary(rows)
    share = "none" if counts["prevalence"] is None else f"{counts['prevalence']:.1%}"
    kept = ", ".join(f"{n} {name}" for name, n in counts["counts"].items())
    out += [f"of {counts['n']} pictures: {kept}; low bone mass among the kept: {share}"]
    out += [f"warning: {w}" for w in _json(folder / "summary.json").get("warnings", [])]
    try:
        return [*out, "", *lines(_json(folder / "shift.json"))]
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"{folder / 'shift.json'}: not the comparison that was written") from e


@app.command()
def sweep(
    run: Run,
    lbm: Annotated[list[float] | None, typer.Option(help="thresholds [.65 .75 .85]")] = None,
    normal: Annotated[float, typer.Option(help="threshold of normals")] = 0.99,
    prevalence: Prevalence = None,
    public: Public = "",
) -> None:
    """What other thresholds would keep, and how often they would be right.

    Precision is that of the tune split (DXA-labelled; one picture a patient) with a 95%
    Clopper-Pearson interval; the last number is what the teachers themselves expect of the kept.
    Choose here, never on a test set. Nothing is changed.

    \b
    python -m training pseudo sweep runs/latest --lbm .6 --lbm .9 --prevalence .3
    """
    from training.pseudo.sweep import P_LBM, lines

    for folder in _or_exit(lambda: _rounds(run)):
        typer.echo(folder)
        asked = (tuple(lbm or P_LBM), normal, prevalence)
        rows = _or_exit(lambda f=folder, a=asked: _swept(run, f, public, *a))
        for line in lines(rows):
            typer.echo(line)


def _swept(
    run: Path,
    folder: Path,
    public: str,
    p_lbm: tuple[float, ...],
    p_normal: float,
    prevalence: float | None,
) -> list[dict[str, Any]]:
    import numpy as np
    from scipy.special import expit

    from training.pseudo.decision import Decision
    from training.pseudo.score import Scores
    from training.pseudo.sweep import sweep
    from training.pseudo.thresholds import one_each

    if prevalence is not None and not 0 < prevalence < 1:
        raise ValueError(f"--prevalence {prevalence}: between 0 and 1")
    decision = Decision.load(folder)
    p, facts = [], None
    for data in (_public(run, public), _tune(run)):
        logit = Scores(folder / "scores", decision.teacher_sha256, data).whole()
        p.append(expit(logit / decision.temperature))
        facts = data.index
    assert facts is not None
    once = one_each(facts["patient"].to_numpy(), facts["key"].to_numpy())
    label = facts["label"].to_numpy()[once].astype(np.int64)
    return sweep(p[0], label, p[1][once], p_lbm, p_normal, prevalence)


@app.command()
def replay(run: Run, public: Public = "") -> None:
    """Derive each round's ledger again from the saved scores and thresholds; exit code 1 if other.

    Neither teachers nor pictures are needed, only the public set's manifest and index.
    """
    from training.pseudo.replay import replay as again

    same = True
    for folder in _or_exit(lambda: _rounds(run)):
        found = _or_exit(lambda f=folder: again(f, _public(run, public)))
        same &= found.difference is None
        if found.difference:
            typer.echo(f"{folder}: differs: {found.difference}")
        else:
            gone = ", undone since" if found.undone else ""
            typer.echo(f"{folder}: byte-identical{gone}, {found.rows} rows, sha256 {found.sha256}")
    if not same:
        raise typer.Exit(1)


@app.command()
def undo(
    run: Run,
    yes: Annotated[bool, typer.Option("--yes", help="do it; without, it is only said")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="the scores and the record of the decision, too")
    ] = False,
) -> None:
    """Remove the decisions and what was learnt from them: student, predictions, report.

    The teacher stays. Training again decides again: the same bytes, of the same date, for scores
    and the record of the decision are kept unless --all is given.
    """
    from training.pseudo.undo import to_undo
    from training.pseudo.undo import undo as remove

    folder = _or_exit(lambda: _folder(run))
    gone = _or_exit(lambda: remove(folder, everything) if yes else to_undo(folder, everything))
    for path in gone:
        typer.echo(f"{'removed' if yes else 'would remove'} {path}")
    if not gone:
        typer.echo(f"{folder}: no proxy labels to undo")
    elif not yes:
        typer.echo("nothing was removed; say --yes to do it")
        raise typer.Exit(2)


def _folder(run: Path) -> Path:
    """The folder itself, where `run` is a link such as runs/latest; also below $OSTEORAY_HOME."""
    from training.config import home

    for place in (run, home() / run):
        if (place / "run.json").is_file():
            return place.resolve()
    raise ValueError(f"{run}: not a run's folder (no run.json in it); the last is runs/latest")


def _rounds(run: Path) -> list[Path]:
    """The folders with a decision in them, the first round first."""
    from training.pseudo.undo import rounds

    folder = _folder(run)
    found = [p for p in rounds(folder) if (p / "decision.json").is_file()]
    if not found:
        raise ValueError(f"{folder}: no proxy labels were decided in this run")
    return found


def _public(run: Path, place: str) -> Any:
    from data_sharding.reader import ShardDataset
    from training.config import Config

    place_ = place or Config.from_yaml(_folder(run) / "config.yaml").paths.public
    if place_ is None:
        raise ValueError(f"{run}: a run without a public set")
    return ShardDataset(place_, "public")


def _tune(run: Path) -> Any:
    """As it was scored: the samples that have a say, by the labels that were learnt."""
    from data_sharding.reader import ShardDataset
    from training.config import Config
    from training.samples import learnt_from

    config = Config.from_yaml(_folder(run) / "config.yaml")
    return learnt_from(config, ShardDataset(config.paths.internal, "tune"))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as e:
        raise ValueError(f"{path}: not readable as JSON: {e}") from e
    if not isinstance(found, dict):
        raise ValueError(f"{path}: not a JSON object")
    return found


def _or_exit(work: Callable[[], T]) -> T:
    """Run `work`; what the user can put right is one line on stderr and exit code 2."""
    try:
        return work()
    except ValueError as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e
