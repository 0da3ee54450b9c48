"""Two policies on one site's tables: whom they disagree on, counted by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data_sharding.labels.compare import compare, cross_table, read_tables, report
from data_sharding.labels.policies import POLICIES, policy
from data_sharding.ledger import NothingUsable
from data_sharding.private import Pseudonyms

OSP, FACE, WHO, LI, Z = (
    policy(n) for n in ("ospenscreen/1", "face2bone/1", "who/1", "li2026/1", "z-score/1")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dxa.csv").write_text(
        "patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t\n"
        "Kim,2020-03-01,-1.0,0,0\n"  # normal or osteopenia
        "Lee,2020-03-01,-1.1,0,0\n"  # low bone mass is osteopenia
        "Park,2020-03-01,-2.5,0,0\n"  # excluded or osteoporosis
        "Cho,2020-03-01,-1.2,,0\n"  # not a complete DXA
        "Kim,2019-03-01,0.5,0,0\n"  # an earlier examination of Kim: normal
        "Yu,2020-03-01,-2.6,,\n"  # excluded by both
        "Yu,not a date,-2.6,,\n"
    )
    rows = [f"{name},F,1950-01-01,,,post" for name in ("Kim", "Lee", "Park", "Cho", "Yu")]
    header = "patient_id,sex,birth_date,height_cm,weight_kg,menopausal\n"
    (tmp_path / "clinical.csv").write_text(header + "\n".join(rows) + "\n")
    return tmp_path


def test_the_boundary_case_is_found_and_synonyms_are_no_disagreement(folder):
    site, ledger = read_tables(folder)
    assert ledger.flow[0].excluded == {"bad_date": 1}
    assert {(r.patient, r.number, r.of): r.kind for r in compare(site, OSP, FACE)} == {
        ("Kim", 1, 2): "same",
        ("Kim", 2, 2): "class",
        ("Lee", 1, 1): "same",
        ("Park", 1, 1): "only second",
        ("Cho", 1, 1): "only first",
        ("Yu", 1, 1): "neither",
    }


def test_a_coarser_class_is_no_disagreement(folder):
    site, _ = read_tables(folder)
    for rows in (compare(site, LI, WHO), compare(site, WHO, LI)):
        assert {row.kind for row in rows} <= {"same", "neither"}


@pytest.mark.parametrize("first", POLICIES)
@pytest.mark.parametrize("second", POLICIES)
def test_the_cross_table_counts_every_examination_once(folder, first, second):
    site, _ = read_tables(folder)
    a, b = policy(first), policy(second)
    rows = compare(site, a, b)
    assert sum(count for *_, count in cross_table(rows, a, b)) == len(rows) == 6
    turned = Counter({(x, y): n for y, x, n in cross_table(compare(site, b, a), b, a)})
    assert turned == Counter({(x, y): n for x, y, n in cross_table(rows, a, b)})
    assert {r.kind for r in compare(site, a, a)} <= {"same", "neither"}


def test_what_is_printed_names_nobody_unless_asked(folder):
    site, _ = read_tables(folder)
    text = "\n".join(report(site, OSP, FACE))
    assert "       1  ospenscreen/1 normal | face2bone/1 osteopenia" in text
    assert "patient 1, examination 2 of 2" in text
    assert "lowest T -1.0 at lumbar spine >= -1.0: normal" in text
    assert "lowest T -1.0 at lumbar spine, -2.5 < T <= -1.0: osteopenia" in text
    for secret in ("Kim", "Park", "Cho", "2020", "1950"):
        assert secret not in text
    keyed = Pseudonyms(b"k" * 32, "asan")
    text = "\n".join(report(site, OSP, FACE, lambda patient: keyed("patient", patient)))
    assert keyed("patient", "Kim") in text
    assert "Kim" not in text
    assert "Kim, examination 2 of 2 of 2020-03-01" in "\n".join(report(site, OSP, FACE, str))


def test_age_comes_from_clinical_or_is_unknown(folder):
    (folder / "clinical.csv").write_text("patient_id,sex,birth_date\nKim,M,1969-06-01\nLee,M,\n")
    site, _ = read_tables(folder)
    said = {(r.patient, r.number): r.first.excluded for r in compare(site, Z, WHO)}
    assert said[("Kim", 1)] == "no_z_score"  # 49 then
    assert said[("Kim", 2)] == ""  # 50 by now
    assert said[("Lee", 1)] == "age_unknown"
    assert said[("Cho", 1)] == "sex_unknown"
    assert "4 patients have no birth date" in "\n".join(report(site, Z, WHO))


def test_folders_without_tables(tmp_path):
    with pytest.raises(NothingUsable, match="no dxa"):
        read_tables(tmp_path)
    (tmp_path / "dxa.csv").write_text("patient_id,exam_date,total_hip_t\nKim,2020-03-01,-1.3\n")
    site, ledger = read_tables(tmp_path)
    assert "no clinical.csv" in ledger.notes[-1]
    assert "0 examinations of 0 patients" in "\n".join(report(site, OSP, WHO))
