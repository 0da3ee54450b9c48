"""Who is in: radiographs paired with DXA by time, one radiograph a patient, everyone counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_sharding.ledger import Exclusion, Ledger
from data_sharding.policies import Policy, Verdict
from data_sharding.sources import Clinical, Dxa, Radiograph, Site
from data_sharding.tables import years_between


@dataclass(frozen=True)
class Candidate:
    """A picture that may be packed, with the facts of its sample. `item`, `path`: private."""

    item: str
    path: str
    name: str  # what makes it unique: SOP instance UID or file name
    view: str
    age: float | None
    sex: str
    days_to_dxa: int | None = None
    verdict: Verdict | None = None
    height_cm: float | None = None
    weight_kg: float | None = None


@dataclass(frozen=True)
class Work:
    """One sample to make: the first of `candidates` that can be read becomes it."""

    patient: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Rules:
    """The cohort's criteria (OsPenScreen: PA, 50 years and older, paired within 180 days)."""

    window_days: int = 180
    min_age: float = 50
    view: str = "PA"


@dataclass(frozen=True)
class _Pair:
    radiograph: Radiograph
    dxa: Dxa
    days: int  # DXA minus radiograph
    age: float | None

    @property
    def order(self) -> tuple[object, ...]:
        """Closest first; then the earlier radiograph, the smaller SOP UID, the earlier DXA."""
        facts = self.radiograph.facts
        return abs(self.days), facts.date, facts.sop_uid, self.radiograph.item, self.dxa.day


def dxa_cohort(site: Site, label: Policy, rules: Rules, ledger: Ledger) -> list[Work]:
    """The patients of a DXA-paired site, each with radiographs in the order they are to be tried.

    Age is that at the radiograph. The label is that of the closest pair; a fallback radiograph
    (where the first cannot be read) carries the label of its own closest DXA.
    """
    of_patient: dict[str, list[Radiograph]] = {}
    for radiograph in site.radiographs:
        of_patient.setdefault(radiograph.facts.patient_id, []).append(radiograph)
    left = sorted(site.patients)

    def keep(step: str, why: Callable[[str], tuple[str, str] | None]) -> None:
        """Take out the patients for whom `why` has a reason."""
        nonlocal left
        reasons = {patient: why(patient) for patient in left}
        out = [Exclusion(p, p, r[0], r[1]) for p, r in reasons.items() if r]
        before, left = len(left), [p for p in left if not reasons[p]]
        ledger.step(step, "patient", before, len(left), out)

    keep(
        "patients with a DXA and a chest radiograph",
        lambda p: (
            ("no_dxa", "no usable row in dxa.csv")
            if p not in site.dxa
            else None
            if p in of_patient
            else ("no_radiograph", "no usable file")
        ),
    )
    wanted = {p: [r for r in of_patient[p] if r.facts.view == rules.view] for p in left}
    keep(
        f"patients with a {rules.view} view",
        lambda p: None if wanted[p] else ("no_pa_view", f"{len(of_patient[p])} other views"),
    )
    pairs = {p: _pairs(wanted[p], site.dxa[p], site.clinical.get(p)) for p in left}
    inside = {p: [x for x in pairs[p] if abs(x.days) <= rules.window_days] for p in left}

    def unpaired(p: str) -> tuple[str, str] | None:
        if not pairs[p]:
            return "missing_dates", f"{len(wanted[p])} radiographs without a date"
        nearest = abs(pairs[p][0].days)
        return (
            None if inside[p] else ("outside_window", f"the nearest pair is {nearest} days apart")
        )

    keep(f"patients paired within {rules.window_days} days", unpaired)

    def wrong_age(p: str) -> tuple[str, str] | None:
        ages = [x.age for x in inside[p] if x.age is not None]
        if not ages:
            return "age_unknown", "no birth date and no age"
        if max(ages) < rules.min_age:
            return "under_age", f"younger than {rules.min_age:g} at the radiograph"
        inside[p] = [x for x in inside[p] if x.age is not None and x.age >= rules.min_age]
        return None

    keep(f"patients of {rules.min_age:g} years and older", wrong_age)
    verdicts = {x: label(dict(x.dxa.t_scores)) for p in left for x in inside[p]}

    def unlabelled(p: str) -> tuple[str, str] | None:
        best = verdicts[inside[p][0]]
        return (best.excluded, best.audit) if best.excluded else None

    keep("patients the label policy takes", unlabelled)
    _note_conflicts(site, ledger)
    return [_work(p, inside[p], verdicts, site.clinical.get(p)) for p in left]


