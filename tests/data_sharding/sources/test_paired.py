"""A DXA-paired site's tables: what a row says, rows of one day, and tables that are damaged."""

from __future__ import annotations

import resource
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from data_sharding.ledger import Ledger, Refused
from data_sharding.pictures.dicom import Facts
from data_sharding.schema import DXA_SITES
from data_sharding.sources.paired import (
    CLINICAL_COLUMNS,
    DXA_COLUMNS,
    Clinical,
    Dxa,
    Site,
    parse_vertebrae,
    read_clinical,
    read_dxa,
    site_files,
    take_radiographs,
)

ALL = ",".join(DXA_COLUMNS)


def read(path: Path, text: str, by=read_dxa) -> tuple[Site, Ledger]:
    path.write_text(text)
    site, ledger = Site(), Ledger()
    by(path, site, ledger)
    box = ledger.flow[0]
    assert box.n_in == box.n_out + sum(box.excluded.values())
    assert box.n_in == len(text.splitlines()) - 1
    return site, ledger


def test_all_that_a_row_can_say(tmp_path):
    line = "A,2020-02-29 08:00,-2.5,\u22121.50,,0.3,,-.1,0.874,,1.0,L4 l1-L2"
    site, _ = read(tmp_path / "dxa.csv", f"{ALL}\n{line}\n")
    [dxa] = site.dxa["A"]
    spine, neck, hip = DXA_SITES
    assert dxa == Dxa(
        *("A", date(2020, 2, 29)),
        t_scores=((spine, Decimal("-2.5")), (neck, Decimal("-1.50")), (hip, None)),
        z_scores=((spine, Decimal("0.3")), (neck, None), (hip, Decimal("-0.1"))),
        bmd=((spine, Decimal("0.874")), (neck, None), (hip, Decimal("1.0"))),
        excluded_vertebrae=("L1", "L2", "L4"),
    )
    assert str(dxa.t_scores[1][1]) == "-1.50"  # as written


def test_z_scores_alone_are_enough(tmp_path):
    text = "patient_id,exam_date,total_hip_z\nA,2020-01-01,0.0\nB,2020-01-01,\n"
    site, ledger = read(tmp_path / "dxa.csv", text)
    assert dict(site.dxa["A"][0].z_scores)["total_hip"] == 0
    assert ledger.flow[0].excluded == {"no_t_score": 1}
    text = "patient_id,exam_date,total_hip_bmd\nA,2020-01-01,0.9\n"
    with pytest.raises(ValueError, match="no column lumbar_spine_t, femoral_neck_t, total_hip_t"):
        read(tmp_path / "dxa.csv", text)


@pytest.mark.parametrize(
    ("text", "vertebrae"),
    [
        *(("", ()), ("L2", ("L2",)), ("l3 L1", ("L1", "L3")), ("L1,L3", ("L1", "L3"))),
        *(
            ("L1-L3", ("L1", "L2", "L3")),
            ("L3\u2013L2", ("L2", "L3")),
            ("L2 - 4", ("L2", "L3", "L4")),
        ),
        *(("L1/L2", ("L1", "L2")), ("L1; L4", ("L1", "L4")), ("L1 + L1", ("L1",))),
    ],
)
def test_vertebrae(text, vertebrae):
    assert parse_vertebrae(text) == vertebrae


def test_a_spine_of_no_vertebra_is_no_spine(tmp_path):
    text = f"{ALL}\nA,2020-01-01,0,,,,,,,,,L1-L4\nB,2020-01-01,,-1,,,,,,,,L1-L4\n"
    site, ledger = read(tmp_path / "dxa.csv", text)
    assert list(site.dxa) == ["B"]
    assert ledger.rows[0][2].evidence.startswith("dxa.csv row 2, column excluded_vertebrae")


@pytest.mark.parametrize(
    ("rows", "excluded", "spine_and_hip"),
    [
        (["-1,,,", ",-2,,"], {}, ("-1", "-2")),
        (["-1,,,", "-1.0,-2,,"], {}, ("-1", "-2")),
        (["-1,,,", "-1,,,"], {"duplicate_row": 1}, ("-1", None)),
        (["-1,,,", "-1.1,,,"], {"conflicting_rows": 2}, None),
        (["-1,,0.9,", ",-2,0.8,"], {"conflicting_rows": 2}, None),
        (["-1,,,L1", ",-2,,"], {}, ("-1", "-2")),
        (["-1,,,L1", "-1,-2,,"], {"conflicting_rows": 2}, None),
        (["-1,,,L1", "-1,-2,,L1"], {}, ("-1", "-2")),
    ],
)
def test_rows_of_one_patient_and_day(tmp_path, rows, excluded, spine_and_hip):
    header = "patient_id,exam_date,lumbar_spine_t,total_hip_t,lumbar_spine_bmd,excluded_vertebrae"
    lines = [header, *(f"A,2020-01-01,{row}" for row in rows)]
    site, ledger = read(tmp_path / "dxa.csv", "\n".join(lines) + "\n")
    assert ledger.flow[0].excluded == excluded
    if spine_and_hip is None:
        assert site.dxa == {}
        assert "rows 2, 3 give different values" in ledger.rows[0][2].evidence
    else:
        scores = dict(site.dxa["A"][0].t_scores)
        want = tuple(None if s is None else Decimal(s) for s in spine_and_hip)
        assert (scores["lumbar_spine"], scores["total_hip"]) == want
    assert site.patients == {"A"}


