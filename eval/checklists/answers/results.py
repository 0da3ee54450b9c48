"""Of the results: measures, intervals, subgroups, errors. Proof: metrics.json and predictions."""

from __future__ import annotations

from eval.checklists.answers.words import count, joined, number, of_each
from eval.checklists.evidence import Evidence, Missing
from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate
from eval.foretold import fractures_only, told
from eval.learnt import Learnt
from eval.runs import is_tuning

#: Fields of metrics.json whose names are not words; the others read as they are.
NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "youden": "Youden's index",
    "brier_binary": "Brier score",
    "ece_positive_class": "expected calibration error",
    "in_the_large": "calibration in the large",
    "slope": "calibration slope",
    "intercept": "calibration intercept",
    "ici": "integrated calibration index",
    "e50": "E50",
    "e90": "E90",
    "emax": "Emax",
    "harrell_c": "Harrell's C",
    "uno_c": "Uno's C",
    "followup_median_days": "median follow-up",
}


def measures(e: Evidence) -> str:
    """The estimates that exist for at least one model."""
    metrics = e.metrics()
    found = {
        name: None
        for m in metrics
        for x in m.models
        for part in (x.overall, x.calibration, x.fracture)
        if part is not None
        for name in type(part).model_fields
        if isinstance(v := getattr(part, name), Estimate) and v.value is not None
    }
    if not found:
        raise Missing("metrics.json: nothing could be estimated")
    names = ", ".join(NAMES.get(n, n.replace("_", " ")) for n in found)
    pairs = sum(len(m.differences) for m in metrics)
    return joined([names, f"{count(pairs, 'paired comparison')} of models by DeLong's test"])


def uncertainty(e: Evidence) -> str:
    """Level, draws, kind of interval, and the count of comparisons."""
    metrics = e.metrics()
    s = metrics[0].settings
    if fractures_only(metrics):
        how = "the infinitesimal jackknife over patients for concordance"
        return joined([f"{number(100 * s.confidence)}% intervals: {how}"])
    tests = sum(d.p is not None for m in metrics for d in m.differences)
    return joined(
        [
            f"{number(100 * s.confidence)}% intervals: {s.proportions} for ratios, "
            f"{s.draws:,} resamples of patients (seed {s.seed}) for ranking",
            f"{count(tests, 'paired test')} of models, corrected within each cohort",
        ]
    )


def robustness(e: Evidence) -> str:
    """The splits that were looked at, with how many groups each."""
    metrics = e.metrics()
    groups: dict[str, set[str]] = {}
    for m in metrics:
        for x in m.models:
            for s in x.subgroups:
                if s.performance is not None and not s.performance.n:
                    continue  # nobody with a label: the group was not judged
                groups.setdefault(s.by, set()).add(s.level)
    if not groups:
        raise Missing("metrics.json: no subgroups")
    said = ", ".join(f"{by} ({count(len(levels), 'group')})" for by, levels in groups.items())
    return joined([f"Performance by {said}", f"{count(len(metrics), 'cohort')} judged apart"])


def internal(e: Evidence) -> str:
    """AUROC on cohorts of the same origin as training's."""
    return _size(e.metrics(lambda c: not _external(c) and not is_tuning(c)))


def external(e: Evidence) -> str:
    """AUROC on cohorts from elsewhere."""
    return _size(e.metrics(_external))


def performance(e: Evidence) -> str:
    """AUROC and average precision of every model on every cohort."""
    return of_each(
        e.metrics(),
        lambda x: told(x) or _said({"AUROC": x.overall.auroc, "AP": x.overall.average_precision}),
    )


def diagnostic(e: Evidence) -> str:
    """Sensitivity, specificity and predictive values."""
    return of_each(
        e.metrics(),
        lambda x: (
            _said({name: getattr(x.overall, key) for name, key in _RATIOS.items()})
            if x.overall.n
            else ""
        ),
    )


def performance_groups(e: Evidence) -> str:
    """Overall, and how many groups are estimated."""
    estimated = sum(
        s.performance is not None and s.performance.auroc.value is not None
        for m in e.metrics()
        for x in m.models
        for s in x.subgroups
    )
    if fractures_only(e.metrics()):
        return performance(e)
    return joined([performance(e), f"AUROC estimated for {count(estimated, 'subgroup')}"])


