"""The report of one run: report/index.html opens anywhere and asks nothing of the network, and
report/report.pdf is the same on paper.

    python -m eval report RUN [--no-explain]

Everything in it is a number of metrics.json, a count of a manifest's ledger, or a fact of run.json.
The same inputs give the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from data_sharding.schema import write_atomic
from eval.ceiling import keep_ceilings
from eval.clinical.beside import judged
from eval.cohort import Metrics, Settings
from eval.evaluate import evaluate_cohorts
from eval.figures import cohort_figures
from eval.pdf import pdf
from eval.reporting.contents import contents, shown
from eval.reporting.page import page
from eval.reporting.pictures import Pictures, pictures
from eval.reporting.three import NOTHING, Three, three, write_json
from eval.runs import Run

NOT_ASKED = "not asked for (--no-explain)"


def write_report(run: Path, explain: bool = True, world: Path | None = None) -> Path:
    """Evaluate what has changed, draw everything, write RUN/report/index.html and return it.

    report.pdf is written beside it; where that cannot be, one line on stderr says why.

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
    seen = pictures(run_, world) if explain else Pictures(why=NOT_ASKED, no_attention=NOT_ASKED)
    of_three = three(run_)
    html = render(run_, metrics, problems, seen, of_three)
    target = run / "report" / "index.html"
    target.parent.mkdir(exist_ok=True)
    write_json(of_three, target.parent)
    write_atomic(target, html)
    _write_pdf(html, target.with_name("report.pdf"))
    return target


def render(
    run: Run,
    metrics: Sequence[Metrics],
    problems: Sequence[str],
    seen: Pictures,
    of_three: Three = NOTHING,
) -> str:
    """The page as text."""
    positive = run.learnt.positive
    figures = {
        m.cohort: cohort_figures(m, judged(run, m.cohort).frame, positive) for m in shown(metrics)
    }
    return page(**contents(run, metrics, problems, figures, seen, of_three))


def _write_pdf(html: str, target: Path) -> None:
    """The PDF, or a line on why there is none; never that of an earlier report."""
    target.unlink(missing_ok=True)
    try:
        write_atomic(target, pdf(html))
    except (ImportError, RuntimeError) as e:
        print(f"no {target.name}: {str(e).splitlines()[0]}", file=sys.stderr)
