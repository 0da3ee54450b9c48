"""A face study on disk, and the truth beside it; `data_sharding.sources.faces` reads the study.

    OUT/faces/photos/PATIENT/IMG_0001.jpg
    OUT/faces/photos.csv  dxa.csv  clinical.csv  consent.json
    OUT/faces_truth.csv   one row for each photograph: latent, signs, what went wrong

Patients are the internal site's from the first on: who has a radiograph there has the same
patient_id, birth, examinations and latent here, and a latent that radiograph and face share.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from data_sharding.faces.regions import REGIONS
from data_sharding.phantom.faces.camera import jpeg
from data_sharding.phantom.faces.law import Law
from data_sharding.phantom.faces.outlook import category_of, outlook
from data_sharding.phantom.faces.rendering import photograph
from data_sharding.phantom.faces.visage import (
    Sitting,
    menopause_of,
    mishap_of,
    sitting_of,
    visage_of,
)
from data_sharding.phantom.hospital import (
    CLINICAL_COLUMNS,
    DXA_COLUMNS,
    clinical_rows,
    csv_text,
    dxa_rows,
)
from data_sharding.phantom.stories import Story, tell
from data_sharding.phantom.vendors import Site
from data_sharding.schema import write_atomic

if TYPE_CHECKING:
    from data_sharding.phantom.settings import Settings

FOLDER = "faces"
FACE_TRUTH = "faces_truth.csv"
PHOTO_COLUMNS = ("file", "patient_id", "photo_date")
TRUTH_COLUMNS = (
    *("patient_id", "photo", "photo_date", "fate", "mishap", "asan", "age", "sex", "bmi"),
    *("apparent_age", "menopausal", "kind", "lowest_t", "category", "latent", "reading"),
    *(f"sign_{name}" for name in REGIONS),
    *("yaw", "pitch", "roll"),
)
CONSENT = {
    "show_faces": True,
    "statement": "Synthetic faces made of one portrait in the public domain; nobody is shown.",
}


@dataclass(frozen=True)
class Job:
    """What a worker needs to make one patient's photographs."""

    out: Path
    site: Site
    index: int
    seed: int
    photos_each: int
    law: Law
    confounding: float
    in_asan: bool


