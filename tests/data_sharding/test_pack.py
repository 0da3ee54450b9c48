"""A hospital's folder as it comes, end to end."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_sharding.__main__ import main
from data_sharding.ledger import NothingUsable
from data_sharding.pack import pack
from data_sharding.private import load_key, only_one, private_folder
from data_sharding.reader import ShardDataset, verify
from data_sharding.schema import LEDGER_COLUMNS, Manifest
from tests.data_sharding.hand_made import make_site, radiograph, texture

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def command(capsys):
    """Run the command line in this process; exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def quiet(site: Path, out: Path, **options) -> Manifest:
    return pack(
        site, out, **{"size": 32, "workers": 1, "screen": False, "echo": lambda _: None, **options}
    )


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
        **{"conflicting_rows": 2, "t_score_out_of_range": 1, "no_t_score": 1},
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
        assert text not in said  # file names and cells are free text
    packed = b"".join(p.read_bytes() for p in out.iterdir())
    for who in (b"HOSP-0", b"TEXT-T", b"Secret", b"1.2.3.4.", b"19500101", b"2020-01", b"20200101"):
        assert who not in packed


def test_paths_and_cells_are_shown_to_whoever_asks(messy, messy_run, tmp_path):
    said: list[str] = []
    quiet(messy, tmp_path / "o", show_paths=True, echo=said.append)
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


@pytest.mark.parametrize("what", ["empty", "text", "ct", "no table", "no match"])
def test_nothing_usable_is_one_line_and_exit_code_4(command, tmp_path, what):
    site = tmp_path / "site"
    (site / "dicom").mkdir(parents=True)
    (site / "dxa.csv").write_text("patient_id,exam_date,total_hip_t\nA,2020-01-01,-1.5\n")
    if what == "text":
        (site / "dicom" / "a.dcm").write_text("no")
    if what == "ct":
        radiograph(site / "dicom" / "a.dcm", Modality="CT", PatientID="A")
    if what == "no match":
        radiograph(site / "dicom" / "a.dcm", PatientID="B")
    if what == "no table":
        (site / "dxa.csv").unlink()
    code, out, error = command("pack", site, tmp_path / "out")
    assert (code, out) == (4, "")
    assert error.startswith("nothing to pack in ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_mistakes_are_one_line_and_exit_code_2(command, site, packed, tmp_path):
    for arguments in (
        ("pack", tmp_path / "none", tmp_path / "o"),
        ("pack", site, site / "inside"),
        ("pack", site, tmp_path / "o", "--role", "extern"),
        ("pack", site, tmp_path / "o", "--key-file", tmp_path / "none.key"),
        ("pack", site, packed, "--size", 16),
        ("info", tmp_path),
    ):
        code, _, error = command(*arguments)
        assert code == 2, arguments
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def test_two_packs_are_the_same_bytes_and_no_worker_count_matters(site, key_file, tmp_path, packed):
    out = tmp_path / "other" / "asan"
    quiet(site, out, shard_samples=8, key_file=key_file, workers=2)
    names = sorted(p.name for p in packed.iterdir())
    assert names == sorted(p.name for p in out.iterdir())
    for name in names:
        assert (packed / name).read_bytes() == (out / name).read_bytes(), name
    assert verify(out) == []


def test_another_key_gives_other_names_and_the_same_pictures(site, tmp_path, packed):
    quiet(site, tmp_path / "a", shard_samples=8, name="asan")
    index, other = ShardDataset(packed).index, ShardDataset(tmp_path / "a").index
    assert not set(index["key"]) & set(other["key"])
    assert not set(index["patient"]) & set(other["patient"])
    assert set(index["pixels_sha256"]) == set(other["pixels_sha256"])


def test_packing_again_returns_at_once_until_something_changes(tmp_path):
    site, out, said = make_site(tmp_path / "s", 6), tmp_path / "out", []
    first = quiet(site, out)
    stamp = (out / "index.parquet").stat().st_mtime_ns
    assert quiet(site, out, echo=said.append) == first
    assert "already packed" in said[0]
    assert (out / "index.parquet").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match=r"settings changed.*--fresh"):
        quiet(site, out, window_days=30)
    os.utime(site / "dxa.csv", ns=(1, 1))
    with pytest.raises(ValueError, match="site's files changed"):
        quiet(site, out)
    assert quiet(site, out, fresh=True) == first  # the key was kept: the same bytes
    (out / "manifest.json").unlink()  # as after a crash
    assert quiet(site, out) == first


