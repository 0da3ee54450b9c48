"""What the command prints: tables for people, JSON for machines, one line for what is wrong."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import typer

from eval.ceiling import Ceiling
from eval.cohort import Metrics, ModelMetrics
from eval.comparison.shapes import Comparison, Contrast
from eval.estimate import Estimate
from eval.foretold import foretells, unlabelled
from eval.gates import Outcome
from eval.runs import is_tuning

T = TypeVar("T")

#: Of runs that foretell fractures, say.
NO_TESTS = (
    "No test was made: tests are of AUROC, and no prediction here has a DXA label. "
    "`python -m eval show RUN` prints Harrell's C of a run with followed patients."
)
#: Exit codes: what the user can put right, and a gate or a table that failed.
WRONG, FAILED = 2, 5


def or_exit(work: Callable[[], T]) -> T:
    """Run `work`; what the user can put right is a line on stderr and exit code 2."""
    try:
        return work()
    except (ValueError, OSError) as e:
        for line in str(e).splitlines() or [type(e).__name__]:
            print(f"eval: {line}", file=sys.stderr)
        raise typer.Exit(WRONG) from None


@contextlib.contextmanager
def quiet(as_json: bool) -> Iterator[None]:
    """Where JSON is wanted, whatever libraries print goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def emit(value: dict[str, Any]) -> None:
    """One JSON value on stdout; a number that does not exist is null, never NaN."""
    typer.echo(json.dumps(value, indent=1, sort_keys=True, allow_nan=False))


def judge(outcomes: Sequence[Outcome]) -> None:
    """A line on stderr for every gate that failed, and exit code 5 if one did."""
    failed = [o for o in outcomes if not o.passed]
    for outcome in failed:
        print(f"gate failed: {outcome.line()}", file=sys.stderr)
    if failed:
        raise typer.Exit(FAILED)


def passed(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Gates as JSON."""
    return [asdict(o) for o in outcomes]


def rows(found: Iterable[Metrics], ceiling: dict[str, Ceiling]) -> list[dict[str, Any]]:
    """The table of `show` as JSON: one object for each cohort and model."""
    return [
        {
            "cohort": m.cohort,
            "model": x.model,
            "tuning": is_tuning(m.cohort),
            "n": x.overall.n,
            "patients": x.overall.patients,
            "pictures": x.scores.pictures,
            "called_positive": _plain(x.scores.called_positive),
            "auroc": _plain(x.overall.auroc),
            "sensitivity": _plain(x.overall.sensitivity),
            "specificity": _plain(x.overall.specificity),
            "harrell_c": None if x.fracture is None else _plain(x.fracture.harrell_c),
            "fractures": None if x.fracture is None else x.fracture.fractures,
            "ceiling": ceiling[m.cohort].auroc if m.cohort in ceiling else None,
        }
        for m in found
        for x in m.models
    ]


def table(found: Sequence[Metrics], ceiling: dict[str, Ceiling]) -> str:
    """Lines of aligned columns, one for each cohort and model."""
    head = ("cohort", "model", "n", "AUROC [95%]", "sensitivity [95%]", "specificity [95%]")
    c = any(foretells(x) for m in found for x in m.models)
    lines: list[tuple[str, ...]] = [
        head + ("followed", "fractures", "Harrell's C [95%]") * c + ("ceiling",) * bool(ceiling)
    ]
    for m in found:
        for model in m.models:
            o = model.overall
            ratios = (o.auroc.text(), o.sensitivity.text(), o.specificity.text())
            if not o.n and model.scores.called_positive.value is not None:
                ratios = (_called(model), "-", "-")
            line = (m.cohort, model.model, str(o.n), *ratios)
            top = ceiling.get(m.cohort)
            known = f"{top.auroc:.3f}" if top else "-"
            lines.append(line + _fractures(model) * c + (known,) * bool(ceiling))
        if not m.models:
            lines.append((m.cohort, "-", "0", *m.notes))
    printed = aligned(lines)
    tuning = [m for m in found if is_tuning(m.cohort)]
    if tuning and all(map(unlabelled, tuning)):
        printed.append(
            "The model was made with the help of a tuning cohort: its row is optimistic."
        )
    elif tuning:
        printed.append("A tuning cohort chose temperature and threshold: its row is optimistic.")
    return "\n".join(printed)


def _called(model: ModelMetrics) -> str:
    """Of a cohort that nobody measured."""
    s = model.scores
    return f"no label; of {s.pictures:,} pictures called positive: {s.called_positive.text()}"


def _fractures(model: ModelMetrics) -> tuple[str, str, str]:
    """Followed, fractures, and Harrell's C with its interval."""
    f = model.fracture
    return ("-", "-", "-") if f is None else (str(f.n), str(f.fractures), f.harrell_c.text())


def contrasts(comparison: Comparison) -> str:
    """Lines of aligned columns, one for each test that was made or refused."""
    if not any(row.n for row in comparison.rows):
        return NO_TESTS
    head = ("test", "first", "second", "n", "AUROC second - first", "p", "p Holm")
    lines = [head, *(_contrast(c) for c in comparison.contrasts)]
    last = f"{comparison.comparisons} tests have a p; Holm's is corrected for all of them."
    return "\n".join([*aligned(lines), last])


def aligned(lines: Sequence[tuple[str, ...]]) -> list[str]:
    """Cells padded to columns, two spaces apart."""
    wide = range(len(lines[0]))
    widths = [max(len(row[i]) if i < len(row) else 0 for row in lines) for i in wide]
    padded = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)) for row in lines)
    return [line.rstrip() for line in padded]


def _contrast(c: Contrast) -> tuple[str, ...]:
    sides = [f"{s.run}/{s.cohort}/{s.model}" for s in (c.first, c.second)]
    n = f"{c.first.n}" if c.kind == "paired" else f"{c.first.n}, {c.second.n}"
    return (c.kind, *sides, n, c.difference.text(), _p(c.p), _p(c.p_holm))


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _plain(e: Estimate) -> dict[str, Any]:
    return asdict(e)
