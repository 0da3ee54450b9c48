"""Of the people judged: how many, who they are, what is not known of them. Proof: metrics.json."""

from __future__ import annotations

from eval.checklists.answers.words import count, joined, known, of_each
from eval.checklists.evidence import Evidence, Missing
from eval.cohort import Metrics, ModelMetrics
from eval.foretold import NO_LABEL, seen, unlabelled


def sample_size(e: Evidence) -> str:
    """Patients and pictures of each cohort, and how many are positive."""
    parts = []
    for m in e.metrics():
        b = m.baseline
        size = f"{count(b.patients, 'patient')}, {count(b.pictures, 'picture')}"
        reference = NO_LABEL if unlabelled(m) else f"{b.low_bone_mass:,} with {e.learnt.positive}"
        fractures = [f"{x.model}: {said}" for x in m.models if (said := seen(x))]
        parts.append("; ".join([f"{m.cohort}: {size}, {reference}", *fractures]))
    return joined(parts)


def demographics(e: Evidence) -> str:
    """Age, sex and reference of each cohort."""
    parts = []
    for m in e.metrics():
        b = m.baseline
        size, age = count(b.patients, "patient"), "age not recorded"
        if b.age_years.mean is not None:
            sd = "" if b.age_years.sd is None else f" (SD {b.age_years.sd:.1f})"
            age = f"age {b.age_years.mean:.1f}{sd} years"
        sexes = ", ".join(f"{level} {known(n)}" for level, n in b.counts("sex").items())
        reference = f"{b.normal:,} {e.learnt.without}, {b.low_bone_mass:,} with {e.learnt.positive}"
        reference = NO_LABEL if unlabelled(m) else reference
        parts.append(f"{m.cohort}, {size}: {age}; {sexes or 'sex not recorded'}; {reference}")
    return joined(parts)


def missing(e: Evidence) -> str:
    """How many of the patients of each cohort lack which fact; none is filled in."""
    return joined(
        f"{m.cohort}, {count(m.baseline.patients, 'patient')}: {_lacking(m)}" for m in e.metrics()
    )


def events(e: Evidence) -> str:
    """Rows and patients in each analysis, and how many are positive."""
    return of_each(e.metrics(), lambda x: _events(x, e.learnt.positive))


def _events(x: ModelMetrics, positive: str) -> str:
    if fractures := seen(x):
        return f"{fractures}; {NO_LABEL}"
    size = f"{count(x.overall.n, 'picture')} of {count(x.overall.patients, 'patient')}"
    cases = f"{x.overall.positives:,} with {positive}"
    return f"{size}, {cases}; {x.unlabelled:,} without a reference"


def imbalance(e: Evidence) -> str:
    """The share of positives in each cohort."""
    positive = e.learnt.positive
    parts = [
        f"{m.cohort}: {m.models[0].overall.prevalence.text(1, percent=True)} with {positive}"
        for m in e.metrics()
        if m.models and not unlabelled(m)
    ]
    if not parts:
        raise Missing("metrics.json: no model was judged by a label")
    return joined(parts)


def acquisition(e: Evidence) -> str:
    """Makers of the devices, as far as recorded."""
    parts = []
    for cohort, frame in e.predictions().items():
        makers = frame.drop_duplicates("key")["vendor"].dropna().value_counts()
        if len(makers):
            named = ", ".join(f"{v} {n:,}" for v, n in sorted(makers.items()))
            parts.append(f"{cohort}: {named} pictures")
    if not parts:
        raise Missing("predictions.parquet: no maker of a device is recorded")
    return joined(parts)


def indeterminate(e: Evidence) -> str:
    """Every picture got a probability; how many have no reference."""
    parts, labels, thresholds = [], False, False
    for cohort, frame in e.predictions().items():
        pictures = frame.drop_duplicates("key")
        labels |= bool(frame["label"].notna().any())
        thresholds |= bool(frame["threshold"].notna().any())
        said = f"{count(len(frame), 'prediction')}, each with a probability"
        without = int(pictures["label"].isna().sum())
        parts.append(f"{cohort}: {said}; {without:,} without a reference")
    if not labels and not thresholds:
        return joined(["There is no threshold: the answer is the probability itself", *parts])
    return joined(
        ["There is no indeterminate answer: a probability is at the threshold or not", *parts]
    )


def _lacking(m: Metrics) -> str:
    b = m.baseline
    facts = {
        "age": b.patients - b.age_years.known,
        "sex": b.sex_unknown,
        "height": b.patients - b.height_cm.known,
        "weight": b.patients - b.weight_kg.known,
        "lowest T-score": b.patients - b.lowest_t.known,
        "reference": 0 if unlabelled(m) else b.unlabelled,
    }
    absent = [f"{name} of {n:,}" for name, n in facts.items() if n]
    if unlabelled(m):
        lacking = f"missing are {', '.join(absent)}" if absent else "age, sex and size known of all"
        return f"{lacking}; {NO_LABEL}"
    return (
        f"missing are {', '.join(absent)}"
        if absent
        else "age, sex, size and reference known of all"
    )


ANSWERS = {
    "sample_size": sample_size,
    "demographics": demographics,
    "missing": missing,
    "events": events,
    "imbalance": imbalance,
    "acquisition": acquisition,
    "indeterminate": indeterminate,
}
