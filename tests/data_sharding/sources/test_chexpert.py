"""CheXpert's tables and layout: genuine rows, and every value its columns may have."""

from __future__ import annotations

import pytest

from data_sharding.ledger import Ledger
from data_sharding.sources.chexpert import (
    find_table,
    find_tables,
    image_files,
    image_of,
    read_chexpert,
)
from data_sharding.sources.columns import CHEXPERT, names
from data_sharding.sources.public import NormalRules, flow_of_table

HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
#: Genuine rows: train.csv as it is quoted in public code, and the validation set of
#: jfhealthcare/Chexpert@480a35b config/dev.csv, whose paths begin elsewhere.
GENUINE = {
    "train/patient00001/study1/view1_frontal.jpg": (
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,"
        "1.0,,,,,,,,,0.0,,,,1.0"
    ),
    "train/patient00002/study2/view1_frontal.jpg": (
        "/nas/public/CheXpert/CheXpert-v1.0/train/patient00002/study2/view1_frontal.jpg,Female,87,"
        "Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,"
    ),
    "valid/patient64551/study1/view1_frontal.jpg": (
        "/nas/public/CheXpert/CheXpert-v1.0/valid/patient64551/study1/view1_frontal.jpg,Male,63,"
        "Frontal,PA,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0"
    ),
    "valid/patient64551/study1/view2_lateral.jpg": (
        "/nas/public/CheXpert/CheXpert-v1.0/valid/patient64551/study1/view2_lateral.jpg,Male,63,"
        "Lateral,,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0"
    ),
    "valid/patient64605/study1/view1_frontal.jpg": (
        "/nas/public/CheXpert/CheXpert-v1.0/valid/patient64605/study1/view1_frontal.jpg,Male,90,"
        "Frontal,AP,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0"
    ),
}


def make(folder, rows: dict[str, str]):
    """A copy of the set: its tables, and an empty file for each image."""
    for part in ("train", "valid"):
        lines = [row for image, row in rows.items() if image.startswith(part)]
        if lines:
            folder.mkdir(exist_ok=True)
            (folder / f"{part}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    for image in rows:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(b"")
    return folder


def row(image: str, **cells: str) -> str:
    """A row of a normal PA image of a woman of 60 but for `cells`, by column."""
    usual = {
        **dict.fromkeys(names(CHEXPERT), ""),
        **{"path": f"CheXpert-v1.0-small/{image}", "sex": "Female", "age": "60"},
        **{"frontal/lateral": "Frontal", "ap/pa": "PA", "no_finding": "1.0"},
    }
    return ",".join((usual | cells).values())


def read(folder, **rules):
    ledger = Ledger()
    works = read_chexpert(folder, image_files(folder), NormalRules(**rules), ledger)
    return works, ledger


def reasons(ledger: Ledger) -> dict[str, int]:
    out: dict[str, int] = {}
    for box in ledger.flow:
        assert box.n_in == box.n_out + sum(box.excluded.values())
        out |= box.excluded
    return out


def test_genuine_rows_however_the_paths_begin(tmp_path):
    works, ledger = read(make(tmp_path / "c", GENUINE))
    found = [(w.patient, w.candidates[0]) for w in works]
    assert [(p, c.item, c.age, c.sex, c.view) for p, c in found] == [
        ("patient00001", "train/patient00001/study1/view1_frontal.jpg", 68, "F", "AP"),
        ("patient64551", "valid/patient64551/study1/view1_frontal.jpg", 63, "M", "PA"),
    ]
    assert reasons(ledger) == {"finding": 2, "lateral_view": 1}
    assert [box.step for box in ledger.flow[:2]] == ["train.csv rows", "valid.csv rows"]
    evidence = [x.evidence for _, _, x in ledger.rows if x.reason == "finding"]
    assert evidence[0].startswith("perhaps cardiomegaly, lung_opacity, perhaps edema")
    assert evidence[1] == "not said to be without a finding"  # No Finding 0, and nothing else


def test_support_devices_beside_no_finding_are_a_choice(tmp_path):
    site = make(tmp_path / "c", GENUINE)
    works, ledger = read(site, support_devices=False)
    assert [w.patient for w in works] == ["patient64551"]
    assert reasons(ledger)["support_devices"] == 1


def image(n: int) -> str:
    return f"train/patient{n:05d}/study1/view1_frontal.jpg"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({}, ""),
        ({"no_finding": "1"}, ""),
        ({"no_finding": ""}, "finding"),
        ({"no_finding": "-1.0"}, "finding"),
        ({"no_finding": "0.0"}, "finding"),
        ({"fracture": "1.0"}, "finding"),
        ({"edema": "-1.0"}, "finding"),
        ({"edema": "0.0"}, ""),
        ({"edema": "2.0"}, "bad_value"),
        ({"edema": "yes"}, "bad_value"),
        ({"support_devices": "-1.0"}, ""),
        ({"age": "90"}, ""),
        ({"age": "0"}, "age_unknown"),
        ({"age": ""}, "age_unknown"),
        ({"age": "18"}, "under_age"),
        ({"age": "150"}, "bad_value"),
        ({"sex": "Unknown"}, ""),
        ({"sex": "1"}, "bad_value"),
        ({"ap/pa": ""}, "view_missing"),
        ({"ap/pa": "LL"}, "lateral_view"),
        ({"frontal/lateral": "Lateral", "ap/pa": ""}, "lateral_view"),
        ({"ap/pa": "AP"}, ""),
        ({"path": ""}, "no_identifier"),
        ({"path": "train/study1/view1_frontal.jpg"}, "no_identifier"),
    ],
)
def test_each_value(tmp_path, cells, reason):
    works, ledger = read(make(tmp_path / "c", {image(1): row(image(1), **cells)}))
    out = reasons(ledger)
    missing = {"not_in_metadata": 1} if reason in ("bad_value", "no_identifier") else {}
    assert out == ({reason: 1, **missing} if reason else {})
    assert len(works) == (not reason)
    if works and cells.get("sex") == "Unknown":
        assert works[0].candidates[0].sex == ""


