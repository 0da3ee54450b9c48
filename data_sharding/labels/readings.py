"""How each policy reads one DXA measurement: pure functions from `Measurement` to `Verdict`.

    from data_sharding.labels.readings import Measurement, who_1
    who_1(Measurement({"lumbar_spine": Decimal("-1.2")})).audit

Scores are compared as the decimals that were written: "-2.5" is exactly -2.5, whatever a float
makes of it. Of several sites with the same lowest score the first of `DXA_SITES` is named. The
docstrings here are what ``python -m data_sharding policies`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from data_sharding.schema import DXA_SITES, Severity

LUMBAR = ("L1", "L2", "L3", "L4")
#: Reasons that lie with a measurement, not with the patient: another measurement may do.
UNUSABLE = ("no_t_score", "no_z_score", "site_missing", "too_few_vertebrae")
BELOW = "below the expected range for age"
WITHIN = "within the expected range for age"
_OSTEOPOROSIS, _OSTEOPENIA = Decimal("-2.5"), Decimal("-1.0")
_LOW_Z = Decimal("-2.0")


@dataclass(frozen=True)
class Measurement:
    """One DXA examination and what a policy may ask about the person.

    `t_scores`, `z_scores`: by site of `DXA_SITES`, None where not measured. `age`: years at the
    DXA. `sex`: F, M or ''. `menopausal`: pre, post or ''. `excluded_vertebrae`: such as ("L3",).
    """

    t_scores: Mapping[str, Decimal | None]
    z_scores: Mapping[str, Decimal | None] = field(default_factory=dict)
    excluded_vertebrae: tuple[str, ...] = ()
    age: float | None = None
    sex: str = ""
    menopausal: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a policy says of one measurement. `excluded` is a reason, or '' if there is a label.

    `label` counts in the policy's classes. `severity` is OsPenScreen's band of the lowest T-score
    whatever the label; None at T <= -2.5 and where no T-score decided. `site` is the one that
    decided; `audit` names it and the rule in words.
    """

    label: int | None
    severity: Severity | None
    lowest_t: Decimal | None
    site: str | None
    excluded: str
    audit: str


def no_label(reason: str, audit: str, t: Decimal | None = None, site: str | None = None) -> Verdict:
    """A verdict without a label, for a reason of `schema.REASONS`."""
    return Verdict(None, None, t, site, reason, audit)


def lowest(scores: Mapping[str, Decimal | None]) -> tuple[str, Decimal] | None:
    """The site with the lowest score (the first of `DXA_SITES` if several), None if none."""
    measured = [(score, site) for site in DXA_SITES if (score := scores.get(site)) is not None]
    if not measured:
        return None
    score, site = min(measured, key=lambda pair: pair[0])
    return site, score


def severity(t: Decimal) -> Severity | None:
    """OsPenScreen's band: mild above -1.5, moderate above -2.0, advanced above -2.5, else None."""
    if t >= _OSTEOPENIA:
        return "normal"
    if t > Decimal("-1.5"):
        return "mild"
    if t > Decimal("-2.0"):
        return "moderate"
    return "advanced" if t > _OSTEOPOROSIS else None


def evaluable(measurement: Measurement) -> int:
    """How many of L1 to L4 count."""
    return len(LUMBAR) - len({v.upper() for v in measurement.excluded_vertebrae} & set(LUMBAR))


def without_lumbar(measurement: Measurement) -> Measurement:
    """The measurement as if the lumbar spine had not been measured."""
    return replace(
        measurement,
        t_scores={**measurement.t_scores, "lumbar_spine": None},
        z_scores={**measurement.z_scores, "lumbar_spine": None},
    )