def make_faces(
    out: Path, asked: Settings, workers: int, progress: Callable[[int], object]
) -> dict[str, Any]:
    """Write the study of a world; returns what world.json says of it.

    Args:
        out: the world's folder.
        asked: its settings.
        workers: processes, which decide no byte.
        progress: called with the number of patients done.
    """
    site, law = asked.counts()[0][0], Law.parse(asked.face_weights)
    seed = asked.seed
    jobs = [
        Job(
            *(out / FOLDER, site, k, seed, asked.photos_each, law, asked.face_confounding),
            in_asan=k < asked.internal,
        )
        for k in range(asked.faces)
    ]
    (out / FOLDER).mkdir(exist_ok=True)
    truth: list[dict[str, Any]] = []
    for done, rows in enumerate(_map(jobs, min(workers, max(len(jobs) // 24, 1))), start=1):
        truth += rows
        progress(done)
    people = [tell(seed, site, k) for k in range(asked.faces)]
    write_atomic(out / FOLDER / "dxa.csv", csv_text(DXA_COLUMNS, dxa_rows(people)))
    write_atomic(
        out / FOLDER / "clinical.csv",
        csv_text(
            (*CLINICAL_COLUMNS, "menopausal"),
            (
                [*row, menopause_of(seed, story)]
                for row, story in zip(clinical_rows(people), people, strict=True)
            ),
        ),
    )
    write_atomic(out / FOLDER / "photos.csv", csv_text(PHOTO_COLUMNS, photo_rows(truth, seed)))
    write_atomic(out / FOLDER / "consent.json", json.dumps(CONSENT, indent=1) + "\n")
    lines = ([row[c] for c in TRUTH_COLUMNS] for row in truth)
    write_atomic(out / FACE_TRUTH, csv_text(TRUTH_COLUMNS, lines))
    return {
        "patients": len(people),
        "patients_of_asan": min(asked.faces, asked.internal),
        "photographs": dict(sorted(Counter(row["fate"] for row in truth).items())),
        "mishaps": dict(sorted(Counter(r["mishap"] for r in truth if r["mishap"]).items())),
        "confounding": asked.face_confounding,
        **outlook(site, law, seed, people),
    }


def make_patient(job: Job) -> list[dict[str, Any]]:
    """Write one patient's photographs; their rows of the truth, in order."""
    cv2.setNumThreads(1)
    story = tell(job.seed, job.site, job.index)
    visage = visage_of(job.seed, story, job.confounding)
    folder = job.out / "photos" / story.patient_id
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(job.photos_each):
        sitting = sitting_of(job.seed, story, k)
        latent = story.latent_on(sitting.day)
        signs = job.law.signs(latent, np.array(visage.noise))
        data = jpeg(photograph(visage, signs, sitting), sitting)
        path = folder / f"IMG_{k + 1:04d}.jpg"
        path.write_bytes(data)
        mishap = mishap_of(job.seed, story, k) if sitting.fate == "good" else ""
        if mishap == "copied":
            path.with_stem(f"{path.stem}_copy").write_bytes(data)
        rows.append(
            truth_row(job, story, sitting)
            | {
                "photo": path.relative_to(job.out).as_posix(),
                "mishap": mishap,
                "apparent_age": f"{visage.apparent_age:.1f}",
                "latent": f"{latent:.4f}",
                "reading": f"{float(job.law.read(signs)):.4f}",
            }
            | {f"sign_{n}": f"{s:.4f}" for n, s in zip(REGIONS, signs, strict=True)}
        )
    return rows


def truth_row(job: Job, story: Story, sitting: Sitting) -> dict[str, Any]:
    """What is known of a photograph without rendering it.

    `category` is face2bone/1's, 0 normal to 2 osteoporosis; empty where it takes nobody.
    """
    category = category_of(job.seed, story, sitting.day)
    exam = story.nearest_exam(sitting.day)
    return {
        "patient_id": story.patient_id,
        "photo_date": sitting.day.isoformat(),
        "fate": sitting.fate,
        "exif": sitting.exif,
        "asan": int(job.in_asan),
        "age": f"{story.age + (sitting.day - story.shots[0].day).days / 365.25:.2f}",
        "sex": story.sex,
        "bmi": f"{story.bmi:.1f}",
        "menopausal": menopause_of(job.seed, story),
        "kind": story.kind,
        "lowest_t": f"{exam.lowest:.1f}" if exam else "",
        "category": "" if category is None else category,
        "yaw": f"{sitting.yaw:.1f}",
        "pitch": f"{sitting.pitch:.1f}",
        "roll": f"{sitting.roll:.1f}",
    }


def photo_rows(truth: list[dict[str, Any]], seed: int) -> list[list[str]]:
    """Rows of photos.csv: one for each file, but for what mishaps make of them.

    Of some photographs whose EXIF has the day the table leaves it out.
    """
    rows: list[list[str]] = []
    rng = np.random.default_rng([seed, 905])
    for row in truth:
        silent = rng.random() < 0.1 and row["exif"]
        said = [row["photo"], row["patient_id"], "" if silent else row["photo_date"]]
        if row["mishap"] != "no_row":
            rows.append(said)
        if row["mishap"] == "row_twice":
            rows.append(said)
        if row["mishap"] == "copied":
            rows.append([said[0].replace(".jpg", "_copy.jpg"), *said[1:]])
        if row["mishap"] == "row_without_file":
            rows.append([said[0].replace("IMG_", "IMG_9"), *said[1:]])
    return rows


def _map(jobs: list[Job], workers: int) -> Iterator[list[dict[str, Any]]]:
    """`make_patient` of each job, in the jobs' order."""
    if workers <= 1:
        threads = cv2.getNumThreads()
        try:
            yield from map(make_patient, jobs)
        finally:
            cv2.setNumThreads(threads)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from pool.map(make_patient, jobs, chunksize=8)
