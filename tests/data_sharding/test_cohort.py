"""Who is paired with what, by whose window, and that the flow adds up."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from data_sharding.cohort import dxa_cohort
from data_sharding.labels.policies import Rules, policy
from data_sharding.ledger import Exclusion, Ledger
from data_sharding.packing.account import image_step
from data_sharding.pictures.dicom import Facts
from data_sharding.schema import DXA_SITES
from data_sharding.sources.paired import Clinical, Dxa, Radiograph, Site

DAY = date(2020, 6, 1)


def picture(patient: str, day: int | None = 0, uid: str = "", **rest: Any) -> Radiograph:
    """A picture `day` days after DAY; `rest` replaces facts."""
    item = f"{patient}/{uid or day}"
    facts: dict[str, Any] = {
        **{"sop_uid": uid or f"1.{patient}.{day}", "patient_id": patient, "modality": "DX"},
        **{"body_part": "CHEST", "view": "PA", "birth_date": date(1950, 1, 1), "age": None},
        **{"date": None if day is None else DAY + timedelta(day), "sex": "F"},
        **{"study_uid": f"2.{patient}", "manufacturer": "Maker", "model": "M1"},
    }
    return Radiograph(item, f"/site/{item}", Facts(**(facts | rest)))


def dxa(patient: str, day: int, t: str = "-1.2", **rest: Any) -> Dxa:
    """An examination `day` days after DAY with this T at every site."""
    return Dxa(patient, DAY + timedelta(day), tuple((s, Decimal(t)) for s in DXA_SITES), **rest)


def site_of(
    pictures: list[Radiograph], examinations: list[Dxa], clinical: dict[str, Clinical] | None = None
) -> Site:
    site = Site(radiographs=pictures, clinical=clinical or {})
    for examination in examinations:
        site.dxa.setdefault(examination.patient, []).append(examination)
    site.patients = {r.facts.patient_id for r in pictures} | set(site.dxa) | set(site.clinical)
    return site


def cohort(site: Site, name: str = "ospenscreen/1", source: str = "", **changes: Any):
    """Patient -> its work, and the reason of each patient who is out."""
    ledger = Ledger()
    found = policy(name)
    works = dxa_cohort(site, found, found.rules.overridden(**changes), ledger, source)
    assert all(step.n_in == step.n_out + sum(step.excluded.values()) for step in ledger.flow)
    assert ledger.flow[0].n_in == len(site.patients)
    out = {row.patient: row.reason for _, _, row in ledger.rows}
    assert ledger.flow[-1].n_out == len(works)
    assert len(works) + len(out) == len(site.patients)
    return {work.patient: work for work in works}, out


@pytest.mark.parametrize(
    ("source", "days"),
    [("amc", 0), ("amc-external", 92), ("sch", 0), ("vhsmc", 180), ("gh", 184), ("asan", 180)],
)
def test_the_window_is_the_source_s_on_both_sides(source, days):
    names = {"on": days, "over": days + 1, "before": -days, "too early": -days - 1}
    site = site_of([picture(p) for p in names], [dxa(p, n) for p, n in names.items()])
    works, out = cohort(site, source=source)
    assert works.keys() == {"on", "before"}
    assert out == {"over": "outside_window", "too early": "outside_window"}
    assert cohort(site, source=source, window_days=500)[0].keys() == set(names)


def test_the_closest_pair_decides_and_ties_have_an_order():
    pictures = [picture("p", d) for d in (-100, -10, 30)]
    examinations = [dxa("p", -101, "0"), dxa("p", 0, "-1.7"), dxa("p", 60, "-2.2")]
    works, _ = cohort(site_of(pictures, examinations))
    found = works["p"].candidates
    assert [c.days_to_dxa for c in found] == [-1, 10, -30]
    assert [c.verdict.severity for c in found if c.verdict] == ["normal", "moderate", "moderate"]
    # as far before as after: the earlier picture, then the smaller UID, then the earlier DXA
    tied = [picture("p", 5), picture("p", -5, "1.9"), picture("p", -5, "1.10")]
    works, _ = cohort(site_of(tied, [dxa("p", 0), dxa("p", -10)]))
    assert [(c.name, c.days_to_dxa) for c in works["p"].candidates] == [
        *(("1.10", -5), ("1.9", -5), ("1.p.5", -5))
    ]


def test_the_first_pair_in_time_where_the_policy_says_so():
    pictures = [picture("p", d) for d in (0, 300, 302)]
    examinations = [dxa("p", 120, "-2.6"), dxa("p", 130, "0"), dxa("p", 301, "-1.2")]
    works, _ = cohort(site_of(pictures, examinations), "li2026/1")
    first = works["p"].candidates[0]
    assert (first.days_to_dxa, first.verdict.label if first.verdict else None) == (120, 1)
    assert (first.day, first.vendor, first.study_uid) == (DAY, "Maker", "2.p")
    works, _ = cohort(site_of(pictures, examinations), "li2026/1", study="closest")
    assert works["p"].candidates[0].days_to_dxa == 1
    # the very first picture is out of its window: the first that qualifies is taken
    early = [picture("p", -400), *pictures]
    works, _ = cohort(site_of(early, examinations), "li2026/1")
    assert works["p"].candidates[0].days_to_dxa == 120
    # of two on one day the smaller UID
    twins = [picture("p", 0, "1.9"), picture("p", 0, "1.3"), picture("p", 1)]
    works, _ = cohort(site_of(twins, [dxa("p", 1)]), "li2026/1")
    assert [c.name for c in works["p"].candidates] == ["1.3", "1.9", "1.p.1"]


def test_a_measurement_that_cannot_be_judged_gives_way_and_a_diagnosis_does_not():
    partial = Dxa("p", DAY, (("lumbar_spine", Decimal("-3")), ("total_hip", None)))
    site = site_of([picture("p")], [partial, dxa("p", 20, "-1.2")])
    assert cohort(site)[1] == {"p": "osteoporosis"}  # the closest, as it was reported
    works, _ = cohort(site, "ospenscreen/1+required=all")
    assert [c.days_to_dxa for c in works["p"].candidates] == [20]
    few = dxa("p", 0, "-3", excluded_vertebrae=("L1", "L2", "L3"))
    few = Dxa("p", few.day, few.t_scores[:1], excluded_vertebrae=few.excluded_vertebrae)
    works, _ = cohort(site_of([picture("p")], [few, dxa("p", 20, "-1.2")]), "who/1")
    assert works["p"].candidates[0].days_to_dxa == 20
    alone = cohort(site_of([picture("p")], [few]), "who/1")
    assert alone == ({}, {"p": "too_few_vertebrae"})


def test_least_age_is_that_at_the_picture_and_its_edge_counts():
    born = {"just": date(1970, 6, 1), "day short": date(1970, 6, 2), "never": date(2021, 1, 1)}
    pictures = [picture(p, birth_date=b) for p, b in born.items()]
    pictures += [picture("unknown", birth_date=None), picture("header", birth_date=None, age=50.0)]
    site = site_of(pictures, [dxa(r.facts.patient_id, 10) for r in pictures])
    works, out = cohort(site)
    assert works.keys() == {"just", "header"}
    assert out == {
        **{"day short": "under_age", "never": "age_implausible", "unknown": "age_unknown"}
    }
    works, out = cohort(site, min_age=0)
    assert works.keys() == {"just", "day short", "unknown", "header"}
    assert out == {"never": "age_implausible"}


def test_the_policy_sees_the_age_at_the_dxa():
    """A man of 49 at the picture and 50 at the DXA is read by T, the other way round by Z."""
    born, man = date(1970, 6, 5), {"sex": "M"}
    pictures = [
        picture("turns", 0, birth_date=born, **man),
        picture("turned", 9, birth_date=born, **man),
        picture("header", 0, birth_date=None, age=49.99, **man),
    ]
    z: dict[str, Any] = {"z_scores": (("total_hip", Decimal("-2.0")),)}
    site = site_of(pictures, [dxa("turns", 9, **z), dxa("turned", 0, **z), dxa("header", 9, **z)])
    works, _ = cohort(site, "z-score/1")
    labels = {p: w.candidates[0].verdict.label for p, w in works.items() if w.candidates[0].verdict}
    assert labels == {"turns": 1, "turned": 4, "header": 1}


def test_clinical_is_believed_before_the_header():
    clinical = {"p": Clinical(sex="F", birth_date=date(1960, 1, 1), menopausal="pre")}
    z: dict[str, Any] = {"z_scores": (("total_hip", Decimal("-1.9")),)}
    site = site_of([picture("p", sex="M")], [dxa("p", 0, **z)], clinical)
    works, _ = cohort(site, "z-score/1")
    first = works["p"].candidates[0]
    assert first.verdict is not None
    assert (first.sex, first.verdict.label) == ("F", 3)
    assert first.age == pytest.approx(60.4, abs=0.1)


def test_everyone_who_is_out_has_the_reason_of_the_step():
    pictures = [
        *(picture("view", view="AP"), picture("undated", None), picture("far", 999)),
        *(picture("fine"), picture("no dxa"), picture("sick"), picture("young")),
    ]
    examinations = [
        *(dxa(p, 0) for p in ("view", "undated", "far", "fine", "no picture")),
        *(dxa("sick", 0, "-2.5"), dxa("young", 0)),
    ]
    clinical = {"young": Clinical(birth_date=date(1999, 1, 1)), "nothing": Clinical()}
    works, out = cohort(site_of(pictures, examinations, clinical))
    assert works.keys() == {"fine"}
    assert out == {
        **{"view": "no_pa_view", "undated": "missing_dates", "far": "outside_window"},
        **{"no dxa": "no_dxa", "no picture": "no_radiograph", "nothing": "no_dxa"},
        **{"sick": "osteoporosis", "young": "under_age"},
    }
    works, out = cohort(site_of(pictures, examinations, clinical), view="AP")
    assert works.keys() == {"view"}
    assert out["fine"] == "no_such_view"
    assert cohort(site_of([], []))[0] == {}


def test_faces_are_called_photographs():
    photo = picture("p", view="FRONTAL", modality="XC", birth_date=None)
    site = site_of([photo], [dxa("p", 0, "-1.0"), dxa("q", 0)])
    site.clinical = {"p": Clinical(sex="F", menopausal="post")}
    works, out = cohort(site, "face2bone/1")
    first = works["p"].candidates[0]
    assert first.verdict is not None
    assert (first.verdict.label, first.age, first.view) == (1, None, "FRONTAL")
    assert out == {"q": "no_photo"}


def test_each_picture_that_is_not_packed_says_why():
    pictures = [
        *(picture("p", 0), picture("p", 5), picture("p", None), picture("p", 1, view="AP")),
        *(picture("p", 2), picture("out", 0)),
    ]
    site = site_of(pictures, [])
    broken = Exclusion("p/2", "p", "truncated", "half of it")
    rows = image_step(site, Rules(), {"p/0": "p"}, {"p/2": broken}, {})
    assert {row.item: row.reason for row in rows} == {
        **{"p/5": "not_selected", "p/None": "undated", "p/1": "view_not_pa", "p/2": "truncated"},
        **{"out/0": "patient_excluded"},
    }
    rows = image_step(site, Rules(view="LL"), {}, {}, {})
    assert {row.reason for row in rows} == {"view_not_wanted"}


def test_the_order_of_files_and_rows_has_no_say():
    pictures = [picture(p, d, f"1.{p}{d}") for p in "abc" for d in (0, 3, 9)]
    examinations = [dxa(p, d, t) for p in "abc" for d, t in ((1, "-1.2"), (7, "0"))]
    straight = cohort(site_of(pictures, examinations))
    assert straight == cohort(site_of(pictures[::-1], examinations[::-1]))


def test_a_picture_never_takes_an_older_label_past_its_own_osteoporosis():
    """Of two pictures the second, tried if the first cannot be read, is five days before a T of -3.

    Its other pair, 64 days off, says normal: that must not become its label.
    """
    site = site_of([picture("p", 0), picture("p", 64)], [dxa("p", 0, "-0.5"), dxa("p", 69, "-3.0")])
    works, _ = cohort(site)
    (only,) = works["p"].candidates
    assert (only.item, only.days_to_dxa) == ("p/0", 0)
