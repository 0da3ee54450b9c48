"""The leak gate of a pack: planted copies stop it, allowed ones are recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from data_sharding.__main__ import main
from data_sharding.ledger import Leaked
from data_sharding.pack import pack
from data_sharding.phantom.world import make_world
from data_sharding.private import Pseudonyms, load_key
from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    make_world(out, internal=24, external=12, public=0, size=256, workers=1)
    return out


@pytest.fixture(scope="module")
def home(world: Path) -> Path:
    """The internal hospital, packed: nobody of it is in two splits."""
    quiet = {"workers": 1, "key_file": world / "pseudonym.key", "echo": lambda _: None}
    pack(world / "asan", world / "home", size=256, **quiet)
    return world / "home"


def north_with(world: Path, folder: Path, home: Path, change) -> Path:
    """The external hospital with one patient whose radiograph was made at the internal one."""
    site = folder / "north"
    shutil.copytree(world / "north", site)
    path = next((world / "asan" / "dicom" / min(in_train(world, home))).rglob("*.dcm"))
    ds = pydicom.dcmread(path)
    ds.PixelData = np.ascontiguousarray(change(ds.pixel_array)).tobytes()
    ds.PatientID, ds.SOPInstanceUID = "COPY-1", "1.2.3.99"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    ds.save_as(site / "dicom" / "copy.dcm")
    day = f"{ds.StudyDate[:4]}-{ds.StudyDate[4:6]}-{ds.StudyDate[6:]}"
    columns = (site / "dxa.csv").read_text().splitlines()[0].split(",")
    row = {"patient_id": "COPY-1", "exam_date": day, "total_hip_t": "-1.4"}
    with (site / "dxa.csv").open("a") as f:
        f.write(",".join(row.get(c, "") for c in columns) + "\n")
    return site


def in_train(world: Path, home: Path) -> set[str]:
    """Patients of the internal hospital whose one radiograph is in the training split."""
    hide = Pseudonyms(load_key(home, world / "pseudonym.key"), "asan")
    hidden = set(ShardDataset(home, "train").index["patient"])
    patients = [p.name for p in (world / "asan" / "dicom").iterdir()]
    alone = [p for p in patients if len(list((world / "asan" / "dicom" / p).rglob("*.dcm"))) == 1]
    return {p for p in alone if hide("patient", p) in hidden}


@pytest.mark.parametrize(
    ("kind", "change"), [("identical", lambda x: x), ("near", lambda x: x[:, ::-1])]
)
def test_a_copy_in_another_hospital_stops_the_pack(world, home, tmp_path, capsys, kind, change):
    site, out = north_with(world, tmp_path, home, change), tmp_path / "out"
    command = ["pack", site, out, "--role", "external", "--size", "256", "--workers", "1"]
    command += ["--key-file", world / "pseudonym.key", "--against", home]
    with pytest.raises(SystemExit) as end:
        main([str(x) for x in command])
    said = capsys.readouterr().err
    assert end.value.code == 4
    assert "1 leaks" in said
    assert "asan/train/" in said
    assert "north/external/" in said
    assert ("flipped" in said) == (kind == "near")
    assert not (out / "manifest.json").exists()

    with pytest.raises(SystemExit) as end:  # what was made is not made again
        main([str(x) for x in [*command, "--allow-leaks"]])
    assert not end.value.code
    assert "going on" in capsys.readouterr().out
    (leak,) = Manifest.load(out).leaks
    assert leak.startswith(("asan/train/", "north/external/"))

    with pytest.raises(SystemExit) as end:
        main(["leaks", str(home), str(out)])
    assert end.value.code == 4
    assert "1 leaks" in capsys.readouterr().out


def test_a_finished_pack_is_not_said_to_be_checked_against_others(world, home, tmp_path):
    quiet = {"workers": 1, "role": "external", "size": 256, "echo": lambda _: None}
    quiet["key_file"] = world / "pseudonym.key"
    pack(world / "north", tmp_path / "out", **quiet)
    with pytest.raises(ValueError, match="not checked against these datasets"):
        pack(world / "north", tmp_path / "out", against=[home], **quiet)
    manifest = pack(world / "north", tmp_path / "new", against=[home], **quiet)
    assert manifest.leaks == ()
    for again in ([home], []):
        assert pack(world / "north", tmp_path / "new", against=again, **quiet) == manifest
    with pytest.raises(ValueError, match="a dataset called asan"):
        pack(world / "asan", tmp_path / "again", **quiet, against=[home], name="asan")


def test_one_person_under_two_numbers_is_found_within_a_site(world, tmp_path):
    """The same radiograph under two patient ids, in two splits."""
    site = tmp_path / "asan"
    shutil.copytree(world / "asan", site)
    tables = {n: (site / n).read_text() for n in ("dxa.csv", "clinical.csv")}
    patients = sorted(p for p in (site / "dicom").iterdir())
    for folder in patients:  # everybody twice
        for path in folder.rglob("*.dcm"):
            ds = pydicom.dcmread(path)
            ds.PatientID, ds.SOPInstanceUID = f"B{ds.PatientID}", f"{ds.SOPInstanceUID}1"[-60:]
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.save_as(path.with_name(f"b{path.name}"))
    for name, text in tables.items():
        lines = text.splitlines()
        (site / name).write_text("\n".join([*lines, *(f"B{x}" for x in lines[1:])]) + "\n")
    with pytest.raises(Leaked, match="identical pictures"):
        pack(site, tmp_path / "out", size=256, workers=1, echo=lambda _: None)
