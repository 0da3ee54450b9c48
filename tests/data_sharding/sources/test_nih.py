from __future__ import annotations

import csv
import gzip
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from data_sharding.ledger import Ledger
from data_sharding.pack import pack
from data_sharding.reader import ShardDataset
from data_sharding.sources.nih import NormalRules, find_table, image_files, read_nih

OLD = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\r\n"
)


def make_old(folder, rows):
    """The first edition: (name, finding, patient, age, view); and a picture for each name."""
    (folder / "images").mkdir(parents=True)
    lines = [f"{n},{f},000,{p},{a},F,{v},9,9,0.1,0.1,\r\n" for n, f, p, a, v in rows]
    (folder / "Data_Entry_2017.csv").write_text(OLD + "".join(lines), newline="")
    for i, row in enumerate(rows):
        grey = np.random.default_rng(i).integers(0, 256, (64, 64)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / row[0]), grey)
    return folder


def test_everything_of_the_first_edition_is_accounted_for(tmp_path):
    rows = [
        ("a.png", "No Finding", "00000007", "058Y", "PA"),
        ("b.png", "No Finding", "00000007", "060Y", "AP"),
        ("c.png", "Mass|Nodule", "00000008", "058Y", "PA"),
        ("d.png", "No Finding", "00000009", "049Y", "PA"),
        ("e.png", "No Finding", "00000010", "411Y", "PA"),
        ("f.png", "No Finding", "00000011", "008M", "PA"),
        ("g.png", "No Finding", "00000012", "005D", "PA"),
        ("h.png", "No Finding", "00000013", "100Y", "PA"),
        ("i.png", "No Finding", "00000014", "old", "PA"),
        ("j.png", "No Finding", "00000015", "050Y", ""),
        ("k.png", "No Finding", "00000016", "050Y", "PA"),
        ("l.png", "No Finding", "00000017", "099Y", "PA"),
        ("m.png", "No Finding", "00000018", "099Y", "PA"),
    ]
    site = make_old(tmp_path / "nih", rows)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    cv2.imwrite(str(site / "images" / "k.png"), rgb)
    rgb[..., 1] = rgb[..., 2] = rgb[..., 0]
    rgb[..., 3] = 255
    cv2.imwrite(str(site / "images" / "l.png"), rgb)  # grey, saved as RGBA: as some of NIH's are
    (site / "images" / "m.png").write_bytes((site / "images" / "a.png").read_bytes()[:900])
    shutil.copy(site / "images" / "a.png", site / "images" / "stray.png")
    manifest = pack(site, tmp_path / "o", size=32, workers=1, screen=False, echo=lambda _: None)
    assert manifest.role == "public"
    reasons: dict[str, int] = {}
    for box in manifest.flow:
        assert box.n_in == box.n_out + sum(box.excluded.values())
        if box.unit == "image":
            reasons |= box.excluded
    assert reasons == {
        **{"not_in_metadata": 1, "finding": 1, "view_missing": 1, "under_age": 3, "over_age": 1},
        **{"age_implausible": 1, "age_unknown": 1, "colour": 1, "truncated": 1},
    }
    data = ShardDataset(tmp_path / "o", "public")
    assert sorted(data.index["age"]) == [
        58,
        60,
        90,
    ]  # 99 is written as 90: older would name a person
    assert data.index["patient"].nunique() == 2
    assert data.index["label"].isna().all()
    assert {data.sample(i).policy for i in range(3)} == {""}
    only_pa = pack(
        site, tmp_path / "p", size=32, workers=1, screen=False, views=["PA"], echo=lambda _: None
    )
    assert sum(s.samples for s in only_pa.shards) == 2


