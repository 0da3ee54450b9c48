"""A whole world on disk: hospitals with DXA, a public set without, and the truth.

::

    OUT/asan/   dicom/PATIENT/DATE/SEnn_IM01.dcm  dxa.csv  clinical.csv     internal
                fractures.csv                     (`fractures` has the law)
    OUT/north/  the same                                                    external
    OUT/south/  the same, where asked for                                   external
    OUT/faces/  photos/PATIENT/IMG_0001.jpg  photos.csv  dxa.csv     a face study, where asked for:
                clinical.csv  consent.json                          asan's patients, and more
    OUT/faces_truth.csv one row for each photograph
    OUT/public/ images/NNNNNNNN_NNN.png  Data_Entry_2017_v2020.csv          NIH's layout
    OUT/pseudonym.key  a key for `pack`, so that shards of this world are the same anywhere
    OUT/truth.csv   one row for each picture: latent, label, token
    OUT/world.json  settings, counts, ceilings; written last
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_sharding.phantom.ceiling import site_ceilings
from data_sharding.phantom.faces.outlook import site_ceiling
from data_sharding.phantom.faces.study import FACE_TRUTH, FOLDER, make_faces
from data_sharding.phantom.fractures import FRACTURE_COLUMNS, fracture_rows
from data_sharding.phantom.hospital import (
    CLINICAL_COLUMNS,
    DXA_COLUMNS,
    TRUTH_COLUMNS,
    Job,
    clinical_rows,
    csv_text,
    dxa_rows,
    make_patient,
    public_rows,
)
from data_sharding.phantom.patients import People
from data_sharding.phantom.public import CSV_NAME, HEADER
from data_sharding.phantom.rendering import render
from data_sharding.phantom.settings import Settings
from data_sharding.phantom.stories import Story, tell
from data_sharding.phantom.vendors import ASAN, NORTH, PUBLIC, SOUTH
from data_sharding.schema import write_atomic

FORMAT = "osteoray-phantom/1"
CLAIM = ".phantom.json"  # the settings an unfinished world is being made with
Progress = Callable[[int, int], None]


def make_world(
    out: Path,
    *,
    seed: int = 0,
    internal: int = 900,
    external: int = 300,
    public: int = 600,
    size: int = 512,
    confounder: float = 0.0,
    south: int = 0,
    osteoporosis: float = 0.0,
    faces: int = 0,
    photos_each: int = 2,
    face_weights: str = "",
    face_confounding: float = 0.5,
    workers: int | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Make a world in `out`, byte for byte the same for the same arguments.

    Args:
        out: folder; made if it is not there.
        seed: of everything random.
        internal: patients of `asan`.
        external: patients of `north`.
        public: patients of the public set.
        size: pixels of the nominal matrix; rooms have 1 to 1.125 times as many, in multiples of 8.
        confounder: 0 to 1: how far a lead token in asan's pictures follows the label.
        south: patients of `south`; 0 for a world without it.
        osteoporosis: share of asan's people with T <= -2.5; 0 for the population's, 6%. For more,
            some are referred on suspicion (`patients.REFERRED`), and as many at the other sites.
        faces: patients of the face study: asan's from the first on, and further ones of its kind.
        photos_each: photographs of each of them.
        face_weights: how much each region of a face tells (`faces.law`).
        face_confounding: 0 to 1: how far age and BMI show in a face.
        workers: processes; None for one a core, 1 for none but this one. Decides no byte.
        progress: called with (patients done, patients in all).
        fresh: take away the world that is in `out` first.

    Returns:
        The content of ``world.json``. A finished world with these settings returns at once.

    Raises:
        ValueError: an argument is out of range, or `out` holds a world of other settings.
    """
    asked = Settings(
        seed=seed,
        internal=internal,
        external=external,
        public=public,
        size=size,
        confounder=float(confounder),
        south=south,
        osteoporosis=float(osteoporosis),
        faces=faces,
        photos_each=photos_each,
        face_weights=face_weights,
        face_confounding=float(face_confounding),
    ).check()
    settings = asked.written()
    if fresh:
        _take_away(out)
    if finished := _resume(out, settings):
        return finished
    counts = asked.counts()
    jobs = [Job(out, s, k, seed, size, confounder) for s, n in counts for k in range(n)]
    workers = workers or len(os.sched_getaffinity(0))
    truth: list[dict[str, Any]] = []
    for done, rows in enumerate(_map(jobs, min(workers, max(len(jobs) // 8, 1))), start=1):
        truth += rows
        if progress:
            progress(done, len(jobs) + faces)
    stories = {site.name: [tell(seed, site, k) for k in range(n)] for site, n in counts}
    hospitals = [site for site, _ in counts if site.role != "public"]
    for site in hospitals:
        people = stories[site.name]
        (out / site.name).mkdir(exist_ok=True)
        write_atomic(out / site.name / "dxa.csv", csv_text(DXA_COLUMNS, dxa_rows(people)))
        write_atomic(
            out / site.name / "clinical.csv", csv_text(CLINICAL_COLUMNS, clinical_rows(people))
        )
        broken = csv_text(FRACTURE_COLUMNS, fracture_rows(seed, site, people))
        write_atomic(out / site.name / "fractures.csv", broken)
    (out / "public").mkdir(exist_ok=True)
    lines = [HEADER, *public_rows(seed, stories["public"])]
    write_atomic(out / "public" / CSV_NAME, "\n".join(lines) + "\n")
    columns = TRUTH_COLUMNS
    # Not a secret: nobody is behind these pseudonyms.
    key = hashlib.sha256(f"phantom/{seed}".encode()).hexdigest()
    write_atomic(out / "pseudonym.key", key + "\n")
    write_atomic(out / "truth.csv", csv_text(columns, ([r[c] for c in columns] for r in truth)))
    world = {
        "format": FORMAT,
        "settings": settings,
        "images": {site.name: sum(r["site"] == site.name for r in truth) for site, _ in counts},
        "task": "OsPenScreen: low bone mass against normal, age 50 or more, osteoporosis excluded",
        "ceilings": {
            site.name: site_ceilings(site, *_measured(stories[site.name])) for site in hospitals
        },
    }
    if faces:
        tell_of, total = progress or (lambda done, total: None), len(jobs) + faces
        world["faces"] = make_faces(
            *(out, asked, workers), lambda done: tell_of(len(jobs) + done, total)
        )
        world["ceilings"][FOLDER] = site_ceiling(world["faces"])
    write_atomic(out / "world.json", json.dumps(world, indent=1) + "\n")
    return world


def _resume(out: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The finished world of these settings, or None after claiming the folder for them."""
    claim, world = out / CLAIM, out / "world.json"
    for path in (world, claim):
        if not path.is_file():
            continue
        found = json.loads(path.read_text())
        if found["settings"] != settings:
            every = found["settings"] | settings
            differs = [k for k in every if found["settings"].get(k) != settings.get(k)]
            raise ValueError(
                f"{out} holds a world with another {', '.join(differs)}. "
                "Use --fresh to replace it, or another folder."
            )
        if path == world:
            return found
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(claim, json.dumps({"format": FORMAT, "settings": settings}) + "\n")
    return None


def _take_away(out: Path) -> None:
    """Remove a world, and nothing else that may lie in its folder."""
    if not any((out / name).is_file() for name in (CLAIM, "world.json")):
        return
    for site in (ASAN, NORTH, SOUTH, PUBLIC):
        shutil.rmtree(out / site.name, ignore_errors=True)
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    for name in ("world.json", "truth.csv", FACE_TRUTH, "pseudonym.key", CLAIM):  # the claim last
        (out / name).unlink(missing_ok=True)


def _map(jobs: list[Job], workers: int) -> Iterator[list[dict[str, Any]]]:
    """`make_patient` of each job, in the jobs' order."""
    if not jobs:
        return
    if workers <= 1:
        threads = cv2.getNumThreads()
        try:
            yield from map(make_patient, jobs)
        finally:
            cv2.setNumThreads(threads)
        return
    # Compile the kernels once, here: workers then load them from the cache.
    render(*_first(jobs[0]), jobs[0].site, seed=jobs[0].seed, size=64)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from pool.map(make_patient, jobs, chunksize=4)


def _first(job: Job):
    story = tell(job.seed, job.site, job.index)
    return story, story.shots[0]


def _measured(stories: list[Story]) -> tuple[People, np.ndarray]:
    """A site's patients who have a DXA, at their index radiograph, and their lowest T-scores."""
    pairs = [(s, exam) for s in stories if (exam := s.nearest_exam(s.shots[0].day))]
    columns = [(s.age, s.sex == "F", s.height_cm, s.weight_kg, s.latent) for s, _ in pairs]
    age, female, *rest = np.array(columns, float).reshape(-1, 5).T
    lowest = np.array([exam.lowest for _, exam in pairs], float)
    return People(age, female.astype(bool), *rest), lowest