def ospenscreen_1(measurement: Measurement) -> Verdict:
    """OsPenScreen: the lowest T of lumbar spine, femoral neck and total hip decides.

    T >= -1.0 normal (0); -2.5 < T < -1.0 low bone mass (1); T <= -2.5 excluded: osteoporosis is
    found by a first-stage model. Severity: mild -1.5 < T < -1.0, moderate -2.0 < T <= -1.5,
    advanced -2.5 < T <= -2.0. WHO counts T = -1.0 as normal, and so does the paper. T-scores are
    taken as reported: the paper names no vertebrae and no site that must be there.
    Source: OsPenScreen, Archives of Osteoporosis 2025;20:131, Methods and Table 1.
    """
    found = lowest(measurement.t_scores)
    if found is None:
        return no_label("no_t_score", "no T-score at any site")
    site, t = found
    said = _said("T", t, site)
    if t <= _OSTEOPOROSIS:
        return no_label("osteoporosis", f"{said} <= -2.5: osteoporosis", t, site)
    if t >= _OSTEOPENIA:
        return Verdict(0, "normal", t, site, "", f"{said} >= -1.0: normal")
    band = severity(t)
    return Verdict(1, band, t, site, "", f"{said}, -2.5 < T < -1.0: {band} low bone mass")


def three_class_1(measurement: Measurement) -> Verdict:
    """OsPenScreen's two stages in one: ospenscreen/1 with osteoporosis as a class of its own.

    T >= -1.0 normal (0); -2.5 < T < -1.0 low bone mass (1); T <= -2.5 osteoporosis (2), of the
    lowest T. T-scores are taken as reported, as in ospenscreen/1.
    Source: the three-class model the OsPenScreen paper plans (Discussion, limitations).
    """
    return _three_bands(measurement, "low bone mass")


def who_1(measurement: Measurement, normal_at_minus_one: bool = True) -> Verdict:
    """WHO categories by the lowest T of lumbar spine, femoral neck and total hip, as ISCD reads it.

    T >= -1.0 normal (0); -2.5 < T < -1.0 osteopenia (1); T <= -2.5 osteoporosis (2). The lumbar
    spine counts only with at least 2 evaluable vertebrae of L1 to L4. Meant for post-menopausal
    women and men of 50 and older; it does not ask who the person is (z-score/1 does).
    Source: WHO Technical Report 843, 1994; ISCD Official Positions, adult (2019, 2023).
    """
    return _three_bands(measurement, "osteopenia", normal_at_minus_one)


def li2026_1(measurement: Measurement) -> Verdict:
    """Li et al. 2026: osteoporosis or not, by the lowest T of the sites measured.

    T <= -2.5 osteoporosis (1); T > -2.5 not osteoporosis (0). Older than 40 years, PA radiograph
    and DXA within 6 months, the first qualifying pair of a patient with several. The paper does
    not say what it did with excluded vertebrae; T-scores are taken as reported.
    Source: Li Zhijian et al., osteoporosis from chest radiographs, a multicenter study, 1.1.
    """
    found = lowest(measurement.t_scores)
    if found is None:
        return no_label("no_t_score", "no T-score at any site")
    site, t = found
    sick = t <= _OSTEOPOROSIS
    rule = "<= -2.5: osteoporosis" if sick else "> -2.5: not osteoporosis"
    return Verdict(int(sick), severity(t), t, site, "", f"{_said('T', t, site)} {rule}")


def face2bone_1(measurement: Measurement, normal_at_minus_one: bool = False) -> Verdict:
    """Face2Bone: three classes by the lowest T; a T of exactly -1.0 is osteopenia.

    T > -1.0 normal (0); -2.5 < T <= -1.0 osteopenia (1); T <= -2.5 osteoporosis (2). Only
    post-menopausal women and men over 50 (age at the DXA), with a complete DXA: all three sites.
    Refused where sex, a woman's menopausal status or a man's age is not known. The lumbar spine
    counts only with at least 2 evaluable vertebrae (the paper follows ISCD). Its Z-score rule is
    for people its inclusion criteria leave out, and so never applies. No interval is stated: 180
    days is our choice.
    Source: Liang et al., Face2Bone, Participants and Diagnostic criteria.
    """
    refused = _not_for_face2bone(measurement)
    return refused or _three_bands(measurement, "osteopenia", normal_at_minus_one)


