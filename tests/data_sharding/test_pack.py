"""A hospital's folder as it comes, end to end."""

from __future__ import annotations

import csv
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data_sharding.__main__ import main
from data_sharding.ledger import NothingUsable
from data_sharding.pack import pack
from data_sharding.private import load_key, only_one, private_folder
from data_sharding.reader import ShardDataset, verify
from data_sharding.schema import Manifest
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
    assert any("columns not used: 1" in line for line in said)
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
