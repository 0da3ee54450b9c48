"""Names, numbers, dates and places planted wherever a DICOM file and a table can hold them.

They must be found nowhere in what leaves the private folder, and nowhere in what is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from data_sharding.pictures.dicom import ALLOWED
from data_sharding.schema import Manifest, Sample
from tests.data_sharding.hand_made import radiograph, texture

REPOSITORY = Path(__file__).parents[3]
NAME, NUMBER, PLACE, ACCESSION = "ZEPHYRINA", "CANARY77441", "QUAGMIRE", "ACX99183"
UID = "1.2.826.0.1.3680043.777.31337"
TEXT = f"{NAME}^{PLACE} {NUMBER} {ACCESSION}"
BORN, STUDIED, MEASURED = "19310713", "20170323", "20170401"
VALUES = {
    **dict.fromkeys(("LO", "SH", "LT", "ST", "UT", "UC", "PN", "AE"), TEXT[:16]),
    **dict.fromkeys(("LO", "LT", "ST", "UT", "UC", "PN"), TEXT),
    **{"CS": f"{NAME}", "UI": UID, "UR": f"http://{PLACE}.example/{NUMBER}"},
    **{"DA": STUDIED, "DT": STUDIED + "0815", "TM": "081503", "IS": "77441", "AS": "085Y"},
    **{"OB": TEXT.encode() + b" ", "UN": TEXT.encode() + b" "},
}


def iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


CANARIES = (
    *(NAME, NUMBER, PLACE, ACCESSION, UID),
    *(form for day in (BORN, STUDIED, MEASURED) for form in (day, iso(day))),
)


def plant(ds: Dataset, depth: int = 1) -> Dataset:
    """Fill every element of the standard that the picture does not need, and private ones."""
    for tag, (vr, _, _, retired, _) in DicomDictionary.items():
        name = keyword_for_tag(tag)
        if name in ALLOWED or retired or Tag(tag).group in (0, 2, 0x28, 0x7FE0, 0xFFFE):
            continue
        if vr in VALUES:
            ds.add_new(tag, vr, VALUES[vr])
        elif vr == "SQ" and depth and name.startswith(("Request", "OtherPatient", "Referenced")):
            ds.add_new(tag, vr, Sequence([plant(Dataset(), depth - 1)]))
    block = ds.private_block(0x0019, f"{PLACE} PRIVATE", create=True)
    block.add_new(0x10, "LO", TEXT)
    block.add_new(0x11, "UN", TEXT.encode() + b" ")
    ds.add_new(0x60003000, "OB", TEXT.encode() + b" ")  # an overlay
    return ds


def planted(path: Path, n: int, **tags: object) -> None:
    """A radiograph of patient n with canaries around and inside of what is read."""
    clean = {
        **{"PatientID": f"{NUMBER}-{n}", "PatientName": f"{NAME}^{PLACE}"},
        **{"PatientBirthDate": BORN, "StudyDate": STUDIED, "SOPInstanceUID": f"{UID}.{n}"},
        **{"StudyInstanceUID": f"{UID}.9.{n}", "Manufacturer": f"{PLACE} {NAME}"},
        **{"ManufacturerModelName": TEXT, **tags},
    }
    radiograph(path, texture(n), **clean)
    ds = plant(pydicom.dcmread(path))
    ds.PixelData = ds.PixelData + (TEXT.encode() + b" ")  # behind the last pixel
    ds.add_new(0xFFFCFFFC, "OB", TEXT.encode() + b" ")
    ds.file_meta.SourceApplicationEntityTitle = TEXT[:16]
    ds.file_meta.PrivateInformationCreatorUID = UID
    ds.file_meta.PrivateInformation = TEXT.encode() + b" "
    ds.preamble = TEXT.encode().ljust(128)
    ds.save_as(path)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A site full of canaries, packed by the command line: the dataset and all that was printed."""
    site = tmp_path_factory.mktemp("canary") / f"{PLACE}"
    for n in range(6):
        planted(site / "dicom" / f"{NAME}_{NUMBER}" / f"{ACCESSION}-{n}.dcm", n)
    for n, tags in enumerate(
        (
            {"Modality": NAME},
            {"BodyPartExamined": NAME},
            {"PhotometricInterpretation": NAME},
            {"ViewPosition": f"{NAME[:9]} LL"},
            {"WindowCenter": 1000, "WindowWidth": 2000, "VOILUTFunction": NAME},
        ),
        start=6,
    ):
        planted(site / "dicom" / NAME / f"{n}", n, **tags)
    (site / "dicom" / f"{NAME}.txt").write_text(TEXT)
    (site / "dicom" / f"{NUMBER}.dcm").write_bytes(b"\0" * 128 + b"DICM" + TEXT.encode())
    rows = [f"{NUMBER}-{n},{iso(MEASURED)},-1.{n % 9},,{NAME}" for n in range(11)]
    rows += [f"{NUMBER}-3,{TEXT},-1.0,,", f"{NUMBER}-8,{iso(MEASURED)},{TEXT},,{NAME}"]
    header = "patient_id,exam_date,lumbar_spine_t,femoral_neck_t,doctor\n"
    (site / "dxa.csv").write_text(header + "\n".join(rows) + "\n")
    people = [f"{NUMBER}-{n},{'FM'[n % 2]},{iso(BORN)},160,60" for n in range(10)]
    people.append(f"{NUMBER}-10,{TEXT},{iso(BORN)},160,{NAME}")
    (site / "clinical.csv").write_text(
        "patient_id,sex,birth_date,height_cm,weight_kg\n" + "\n".join(people) + "\n"
    )
    out = site.parent / "shards"
    command = [sys.executable, "-m", "data_sharding", "pack", site, out, "--name", "somewhere"]
    run = subprocess.run(
        [*command, "--size", "32", "--no-screen"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = run.stdout + run.stderr
    for verb in (("info", out), ("ledger", out), ("verify", out)):
        more = subprocess.run(
            [sys.executable, "-m", "data_sharding", *verb],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        said += more.stdout + more.stderr
    return out, said.replace(str(site), "SITE")  # the user's own argument


def found_in(text: str) -> list[str]:
    return [c for c in CANARIES if c.lower() in text.lower()]


def test_the_canaries_were_really_there(packed):
    site = packed[0].parent / PLACE
    file = next((site / "dicom" / f"{NAME}_{NUMBER}").iterdir())
    data = file.read_bytes()
    assert data.count(NAME.encode()) > 500
    assert data.count(UID.encode()) > 100
    assert found_in(data.decode("latin-1"))


def test_nothing_that_leaves_the_hospital_names_anybody(packed):
    out, _ = packed
    assert len(Manifest.load(out).shards) > 0
    for path in out.rglob("*"):
        assert not found_in(path.name)
        assert not found_in(path.read_bytes().decode("latin-1")), path.name
    index = pd.read_parquet(out / "index.parquet")
    assert len(index) == 6 + 1  # and the one whose VOI function is a name
    assert not found_in(index.to_csv())
    for metadata in (pd.read_parquet(out / "index.parquet").attrs,):
        assert not found_in(json.dumps(metadata))


def test_nothing_that_is_printed_names_anybody(packed):
    assert "samples" in packed[1]
    assert not found_in(packed[1])


def test_what_can_be_told_apart_still_can(packed):
    """Pseudonyms, shifted dates, remapped UIDs: differences survive, values do not."""
    from data_sharding.reader import ShardDataset

    data = [ShardDataset(packed[0], split) for split in ("train", "tune", "test")]
    samples: list[Sample] = [d.sample(i) for d in data for i in range(len(d))]
    assert len({s.patient for s in samples}) == len(samples)
    assert len({s.study_uid for s in samples}) == len(samples)
    assert all(s.study_uid.startswith("2.25.") for s in samples)
    assert {s.days_to_dxa for s in samples} == {9}
    assert len({s.study_date for s in samples}) > 1  # one day, and a shift for each patient
    assert all(s.study_date and s.study_date < iso(STUDIED) for s in samples)
    assert all(s.vendor.startswith("other-") for s in samples)
    assert np.mean([s.age == pytest.approx(85.7, abs=0.1) for s in samples]) == 1


def test_the_private_folder_is_the_only_one_that_knows(packed):
    private = packed[0].with_name("shards.private")
    assert found_in((private / "items.csv").read_text())
    assert private.stat().st_mode & 0o077 == 0
