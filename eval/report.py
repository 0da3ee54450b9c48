"""report/index.html: one file that opens anywhere, prints well, and asks nothing of the network.

    python -m eval report RUN [--no-explain]

Everything in it is a number of metrics.json, a count of a manifest's ledger, or a fact of run.json.
The same inputs give the same bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from data_sharding.schema import CLASSES, REASONS, Manifest, sha256_file, write_atomic
from eval import explain as explanations
from eval import proxies, wording
from eval.ceiling import ceilings, keep_ceilings
from eval.cohort import Metrics, Settings
from eval.estimate import Estimate
from eval.evaluate import evaluate_cohorts
from eval.figures import cohort_figures, training_figure
from eval.frames import Frame
from eval.runs import MODELS, Run, is_tuning

#: Keys of run.json that have a place of their own in the report.
PLACED = ("run_id", "recipe", "manifests", "ceiling", "world", "timings", "versions", "complete")


def write_report(run: Path, explain: bool = True, world: Path | None = None) -> Path:
    """Evaluate what has changed, draw everything, write RUN/report/index.html and return it.

    Args:
        run: the run folder.
        explain: make Grad-CAM pictures, which needs the weights and the packed pixels. Where they
            cannot be made the report says why.
        world: the world.json of a synthetic world, which knows the ceilings of its sites.

    Raises:
        ValueError: no cohort of the run can be evaluated, or run.json cannot be read.
    """
    run_ = Run.at(run)
    if world is not None:
        keep_ceilings(run_, world)
    metrics, problems = evaluate_cohorts(run_, Settings())
    if not metrics:
        raise ValueError("\n".join(problems))
    page = render(run_, metrics, problems, explain)
    target = run / "report" / "index.html"
    target.parent.mkdir(exist_ok=True)
    write_atomic(target, page)
    return target


def render(run: Run, metrics: Sequence[Metrics], problems: list[str], explain: bool) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("eval"),
        autoescape=select_autoescape(["html", "j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "estimate": estimate,
        "svg": Markup,
        "quantity": quantity,
        "reason": lambda code: REASONS.get(code, code.replace("_", " ")),
    }
    facts = run.facts
    best = wording.headline(metrics)
    shown = [m for m in metrics if not is_tuning(m.cohort)] or metrics
    panels, no_panels = _panels(run.folder) if explain else ([], "not asked for (--no-explain)")
    proxy_frame, proxy_problem = _proxies(run)
    return environment.get_template("report.html.j2").render(
        metrics=metrics,
        shown=shown,
        problems=[_without_path(p, run.folder) for p in problems],
        facts=facts,
        other_facts={k: v for k, v in facts.items() if k not in PLACED},
        ceiling=ceilings(run),
        config=run.config,
        headline=best,
        reading=wording.reading(*best) if best else [],
        comparison=wording.comparison,
        limitations=wording.LIMITATIONS,
        is_tuning=is_tuning,
        figures={m.cohort: cohort_figures(m, run.predictions(m.cohort)) for m in shown},
        training=training_figure(run),
        packs=run.packs,
        splits=_splits,
        proxies=None if proxy_frame is None else proxies.decisions(proxy_frame),
        shift=None if proxy_frame is None else proxies.shift(proxy_frame, _internal(metrics)),
        proxy_problem=proxy_problem,
        internal=_internal(metrics),
        panels=panels,
        no_panels=no_panels,
        models=_models(run),
        rows=rows,
    )


def estimate(e: Estimate, digits: int = 3) -> Markup:
    """An estimate as HTML: the value, its interval below; or the reason, in words."""
    if e.value is None:
        return Markup('<span class="undefined">undefined: {}</span>').format(e.undefined)
    value = Markup('<span class="value" title="{}">{}</span>').format(
        e.method, _minus(f"{e.value:.{digits}f}")
    )
    if e.low is not None and e.high is not None:
        between = " to " if e.low < 0 else "–"
        interval = _minus(f"{e.low:.{digits}f}{between}{e.high:.{digits}f}")
        return value + Markup('<span class="interval">{}</span>').format(interval)
    if e.undefined:
        reason = Markup('<span class="undefined">interval undefined: {}</span>')
        return value + reason.format(e.undefined)
    return value


def quantity(q: Any, digits: int = 1) -> str:
    """Mean ± SD, and of how many where not stated for all."""
    if q.mean is None:
        return "undefined: not recorded"
    sd = f" ± {q.sd:.{digits}f}" if q.sd is not None else " (one patient)"
    return _minus(f"{q.mean:.{digits}f}{sd}")


def _minus(number: str) -> str:
    """With the minus sign that is as wide as a plus."""
    return number.replace("-", "−")


def rows(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested facts as (dotted name, text), in the order of their names."""
    if isinstance(value, dict):
        inner = [rows(v, f"{name}.{k}" if name else str(k)) for k, v in sorted(value.items())]
        return [pair for pairs in inner for pair in pairs]
    if isinstance(value, float):
        return [(name, f"{value:.6g}")]
    return [(name, str(value))] if value not in (None, "", []) else []


def _panels(run: Path) -> tuple[list[tuple[str, list[tuple[str, str]]]], str]:
    """Grad-CAM pictures by group as (data address, caption), or why there are none."""
    try:
        made = explanations.panels(run)
    except (ImportError, ValueError, OSError, RuntimeError) as e:
        return [], _without_path(str(e).splitlines()[0], run) if str(e) else type(e).__name__
    groups: dict[str, list[tuple[str, str]]] = {}
    for panel in made:
        for name in CLASSES[::-1]:  # both classes have a heading, whoever qualified
            groups.setdefault(f"{panel.where}: {name}", [])
        address = f"data:image/png;base64,{base64.b64encode(panel.png).decode()}"
        groups[f"{panel.where}: {panel.name}"].append((address, panel.caption))
    return list(groups.items()), "" if groups else "no picture qualified"


def _proxies(run: Run) -> tuple[Frame | None, str]:
    try:
        frame = run.pseudo_labels
    except ValueError as e:
        return None, _without_path(str(e), run.folder)
    return frame, "" if frame is not None else "this run made no proxy labels"


def _internal(metrics: Sequence[Metrics]) -> Metrics | None:
    """A labelled cohort that is not external: what the proxies are compared with."""
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


def _without_path(text: str, folder: Path) -> str:
    """The message without the folder's place on this machine, which is nobody's business."""
    return text.replace(f"{folder}/", "")
