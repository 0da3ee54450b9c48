"""The confounder probe as a table: what age, sex, body and site reach without the picture."""

from __future__ import annotations

from dataclasses import dataclass

from eval import plots
from eval.clinical.confounding import Confounding
from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.reporting.text import interval, minus

#: How a score that has seen the picture is drawn, and one that has not.
SEEN, UNSEEN = plots.Pen("#0072b2", "-", "o"), plots.Pen("#4b5864", "-", "D")


@dataclass(frozen=True)
class Line:
    """One score: its name, what it is, its AUROC and the strip of it."""

    name: str
    note: str
    auroc: Estimate
    strip: str


@dataclass(frozen=True)
class Probe:
    """One model on one cohort."""

    cohort: str
    model: str
    confounding: Confounding
    axis: str
    lines: tuple[Line, ...]

    @property
    def answer(self) -> str:
        """What the picture adds to what is known without it, in a sentence."""
        first = next((a for a in self.confounding.against if a.difference.value is not None), None)
        if first is None:
            return ""
        limits = interval(first.difference, 3, sign=True)
        return (
            f"The picture reaches {float(first.first_auroc):.3f}; "
            f"{', '.join(self.confounding.together)} reach {float(first.second_auroc):.3f} without "
            f"it. The difference is {minus(f'{float(first.difference):+.3f}')}"
            f"{f' ({limits})' if limits else ''}."
        )


def named(score: str) -> str:
    """A score's name in the words of the page."""
    return score.replace("image", "picture")


def probe(metrics: Metrics, model: ModelMetrics) -> Probe | None:
    """The lines of one model's probe; None where its metrics have none."""
    found = model.confounding
    if found is None:
        return None
    listed = _lines(found)
    image = found.image.value
    scale = plots.scale_of([e for _, _, e, _ in listed], 1.0, image)
    lines = tuple(
        Line(name, note, e, plots.strip([(e, SEEN if reads else UNSEEN)], scale))
        for name, note, e, reads in listed
    )
    return Probe(metrics.cohort, model.model, found, plots.axis(scale), lines)


def _lines(c: Confounding) -> list[tuple[str, str, Estimate, bool]]:
    """Name, note, AUROC, and whether the score has seen the picture."""
    together = ", ".join(c.together)
    lines = [("The picture", f"all {c.n:,} labelled rows", c.image, True)]
    lines += [(f"{x.name} alone", f"known in {x.n:,}", x.auroc, False) for x in c.covariates]
    lines += [
        ("Together", f"{together or 'nothing'}; out of fold", c.covariates_auroc, False),
        ("The picture less what they predict", "residual of the score", c.residualised, True),
        (
            "The picture among alike",
            f"same sex, ages within {c.matched.years:g} years: "
            f"{c.matched.pairs:,} of {c.matched.of_pairs:,} pairs",
            c.matched.auroc,
            True,
        ),
    ]
    seen = {"image", "covariates"}
    for a in c.against:
        for name, e in ((a.first, a.first_auroc), (a.second, a.second_auroc)):
            if name not in seen:
                seen.add(name)
                seen_it = "image" in name
                lines.append((named(name), f"{a.n:,} rows with both scores", e, seen_it))
    return lines
