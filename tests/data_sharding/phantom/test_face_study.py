"""A whole study: its tables, its people, what is wrong with it, and what it leaves as it was."""

from __future__ import annotations

import csv
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from data_sharding.cohort import dxa_cohort
from data_sharding.labels.policies import policy
from data_sharding.ledger import Ledger, Refused
from data_sharding.phantom.faces.law import Law
from data_sharding.phantom.faces.study import Job, make_patient
from data_sharding.phantom.settings import Settings
from data_sharding.phantom.world import make_world
from data_sharding.pictures.photos import read_header
from data_sharding.sources.faces import is_face_study, read_study

ARGUMENTS = {
    "seed": 28,
    "internal": 3,
    "external": 0,
    "public": 0,
    "size": 64,
    "osteoporosis": 0.33,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "world"
    make_world(out, **ARGUMENTS, faces=12, photos_each=2, workers=1)
    return out


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def headers(paths):
    for path in paths:
        try:
            yield read_header(path)
        except Refused as e:
            yield e


def test_people_are_asans_where_asan_has_them(world):
    for name, key in (("dxa.csv", "exam_date"), ("clinical.csv", "birth_date")):
        ours, theirs = table(world / "faces" / name), table(world / "asan" / name)
        shared = {row["patient_id"] for row in theirs}
        same = [row for row in ours if row["patient_id"] in shared]
        assert len(shared) > 1
        assert [row[key] for row in same] == [row[key] for row in theirs]
        assert [{k: row[k] for k in theirs[0]} for row in same] == theirs
    assert len(table(world / "faces" / "clinical.csv")) == 12


def test_the_reader_and_the_policy_say_what_the_truth_says(world):
    study, judge = world / "faces", policy("face2bone/1")
    assert is_face_study(study)
    ledger = Ledger()
    site = read_study(study, ledger, headers)
    said = {
        candidate.item: candidate.verdict and candidate.verdict.label
        for work in dxa_cohort(site, judge, judge.rules, ledger)
        for candidate in work.candidates
    }
    truth = table(world / "faces_truth.csv")
    want = {
        row["photo"]: int(row["category"])
        for row in truth
        if row["category"] and row["fate"] != "not_photo" and row["mishap"] != "no_row"
    }
    assert {k: v for k, v in said.items() if "_copy" not in k} == want
    assert set(want.values()) == {0, 1, 2}
    mishaps = {row["mishap"] for row in truth if row["mishap"]}
    assert mishaps == {"copied", "row_without_file"}  # with this seed; each must be counted
    assert {"same_bytes", "no_image_file"} <= {out.reason for _, _, out in ledger.rows}


def test_menopause_is_of_women_only(world):
    rows = table(world / "faces" / "clinical.csv")
    assert {row["menopausal"] for row in rows if row["sex"] == "M"} == {""}
    assert {row["menopausal"] for row in rows if row["sex"] == "F"} <= {"pre", "post", "unknown"}


def test_world_json_counts_what_lies_there(world):
    said = json.loads((world / "world.json").read_text())
    faces, truth = said["faces"], table(world / "faces_truth.csv")
    assert said["settings"]["faces"] == faces["patients"] == 12
    assert faces["patients_of_asan"] == 3
    assert faces["photographs"] == Counter(row["fate"] for row in truth)
    files = len(list((world / "faces" / "photos").rglob("*.jpg")))
    assert files - faces["mishaps"]["copied"] == len(truth) == 24
    assert sum(faces["classes"].values()) == 12
    assert json.loads((world / "faces" / "consent.json").read_text())["show_faces"] is True
    for name in ("sign_nasolabial", "latent"):
        assert name not in (world / "faces" / "photos.csv").read_text()


def test_a_study_changes_nothing_beside_it(world, tmp_path):
    make_world(tmp_path / "plain", **ARGUMENTS, workers=1)
    plain = {p.relative_to(tmp_path / "plain"): p for p in (tmp_path / "plain").rglob("*")}
    files = [name for name, path in plain.items() if path.is_file()]
    differ = [n for n in files if plain[n].read_bytes() != (world / n).read_bytes()]
    assert {str(n) for n in differ} == {"world.json", ".phantom.json"}
    said = json.loads((tmp_path / "plain" / "world.json").read_text())
    assert not [k for k in said["settings"] if "face" in k or "photo" in k]
    assert "faces" not in said


def test_bytes_are_the_same_in_another_process(world, tmp_path):
    settings = Settings(**ARGUMENTS | {"confounder": 0.0, "faces": 12})
    site = settings.counts()[0][0]
    job = Job(tmp_path, site, 4, 28, 2, Law.parse(), settings.face_confounding, in_asan=False)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        rows = pool.submit(make_patient, job).result()
    for row in rows:
        assert (tmp_path / row["photo"]).read_bytes() == (
            world / "faces" / row["photo"]
        ).read_bytes()


def test_a_finished_world_is_not_mixed_with_another_law(world):
    assert make_world(world, **ARGUMENTS, faces=12, photos_each=2, workers=1)["faces"]
    with pytest.raises(ValueError, match="face_weights"):
        make_world(world, **ARGUMENTS, faces=12, photos_each=2, face_weights="jawline", workers=1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"faces": -1}, "negative"),
        ({"faces": 3, "photos_each": 0}, "1 to 20"),
        ({"faces": 3, "face_confounding": 2.0}, "confounding"),
        ({"faces": 3, "face_weights": "nose=1"}, "no region"),
        ({"photos_each": 4}, "there are no faces"),
        ({"face_weights": "jawline"}, "there are no faces"),
    ],
)
def test_settings_that_cannot_be(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=said):
        make_world(tmp_path / "w", **ARGUMENTS, **wrong)
    assert not (tmp_path / "w").exists()
