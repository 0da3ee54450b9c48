"""A sweep's pictures, drawn by Optuna and dressed as the report's: history, settings, curves.

They are SVG, the same bytes from the same study. A picture that the study is too small for is left
out, and its caption says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import optuna
import optuna.visualization.matplotlib as drawn
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, MaxNLocator
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from data_sharding.schema import write_atomic
from eval.plots.style import COLOURS, INK, MUTED, RULE, STYLE, svg
from tuning.results.best import best
from tuning.results.table import NAMES
from tuning.store import by_slot
from tuning.sweep import Sweep

BLUE, WARM, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
#: From the worst, which is still seen on white, to the best.
SHADES = LinearSegmentedColormap.from_list("shades", ["#c3d5e2", "#5f9cc5", BLUE, "#08324f"])
#: Trials that a legend can name.
NAMED = 8


@dataclass(frozen=True)
class Picture:
    """`svg` is None where `caption` says why there is none."""

    name: str
    svg: str | None
    caption: str
    wide: bool = False


def pictures(sweep: Sweep, study: Study) -> list[Picture]:
    """All there are of a sweep, in the order of the page."""
    seen = by_number(sweep, study)
    found = []
    for i, name in enumerate(sweep.objectives):
        of = NAMES.get(name, name)
        found.append(_history(seen, i, of, f"history-{name}"))
    if len(sweep.objectives) == 2:
        found.append(_pareto(seen))
    found += [_curves(seen), _importances(sweep, seen), _parallel(sweep, seen)]
    return found


def write_pictures(sweep: Sweep, found: list[Picture]) -> None:
    """``pictures/<name>.svg`` in the sweep's folder."""
    folder = sweep.folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in found:
        path = folder / f"{picture.name}.svg"
        if picture.svg:
            write_atomic(path, picture.svg)
        else:
            path.unlink(missing_ok=True)