def test_ninety_means_ninety_and_older_and_is_said_to(tmp_path):
    rows = {image(n): row(image(n), age=age) for n, age in enumerate(("89", "90", "90"))}
    works, ledger = read(make(tmp_path / "c", rows))
    assert [w.candidates[0].age for w in works] == [89, 90, 90]
    assert len(ledger.notes) == 1
    assert ledger.notes[0].startswith("2 images have the age 90")
    assert "lower bound" in ledger.notes[0]


@pytest.mark.parametrize(
    "path",
    [
        "CheXpert-v1.0-small/train/patient00012/study3/view2_frontal.jpg",
        "CheXpert-v1.0/train/patient00012/study3/view2_frontal.jpg",
        "train/patient12/study3/view2_frontal.jpg",
        "C:\\data\\train\\patient00012\\study3\\view2_frontal.jpg",
    ],
)
def test_one_image_and_one_patient_however_the_path_is_written(path):
    assert image_of(path) == "train/patient00012/study3/view2_frontal.jpg"


def test_the_folder_may_lie_inside(tmp_path):
    rows = {image(1): row(image(1)), "valid/patient00002/study1/view1_frontal.jpg": ""}
    rows["valid/patient00002/study1/view1_frontal.jpg"] = row(
        "valid/patient00002/study1/view1_frontal.jpg"
    )
    make(tmp_path / "CheXpert-v1.0-small", rows)
    assert [p.name for p in find_tables(tmp_path)] == ["train.csv", "valid.csv"]
    assert find_table(tmp_path) == tmp_path / "CheXpert-v1.0-small" / "train.csv"
    works, ledger = read(tmp_path)
    assert [w.patient for w in works] == ["patient00001", "patient00002"]
    assert reasons(ledger) == {}


def test_what_does_not_belong_is_accounted_for(tmp_path):
    rows = {image(n): row(image(n)) for n in range(1, 5)}
    site = make(tmp_path / "c", rows)
    lines = (site / "train.csv").read_text().splitlines()
    lines += [row(image(1)), row(image(2), age="61"), row(image(9)), "", "x,y"]
    (site / "train.csv").write_text("\n".join(lines) + "\n")
    (site / "train" / "._view1_frontal.jpg").write_bytes(b"")
    (site / "again" / "train").mkdir(parents=True)
    (site / "train" / "patient00004").rename(site / "again" / "train" / "patient00004")
    copy = site / image(3).replace("train", "again/train")
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"")
    works, ledger = read(site)
    assert [w.patient for w in works] == ["patient00003", "patient00004", "patient00001"]
    assert reasons(ledger) == {
        **{"bad_row": 1, "conflicting_rows": 2, "duplicate_row": 1, "empty_line": 1},
        **{"no_image_file": 1, "duplicate_file": 1, "not_in_metadata": 2},
    }


def test_the_flow_of_the_table_alone(tmp_path):
    site = make(tmp_path / "c", {k: v for k, v in GENUINE.items() if k.startswith("valid")})
    flow = flow_of_table(site / "valid.csv", NormalRules())
    assert [(step.n_in, step.n_out, patients) for step, patients in flow] == [
        *((3, 3, 2), (3, 2, 1), (2, 2, 1), (2, 1, 1)),
    ]


def test_headers_with_underscores_are_the_same_columns(tmp_path):
    site = make(tmp_path / "c", {image(1): row(image(1))})
    text = (site / "train.csv").read_text().replace(HEADER, HEADER.replace(" ", "_"))
    (site / "train.csv").write_text(text)
    assert len(read(site)[0]) == 1


def test_no_table_and_a_table_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"no train.csv or valid.csv"):
        read(tmp_path)
    (tmp_path / "train.csv").write_text("/home/someone/.cache/chexpert/versions/1/train.csv")
    with pytest.raises(ValueError, match=r"train.csv: not a CSV table but the target of a link"):
        read(tmp_path)