def z_score_1(measurement: Measurement) -> Verdict:
    """ISCD: Z-scores for pre-menopausal women and men under 50, T-scores as who/1 for the others.

    Post-menopausal women and men of 50 and older (age at the DXA): normal (0), osteopenia (1),
    osteoporosis (2) by the lowest T. The others by the lowest Z: Z > -2.0 within (3), Z <= -2.0
    below (4) the expected range for age; ISCD calls neither normal nor osteoporosis. Refused where
    sex, a woman's menopausal status or a man's age is not known. The lumbar spine counts only with
    at least 2 evaluable vertebrae of L1 to L4. For adults, 20 years and older.
    Source: ISCD Official Positions, adult (2019): Z-score reporting.
    """
    unknown = _person_unknown(measurement)
    if unknown:
        return unknown
    if measurement.sex == "F":
        by_z, who = measurement.menopausal == "pre", f"{measurement.menopausal}-menopausal woman"
    else:
        assert measurement.age is not None
        by_z = measurement.age < 50
        who = f"man {'under 50' if by_z else 'of 50 or older'}"
    if not by_z:
        verdict = _three_bands(measurement, "osteopenia")
        return replace(verdict, audit=f"{who}: {verdict.audit}")
    found = lowest(measurement.z_scores)
    if found is None:
        return no_label("no_z_score", f"{who}: no Z-score at any site")
    site, z = found
    below = z <= _LOW_Z
    rule = f"<= -2.0: {BELOW}" if below else f"> -2.0: {WITHIN}"
    return Verdict(3 + below, None, None, site, "", f"{who}: {_said('Z', z, site)} {rule}")


def _three_bands(m: Measurement, middle: str, normal_at_minus_one: bool = True) -> Verdict:
    """Normal (0), `middle` (1) or osteoporosis (2); T = -1.0 is normal (WHO) or `middle`."""
    found = lowest(m.t_scores)
    if found is None:
        return no_label("no_t_score", "no T-score at any site")
    site, t = found
    if t <= _OSTEOPOROSIS:
        label, rule = 2, " <= -2.5: osteoporosis"
    elif t > _OSTEOPENIA or (normal_at_minus_one and t == _OSTEOPENIA):
        label, rule = 0, f" {'>=' if normal_at_minus_one else '>'} -1.0: normal"
    else:
        label, rule = 1, f", -2.5 < T {'<' if normal_at_minus_one else '<='} -1.0: {middle}"
    return Verdict(label, severity(t), t, site, "", f"{_said('T', t, site)}{rule}")


def _person_unknown(m: Measurement) -> Verdict | None:
    """Refuse where the choice between T and Z hangs on something not known."""
    if m.sex not in ("F", "M"):
        return no_label("sex_unknown", "sex not known: T- or Z-scores cannot be chosen")
    if m.sex == "F" and m.menopausal not in ("pre", "post"):
        return no_label("menopause_unknown", "woman: menopausal status not known")
    if m.sex == "M" and m.age is None:
        return no_label("age_unknown", "man: age at the DXA not known")
    return None


def _not_for_face2bone(m: Measurement) -> Verdict | None:
    unknown = _person_unknown(m)
    if unknown:
        return unknown
    if m.sex == "F" and m.menopausal == "pre":
        return no_label("not_in_policy", "pre-menopausal woman: the policy takes post-menopausal")
    if m.sex == "M" and m.age is not None and m.age <= 50:
        return no_label("not_in_policy", "man not over 50: the policy takes men over 50")
    return None


def _said(kind: str, score: Decimal, site: str) -> str:
    return f"lowest {kind} {score} at {site.replace('_', ' ')}"
