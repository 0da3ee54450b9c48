"""One patient's files: what a worker process does. No torch, no pandas: workers start quickly."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2

from data_sharding.phantom.dicom_writer import Identity, stored_values, write_radiograph
from data_sharding.phantom.patients import SITES, bmd
from data_sharding.phantom.public import csv_row, image_name, read_findings, to_eight_bits
from data_sharding.phantom.rendering import Picture, render
from data_sharding.phantom.stories import Shot, Story, tell
from data_sharding.phantom.vendors import Site

DXA_COLUMNS = ("patient_id", "exam_date", *(f"{s}_t" for s in SITES), *(f"{s}_bmd" for s in SITES))
CLINICAL_COLUMNS = ("patient_id", "sex", "birth_date", "height_cm", "weight_kg")
TRUTH_COLUMNS = (
    *("site", "patient_id", "image", "view", "study_date", "age", "sex", "bmi", "kind", "room"),
    *("latent", "lowest_t", "days_to_dxa", "label", "token", "finding"),
)


@dataclass(frozen=True)
class Job:
    """Everything a worker needs to make one patient."""

    out: Path
    site: Site
    index: int
    seed: int
    size: int
    confounder: float


def make_patient(job: Job) -> list[dict[str, Any]]:
    """Render and write one patient's pictures; their rows of truth.csv, in order."""
    cv2.setNumThreads(1)
    story = tell(job.seed, job.site, job.index)
    write = _write_public if job.site.role == "public" else _write_dicom
    rows = []
    for shot in story.shots:
        path, picture, finding = write(job, story, shot)
        rows.append(
            truth_row(story, shot, job)
            | {
                "image": path.relative_to(job.out).as_posix(),
                "token": int(picture.token),
                "finding": finding,
            }
        )
    return rows


def truth_row(story: Story, shot: Shot, job: Job) -> dict[str, Any]:
    """What is known of a radiograph without rendering it.

    `label` is OsPenScreen's: 1 low bone mass, 0 normal; empty where the view, the age, the window
    of 180 days, osteoporosis or a missing DXA excludes the picture.
    """
    exam = story.nearest_exam(shot.day)
    age = story.age + (shot.day - story.shots[0].day).days / 365.25
    days = (exam.day - shot.day).days if exam else None
    label: int | str = ""
    if exam and shot.view == "PA" and age >= 50 and abs(days or 0) <= 180 and exam.lowest > -2.5:
        label = int(exam.lowest < -1.0)
    return {
        "site": story.site,
        "patient_id": story.patient_id,
        "view": shot.view,
        "study_date": shot.day.isoformat(),
        "age": f"{age:.2f}",
        "sex": story.sex,
        "bmi": f"{story.bmi:.1f}",
        "kind": story.kind,
        "room": job.site.rooms[shot.room].station,
        "latent": f"{story.latent_on(shot.day):.4f}",
        "lowest_t": f"{exam.lowest:.1f}" if exam else "",
        "days_to_dxa": "" if days is None else days,
        "label": label,
    }


def _write_dicom(job: Job, story: Story, shot: Shot) -> tuple[Path, Picture, str]:
    picture = render(
        *(story, shot, job.site), seed=job.seed, size=job.size, confounder=job.confounder
    )
    folder = job.out / job.site.name / "dicom" / story.patient_id / f"{shot.day:%Y%m%d}"
    path = folder / f"SE{shot.series:02d}_IM01.dcm"
    pixels = stored_values(picture.linear, picture.toned, picture.room)
    who = identity(job, story, shot)
    write_radiograph(path, pixels, picture.room, picture.grid.pitch, who)
    return path, picture, ""


def identity(job: Job, story: Story, shot: Shot) -> Identity:
    """What the header of a radiograph says of who and when."""
    minute = (story.index * 37 + shot.study * 101) % 540  # between 8:00 and 17:00
    clock = timedelta(hours=8, minutes=minute, seconds=(story.index * 13) % 60)
    return Identity(
        world=f"{job.seed}/{job.size}/{job.site.name}",
        patient_id=story.patient_id,
        name=story.name,
        sex=story.sex,
        birth=story.birth,
        height_cm=story.height_cm,
        weight_kg=story.weight_kg,
        hospital=job.site.hospital,
        study=shot.day,
        time=str(clock).replace(":", "").zfill(6),
        accession=f"{job.site.code}{shot.study}{shot.day:%y}{story.index:07d}",
        series=shot.series,
        view=shot.view,
    )


def _write_public(job: Job, story: Story, shot: Shot) -> tuple[Path, Picture, str]:
    reading = read_findings(job.seed, story, shot)
    picture = render(
        *(story, shot, job.site),
        seed=job.seed,
        size=job.size,
        findings=reading.findings,
        heart=reading.heart,
    )
    path = job.out / job.site.name / "images" / image_name(story, shot)
    path.parent.mkdir(parents=True, exist_ok=True)
    done, png = cv2.imencode(".png", to_eight_bits(picture.toned), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done, path
    path.write_bytes(png.tobytes())
    return path, picture, reading.labels


def dxa_rows(stories: Iterable[Story]) -> list[list[str]]:
    """Rows of dxa.csv: one for each examination, empty where a site was not measured."""
    rows = []
    for story in stories:
        for exam in story.exams:
            scores = ["" if t is None else f"{t:.1f}" for t in exam.t_scores]
            densities = bmd([float("nan") if t is None else t for t in exam.t_scores])
            dense = [
                "" if t is None else f"{d:.3f}"
                for t, d in zip(exam.t_scores, densities, strict=True)
            ]
            rows.append([story.patient_id, exam.day.isoformat(), *scores, *dense])
    return rows


def clinical_rows(stories: Iterable[Story]) -> list[list[str]]:
    """Rows of clinical.csv: one for each patient."""
    return [
        [s.patient_id, s.sex, s.birth.isoformat(), f"{s.height_cm:.1f}", f"{s.weight_kg:.1f}"]
        for s in stories
    ]


def public_rows(seed: int, stories: Iterable[Story]) -> list[str]:
    """Lines of the public set's CSV."""
    return [
        csv_row(story, shot, read_findings(seed, story, shot))
        for story in stories
        for shot in story.shots
    ]


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """CSV with Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