def clusters_how(e: Evidence) -> str:
    """Cohorts are judged apart and not pooled."""
    names = ", ".join(m.cohort for m in e.metrics())
    return f"Each cohort is judged apart and none is pooled: {names}."


def clusters(e: Evidence) -> str:
    """AUROC by cohort, for two or more."""
    metrics = e.metrics(lambda c: not is_tuning(c))
    if len(metrics) < 2:
        raise Missing("cohorts/: one cohort alone does not differ from another")
    return of_each(metrics, lambda x: told(x) or _said({"AUROC": x.overall.auroc}))


def crosstab(e: Evidence) -> str:
    """True and false positives and negatives at the frozen threshold."""
    return of_each(e.metrics(), _counts)


def failures(e: Evidence) -> str:
    """How many were missed and flagged for nothing, and by severity where known."""
    return of_each(e.metrics(), lambda x: _missed(x, e.learnt))


def fairness(e: Evidence) -> str:
    """Lowest and highest AUROC among the groups of each split."""

    def said(x: ModelMetrics) -> str:
        parts = []
        for by in dict.fromkeys(s.by for s in x.subgroups):
            found = sorted(
                (s.performance.auroc.value, s.level)
                for s in x.subgroups
                if s.by == by
                and s.performance is not None
                and s.performance.auroc.value is not None
            )
            if len(found) > 1:
                (low, worst), (high, best) = found[0], found[-1]
                parts.append(f"AUROC by {by} from {low:.3f} ({worst}) to {high:.3f} ({best})")
        return "; ".join(parts)

    return of_each(e.metrics(), said)


def explained(e: Evidence) -> str:
    """How many pictures have a heat map."""
    panels = e.panels()
    pictures = panels.get("panels")
    if not isinstance(pictures, list) or not pictures:
        raise Missing("report/gradcam/panels.json: names no picture")
    return f"Grad-CAM of {count(len(pictures), 'picture')}, chosen by a fixed rule."


def audit(e: Evidence) -> str:
    """Hashes of the predictions that every number was made from."""
    return joined(f"{m.cohort}: predictions SHA-256 {m.predictions_sha256}" for m in e.metrics())


_RATIOS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "PPV": "ppv",
    "NPV": "npv",
}


def _external(cohort: str) -> bool:
    return "external" in cohort


def _size(metrics: list[Metrics]) -> str:
    return of_each(
        metrics,
        lambda x: told(x) or f"n = {x.overall.n:,}, {_said({'AUROC': x.overall.auroc})}",
    )


def _said(estimates: dict[str, Estimate]) -> str:
    return ", ".join(f"{name} {e.text()}" for name, e in estimates.items())


def _counts(x: ModelMetrics) -> str:
    c = x.overall.confusion
    return "" if c is None else f"TP {c.tp:,}, FP {c.fp:,}, FN {c.fn:,}, TN {c.tn:,}"


def _missed(x: ModelMetrics, learnt: Learnt) -> str:
    c = x.overall.confusion
    if c is None:
        return ""
    bands = [
        f"{s.level} {s.accuracy.text(2)}" for s in x.severities if s.accuracy.value is not None
    ]
    by = f"; called rightly by severity: {', '.join(bands)}" if bands else ""
    missed = f"{c.fn:,} of {c.fn + c.tp:,} with {learnt.positive} not flagged"
    return f"{missed}, {c.fp:,} of {c.fp + c.tn:,} {learnt.without} flagged{by}"


ANSWERS = {
    "measures": measures,
    "uncertainty": uncertainty,
    "robustness": robustness,
    "internal": internal,
    "external": external,
    "performance": performance,
    "diagnostic": diagnostic,
    "performance_groups": performance_groups,
    "clusters_how": clusters_how,
    "clusters": clusters,
    "crosstab": crosstab,
    "failures": failures,
    "fairness": fairness,
    "explained": explained,
    "audit": audit,
}