@pytest.mark.parametrize(
    ("rows", "excluded"),
    [
        (["-0.5,,,", ",-2.x,,"], {"incomplete_exam": 1, "bad_t_score": 1}),
        ([",-2.x,,", "-0.5,,,", "-0.5,,,"], {"incomplete_exam": 2, "bad_t_score": 1}),
        (["-0.5,,,", ",,9,"], {"incomplete_exam": 1, "bad_value": 1}),
        (["-0.5,,,", "-2"], {"incomplete_exam": 1, "bad_row": 1}),
        (["-0.5,,,", ",,,"], {"no_t_score": 1}),
    ],
)
def test_half_an_examination_is_none(tmp_path, rows, excluded):
    """The row of another day, or of another patient, has nothing to do with it."""
    header = "patient_id,exam_date,lumbar_spine_t,total_hip_t,lumbar_spine_bmd,excluded_vertebrae"
    lines = [header, *(f"A,2020-01-01,{row}" for row in rows)]
    lines += ["A,2021-01-01,-1,,,", "B,2020-01-01,-1,,,", ""]
    site, ledger = read(tmp_path / "dxa.csv", "\n".join(lines))
    assert ledger.flow[0].excluded == excluded
    days = [dxa.day.year for dxa in site.dxa["A"]]
    assert days == ([2020, 2021] if "no_t_score" in excluded else [2021])
    assert len(site.dxa["B"]) == 1
    said = [row.evidence for _, _, row in ledger.rows if row.reason == "incomplete_exam"]
    assert all("because of rows" in evidence for evidence in said)


def test_undated_rows_beside_others_are_noted(tmp_path):
    rows = ["A,2020-01-01,-1", "A,01/01/2020,-3", "B,,-1", "C,2020-01-01,-1"]
    text = "\n".join(["patient_id,exam_date,lumbar_spine_t", *rows, ""])
    site, ledger = read(tmp_path / "dxa.csv", text)
    assert set(site.dxa) == {"A", "C"}
    assert len(ledger.notes) == 1
    assert ledger.notes[0].startswith("1 patients have a row in dxa.csv whose date cannot be read")


def facts(patient: str, uid: str) -> Facts:
    return Facts(uid, patient, "DX", "CHEST", "PA", date(2020, 1, 1), None, None, "F")


def test_one_picture_under_two_patients_is_nobodys(tmp_path):
    scanned: list[tuple[str, str, Facts | Refused]] = [
        *(("a", "a", facts("P1", "1.2")), ("b", "b", facts("P2", "1.2"))),
        *(("c", "c", facts("P1", "1.2")), ("d", "d", facts("P3", "1.3"))),
        *(("e", "e", facts("P3", "1.3")), ("f", "f", facts("", "1.3"))),
        *(("g", "g", facts("P4", "")), ("h", "h", facts("P5", ""))),
    ]
    site, ledger = Site(), Ledger()
    take_radiographs(site, scanned, ledger)
    assert [r.item for r in site.radiographs] == ["d", "g", "h"]
    assert ledger.flow[0].excluded == {
        **{"conflicting_files": 3, "duplicate_file": 1, "no_patient_id": 1}
    }
    assert site.patients == {"P1", "P2", "P3", "P4", "P5"}


@pytest.mark.parametrize(
    ("ids", "alike"),
    [
        (["123", "00123", "124"], 2),
        (["123.0", "123", "7", "007", "07"], 5),
        (["HOSP-1", "hosp-1"], 2),
        (["P-0007", "P-7"], 2),
        (["P9", "P9 ", "\uff30\uff19"], 3),
        (["1.05", "1.5", "10", "1", "100", "0", "A", "B0"], 0),
    ],
)
def test_ids_that_differ_by_spelling_are_noted_and_kept_apart(ids, alike):
    site, ledger = Site(patients=set(ids)), Ledger()
    take_radiographs(site, [], ledger)
    assert [note.split()[0] for note in ledger.notes] == ([str(alike)] if alike else [])
    assert site.patients == set(ids)


def test_empty_lines_by_the_thousand_add_up(tmp_path):
    text = "patient_id,exam_date,lumbar_spine_t\nA,2020-01-01,-1\n" + "\n" * 5000
    _, ledger = read(tmp_path / "dxa.csv", text)
    assert ledger.flow[0].excluded == {"empty_line": 5000}
    assert len(ledger.rows) < 5000