def by_number(sweep: Sweep, study: Study) -> Study:
    """A copy in memory in which a trial's number is its slot, as in the table."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seen = optuna.create_study(directions=sweep.directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        seen.set_metric_names([NAMES.get(o, o) for o in sweep.objectives])
    slots = by_slot(study)
    for slot in range(max(slots, default=-1) + 1):
        absent = create_trial(state=TrialState.FAIL)
        seen.add_trial(slots.get(slot, absent))
    return seen


def _complete(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _history(study: Study, i: int, of: str, name: str) -> Picture:
    if not _complete(study):
        return Picture(name, None, "History: no trial is complete yet.")

    def dress(axes: Axes) -> None:
        axes.set(title=f"{of}, trial by trial", xlabel="trial", ylabel=of)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        points, *_ = axes.collections
        points.set(facecolor=BLUE, edgecolor="white", sizes=[42], zorder=3, label="a trial")
        for line in axes.lines:
            line.set(
                color=WARM, alpha=1, linewidth=1.6, drawstyle="steps-post", label="best so far"
            )
        legend(axes)

    def target(trial: FrozenTrial) -> float:
        return trial.values[i]

    # without a target Optuna draws the best so far as well; several objectives need one
    of_one = {"target": target, "target_name": of} if len(study.directions) > 1 else {}
    made = _draw(lambda: drawn.plot_optimization_history(study, **of_one), dress, name)
    better = "higher" if study.directions[i] == optuna.study.StudyDirection.MAXIMIZE else "lower"
    what = of[:1].upper() + of[1:]
    caption = f"{what} of every complete trial; {better} is better. Trial 0 is the recipe."
    return Picture(name, made, caption)


def _pareto(study: Study) -> Picture:
    if len(_complete(study)) < 2:
        return Picture("pareto", None, "Pareto front: two complete trials are needed.")

    def dress(axes: Axes) -> None:
        axes.set(title="Pareto front")
        marks = {"Trial": (BLUE, "a trial"), "Best Trial": (WARM, "on the front")}
        for points in axes.collections:
            ink, label = marks.get(str(points.get_label()), (MUTED, ""))
            points.set(facecolor=ink, edgecolor="white", sizes=[52], zorder=3, label=label)
        for t in study.best_trials:
            where = (t.values[0], t.values[1])
            axes.annotate(str(t.number), where, (6, 4), textcoords="offset points", color=INK)
        legend(axes)

    made = _draw(lambda: drawn.plot_pareto_front(study), dress, "pareto")
    return Picture(
        "pareto", made, "Trials on the front, by number: none is better in both objectives."
    )


def _curves(study: Study) -> Picture:
    reported = [t for t in study.get_trials(deepcopy=False) if t.intermediate_values]
    if not reported:
        return Picture("curves", None, "Learning curves: no trial has reported an epoch.")
    chosen = best(study) if len(study.directions) == 1 else None

    def dress(axes: Axes) -> None:
        axes.set(title="The tune split while they learn", xlabel="optimizer steps", ylabel="score")
        for line in axes.lines:
            number = int(str(line.get_label()).removeprefix("Trial"))
            trial = study.trials[number]
            ink, width, dash, order, label = _pen(trial, chosen)
            line.set(color=ink, lw=width, ls=dash, zorder=order, alpha=1, label=label)
            line.set(marker="." if len(trial.intermediate_values) < 40 else "")
            if trial.state == TrialState.PRUNED:
                step, value = max(trial.intermediate_values.items())
                axes.plot([step], [value], "x", color=WARM, ms=6, mew=1.6, zorder=4)
        legend(axes)

    made = _draw(lambda: drawn.plot_intermediate_values(study), dress, "curves")
    stopped = sum(t.state == TrialState.PRUNED for t in reported)
    what = f" {stopped} were stopped early (crosses)." if stopped else ""
    return Picture(
        *("curves", made),
        f"Score after each epoch of {len(reported)} trials, teacher before student.{what}",
    )


def _pen(trial: FrozenTrial, chosen: FrozenTrial | None) -> tuple[str, float, str, int, str]:
    """Colour, width, dash, order and label of a learning curve."""
    if chosen is not None and trial.number == chosen.number:
        return BLUE, 2.4, "-", 5, f"trial {trial.number}, the best"
    if trial.number == 0:
        return GREEN, 1.9, "-", 4, "trial 0, the recipe"
    if trial.state == TrialState.PRUNED:
        return WARM, 1.0, ":", 3, "stopped early"
    return "#9aa7b2", 1.0, "-", 2, "others"


def _importances(sweep: Sweep, study: Study) -> Picture:
    name, of = "importances", [NAMES.get(o, o) for o in sweep.objectives]

    def dress(axes: Axes) -> None:
        axes.set(title="Which setting mattered", xlabel="share of the importance", ylabel="")
        if len(of) == 1:
            for bar in axes.patches:
                bar.set(facecolor=BLUE)
            if old := axes.get_legend():
                old.remove()
        else:
            for k, bars in enumerate(axes.containers):
                for bar in bars:
                    bar.set(facecolor=COLOURS[k % len(COLOURS)])
            legend(axes)

    complete = _complete(study)
    try:
        for what in ("params", "values"):
            if not any(getattr(t, what) != getattr(complete[0], what) for t in complete):
                raise ValueError(f"no two complete trials have other {what}")
        made = _draw(lambda: drawn.plot_param_importances(study), dress, name)
    except (ValueError, RuntimeError) as e:
        return Picture(name, None, f"Importances: too few trials to tell ({_line(e)}).")
    caption = (
        f"Optuna's importances of settings (PED-ANOVA) in {len(complete)} complete trials. Of so "
        "few they are a hint: another seed may order them otherwise."
    )
    return Picture(name, made, caption)


def _parallel(sweep: Sweep, study: Study) -> Picture:
    if len(_complete(study)) < 2 or not any(t.params for t in _complete(study)):
        return Picture("parallel", None, "Parallel coordinates: two complete trials are needed.")
    of = [NAMES.get(o, o) for o in sweep.objectives]

    def dress(axes: Axes) -> None:
        axes.set(title="")
        texts = [str(x.get_text()).replace(".", "\n", 1) for x in axes.get_xticklabels()]
        texts[0] = texts[0] if len(of) > 1 else of[0]
        axes.set_xticks(axes.get_xticks(), texts, ha="center", rotation=0, color=INK)
        axes.tick_params(axis="x", length=0, pad=8)
        for lines in axes.collections:
            if isinstance(lines, LineCollection):
                lines.set(cmap=SHADES if len(of) == 1 else SHADES.reversed(), linewidth=1.6)
        figure = axes.get_figure()
        for each in figure.axes if figure else ():
            each.grid(visible=False)
            if isinstance(each.yaxis.get_major_locator(), FixedLocator):
                continue  # names, ranks, and what was not drawn in every trial: Optuna's own ticks
            low, high = each.get_ylim()
            log = each.get_yscale() == "log"
            ends = [low, (low * high) ** 0.5 if log else (low + high) / 2, high]
            each.set_yticks([], minor=True)
            each.set_yticks(ends, [f"{v:.3g}" for v in ends])

    made = _draw(
        lambda: drawn.plot_parallel_coordinate(study, target_name=of[0]),
        dress,
        "parallel",
        (10.5, 4.2),
    )
    how = f"the darker the better its {of[0]}" if len(of) == 1 else "coloured by Pareto front"
    return Picture(
        *("parallel", made),
        f"A line a complete trial, {how}: what it tried and reached.",
        wide=True,
    )


def legend(axes: Axes) -> None:
    """Each label once, inside the axes; none where there is but one, or too many."""
    handles, labels = axes.get_legend_handles_labels()
    once = {
        label: h for h, label in zip(handles, labels, strict=True) if label[:1] not in ("", "_")
    }
    if old := axes.get_legend():
        old.remove()
    if 1 < len(once) <= NAMED:
        axes.legend(once.values(), once.keys(), loc="best")


def _draw(
    make: Callable[[], Axes],
    dress: Callable[[Axes], None],
    name: str,
    size: tuple[float, float] = (5.2, 3.7),
) -> str:
    """Optuna's figure in the report's clothes; pyplot is left as it was."""
    # constrained before the figure is made: a colour bar's place depends on it
    style = STYLE | {"figure.constrained_layout.use": True}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "experimental", and of layouts that are set below
        before = set(pyplot.get_fignums())
        try:
            axes = make()
            figure = axes.get_figure()
            assert isinstance(figure, Figure)
            mpl.rcParams.update(STYLE)  # Optuna has set another
            if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
                figure.set_layout_engine("constrained")
            figure.set_size_inches(*size)
            figure.set_facecolor("white")
            for each in figure.axes:
                _dress(each)
            dress(axes)
            return svg(figure, f"sweep {name}")
        finally:
            for number in set(pyplot.get_fignums()) - before:
                pyplot.close(number)


def _dress(axes: Axes) -> None:
    axes.set_facecolor("white")
    for side, spine in axes.spines.items():
        if spine.get_visible() or side in ("left", "bottom"):
            spine.set(color=MUTED, linewidth=0.8)
    axes.tick_params(colors=MUTED, labelsize=9)
    axes.grid(visible=True, color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.title.set(color=INK, fontsize=10.5, fontweight="bold")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=10)
    for text in axes.texts:
        text.set(color=MUTED, fontsize=9)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200]
