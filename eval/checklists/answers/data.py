"""Of the data: sources, eligibility, preparation, partitions. Proof: manifests and ledgers."""

from __future__ import annotations

from eval.checklists.answers.words import count, joined, number, reasons, stated
from eval.checklists.evidence import Dataset, Evidence, Missing

#: Reasons that lie in the patient or in a choice, and not in the picture that came in.
NOT_THE_PICTURE = {"patient_excluded", "not_selected", "finding", "not_in_metadata", "undated"}
NOT_THE_PICTURE |= {"under_age", "over_age", "age_unknown", "age_implausible"}


def sources(e: Evidence) -> str:
    """Names, roles and sizes of the packed datasets."""
    parts = []
    for d in e.datasets():
        policy = d.manifest.policy
        reference = f"labelled by the policy {policy}" if policy else "without a reference"
        parts.append(f"{d.name}: {d.manifest.role}, {count(_samples(d), 'sample')}, {reference}")
    return joined(parts)


def eligibility(e: Evidence) -> str:
    """The settings that decide who goes in, and who was left out for which reason."""
    parts = []
    for d in e.datasets(ledger=True):
        settings = d.manifest.settings
        rules = [
            f"{name} {number(settings[key])}{unit}"
            for key, name, unit in (
                ("min_age", "youngest", " years"),
                ("max_age", "oldest", " years"),
                ("window_days", "picture and DXA at most", " days apart"),
            )
            if settings.get(key) is not None
        ]
        if views := settings.get("views"):
            rules.insert(0, f"views {', '.join(map(str, views))}")
        excluded = _excluded(d, "patient", "image", "file")
        excluded.pop("patient_excluded", None)  # pictures of those who are counted already
        out = f"left out: {reasons(excluded) or 'nobody'}"
        parts.append(f"{d.name}: {'; '.join([*rules, out])}")
    return joined(parts)


def preprocessing(e: Evidence) -> str:
    """What was done to pixels when packed, and before each model."""
    parts = []
    for d in e.datasets():
        shape = "x".join(map(str, d.manifest.image_shape))
        steps = stated(f"{d.name}/manifest.json", d.manifest.settings, "pixels")
        parts.append(f"{d.name}: pixel steps {steps}, stored {shape} {d.manifest.image_dtype}")
    for model in e.models():
        p = e.weights(model, "preprocessor.json")
        size, mean, std = (stated("preprocessor.json", p, k) for k in ("size", "mean", "std"))
        parts.append(f"{model}: {size} pixels a side, mean {number(mean)}, SD {number(std)}")
    return joined(parts)


def subset(e: Evidence) -> str:
    """Which pictures of those readable were used."""
    parts = []
    for d in e.datasets():
        kept = [s for s in d.manifest.flow if s.unit == "image"]
        if not kept:
            continue
        out = reasons(_excluded(d, "image")) or "none left out"
        parts.append(f"{d.name}: {kept[-1].n_out:,} of {count(kept[0].n_in, 'picture')} ({out})")
    if not parts:
        raise Missing("manifest.json: no step counts pictures")
    return joined(parts)


def deidentified(e: Evidence) -> str:
    """Whose key made the pseudonyms."""
    keys = "; ".join(f"{d.name} {d.manifest.key_id}" for d in e.datasets())
    return f"Patients and pictures go by keyed pseudonyms; fingerprints of the keys: {keys}."


def assignment(e: Evidence) -> str:
    """Samples in each split, the fractions asked for and the seed."""
    parts = []
    for d in e.datasets():
        splits = ", ".join(f"{name} {n:,}" for name, n in d.splits.items())
        asked = d.manifest.settings.get("fractions")
        how = ""
        if isinstance(asked, dict) and set(d.splits) <= set(asked):
            shares = ", ".join(f"{k} {number(v)}" for k, v in asked.items())
            how = f" (asked for {shares}; seed {number(d.manifest.settings.get('seed'))})"
        parts.append(f"{d.name}: {splits}{how}")
    return joined(parts)


def disjoint(e: Evidence) -> str:
    """Patients counted in more than one split, in more than one cohort; leaks that were allowed."""
    parts = []
    for d in e.datasets(labelled=True):
        index = e.splits_of(d)
        several = int((index.drop_duplicates().groupby("patient").size() > 1).sum())
        people = count(int(index["patient"].nunique()), "patient")
        parts.append(f"{d.name}: of {people}, {several:,} in more than one split")
        if d.manifest.leaks:
            parts.append(f"{d.name}: {count(len(d.manifest.leaks), 'leak')} allowed by the packer")
    everyone = [f["patient"].unique() for f in e.predictions().values()]
    shared = sum(map(len, everyone)) - len(set().union(*everyone))
    parts.append(f"Judged cohorts: {shared:,} patients in more than one of {len(everyone)}")
    return joined(parts)


def flow(e: Evidence) -> str:
    """Patients in and out of every dataset, and the ledger that names each exclusion."""
    parts = []
    for d in e.datasets(ledger=True):
        steps = [s for s in d.manifest.flow if s.unit == "patient"]
        steps = steps or [s for s in d.manifest.flow if s.unit == "image"]
        if not steps:
            raise Missing(f"{d.name}/manifest.json: no step counts patients or pictures")
        out = reasons(_excluded(d, steps[0].unit)) or "nobody left out"
        unit = f"{steps[0].unit}s"
        parts.append(f"{d.name}: {steps[0].n_in:,} {unit} in, {steps[-1].n_out:,} on ({out})")
    return joined(parts)


def poor_input(e: Evidence) -> str:
    """What was refused as unreadable or unfit while packing; the same rules act in use."""
    parts = []
    for d in e.datasets(ledger=True):
        found = _excluded(d, "file", "image")
        refused = {r: n for r, n in found.items() if r not in NOT_THE_PICTURE}
        said = reasons(refused) or "nothing refused"
        parts.append(f"{d.name}: {sum(refused.values()):,} files or pictures refused ({said})")
    return joined(["Input that cannot be treated alike is refused with a reason", *parts])


def _samples(d: Dataset) -> int:
    return sum(d.splits.values())


def _excluded(d: Dataset, *units: str) -> dict[str, int]:
    """Reason -> count over the flow's steps of these units."""
    total: dict[str, int] = {}
    for step in d.manifest.flow:
        if step.unit in units:
            for reason, n in step.excluded.items():
                total[reason] = total.get(reason, 0) + n
    return {reason: n for reason, n in total.items() if n}


ANSWERS = {
    "sources": sources,
    "eligibility": eligibility,
    "preprocessing": preprocessing,
    "subset": subset,
    "deidentified": deidentified,
    "assignment": assignment,
    "partitions": assignment,
    "disjoint": disjoint,
    "flow": flow,
    "poor_input": poor_input,
}
