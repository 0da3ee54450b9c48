"""Who is in: pictures paired with DXA by time, everyone counted; one picture a patient, or every.

    works = dxa_cohort(site, policy("ospenscreen/1"), policy("ospenscreen/1").rules, ledger)

A picture is a chest radiograph, or a face photograph where the rules ask for the view FRONTAL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from data_sharding.labels.policies import Measurement, Policy, Rules, Verdict
from data_sharding.labels.readings import UNUSABLE
from data_sharding.ledger import Exclusion, Ledger, Refused
from data_sharding.sources.fractures import FollowUp, Seen, follow_up
from data_sharding.sources.paired import Clinical, Dxa, Radiograph, Site
from data_sharding.sources.tables import years_between

#: The view of a face photograph.
FACE = "FRONTAL"
OLDEST = 120


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
    vendor: str = ""
    day: date | None = None  # of the picture
    follow_up: FollowUp | None = None
    study_uid: str = ""


@dataclass(frozen=True)
class Work:
    """One sample to make: the first of `candidates` that can be read becomes it.

    `passed`: other pictures of the patient that are no sample, and why (where every one could be).
    """

    patient: str
    candidates: tuple[Candidate, ...]
    passed: tuple[Exclusion, ...] = ()


@dataclass(frozen=True)
class _Pair:
    radiograph: Radiograph
    dxa: Dxa
    days: int  # DXA minus radiograph
    age: float | None  # at the radiograph
    age_at_dxa: float | None

    @property
    def closest(self) -> tuple[object, ...]:
        """Closest first; then the earlier radiograph, the smaller SOP UID, the earlier DXA."""
        facts = self.radiograph.facts
        return abs(self.days), facts.date, facts.sop_uid, self.radiograph.item, self.dxa.day

    @property
    def first(self) -> tuple[object, ...]:
        """The earliest radiograph first, each with its closest DXA first; then as `closest`."""
        facts = self.radiograph.facts
        return facts.date, abs(self.days), facts.sop_uid, self.radiograph.item, self.dxa.day


def measurement_of(
    dxa: Dxa, clinical: Clinical | None, age: float | None, sex: str = ""
) -> Measurement:
    """What a policy is asked. `age`: years at the DXA; `sex`: of a header, if clinical.csv is mute.

    The label is then a matter of the DXA alone: two pictures of one pair with the same examination
    never differ in it.
    """
    known = clinical or Clinical()
    return Measurement(
        t_scores=dict(dxa.t_scores),
        z_scores=dict(dxa.z_scores),
        excluded_vertebrae=dxa.excluded_vertebrae,
        age=age,
        sex=known.sex or sex,
        menopausal=known.menopausal,
    )


def dxa_cohort(
    site: Site, policy: Policy, rules: Rules, ledger: Ledger, source: str = ""
) -> list[Work]:
    """The patients of a DXA-paired site, each with pictures in the order they are to be tried.

    Args:
        site: all usable pictures, DXA rows and clinical rows.
        policy: gives the labels.
        rules: the cohort's criteria: `policy.rules`, or those with a user's changes.
        ledger: gets the steps.
        source: the site's name, which chooses among `rules.windows`.

    The minimum age is that at the picture; the policy sees the age at the DXA. A pair qualifies if
    it is in the window, old enough, and its measurement can be judged: one without a site that the
    policy requires gives way to the next pair, one that says osteoporosis does not. The patient's
    label is that of the closest qualifying pair, or of the first in time where `rules.study` says
    so (ties: see `_Pair`). A fallback picture, tried where an earlier one cannot be read, carries
    the label of its own pair. Where `rules.every` says so, each of these pictures is a work of its
    own, and a patient is in who has one that qualifies by its own pair.
    """
    of_patient: dict[str, list[Radiograph]] = {}
    for radiograph in site.radiographs:
        of_patient.setdefault(radiograph.facts.patient_id, []).append(radiograph)
    left = sorted(site.patients)
    noun, none = (
        ("radiograph", "no_radiograph") if rules.view != FACE else ("photograph", "no_photo")
    )

    def keep(step: str, why: Callable[[str], tuple[str, str] | None]) -> None:
        """Take out the patients for whom `why` has a reason."""
        nonlocal left
        reasons = {patient: why(patient) for patient in left}
        out = [Exclusion(p, p, r[0], r[1]) for p, r in reasons.items() if r]
        before, left = len(left), [p for p in left if not reasons[p]]
        ledger.step(step, "patient", before, len(left), out)

    keep(
        f"patients with a DXA and a {'chest ' * (rules.view != FACE)}{noun}",
        lambda p: (
            ("no_dxa", "no usable row in dxa.csv")
            if p not in site.dxa
            else None
            if p in of_patient
            else (none, "no usable file")
        ),
    )
    wanted = {p: [r for r in of_patient[p] if r.facts.view == rules.view] for p in left}
    no_view = "no_pa_view" if rules.view == "PA" else "no_such_view"
    keep(
        f"patients with a {rules.view} view",
        lambda p: None if wanted[p] else (no_view, f"{len(of_patient[p])} other views"),
    )
    window = rules.window(source)
    pairs = {p: _pairs(wanted[p], site.dxa[p], site.clinical.get(p), rules) for p in left}
    inside = {p: [x for x in pairs[p] if abs(x.days) <= window] for p in left}

    def unpaired(p: str) -> tuple[str, str] | None:
        if not pairs[p]:
            return "missing_dates", f"{len(wanted[p])} {noun}s without a date"
        nearest = min(abs(x.days) for x in pairs[p])
        return (
            None if inside[p] else ("outside_window", f"the nearest pair is {nearest} days apart")
        )

    keep(f"patients paired within {window} days", unpaired)

    def wrong_age(p: str) -> tuple[str, str] | None:
        ages = [x.age for x in inside[p] if x.age is not None]
        if rules.min_age and not ages:
            return "age_unknown", "no birth date and no age"
        if ages and not any(0 <= age <= OLDEST for age in ages):
            return "age_implausible", f"not 0 to {OLDEST} years at the {noun}"
        old = [x for x in inside[p] if _old_enough(x.age, rules.min_age)]
        if not old:
            return "under_age", f"younger than {rules.min_age:g} at the {noun}"
        inside[p] = old
        return None

    step = f"patients of {rules.min_age:g} years and older"
    keep(step if rules.min_age else "patients whose age is possible", wrong_age)
    verdicts = {x: _verdict(policy, x, site.clinical.get(p)) for p in left for x in inside[p]}

    def unlabelled(p: str) -> tuple[str, str] | None:
        judged = [x for x in inside[p] if verdicts[x].excluded not in UNUSABLE]
        said = verdicts[(judged or inside[p])[0]]
        if rules.every and _work(p, inside[p], verdicts, None, None).candidates:
            return None
        return (said.excluded, said.audit) if said.excluded else None

    keep("patients the label policy takes", unlabelled)
    _note_conflicts(site, ledger)
    clinical, followed = site.clinical, site.followed
    works = [_work(p, inside[p], verdicts, clinical.get(p), followed.get(p)) for p in left]
    if not rules.every:
        return works
    return [one for work in works for one in _each(work, pairs[work.patient], verdicts, window)]


def _old_enough(age: float | None, least: float) -> bool:
    """Where every age is taken an unknown one is too."""
    return not least if age is None else least <= age and 0 <= age <= OLDEST


def _verdict(policy: Policy, pair: _Pair, clinical: Clinical | None) -> Verdict:
    sex = pair.radiograph.facts.sex
    return policy.judge(measurement_of(pair.dxa, clinical, pair.age_at_dxa, sex))


def _pairs(
    radiographs: list[Radiograph], dxa: list[Dxa], clinical: Clinical | None, rules: Rules
) -> list[_Pair]:
    """Every dated radiograph with every DXA, in the order in which they are preferred."""
    out = []
    for radiograph in radiographs:
        facts = radiograph.facts
        if facts.date is None:
            continue
        born = (clinical.birth_date if clinical else None) or facts.birth_date
        age = years_between(born, facts.date) if born else facts.age
        for d in dxa:
            days = (d.day - facts.date).days
            if born:
                at_dxa = years_between(born, d.day)
            else:  # PatientAge is in whole years: near a boundary it may be off by one
                at_dxa = None if age is None else age + days / 365.25
            out.append(_Pair(radiograph, d, days, age, at_dxa))
    return sorted(out, key=lambda x: x.first if rules.study == "first" else x.closest)


def _work(
    patient: str,
    pairs: list[_Pair],
    verdicts: dict[_Pair, Verdict],
    clinical: Clinical | None,
    seen: Seen | None,
) -> Work:
    known = clinical or Clinical()
    candidates: dict[str, Candidate] = {}
    decided: set[str] = set()  # by a picture's first pair that can be judged, for or against
    for pair in pairs:
        facts, verdict = pair.radiograph.facts, verdicts[pair]
        if pair.radiograph.item in decided or verdict.excluded in UNUSABLE:
            continue
        decided.add(pair.radiograph.item)
        if verdict.excluded:
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
            vendor=facts.manufacturer,
            day=facts.date,
            study_uid=facts.study_uid,
            follow_up=_follow_up(seen, facts.date),
        )
    return Work(patient, tuple(candidates.values()))


def _each(
    work: Work, pairs: list[_Pair], verdicts: dict[_Pair, Verdict], window: int
) -> Iterator[Work]:
    """A work for each picture; the first knows why the patient's others with a day are none."""
    taken = {candidate.item for candidate in work.candidates}
    why: dict[str, tuple[str, str]] = {}  # by the closest pair, if none of them is judged
    for pair in sorted(pairs, key=lambda x: (_weight(verdicts.get(x)), x.closest)):
        item = pair.radiograph.item
        if item in taken or item in why:
            continue
        if verdict := verdicts.get(pair):
            why[item] = verdict.excluded, verdict.audit
        elif abs(pair.days) > window:
            why[item] = "outside_window", f"the nearest pair is {abs(pair.days)} days apart"
        elif pair.age is None:
            why[item] = "age_unknown", "no birth date and no age"
        else:
            possible = 0 <= pair.age <= OLDEST
            why[item] = "under_age" if possible else "age_implausible", "at the picture"
    passed = tuple(Exclusion(item, work.patient, *said) for item, said in sorted(why.items()))
    for n, candidate in enumerate(work.candidates):
        yield Work(work.patient, (candidate,), () if n else passed)


def _weight(verdict: Verdict | None) -> int:
    """0 for what decides about a picture, 1 for a measurement that is no use, 2 for no verdict."""
    return 2 if verdict is None else int(verdict.excluded in UNUSABLE)


def _follow_up(seen: Seen | None, day: date | None) -> FollowUp | None:
    found = follow_up(seen, day) if seen and day else None
    return None if isinstance(found, Refused) else found


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