def test_a_site_that_calls_every_patient_anonymous(tmp_path):
    """Its rows contradict each other; saying so takes neither minutes nor memory."""
    lines = [f"ANON,2020-01-01,{n / 10000:.4f},," for n in range(20_000)]
    text = "\n".join(["patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t", *lines, ""])
    _, ledger = read(tmp_path / "dxa.csv", text)
    assert ledger.flow[0].excluded == {"conflicting_rows": 20_000}
    evidence = ledger.rows[0][2].evidence
    assert evidence.endswith("rows 2, 3, 4, 5, 6, 7 and 19994 more give different values")
    same = "\n".join(["patient_id,exam_date,total_hip_t", *["ANON,2020-01-01,1"] * 20_000, ""])
    _, ledger = read(tmp_path / "dxa.csv", same)
    assert ledger.flow[0].excluded == {"duplicate_row": 19_999}


@pytest.mark.parametrize(
    ("sex", "stated", "menopausal", "reason"),
    [
        *(("F", "post", "post", ""), ("F", "Postmenopausal", "post", ""), ("", "PRE", "pre", "")),
        *(("F", "pre-menopausal", "pre", ""), ("F", "", "", ""), ("F", "unknown", "", "")),
        *(("M", "NA", "", ""), ("M", "post", "", "bad_value"), ("F", "peri", "", "bad_value")),
        ("F", "press", "", "bad_value"),
    ],
)
def test_menopausal(tmp_path, sex, stated, menopausal, reason):
    text = f"patient_id,sex,menopausal\nA,{sex},{stated}\n"
    site, ledger = read(tmp_path / "clinical.csv", text, read_clinical)
    assert ledger.flow[0].excluded == ({reason: 1} if reason else {})
    if not reason:
        assert site.clinical == {"A": Clinical(sex=sex, menopausal=menopausal)}


def test_clinical_numbers_with_decimal_commas(tmp_path):
    text = "Patient ID;Sex;Birth Date;Height cm;Weight kg\nA;female;1950-03-01;160,5;58\n"
    site, ledger = read(tmp_path / "clinical.csv", text, read_clinical)
    assert site.clinical["A"] == Clinical("F", date(1950, 3, 1), 160.5, 58.0)
    assert ledger.notes == []


def good_table(by) -> bytes:
    cells = {
        **{"patient_id": "A{n}", "exam_date": "2020-01-0{n}", "sex": "F", "menopausal": "post"},
        **{"birth_date": "1950-01-0{n}", "height_cm": "160", "weight_kg": "60.5"},
        **{"excluded_vertebrae": "L2"},
        **{f"{site}_bmd": "0.9" for site in DXA_SITES},
    }
    columns = DXA_COLUMNS if by is read_dxa else CLINICAL_COLUMNS
    lines = [",".join(cells.get(c, "-1.5").format(n=n) for c in columns) for n in range(1, 9)]
    return "\n".join([",".join(columns), *lines, ""]).encode()


def damage(good: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes flipped, cut, repeated, or replaced by what breaks CSV readers."""
    data = bytearray(good)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1))
        kind = rng.integers(6)
        if kind == 0 and at < len(data):
            data[at] = rng.integers(256)
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 60))]
        elif kind == 2:
            data[at:at] = data[at : at + int(rng.integers(1, 200))] * int(rng.integers(1, 50))
        elif kind == 3:
            bits = [
                b'"',
                b"\0",
                b"\r",
                b"\n",
                b";",
                b"\t",
                b"\xff\xfe",
                b"\xef\xbb\xbf",
                b"9" * 5000,
            ]
            data[at:at] = bits[rng.integers(len(bits))]
        elif kind == 4:
            del data[at:]
        else:
            data[at:at] = rng.bytes(int(rng.integers(1, 40)))
    return bytes(data)


@pytest.mark.parametrize("by", [read_dxa, read_clinical])
def test_two_hundred_damaged_tables(tmp_path, by):
    """Each is read with every row accounted for, or refused in one line; no memory is eaten."""
    good, rng = good_table(by), np.random.default_rng(0)
    path = tmp_path / "t.csv"
    path.write_bytes(good)
    clean = Ledger()
    by(path, Site(), clean)
    assert (clean.flow[0].n_in, clean.flow[0].n_out) == (8, 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = lost_rows = 0
    for _ in range(200):
        path.write_bytes(damage(good, rng))
        site, ledger = Site(), Ledger()
        said = ""
        try:
            by(path, site, ledger)
        except ValueError as e:
            said = str(e)
        if said:
            refused += 1
            assert said.startswith("t.csv")
            assert "\n" not in said
            continue
        box = ledger.flow[0]
        assert box.n_in == box.n_out + sum(box.excluded.values())
        assert len([row for row in ledger.rows if row[2].reason]) == sum(box.excluded.values())
        assert all(" row " in row[2].item for row in ledger.rows)
        lost_rows += bool(box.excluded)
    assert refused > 20  # the damage is real,
    assert lost_rows > 20  # of rows too,
    assert refused + lost_rows < 200  # and not always deadly
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KiB


def test_files_of_a_site(tmp_path):
    for name in ("dxa.csv", "clinical.csv", "b/x.dcm", "a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b" / "round").symlink_to(tmp_path)  # a loop
    names = [path.relative_to(tmp_path).as_posix() for path in site_files(tmp_path)]
    assert names == ["a", "b/x.dcm"]
    (tmp_path / "dicom").mkdir()
    assert site_files(tmp_path) == []
