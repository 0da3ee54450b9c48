"""A second external hospital, and more osteoporosis: what they add to a world, what they keep."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from data_sharding.pack import pack
from data_sharding.phantom.atlas import Atlas
from data_sharding.phantom.hospital import (
    CLINICAL_COLUMNS,
    DXA_COLUMNS,
    clinical_rows,
    csv_text,
    dxa_rows,
)
from data_sharding.phantom.patients import REFERRED, Mix, draw_people, draw_t_scores, referred_for
from data_sharding.phantom.settings import Settings
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import ASAN, NORTH, SOUTH
from data_sharding.phantom.world import make_world
from data_sharding.reader import ShardDataset

SMALL: dict[str, Any] = {"seed": 3, "internal": 6, "external": 4, "public": 3, "size": 64}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A world as before, and the same with a south."""
    root = tmp_path_factory.mktemp("worlds")
    make_world(root / "plain", **SMALL, workers=1)
    make_world(root / "south", **SMALL, south=12, workers=1)
    return root / "plain", root / "south"


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in ("world.json", "truth.csv", ".phantom.json")
    }


def test_a_south_adds_its_folder_and_changes_nothing_else(worlds):
    plain, south = worlds
    before, after = digests(plain), digests(south)
    assert {k: v for k, v in after.items() if not k.startswith("south/")} == before
    assert {"south/dxa.csv", "south/clinical.csv", "south/fractures.csv"} < set(after)
    lines = (south / "truth.csv").read_text().splitlines()
    assert [x for x in lines if not x.startswith("south,")] == (
        (plain / "truth.csv").read_text().splitlines()
    )
    settings = json.loads((plain / "world.json").read_text())["settings"]
    assert set(settings) == {*SMALL, "confounder"}  # what worlds before this one had said
    assert json.loads((south / "world.json").read_text())["settings"]["south"] == 12


@pytest.mark.parametrize(
    ("site", "n", "dxa", "clinical"),
    [(ASAN, 18, "e4ead9abe967", "b2ad2e00c508"), (NORTH, 10, "7e9deb5e1405", "398d123aaa55")],
    ids=["asan", "north"],
)
def test_the_people_of_before_are_who_they_were(site, n, dxa, clinical):
    """Seed 3, by SHA-256 of the tables as they were before there was a south or a referral."""
    people = [tell(3, site, k) for k in range(n)]
    for columns, rows, digest in (
        (DXA_COLUMNS, dxa_rows(people), dxa),
        (CLINICAL_COLUMNS, clinical_rows(people), clinical),
    ):
        assert hashlib.sha256(csv_text(columns, rows).encode()).hexdigest()[:12] == digest


def test_a_world_is_not_mixed_with_one_that_has_a_south(worlds):
    plain, south = worlds
    with pytest.raises(ValueError, match="another south"):
        make_world(south, **SMALL)
    with pytest.raises(ValueError, match="another osteoporosis"):
        make_world(plain, **SMALL, osteoporosis=0.33)


def test_fresh_takes_the_south_away(worlds, tmp_path):
    shutil.copytree(worlds[1], tmp_path / "w")
    make_world(tmp_path / "w", seed=1, internal=1, external=1, public=1, size=64, fresh=True)
    assert not (tmp_path / "w" / "south").exists()


def test_its_rooms_are_its_own(worlds):
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in worlds[1].rglob("*.dcm")]
    makers = {
        home: {h.Manufacturer for h in headers if (h.InstitutionName == SOUTH.hospital) is home}
        for home in (True, False)
    }
    assert len(makers[True]) == 2
    assert not makers[True] & makers[False]
    assert {h.KVP for h in headers if h.InstitutionName == SOUTH.hospital} == {100, 120}
    ids = {h.PatientID for h in headers}
    with (worlds[1] / "south" / "clinical.csv").open() as f:
        assert len({row["patient_id"] for row in csv.DictReader(f)} & ids) == 12


def test_its_dicom_files_conform(worlds):
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    seen = set()
    for path in sorted((worlds[1] / "south").rglob("*.dcm")):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        if (kind := (ds.StationName, ds.ViewPosition)) in seen:
            continue
        seen.add(kind)
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        errors = [x for x in (told.stdout + told.stderr).splitlines() if x.startswith("Error")]
        assert not errors, (path, errors)
    assert {station for station, _ in seen} == {"SDX1", "SDX2"}


def test_packed_pictures_are_those_drawn_and_found_again(worlds, tmp_path):
    south = worlds[1]
    key = south / "pseudonym.key"
    pack(
        south / "south", tmp_path / "p", role="external", key_file=key, size=64,
        label_policy="li2026/1", workers=1, echo=lambda _: None,
    )  # fmt: skip
    data, atlas = ShardDataset(tmp_path / "p"), Atlas(south, tmp_path / "p")
    assert len(data) >= 8
    for i in range(len(data)):
        atlas.check(data.key(i), data.image(i))


def osteoporosis(mix: Mix) -> tuple[float, float, float]:
    """(share with T <= -2.5, their mean age, the others') in a large draw."""
    rng = np.random.default_rng(5)
    people = draw_people(rng, mix, 60_000)
    sick = draw_t_scores(rng, people.latent, people.age).min(axis=1) <= -2.5
    return sick.mean(), people.age[sick].mean(), people.age[~sick].mean()


@pytest.mark.parametrize("prevalence", [0.1, 0.33, 0.45])
def test_as_many_are_referred_as_the_prevalence_asks(prevalence):
    mix = replace(ASAN.mix, referred=referred_for(ASAN.mix, prevalence))
    assert osteoporosis(mix)[0] == pytest.approx(prevalence, abs=0.01)


def test_a_third_with_osteoporosis_looks_like_the_published_table():
    """Li et al., Table 1: OP 71.1 years, others 58.8, SD about 10; south older, with more of it."""
    sites = {
        s.name: s for s, _ in Settings(**SMALL, confounder=0, south=1, osteoporosis=0.35).counts()
    }
    share, sick_age, other_age = osteoporosis(sites["asan"].mix)
    assert share == pytest.approx(0.35, abs=0.01)
    assert sick_age == pytest.approx(71.1, abs=2)
    assert sick_age - other_age > 8
    assert osteoporosis(sites["south"].mix)[0] > share + 0.08
    assert osteoporosis(SOUTH.mix)[0] > 2 * osteoporosis(NORTH.mix)[0]
    assert sites["public"].mix.referred == 0


def test_referral_moves_no_other_draw_of_a_patient():
    site = replace(ASAN, mix=replace(ASAN.mix, referred=0.4))
    pairs = [(tell(0, ASAN, k), tell(0, site, k)) for k in range(60)]
    same = [a for a, b in pairs if a == b]
    moved = [(a, b) for a, b in pairs if a != b]
    assert 15 < len(moved) < 35
    assert len(same) + len(moved) == 60
    for a, b in moved:
        assert (a.shots, a.kind, [e.day for e in a.exams]) == (
            b.shots,
            b.kind,
            [e.day for e in b.exams],
        )
    step = np.mean([b.latent - a.latent for a, b in moved])
    assert REFERRED.bone - 1.2 < step < REFERRED.bone


@pytest.mark.parametrize(
    "wrong",
    [
        {"osteoporosis": 0.03},
        {"osteoporosis": 0.9},
        {"osteoporosis": -1},
        {"osteoporosis": float("nan")},
        {"south": -1},
    ],
)
def test_arguments_out_of_range(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"give a share|negative"):
        make_world(tmp_path, **SMALL, **wrong)
    assert not any(tmp_path.iterdir())
