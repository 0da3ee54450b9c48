"""A folder with everything that goes wrong in a hospital: nothing is lost, all of it is said."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_sharding.pack import pack
from data_sharding.reader import ShardDataset
from data_sharding.schema import LEDGER_COLUMNS, Manifest
from tests.data_sharding.hand_made import make_site, radiograph, texture

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve good patients, and everything that goes wrong in a hospital."""
    site = make_site(tmp_path_factory.mktemp("messy") / "messy", patients=12)
    d = site / "dicom"
    whole = radiograph(
        d / "cut.dcm", texture(1), PatientID="CUT", StudyDate="20200110"
    ).read_bytes()
    (d / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    (d / "notes.dcm").write_text("Patient came late.\n")
    (d / "empty.dcm").touch()
    radiograph(d / "ct.dcm", texture(2), Modality="CT", PatientID="CT1")
    radiograph(d / "side.dcm", texture(3), ViewPosition="LL", PatientID="SIDE")
    radiograph(d / "bed.dcm", texture(4), ViewPosition="AP", PatientID="BED")
    radiograph(d / "nodxa.dcm", texture(5), PatientID="NODXA")
    radiograph(d / "text_t.dcm", texture(6), PatientID="TEXT-T")
    radiograph(d / "young.dcm", texture(7), PatientID="YOUNG", PatientBirthDate="19900101")
    radiograph(d / "far.dcm", texture(8), PatientID="FAR", StudyDate="20180101")
    radiograph(d / "undated.dcm", texture(9), PatientID="UNDATED", StudyDate=None)
    radiograph(d / "ageless.dcm", texture(10), PatientID="AGELESS", PatientBirthDate=None)
    radiograph(d / "op.dcm", texture(11), PatientID="OP")
    radiograph(d / "nobody.dcm", texture(12), PatientID=None)
    radiograph(d / "black.dcm", np.zeros((64, 64), np.uint16), PatientID="BLACK")
    good = d / "HOSP-0000" / "image"
    (d / "copy.dcm").write_bytes(good.read_bytes())
    # two patients with a second radiograph: one further away, one that replaces an unreadable one
    radiograph(d / "again.dcm", texture(13), PatientID="HOSP-0001", StudyDate="20191201")
    tags = {"PatientID": "TWO", "StudyDate": "20200110"}
    radiograph(d / "near", np.zeros((64, 64), np.uint16), **tags)
    radiograph(d / "next", texture(14), **{**tags, "StudyDate": "20191220"})
    with (site / "dxa.csv").open("a") as f:
        f.write("TEXT-T,2020-01-05,abc,,-1.2\n\n,,,,\n")
        f.write("OP,2020-01-05,-2.5,,\nFAR,2020-01-05,-1.2,,\nYOUNG,2020-01-05,-1.2,,\n")
        f.write("UNDATED,2020-01-05,-1.2,,\nAGELESS,2020-01-05,-1.2,,\nBLACK,2020-01-05,-1.2,,\n")
        f.write("CUT,2020-01-05,-1.2,,\nSIDE,2020-01-05,-1.2,,\nBED,2020-01-05,-1.2,,\n")
        f.write("TWO,2020-01-12,-1.2,,\nTWO,2020-01-12,-1.2,,\nHOSP-0002,05/01/2020,-1,,\n")
        f.write("HOSP-0003,2020-02-04,-9,,\nHOSP-0003,2020-02-04,-90,,\n")
        f.write("NOXRAY,2020-01-05,-1.2,,\nNOXRAY,2020-01-06,,,\n")
    return site


@pytest.fixture(scope="module")
def messy_run(messy: Path) -> tuple[Path, str]:
    out = messy.parent / "shards"
    ran = subprocess.run(
        [sys.executable, "-m", "data_sharding", "pack", messy, out, "--size", "32", "--no-screen"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return out, ran.stdout


def test_every_defect_has_its_reason(messy_run):
    out, _ = messy_run
    ledger = pd.read_csv(out / "ledger.csv", keep_default_na=False)
    assert tuple(ledger.columns) == LEDGER_COLUMNS
    counts = {
        unit: Counter(ledger[ledger["unit"] == unit]["reason"])
        for unit in ("file", "row", "patient", "image")
    }
    assert counts["file"] == {
        **{"truncated": 1, "not_dicom": 2, "wrong_modality": 1, "lateral_view": 1},
        **{"no_patient_id": 1, "duplicate_file": 1},
    }
    assert counts["row"] == {
        **{"bad_t_score": 1, "empty_line": 2, "duplicate_row": 1, "bad_date": 1},
        **{"incomplete_exam": 2, "t_score_out_of_range": 1, "no_t_score": 1},
    }
    assert counts["patient"] == {
        **{"no_dxa": 3, "no_radiograph": 3, "no_pa_view": 1, "missing_dates": 1},
        **{"outside_window": 1, "age_unknown": 1, "under_age": 1, "osteoporosis": 1},
        **{"no_readable_image": 1},
    }
    assert counts["image"]["blank"] == 2
    assert counts["image"]["not_selected"] == 1


def test_the_flow_adds_up(messy_run):
    flow = Manifest.load(messy_run[0]).flow
    for box in flow:
        assert box.n_in == box.n_out + sum(box.excluded.values())
    patients = [box for box in flow if box.unit == "patient"]
    for earlier, later in pairwise(patients):
        assert earlier.n_out == later.n_in
    assert patients[0].n_in == 12 + 13
    assert patients[-1].n_out == 12 == len(ShardDataset(messy_run[0]))  # 11 and TWO


def test_the_next_radiograph_replaces_an_unreadable_one(messy_run):
    days = ShardDataset(messy_run[0]).index["days_to_dxa"].tolist()
    assert 23 in days  # of TWO: 20 December to 12 January


def test_the_terminal_names_rows_and_columns_and_nothing_that_may_name_a_patient(messy_run):
    out, said = messy_run
    assert "dxa.csv row 14, column lumbar_spine_t" in said
    for text in ("notes.dcm", "abc", "TEXT-T", "UNDATED", "HOSP-0003"):
        # file names and cells are free text; a pseudonym may have any letters from a to f in it
        assert not re.search(rf"\b{re.escape(text)}\b", said), text
    packed = b"".join(p.read_bytes() for p in out.iterdir())
    for who in (b"HOSP-0", b"TEXT-T", b"Secret", b"1.2.3.4.", b"19500101", b"2020-01", b"20200101"):
        assert who not in packed


def test_paths_and_cells_are_shown_to_whoever_asks(messy, messy_run, tmp_path):
    said: list[str] = []
    options = {"size": 32, "workers": 1, "screen": False, "show_paths": True}
    pack(messy, tmp_path / "o", echo=said.append, **options)
    assert "dicom/notes.dcm" in "\n".join(said)
    assert "dxa.csv row 14, column lumbar_spine_t 'abc'" in "\n".join(said)


def test_the_private_folder_says_what_each_item_is(messy_run):
    out, _ = messy_run
    private = out.with_name("shards.private")
    assert private.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in private.glob("[!.]*")} == {0o600}
    ledger = pd.read_csv(out / "ledger.csv")
    with (private / "items.csv").open() as f:
        items = {row["item"]: row["is"] for row in csv.DictReader(f)}
    assert set(ledger["item"]) <= set(items)
    assert "dicom/notes.dcm" in items.values()
    assert "dxa.csv row 14" in items.values()
