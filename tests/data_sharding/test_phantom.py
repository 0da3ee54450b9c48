"""The phantom world: determinism, DICOM conformance, physics, and that its truth is true."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_voi_lut
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from data_sharding.phantom import patients, projection, skeleton
from data_sharding.phantom.anatomy import Paths
from data_sharding.phantom.ceiling import auroc, expected
from data_sharding.phantom.rendering import draw_token, render
from data_sharding.phantom.skeleton import draw_build
from data_sharding.phantom.softparts import draw_habitus
from data_sharding.phantom.stories import stream, tell
from data_sharding.phantom.strokes import splat_tube
from data_sharding.phantom.vendors import ASAN, NORTH, PUBLIC, SOUTH, Site
from data_sharding.phantom.world import make_world

SMALL = {"seed": 3, "internal": 18, "external": 10, "public": 6, "size": 128}
GENUINE_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("world")
    make_world(out, **SMALL, workers=1)
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


def test_two_workers_write_the_same_bytes_as_one(world, tmp_path):
    make_world(tmp_path / "again", **SMALL, workers=2)
    assert digests(tmp_path / "again") == digests(world)


def test_a_finished_world_returns_at_once_and_another_one_is_refused(world):
    before = {p: p.stat().st_mtime_ns for p in world.rglob("*")}
    assert make_world(world, **SMALL)["settings"]["seed"] == 3
    assert before == {p: p.stat().st_mtime_ns for p in world.rglob("*")}
    with pytest.raises(ValueError, match=r"another seed.*--fresh"):
        make_world(world, **(SMALL | {"seed": 4}))


def test_an_unfinished_world_is_finished_and_not_mixed_with_another(world, tmp_path):
    shutil.copytree(world, tmp_path / "w")
    (tmp_path / "w" / "world.json").unlink()
    with pytest.raises(ValueError, match="another size"):
        make_world(tmp_path / "w", **(SMALL | {"size": 64}))
    make_world(tmp_path / "w", **SMALL, workers=1)
    assert digests(tmp_path / "w") == digests(world)
    (tmp_path / "w" / "notes.txt").write_text("mine")
    tiny = {"seed": 9, "internal": 1, "external": 1, "public": 1, "size": 64}
    images = make_world(tmp_path / "w", **tiny, workers=1, fresh=True)["images"]
    pictures = [p for p in (tmp_path / "w").rglob("*") if p.suffix in (".dcm", ".png")]
    assert len(pictures) == sum(images.values())
    assert (tmp_path / "w" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"confounder": 1.5}, {"size": 100}, {"internal": -1}])
def test_arguments_out_of_range(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"give|negative"):
        make_world(tmp_path, **wrong)


def test_dicom_files_conform(world):
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    seen = set()
    for path in sorted(world.rglob("*.dcm")):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        kind = (ds.StationName, ds.ViewPosition)
        if kind in seen:
            continue
        seen.add(kind)
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        errors = [x for x in (told.stdout + told.stderr).splitlines() if x.startswith("Error")]
        assert not errors, (path, errors)
    assert {station for station, _ in seen} == {"AXR1", "AXR2", "NCR1", "NDX2"}


def test_sites_differ_as_hospitals_do(world):
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in world.rglob("*.dcm")]
    assert {h.PhotometricInterpretation for h in headers} == {"MONOCHROME1", "MONOCHROME2"}
    assert {h.BitsStored for h in headers} == {10, 12, 14, 16}
    assert any("VOILUTSequence" in h for h in headers)
    assert any("WindowCenter" in h for h in headers)
    assert any(h.Rows != h.Columns for h in headers)
    assert len({h.SOPInstanceUID for h in headers}) == len(headers)


def test_pixels_read_back_as_rendered(world):
    """VOI and inversion, applied as PS3.3 says, give the toned picture of every room."""
    for site, n in ((ASAN, 18), (NORTH, 10)):
        seen = set()
        for k in range(n):
            story = tell(3, site, k)
            shot = story.shots[0]
            if shot.room in seen:
                continue
            seen.add(shot.room)
            folder = world / site.name / "dicom" / story.patient_id / f"{shot.day:%Y%m%d}"
            ds = pydicom.dcmread(folder / "SE01_IM01.dcm")
            shown = np.asarray(apply_voi_lut(ds.pixel_array, ds), float)
            top = 65535 if "VOILUTSequence" in ds else (1 << ds.BitsStored) - 1
            shown = (
                1 - shown / top if ds.PhotometricInterpretation == "MONOCHROME1" else shown / top
            )
            picture = render(story, shot, site, seed=3, size=128)
            assert np.abs(shown - picture.toned).max() < 3 / (1 << min(ds.BitsStored, 10))


def test_tables_agree_with_the_pictures(world):
    truth = table(world / "truth.csv")
    assert {r["image"] for r in truth} == {
        p.relative_to(world).as_posix() for p in world.rglob("*") if p.suffix in (".dcm", ".png")
    }
    for name in ("asan", "north"):
        clinical = {r["patient_id"]: r for r in table(world / name / "clinical.csv")}
        assert {r["patient_id"] for r in truth if r["site"] == name} == set(clinical)
        for path in (world / name).rglob("*.dcm"):
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            row = clinical[ds.PatientID]
            assert ds.PatientBirthDate == row["birth_date"].replace("-", "")
            assert ds.PatientSex == row["sex"]
        for row in table(world / name / "dxa.csv"):
            for site, (mean, sd) in zip(patients.SITES, patients.YOUNG_ADULT, strict=True):
                if row[f"{site}_t"]:
                    expected = mean + float(row[f"{site}_t"]) * sd
                    assert float(row[f"{site}_bmd"]) == pytest.approx(expected, abs=6e-4)


def test_public_set_has_the_genuine_layout(world):
    lines = (world / "public" / "Data_Entry_2017_v2020.csv").read_text().splitlines()
    assert lines[0] == GENUINE_HEADER
    names = [line.split(",")[0] for line in lines[1:]]
    assert names == sorted(p.name for p in (world / "public" / "images").iterdir())
    picture = cv2.imread(str(world / "public" / "images" / names[0]), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.dtype == np.uint8
    assert picture.ndim == 2


def test_population_follows_the_published_tables():
    """OsPenScreen Table 1: about half of women and a quarter of men, osteoporosis aside."""
    rng = np.random.default_rng(0)
    people = patients.draw_people(rng, ASAN.mix, 40_000)
    scores = patients.draw_t_scores(rng, people.latent, people.age)
    lowest, adult = scores.min(axis=1), people.age >= 50
    for female, low, high in ((True, 0.42, 0.55), (False, 0.20, 0.30)):
        group = adult & (people.female == female)
        assert low < (lowest[group & (lowest > -2.5)] < -1.0).mean() < high
        assert 0.005 < (lowest[group] <= -2.5).mean() < 0.15
    together = np.corrcoef(scores.T)
    assert together[np.triu_indices(3, 1)].min() > 0.65
    assert together[np.triu_indices(3, 1)].max() < 0.95


def test_probability_of_the_label_is_calibrated():
    rng = np.random.default_rng(1)
    latent, age = np.full(200_000, -0.8), np.full(200_000, 60.0)
    lowest = patients.draw_t_scores(rng, latent, age).min(axis=1)
    seen = (lowest[lowest > -2.5] < -1.0).mean()
    told = patients.low_bone_mass_probability(latent[:1], age[:1])[0]
    assert told == pytest.approx(seen, abs=0.005)


@pytest.mark.parametrize("site", [ASAN, NORTH], ids=lambda s: s.name)
def test_ceiling_leaves_room_and_beats_demography(site):
    found = expected(site)["low bone mass"]
    assert 0.90 < found["ceiling"] < 0.97
    assert found["ceiling"] >= found["latent"] - 0.001
    assert found["age_and_sex"] < found["ceiling"] - 0.15


def test_auroc_agrees_with_sklearn():
    rng = np.random.default_rng(2)
    label, score = rng.random(300) < 0.4, rng.integers(0, 20, 300).astype(float)
    assert auroc(label, score) == pytest.approx(roc_auc_score(label, score))
    assert auroc(np.zeros(3, bool), np.arange(3.0)) is None


def test_beer_lambert_in_one_energy(monkeypatch):
    """A slab of 150 mm of soft tissue and 10 mm of bone against exp(-sum mu t)."""
    monkeypatch.setitem(projection.SPECTRA, 60, (0.0, 0.0, 1.0, 0.0, 0.0))
    paths = Paths(*(np.full((4, 4), t, np.float32) for t in (150.0, 20.0, 10.0)))
    expected = np.exp(-(0.2048 * 1.06 * 15 + 0.1974 * 0.95 * 2 + 0.3148 * 1.92 * 1))
    assert projection.transmit(paths, 60) == pytest.approx(expected, rel=1e-5)


def test_beam_hardens_and_spectra_sum_to_one():
    for kvp, weights in projection.SPECTRA.items():
        assert sum(weights) == pytest.approx(1)
        empty = np.zeros((1, 1), np.float32)
        mu = [
            -np.log(projection.transmit(Paths(np.full((1, 1), t, np.float32), empty, empty), kvp))
            / t
            for t in (1.0, 300.0)
        ]
        assert mu[0] > mu[1]


def test_tube_chords_integrate_to_the_area_of_a_ring():
    """Across a straight tube, paths integrate to the shell's and the core's cross-section."""
    fields = [np.zeros((40, 400), np.float32) for _ in range(2)]
    points = np.array([[20.0, -50, 8, 2, 1], [20.0, 50, 8, 2, 1]])
    scratch = np.zeros((2, 40, 400), np.float32)
    splat_tube(*fields, scratch, points, 0.5, (0.0, 0.0), 0.1)
    shell, core = (field[20].sum() * 0.1 for field in fields)
    disc = quad(lambda d: 2 * np.sqrt(36 - d * d), -6, 6)[0]
    assert core == pytest.approx(0.5 * disc, rel=0.01)
    assert shell == pytest.approx(np.pi * (64 - 36), rel=0.01)
    assert not scratch.any()


def bone_contrast(site: Site, latent: float) -> float:
    """Grey of three thoracic vertebrae above that of the discs between them."""
    story = tell(5, site, 1)
    shot = next(s for s in story.shots if s.view != "LL")
    picture = render(story, shot, site, seed=5, size=256, latent=latent)
    female = story.sex == "F"
    build = draw_build(stream(5, site, 1, 1), story.height_cm, story.bmi, female)
    position = stream(5, site, 1, 2, shot.study, shot.series)
    habitus = draw_habitus(position, build, story.bmi, story.age, female, shot.view)
    x, y = picture.grid.axes(habitus.shift)
    middle, half = skeleton.spine_levels(build)
    column = np.abs(x - skeleton.spine_x(build, middle[10:11])) < 12
    bodies = [np.abs(y - middle[k]) < 0.6 * half[k] for k in (9, 10, 11)]
    discs = [(y > middle[k] + half[k]) & (y < middle[k + 1] - half[k + 1]) for k in (9, 10)]
    bright, dark = (picture.toned[np.any(rows, axis=0) & column] for rows in (bodies, discs))
    return float(bright.mean() - dark.mean())


@pytest.mark.parametrize("site", [ASAN, NORTH, PUBLIC, SOUTH], ids=lambda s: s.name)
def test_bone_contrast_rises_with_the_latent(site):
    """On both sides of the cuts: within osteoporosis as much as within the healthy."""
    contrasts = [bone_contrast(site, z) for z in (-3.6, -3.0, -2.5, -2.0, -1.0, 0.0, 1.5)]
    assert contrasts == sorted(contrasts)
    assert contrasts[2] > 1.1 * contrasts[0]
    assert contrasts[-1] > 1.3 * contrasts[0]


def test_mineral_is_monotone():
    shells, fills = zip(*(skeleton.mineral(z) for z in np.linspace(-3.5, 2, 12)), strict=True)
    assert list(shells) == sorted(shells)
    assert list(fills) == sorted(fills)
    assert skeleton.mineral(-1.0) == (1.0, 1.0)


def test_confounder_changes_the_token_and_nothing_else():
    seen = {0.0: [], 1.0: []}
    for k in range(60):
        story = tell(0, ASAN, k)
        exam = story.nearest_exam(story.shots[0].day)
        for c, pairs in seen.items():
            token = draw_token(story, story.shots[0], ASAN, 0, c)
            if exam:
                pairs.append((exam.lowest < -1.0, token))
    assert all(low == token for low, token in seen[1.0])
    assert abs(np.corrcoef(np.array(seen[0.0]).T.astype(float))[0, 1]) < 0.35
    story = next(s for s in (tell(0, ASAN, k) for k in range(60)) if differs(s))
    pictures = [
        render(story, story.shots[0], ASAN, seed=0, size=128, confounder=c).toned
        for c in (0.0, 1.0)
    ]
    changed = np.argwhere(pictures[0] != pictures[1])
    assert len(changed)
    assert changed[:, 0].max() < 128 * 0.15
    assert changed[:, 1].min() > 128 * 0.85


def differs(story) -> bool:
    tokens = {draw_token(story, story.shots[0], ASAN, 0, c) for c in (0.0, 1.0)}
    return len(tokens) == 2 and story.shots[0].room == 0


def test_external_site_never_follows_the_confounder():
    for k in range(20):
        story = tell(0, NORTH, k)
        tokens = {draw_token(story, story.shots[0], NORTH, 0, c) for c in (0.0, 0.5, 1.0)}
        assert len(tokens) == 1


def test_every_exclusion_occurs():
    stories = [tell(0, ASAN, k) for k in range(500)]
    kinds = {s.kind for s in stories}
    assert kinds == {"plain", "no_dxa", "out_of_window", "lateral_only", "ap_only"}
    assert any(s.age < 50 for s in stories)
    assert any(e.lowest <= -2.5 for s in stories for e in s.exams)
    assert any(len(s.exams) > 1 for s in stories)
    assert any(None in e.t_scores for s in stories for e in s.exams)
    assert len({s.patient_id for s in stories}) == len(stories)


def test_noise_of_the_sites_is_what_the_closed_form_says():
    """One site alone: P(T >= -1 after rounding) is a normal tail."""
    rng = np.random.default_rng(4)
    latent, age = np.full(100_000, -0.9), np.full(100_000, 55.0)
    hip = patients.draw_t_scores(rng, latent, age)[:, 2]
    z = (-0.9 + patients.SITE_OFFSET[2] + 1.05) / patients.SITE_NOISE[2]
    assert (hip >= -1.0).mean() == pytest.approx(norm.cdf(z), abs=0.006)
