"""Everything that the sections of a report may speak of, gathered from a run and its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from data_sharding.schema import Manifest, sha256_file
from eval import foretold, modelcard, proxies, wording
from eval.ceiling import ceilings
from eval.checklists import Checklist, filled
from eval.clinical.beside import judged
from eval.cohort import Metrics, ModelMetrics
from eval.figures import Figures, training_figures
from eval.frames import Frame
from eval.learnt import Learnt
from eval.places import without_path, without_places
from eval.plots import tenths
from eval.reporting import three
from eval.reporting.benefit import SENSIBLE, acts, gains
from eval.reporting.cautions import cautions, elsewhere
from eval.reporting.clinical import UNITS, clinical, directions, word
from eval.reporting.groups import SMALL_P, forest, small
from eval.reporting.pictures import Pictures
from eval.reporting.prevalence import Reweighted, reweighted
from eval.reporting.probe import named, probe
from eval.reporting.tables import table1, table2
from eval.reporting.text import rows
from eval.reporting.three import NOTHING, Three
from eval.runs import MODELS, Run, is_tuning

#: Keys of run.json that have a place of their own in the report.
PLACED = ("run_id", "recipe", "manifests", "ceiling", "world", "timings", "versions", "complete")
PLACED += ("made", "made_of", "fold_runs", "cohorts")


#: Sections that only labels have something for.
OF_LABELS = ("curves", "decisions", "benefit", "calibration", "subgroups", "probe", "proxies")
#: And those that only clinical models have something for.
OF_CLINICAL = ("clinical", "tables")


def shown(metrics: Sequence[Metrics]) -> list[Metrics]:
    """The cohorts to draw: those that chose no threshold, or all if there are no others."""
    return [m for m in in_order(metrics) if not is_tuning(m.cohort)] or in_order(metrics)


def in_order(metrics: Sequence[Metrics]) -> list[Metrics]:
    """As they come, but those where nothing can be ranked after the others, and tuning last."""
    return sorted(metrics, key=lambda m: (is_tuning(m.cohort), not wording.can_rank(m)))


def contents(
    run: Run,
    metrics: Sequence[Metrics],
    problems: Sequence[str],
    figures: dict[str, Figures],
    pictures: Pictures,
    of_three: Three = NOTHING,
) -> dict[str, Any]:
    """What the templates are given, by name.

    Args:
        run: the run.
        metrics: of its cohorts.
        problems: why other cohorts have none, a line each.
        figures: of the cohorts `shown`.
        pictures: Grad-CAM, or why there is none.
        of_three: of a run that learnt three classes.
    """
    best = wording.headline(metrics)
    drawn = shown(metrics)
    internal = _internal(metrics)
    proxy_frame, proxy_problem = _proxies(run)
    found, no_checklists = _checklists(run)
    other_prevalences = [r for m in drawn for r in reweighted(m, judged(run, m.cohort).frame)]
    leading = {m.cohort: sorted(m.models, key=lambda x: x.model != "student") for m in drawn}
    facts, learnt, beside = run.facts, run.learnt, clinical(run, drawn)
    return {
        "sections": {
            "three": of_three.there,
            "fractures": any(x.fracture for m in drawn for x in m.models),
            "scores": not foretold.fractures_only(metrics),
            **dict.fromkeys(OF_LABELS, not foretold.fractures_only(metrics)),
            **dict.fromkeys(OF_CLINICAL, beside.there and not foretold.fractures_only(metrics)),
        },
        "fractures_only": foretold.fractures_only(metrics),
        "three": of_three,
        "three_lines": three.lines,
        "three_answer": three.answer,
        "leading_c": foretold.leading(metrics),
        "foretold": foretold,
        "metrics": in_order(metrics),
        "shown": drawn,
        "problems": [without_path(p, run) for p in problems],
        "facts": facts,
        "learnt": learnt,
        "faces": run.faces,
        "other_facts": {k: v for k, v in facts.items() if k not in PLACED},
        "ceiling": ceilings(run),
        "config": without_places(run.config),
        "headline": best,
        "reading": _reading(best, metrics, other_prevalences, learnt),
        "cautions": cautions(best, drawn, internal, run.packs, learnt),
        "is_tuning": is_tuning,
        "figures": figures,
        "reweighted": other_prevalences,
        "sensible": SENSIBLE,
        "acts": acts,
        "gains": gains,
        "forests": {m.cohort: _there(forest(m, x) for x in leading[m.cohort]) for m in drawn},
        "small": small,
        "small_p": SMALL_P,
        "tenths": tenths,
        "probes": {m.cohort: _there(probe(m, x) for x in leading[m.cohort]) for m in drawn},
        "named": named,
        "clinical": beside,
        "word": word,
        "directions": directions,
        "known": _known,
        "feature_units": UNITS,
        "table1": table1(in_order(metrics), learnt),
        "table2": table2(drawn),
        "leading": leading,
        "training": training_figures(run),
        "packs": run.packs,
        "splits": _splits,
        "proxies": None if proxy_frame is None else proxies.decisions(proxy_frame),
        "shift": None if proxy_frame is None else proxies.shift(proxy_frame, internal),
        "proxy_problem": proxy_problem,
        "internal": internal,
        "pictures": pictures,
        "card": modelcard.card(run, metrics),
        "checklists": found,
        "no_checklists": no_checklists,
        "models": _models(run),
        "rows": rows,
    }


def _known(threshold: float | None) -> str:
    """A threshold as the page prints it; a dash where there is none."""
    return "–" if threshold is None else f"{threshold:.4g}"


def _there(made: Iterable[Any]) -> list[Any]:
    return [x for x in made if x is not None]


def _reading(
    best: tuple[Metrics, ModelMetrics] | None,
    metrics: Sequence[Metrics],
    found: Sequence[Reweighted],
    learnt: Learnt,
) -> Sequence[str]:
    """The lead result in sentences, and what it would mean where the condition is rarer."""
    if best is None:
        fractures = foretold.leading(metrics)
        return foretold.reading(*fractures) if fractures else []
    names = best[0].cohort, best[1].model
    rarer = [elsewhere(r, learnt) for r in found if (r.cohort, r.model) == names]
    return [*wording.reading(*best, learnt), *filter(None, [*rarer, wording.spread(metrics, best)])]


def _checklists(run: Run) -> tuple[list[Checklist], str]:
    try:
        return filled(run), ""
    except ValueError as e:
        return [], without_path(str(e), run)


def _proxies(run: Run) -> tuple[Frame | None, str]:
    try:
        frame = run.pseudo_labels
    except ValueError as e:
        return None, without_path(str(e), run)
    return frame, "" if frame is not None else "this run made no proxy labels"


def _internal(metrics: Sequence[Metrics]) -> Metrics | None:
    """A labelled cohort that is not external: what the others are compared with."""
    inside = [m for m in metrics if "external" not in m.cohort and m.models]
    return next((m for m in inside if m.models[0].overall.n), None)


def _splits(manifest: Manifest) -> dict[str, int]:
    """Split -> samples, in the order of the shards."""
    counts: dict[str, int] = {}
    for shard in manifest.shards:
        counts[shard.split] = counts.get(shard.split, 0) + shard.samples
    return counts


def _models(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """What lies beside each model's weights."""
    found = []
    for model in MODELS:
        facts = {
            file: run.weights(model, f"{file}.json") for file in ("calibration", "operating_point")
        }
        weights = run.folder / model / "weights" / "model.safetensors"
        if weights.is_file():
            facts["weights"] = {"sha256": sha256_file(weights)}
        if listed := rows(facts):
            found.append((model, listed))
    return found
