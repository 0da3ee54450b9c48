"""A face study as a hospital leaves it: every file and row is a photograph or in the ledger."""

from __future__ import annotations

import io
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_sharding.cohort import dxa_cohort
from data_sharding.labels.policies import policy
from data_sharding.ledger import Ledger
from data_sharding.packing.account import image_step
from data_sharding.pictures.work import Scan, scan
from data_sharding.sources.faces import is_face_study, may_show_faces, photo_files, read_study
from data_sharding.sources.paired import Site


def save(path: Path, seed: int, taken: str = "", kind: str = "JPEG") -> Path:
    """A photograph of nobody, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    found = Image.Exif()
    if taken:
        found.get_ifd(0x8769)[0x9003] = taken
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, exif=found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "ningbo"
    (folder / "photos").mkdir(parents=True)
    (folder / "dxa.csv").write_text(
        "patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t\n"
        + "".join(f"{p},2024-04-01,-1.0,0.2,0.3\n" for p in ("P1", "P2", "P3"))
    )
    (folder / "clinical.csv").write_text(
        "patient_id,sex,birth_date,height_cm,weight_kg,menopausal\n"
        "P1,F,1960-01-01,,,post\nP2,M,1974-04-01,,,\nP3,F,1980-01-01,,,\n"
    )
    return folder


def headers(paths: list[Path]) -> list[Any]:
    return [scan(Scan("photo", str(path))) for path in paths]


def read(folder: Path) -> tuple[Site, Ledger, dict[str, tuple[str, date | None]]]:
    """The study, its ledger, and item -> (patient, day)."""
    ledger = Ledger()
    site = read_study(folder, ledger, headers)
    for box in ledger.flow:
        assert box.n_in == box.n_out + sum(box.excluded.values())
    files = [box for box in ledger.flow if box.unit == "file"]
    assert [box.n_in for box in files] == [len(photo_files(folder))]
    found = {r.item: (r.facts.patient_id, r.facts.date) for r in site.radiographs}
    assert all(r.facts.view == "FRONTAL" for r in site.radiographs)
    assert all(Path(r.path).is_file() for r in site.radiographs)
    return site, ledger, found


def reasons(ledger: Ledger, unit: str) -> dict[str, str]:
    return {row.item: row.reason for _, u, row in ledger.rows if u == unit}


def test_folders_name_patients_where_there_is_no_table(study):
    save(study / "photos/P1/a.jpg", 1, "2024:04:02 08:00:00")
    save(study / "photos/P2/visit 1/b.PNG", 2, kind="PNG")
    save(study / "photos/lost.jpg", 3)
    (study / "photos/P1/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert is_face_study(study)
    site, ledger, found = read(study)
    assert found == {
        "photos/P1/a.jpg": ("P1", date(2024, 4, 2)),
        "photos/P2/visit 1/b.PNG": ("P2", None),
    }
    assert reasons(ledger, "file") == {
        "photos/lost.jpg": "no_patient_id",
        "photos/P1/.DS_Store": "not_photo",
    }
    assert "1 photographs have neither" in ledger.notes[-1]
    assert site.patients == {"P1", "P2", "P3"}


def test_photos_csv_is_believed_and_every_row_is_accounted_for(study):
    for n, name in enumerate(
        ("a.jpg", "sub/b.jpg", "P2/c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg")
    ):
        save(study / "photos" / name, n, "2024:03:30 08:00:00")
    (study / "photos.csv").write_text(
        "file,patient_id,photo_date\n"
        "a.jpg,P1,2024-04-05\n"  # 2: a path under photos/
        "photos/sub/b.jpg,P2,\n"  # 3: a path under the study; its day is EXIF's
        "c.jpg,,2024-04-06\n"  # 4: a name of its own; the folder names the patient
        "d.jpg,P1,31/12/2024\n"  # 5: not a date
        "e.jpg,P1,2024-04-05\n"  # 6 and 7 contradict each other
        "e.jpg,P2,2024-04-05\n"
        "a.jpg,P1,2024-04-05\n"  # 8: again
        "nowhere.jpg,P9,2024-04-05\n"  # 9
        ",P1,2024-04-05\n"  # 10
        "f.jpg,,2024-04-05\n"  # 11: whose?
        "\n"  # 12
    )
    site, ledger, found = read(study)
    assert found == {
        "photos/a.jpg": ("P1", date(2024, 4, 5)),
        "photos/sub/b.jpg": ("P2", date(2024, 3, 30)),
        "photos/P2/c.jpg": ("P2", date(2024, 4, 6)),
    }
    rows = {k: v for k, v in reasons(ledger, "row").items() if k.startswith("photos.csv")}
    assert rows == {
        **{"photos.csv row 5": "bad_date", "photos.csv row 6": "conflicting_rows"},
        **{"photos.csv row 7": "conflicting_rows", "photos.csv row 8": "duplicate_row"},
        **{"photos.csv row 9": "no_image_file", "photos.csv row 10": "no_identifier"},
        **{"photos.csv row 11": "no_identifier", "photos.csv row 12": "empty_line"},
    }
    assert reasons(ledger, "file") == {
        **{"photos/d.jpg": "not_in_metadata", "photos/e.jpg": "conflicting_rows"},
        **{"photos/f.jpg": "not_in_metadata", "photos/g.jpg": "not_in_metadata"},
    }
    assert "P9" in site.patients  # named, and so counted


def test_a_name_that_occurs_twice_is_nobody_s(study):
    save(study / "photos/x/a.jpg", 1)
    save(study / "photos/y/a.jpg", 2)
    (study / "photos.csv").write_text("file,patient_id\na.jpg,P1\ny\\a.jpg,P2\n")
    _, ledger, found = read(study)
    assert found == {"photos/y/a.jpg": ("P2", None)}
    assert reasons(ledger, "row")["photos.csv row 2"] == "no_image_file"


def test_copies_by_their_bytes(study):
    save(study / "photos/P1/a.jpg", 1)
    save(study / "photos/P1/again.jpg", 1)
    save(study / "photos/P2/b.jpg", 2)
    save(study / "photos/P3/b.jpg", 2)  # whose face is it?
    _, ledger, found = read(study)
    assert found.keys() == {"photos/P1/a.jpg"}
    assert set(reasons(ledger, "file").values()) == {"same_bytes"}
    assert len(reasons(ledger, "file")) == 3


def test_bad_files_land_in_the_ledger_with_their_reason(study):
    whole = save(study / "photos/P1/whole.jpg", 1).read_bytes()
    (study / "photos/P1/empty.jpg").write_bytes(b"")
    (study / "photos/P1/phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (study / "photos/P1/gone.jpg").symlink_to("nowhere")
    (study / "photos/P1/stub.jpg").write_bytes(whole[:12])
    _, ledger, found = read(study)
    assert found.keys() == {"photos/P1/whole.jpg"}
    assert reasons(ledger, "file") == {
        **{"photos/P1/empty.jpg": "not_photo", "photos/P1/phone.heic": "heic"},
        **{"photos/P1/gone.jpg": "unreadable", "photos/P1/stub.jpg": "undecodable"},
    }


def test_the_cohort_pairs_photographs_as_it_pairs_radiographs(study):
    save(study / "photos/P1/late.jpg", 1, "2024:06:01 08:00:00")
    save(study / "photos/P1/near.jpg", 2, "2024:04:02 08:00:00")
    save(study / "photos/P2/b.jpg", 3, "2024:04:02 08:00:00")  # 50 that day: not over 50
    save(study / "photos/P3/c.jpg", 4, "2024:04:02 08:00:00")  # menopausal status unknown
    save(study / "photos/P4/d.jpg", 5, "2024:04:02 08:00:00")  # no DXA
    site, ledger, _ = read(study)
    face = policy("face2bone/1")
    works = dxa_cohort(site, face, face.rules, ledger)
    assert [w.patient for w in works] == ["P1", "P1"]  # every photograph is a sample
    first, second = (w.candidates[0] for w in works)
    assert all(len(w.candidates) == 1 for w in works)
    assert (first.item, first.days_to_dxa, first.day) == (
        *("photos/P1/near.jpg", -1, date(2024, 4, 2)),
    )
    assert second.item == "photos/P1/late.jpg"
    assert first.verdict is not None
    assert face.classes[first.verdict.label or 0] == "osteopenia"  # T = -1.0 exactly
    out = {row.patient: row.reason for _, unit, row in ledger.rows if unit == "patient"}
    assert out == {"P2": "not_in_policy", "P3": "menopause_unknown", "P4": "no_dxa"}
    # a chest radiograph policy finds no PA view among faces
    osp = policy("ospenscreen/1")
    assert dxa_cohort(site, osp, osp.rules, Ledger()) == []


def test_a_photograph_that_does_not_qualify_says_why_though_its_patient_is_in(study):
    with (study / "dxa.csv").open("a") as f:
        f.write("P2,2025-01-01,-1.0,0.2,0.3\nP2,2026-01-01,-1.0,,\n")
    save(study / "photos/P2/at 49.jpg", 1, "2024:03:30 08:00:00")  # the closest pair
    save(study / "photos/P2/late.jpg", 2, "2024:12:20 08:00:00")
    save(study / "photos/P2/long after.jpg", 3, "2027:12:30 08:00:00")
    save(study / "photos/P2/half a DXA.jpg", 4, "2026:01:01 08:00:00")
    save(study / "photos/P2/undated.jpg", 5)
    save(study / "photos/P1/before birth.jpg", 6, "1959:04:01 08:00:00")
    save(study / "photos/P1/good.jpg", 7, "2024:04:02 08:00:00")
    site, ledger, _ = read(study)
    face = policy("face2bone/1")
    works = dxa_cohort(site, face, face.rules, ledger)
    assert [box.n_out for box in ledger.flow if box.unit == "patient"][-1] == 2
    chosen = {c.item: w.patient for w in works for c in w.candidates}
    assert chosen == {"photos/P1/good.jpg": "P1", "photos/P2/late.jpg": "P2"}
    passed = {e.item: e for w in works for e in w.passed}
    rest = image_step(site, face.rules, chosen, {}, passed)
    assert {e.item.removeprefix("photos/"): e.reason for e in rest} == {
        **{"P2/at 49.jpg": "not_in_policy", "P2/long after.jpg": "outside_window"},
        **{"P2/half a DXA.jpg": "site_missing", "P2/undated.jpg": "undated"},
        **{"P1/before birth.jpg": "outside_window"},
    }
    assert len(site.radiographs) == len(chosen) + len(rest)


CONSENTS = {
    "yes": ('{"show_faces": true, "statement": "All were asked."}', True),
    "no": ('{"show_faces": false}', False),
    "a text": ('{"show_faces": "true"}', "neither true nor false"),
    "a number": ('{"show_faces": 1}', "neither true nor false"),
    "nothing said": ("{}", "neither true nor false"),
    "empty": ("", "Expecting value"),
    "a list": ('["show_faces"]', "other keys"),
    "misspelt": ('{"show_face": true}', "other keys"),
    "both": ('{"show_faces": false, "show_faces": true}', "a key is there twice"),
    "no text": ('{"show_faces": true, "statement": 7}', "not a text"),
    "deep": ("[" * 60000, "RecursionError|Expecting"),
    "long": ('{"statement": "' + "a" * 70000 + '"}', "more than 65536 bytes"),
    "no letters": ("\xff\xfe{", "UTF|utf|Expecting|JSON"),
}


@pytest.mark.parametrize(("said", "means"), CONSENTS.values(), ids=CONSENTS)
def test_faces_may_be_shown_where_consent_says_so_and_nowhere_else(study, said, means):
    assert not may_show_faces(study)
    (study / "consent.json").write_bytes(said.encode("latin-1"))
    if isinstance(means, bool):
        assert may_show_faces(study) is means
    else:
        with pytest.raises(ValueError, match=means):
            may_show_faces(study)


def test_a_consent_that_cannot_be_read_is_none(study):
    (study / "consent.json").symlink_to("nowhere")
    with pytest.raises(ValueError, match="FileNotFoundError"):
        may_show_faces(study)
    (study / "consent.json").unlink()
    (study / "consent.json").mkdir()
    with pytest.raises(ValueError, match="IsADirectoryError"):
        may_show_faces(study)


def test_tables_that_are_none(study):
    (study / "photos.csv").write_text("name,patient\na,b\n")
    with pytest.raises(ValueError, match="no column file"):
        read_study(study, Ledger(), headers)
    (study / "photos.csv").unlink()
    (study / "clinical.csv").unlink()
    ledger = Ledger()
    assert read_study(study, ledger, headers).radiographs == []
    assert any("no clinical.csv" in note for note in ledger.notes)
    (study / "dxa.csv").unlink()
    assert not is_face_study(study)


CELLS = st.sampled_from(
    [
        "a.jpg",
        "P1/b.jpg",
        "../dxa.csv",
        "P1",
        "P2",
        "",
        "2024-04-01",
        "31/12/2024",
        '"',
        "\x00",
        "한",
    ]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=6), st.sampled_from(",;\t"))
def test_any_photos_csv_is_read_to_the_last_row_or_refused_whole(study, rows, delimiter):
    save(study / "photos/a.jpg", 1)
    save(study / "photos/P1/b.jpg", 2)
    lines = [["file", "patient_id", "photo_date"], *rows]
    (study / "photos.csv").write_text("\n".join(delimiter.join(line) for line in lines))
    try:
        site, ledger, _ = read(study)  # checks every sum
    except ValueError:
        return
    assert len(site.radiographs) + len(reasons(ledger, "file")) == 2


def test_a_folder_whose_name_is_no_text(study):
    name = os.fsdecode(b"Kim \xff")
    save(study / "photos" / name / "a.jpg", 1, "2024:04:02 08:00:00")
    site, ledger, found = read(study)
    assert found == {f"photos/{name}/a.jpg": (name, date(2024, 4, 2))}
    face = policy("face2bone/1")
    assert dxa_cohort(site, face, face.rules, ledger) == []
    assert ledger.to_csv(lambda kind, text: f"{kind} {len(text)}")
