"""Of the people judged: how many, who they are, what is not known of them. Proof: metrics.json."""

from __future__ import annotations

from eval.checklists.answers.words import count, joined, known, of_each
from eval.checklists.evidence import Evidence, Missing
from eval.cohort import Metrics


def sample_size(e: Evidence) -> str:
    """Patients and pictures of each cohort, and how many have low bone mass."""
    parts = []
    for m in e.metrics():
        b = m.baseline
        size = f"{count(b.patients, 'patient')}, {count(b.pictures, 'picture')}"
        parts.append(f"{m.cohort}: {size}, {b.low_bone_mass:,} with low bone mass")
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
        reference = f"{b.normal:,} normal, {b.low_bone_mass:,} with low bone mass"
        parts.append(f"{m.cohort}, {size}: {age}; {sexes or 'sex not recorded'}; {reference}")
    return joined(parts)


def missing(e: Evidence) -> str:
    """How many of the patients of each cohort lack which fact; none is filled in."""
    return joined(
        f"{m.cohort}, {count(m.baseline.patients, 'patient')}: {_lacking(m)}" for m in e.metrics()
    )


def events(e: Evidence) -> str:
    """Rows and patients in each analysis, and how many are positive."""
    return of_each(
        e.metrics(),
        lambda x: (
            f"{count(x.overall.n, 'picture')} of {count(x.overall.patients, 'patient')}, "
            f"{x.overall.positives:,} with low bone mass; {x.unlabelled:,} without a reference"
        ),
    )


def imbalance(e: Evidence) -> str:
    """The share of positives in each cohort."""
    parts = [
        f"{m.cohort}: {m.models[0].overall.prevalence.text(1, percent=True)} with low bone mass"
        for m in e.metrics()
        if m.models
    ]
    if not parts:
        raise Missing("metrics.json: no model was judged")
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
    parts = []
    for cohort, frame in e.predictions().items():
        pictures = frame.drop_duplicates("key")
        said = f"{count(len(frame), 'prediction')}, each with a probability"
        parts.append(
            f"{cohort}: {said}; {int(pictures['label'].isna().sum()):,} without a reference"
        )
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
        "reference": b.unlabelled,
    }
    absent = [f"{name} of {n:,}" for name, n in facts.items() if n]
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