def _pairs(radiographs: list[Radiograph], dxa: list[Dxa], clinical: Clinical | None) -> list[_Pair]:
    """Every dated radiograph with every DXA, closest first."""
    out = []
    for radiograph in radiographs:
        facts = radiograph.facts
        if facts.date is None:
            continue
        born = (clinical.birth_date if clinical else None) or facts.birth_date
        age = years_between(born, facts.date) if born else facts.age
        out += [_Pair(radiograph, d, (d.day - facts.date).days, age) for d in dxa]
    return sorted(out, key=lambda pair: pair.order)


def _work(
    patient: str, pairs: list[_Pair], verdicts: dict[_Pair, Verdict], clinical: Clinical | None
) -> Work:
    known = clinical or Clinical()
    candidates: dict[str, Candidate] = {}  # by item; the closest pair of a radiograph comes first
    for pair in pairs:
        facts, verdict = pair.radiograph.facts, verdicts[pair]
        if verdict.excluded or pair.radiograph.item in candidates:
            continue
        candidates[pair.radiograph.item] = Candidate(
            item=pair.radiograph.item,
            path=pair.radiograph.path,
            name=facts.sop_uid or pair.radiograph.item,
            view=facts.view,
            age=pair.age,
            sex=known.sex or facts.sex,
            days_to_dxa=pair.days,
            verdict=verdict,
            height_cm=known.height_cm,
            weight_kg=known.weight_kg,
        )
    return Work(patient, tuple(candidates.values()))


def _note_conflicts(site: Site, ledger: Ledger) -> None:
    """Say how often a header and clinical.csv disagree; clinical.csv is believed."""
    differ: dict[str, set[str]] = {"sex": set(), "birth date": set()}
    for radiograph in site.radiographs:
        facts = radiograph.facts
        known = site.clinical.get(facts.patient_id)
        if known and known.sex and facts.sex and known.sex != facts.sex:
            differ["sex"].add(facts.patient_id)
        if known and known.birth_date and facts.birth_date not in (None, known.birth_date):
            differ["birth date"].add(facts.patient_id)
    for what, patients in differ.items():
        if patients:
            ledger.notes.append(
                f"{what} differs between clinical.csv and the DICOM header for {len(patients)} "
                "patients; clinical.csv was taken"
            )


def image_step(
    site: Site, rules: Rules, chosen: dict[str, str], failed: dict[str, Exclusion]
) -> list[Exclusion]:
    """Why each radiograph that was not packed was not.

    Args:
        site: all usable radiographs.
        rules: the cohort's criteria.
        chosen: patient -> item that was packed.
        failed: item -> why its pixels were no use.
    """
    out = []
    packed = set(chosen.values())
    for radiograph in site.radiographs:
        item, patient, view = radiograph.item, radiograph.facts.patient_id, radiograph.facts.view
        if item in packed:
            continue
        if item in failed:
            out.append(failed[item])
        elif view != rules.view:
            out.append(Exclusion(item, patient, "view_not_pa", f"not {rules.view}", f"view {view}"))
        elif patient in chosen:
            out.append(Exclusion(item, patient, "not_selected", "a closer or earlier one was used"))
        else:
            out.append(Exclusion(item, patient, "patient_excluded", "see the patient's row"))
    return out