def test_a_folder_with_other_things_in_it_is_left_alone(site, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").touch()
    with pytest.raises(ValueError, match="none of ours"):
        quiet(site, tmp_path / "out")


def test_two_packs_at_a_time(site, tmp_path):
    with (
        only_one(private_folder(tmp_path / "o")),
        pytest.raises(ValueError, match="another command"),
    ):
        quiet(site, tmp_path / "o")


def test_the_same_picture_of_two_patients_is_pointed_out(tmp_path):
    site, said = make_site(tmp_path / "s", 3), []
    tags = {"PatientID": "HOSP-0001", "SOPInstanceUID": "1.2.3.4.1"}
    radiograph(site / "dicom" / "HOSP-0001" / "image", texture(0), **tags)
    quiet(site, tmp_path / "o", echo=said.append)
    assert any("1 pictures are the same, pixel for pixel" in line for line in said)


def test_a_site_of_unreadable_pictures_is_nothing_usable(tmp_path):
    site = make_site(tmp_path / "s", 2)
    for n in range(2):
        path = site / "dicom" / f"HOSP-000{n}" / "image"
        radiograph(path, np.zeros((64, 64), np.uint16), PatientID=f"HOSP-000{n}")
    with pytest.raises(NothingUsable, match="2 nothing to be seen"):
        quiet(site, tmp_path / "o")
    assert not (tmp_path / "o" / "manifest.json").exists()


def test_roles(site, tmp_path):
    manifest = quiet(site, tmp_path / "e", role="external")
    assert {s.split for s in manifest.shards} == {"external"}


def test_splits_do_not_share_patients_and_keys_shuffle_the_classes(packed):
    index = ShardDataset(packed).index
    assert Counter(index["split"]) == {"train": 28, "test": 8, "tune": 4}
    assert (index.groupby("patient")["split"].nunique() == 1).all()
    train = index.loc[index["split"] == "train", "label"].tolist()
    assert sum(a != b for a, b in pairwise(train)) > 5


def test_without_a_dicom_folder_the_whole_site_is_searched(tmp_path):
    site = make_site(tmp_path / "s", 4)
    (site / "dicom").rename(site / "exported")
    assert len(ShardDataset(quiet(site, tmp_path / "o") and tmp_path / "o")) == 4


def test_excel_tables(tmp_path):
    """A byte-order mark, CRLF, semicolons and decimal commas; and no clinical.csv."""
    site = make_site(tmp_path / "s", 3)
    (site / "clinical.csv").unlink()
    rows = ["Patient ID;Exam Date;Lumbar Spine T;Doctor", "HOSP-0000;2020-01-05;-1,5;Kim", "", ""]
    rows[2] = "HOSP-0001;2020-01-05;\u22121,4;Lee"
    (site / "dxa.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    said: list[str] = []
    quiet(site, tmp_path / "o", echo=said.append)
    index = ShardDataset(tmp_path / "o").index
    assert sorted(index["lowest_t"]) == [-1.5, -1.4]
    assert sorted(index["severity"]) == ["mild", "moderate"]
    assert any("columns not used: doctor" in line for line in said)
    assert any("no clinical.csv" in line for line in said)


def test_tables_that_cannot_be_read_name_the_file(tmp_path):
    site = make_site(tmp_path / "s", 2)
    for text, message in (
        ("id,date\n", "dxa.csv: no column patient_id, exam_date"),
        ("patient_id,exam_date\nA,2020-01-01\n", "At least one is needed"),
        ('patient_id,exam_date,total_hip_t\nA,"2020-01-01,-1\nB,2020-01-01,1\n', "row .*quote"),
        ("patient_id,exam_date,total_hip_t,total_hip_t\n", "appears twice"),
    ):
        (site / "dxa.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            quiet(site, tmp_path / "o")


def test_the_closest_radiograph_then_the_earlier_then_the_smaller_uid(tmp_path):
    site = tmp_path / "s"
    for uid, day in (("1.9", "20200110"), ("1.5", "20200110"), ("1.1", "20200120")):
        radiograph(site / uid, texture(1), PatientID="A", SOPInstanceUID=uid, StudyDate=day)
    (site / "dxa.csv").write_text("patient_id,exam_date,total_hip_t\nA,2020-01-15,-1.5\n")
    quiet(site, tmp_path / "o", key_file=None)
    with (tmp_path / "o.private" / "items.csv").open() as f:
        left = [row["is"] for row in csv.DictReader(f)]
    assert left == ["1.1", "1.9"]
    assert ShardDataset(tmp_path / "o").sample(0).days_to_dxa == 5


def test_rows_of_one_day_are_joined(tmp_path):
    site = tmp_path / "s"
    radiograph(site / "a", texture(1), PatientID="A")
    rows = "A,2020-01-15,-1.2,\nA,2020-01-15,,-1.7\n"
    (site / "dxa.csv").write_text("patient_id,exam_date,lumbar_spine_t,total_hip_t\n" + rows)
    quiet(site, tmp_path / "o")
    sample = ShardDataset(tmp_path / "o").sample(0)
    assert (sample.lowest_t, sample.lowest_t_site) == (-1.7, "total_hip")


def test_no_key_no_names(tmp_path):
    with pytest.raises(ValueError, match="token_hex"):
        load_key(tmp_path, tmp_path / "absent")
    with pytest.raises(NothingUsable):
        pack(tmp_path, tmp_path.parent / "o")


def test_the_other_verbs(command, packed):
    assert "python -m data_sharding pack data/asan shards/asan" in command("pack", "--help")[1]
    assert "ospenscreen/1" in command("policies")[1]
    assert "train: 28 samples, 28 patients" in command("info", packed)[1]
    assert "patients the label policy takes: 40 patients in, 40 out" in command("ledger", packed)[1]
    assert command("verify", packed)[0] == 0