@pytest.fixture(scope="session")
def packed_nih(nih_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("nih") / "nih"
    pack(nih_folder, out, size=128, screen=False, echo=lambda _: None)
    return out


def test_the_real_sample_accounts_for_all_174(nih_folder, packed_nih):
    data = ShardDataset(packed_nih)
    images = [box for box in data.manifest.flow if box.unit == "image"]
    assert images[0].n_in == 174 == len(list((nih_folder / "images").iterdir()))
    assert images[-1].n_out == len(data)
    ledger = pd.read_csv(packed_nih / "ledger.csv")
    assert (ledger["unit"] == "image").sum() + len(data) == 174
    # an independent count, of the whole table
    table = pd.read_csv(nih_folder / "Data_Entry_2017_v2020.csv.gz")
    table = table[table["Image Index"].isin([p.name for p in (nih_folder / "images").iterdir()])]
    normal = table[table["Finding Labels"] == "No Finding"]
    want = normal[normal["Patient Age"].between(50, 99)]
    assert len(data) == len(want)
    assert data.index["patient"].nunique() == want["Patient ID"].nunique()
    assert (data.index["sex"] == "F").sum() == (want["Patient Gender"] == "F").sum()


def test_the_screen_refuses_one_real_picture_which_is_upside_down(nih_folder, tmp_path):
    pack(nih_folder, tmp_path / "o", size=128, echo=lambda _: None)
    with (tmp_path / "o.private" / "items.csv").open() as f:
        looks = [(r["is"], r["reason"]) for r in csv.DictReader(f) if "looks" in r["reason"]]
    assert looks == [("images/00003490_011.png", "looks_turned")]


def test_both_editions_of_the_real_table(nih_folder):
    assert find_table(nih_folder) == nih_folder / "Data_Entry_2017_v2020.csv.gz"


def test_the_real_first_edition(nih_folder, tmp_path):
    data = gzip.decompress((nih_folder / "Data_Entry_2017.csv.gz").read_bytes())
    (tmp_path / "Data_Entry_2017.csv").write_bytes(data)
    (tmp_path / "images").symlink_to((nih_folder / "images").resolve())
    ledger = Ledger()
    works = read_nih(tmp_path, image_files(tmp_path), NormalRules(), ledger)
    rows = ledger.flow[0]
    assert (rows.n_in, rows.n_out, rows.excluded) == (112120, 174, {"no_image_file": 111946})
    assert ledger.notes == []
    assert 80 < len(works) < 143
    # the second edition, packed from where it lies, has the same patients by other numbers
    second = read_nih(nih_folder, image_files(nih_folder), NormalRules(), Ledger())
    of_first = {w.candidates[0].name: w.patient for w in works}
    of_second = {w.candidates[0].name: w.patient for w in second}
    both = set(of_first) & set(of_second)
    assert len(both) > 80
    assert all(of_first[name] == of_second[name] for name in both)


#: sample_labels.csv as it lies in three public repositories: the header and three rows of each.
SPELLINGS = {
    "ticatwolves/GaborFilterLungCancerDetection@2d394ca": """\
Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y
00000013_005.png,Emphysema|Infiltration|Pleural_Thickening|Pneumothorax,5,13,060Y,M,AP,3056,2544,\
0.139,0.139
00000017_001.png,No Finding,1,17,077Y,M,AP,2500,2048,0.168,0.168
00000080_005.png,No Finding,5,80,067Y,F,PA,1884,2021,0.194311,0.194311
""",
    "Maen1/nih@e41af49": """\
Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y
00000013_005.png,Emphysema|Infiltration|Pleural_Thickening|Pneumothorax,005,00000013,060Y,M,AP,\
3056,2544,0.139,0.139
00000017_001.png,No_Finding,001,00000017,077Y,M,AP,2500,2048,0.168,0.168
00000080_005.png,No_Finding,005,00000080,067Y,F,PA,1884,2021,0.194311,0.194311
""",
    "arpitchoudhary4all/minorProject@6707cf5": """\
Image_Index,Finding_Labels,Follow_Up_#,Patient_ID,Patient_Age,Patient_Gender,View_Position
00000013_005.png,Emphysema,5,13,060Y,M,AP
00000017_001.png,No Finding,1,17,077Y,M,AP
00000080_005.png,No Finding,5,80,067Y,F,PA
""",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_three_spellings_of_sample_labels(tmp_path, spelling):
    (tmp_path / "images").mkdir()
    for name in ("00000013_005.png", "00000017_001.png", "00000080_005.png"):
        (tmp_path / "images" / name).write_bytes(b"")
    (tmp_path / "sample_labels.csv").write_text(SPELLINGS[spelling])
    ledger = Ledger()
    works = read_nih(tmp_path, image_files(tmp_path), NormalRules(), ledger)
    found = [(w.patient, w.candidates[0]) for w in works]
    assert [(p, c.name, c.age, c.sex, c.view) for p, c in found] == [
        ("17", "00000017_001.png", 77, "M", "AP"),
        ("80", "00000080_005.png", 67, "F", "PA"),
    ]
    assert ledger.notes == []
    assert ledger.flow[0].excluded == {}


def test_one_patient_however_the_number_is_written(tmp_path):
    rows = [(f"{n}.png", "No Finding", p, "58", "PA") for n, p in enumerate(PATIENTS)]
    site = make_old(tmp_path / "nih", rows)
    works = read_nih(site, image_files(site), NormalRules(), Ledger())
    assert [w.patient for w in works] == ["123", "123", "123", "0", "1A", "9" * 5000]


PATIENTS = ("00000123", "123", "0123", "000", "1A", "9" * 5000)


def test_rows_that_contradict_each_other_are_all_out(tmp_path):
    rows = [
        ("a.png", "No Finding", "1", "58", "PA"),
        ("a.png", "Mass", "1", "58", "PA"),
        ("b.png", "No Finding", "2", "58", "PA"),
        ("b.png", "No Finding", "2", "58", "PA"),
        ("c.png", "No Finding", "", "58", "PA"),
    ]
    site = make_old(tmp_path / "nih", rows)
    ledger = Ledger()
    works = read_nih(site, image_files(site), NormalRules(), ledger)
    assert [w.patient for w in works] == ["2"]
    assert ledger.flow[0].excluded == {
        **{"conflicting_rows": 2, "duplicate_row": 1, "no_identifier": 1}
    }
    assert ledger.flow[1].excluded == {"not_in_metadata": 2}


def test_a_sorted_column_mixes_no_patients(tmp_path):
    rows = [
        ("00000001_000.png", "No Finding", "00000001", "58", "PA"),
        ("00000002_000.png", "No Finding", "3", "58", "PA"),
        ("00000003_000.png", "No Finding", "2", "58", "PA"),
    ]
    site = make_old(tmp_path / "nih", rows)
    ledger = Ledger()
    works = read_nih(site, image_files(site), NormalRules(), ledger)
    assert [w.patient for w in works] == ["1"]
    assert ledger.flow[0].excluded == {"bad_value": 2}


def test_a_table_that_is_a_torrent(tmp_path):
    site = make_old(tmp_path / "nih", [])
    (site / "Data_Entry_2017_v2020.csv").write_bytes(b"d8:announce33:http://tracker.example/a")
    with pytest.raises(
        ValueError, match=r"Data_Entry_2017_v2020.csv: not a CSV table but a torrent"
    ):
        read_nih(site, image_files(site), NormalRules(), Ledger())
