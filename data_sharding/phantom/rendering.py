"""One radiograph of one patient: anatomy, exposure, the room's style, and the lead marker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_sharding.phantom.anatomy import NOTHING, Findings, Grid, frontal, lateral
from data_sharding.phantom.projection import expose
from data_sharding.phantom.skeleton import Build, draw_build
from data_sharding.phantom.softparts import Habitus, draw_habitus
from data_sharding.phantom.stories import Shot, Story, stream
from data_sharding.phantom.strokes import Field
from data_sharding.phantom.vendors import Room, Site, grey

LOW_BONE_MASS = -1.0  # T-score


@dataclass(frozen=True)
class Picture:
    """Greys in [0, 1], float32 (rows, columns), bone bright, before and after the tone curve."""

    linear: Field
    toned: Field
    grid: Grid
    room: Room
    token: bool


def render(
    story: Story,
    shot: Shot,
    site: Site,
    *,
    seed: int,
    size: int,
    confounder: float = 0.0,
    latent: float | None = None,
    findings: Findings = NOTHING,
    heart: float = 1.0,
) -> Picture:
    """Render one radiograph.

    Args:
        story: the patient.
        shot: the radiograph.
        site: the hospital, which has the room.
        seed: the world's.
        size: pixels of the world's nominal matrix.
        confounder: 0 to 1, how far the technologist's token follows the label.
        latent: a latent score instead of the patient's own, all else equal.
        findings: what else to draw.
        heart: ratio of the heart's size to the patient's.
    """
    build, habitus = stand(story, shot, site, seed, heart)
    noise = stream(seed, site, story.index, 3, shot.study, shot.series)
    room = site.rooms[shot.room]
    grid = room.grid(size)
    latent = story.latent_on(shot.day) if latent is None else latent
    if shot.view == "LL":
        paths = lateral(build, habitus, latent, grid)
    else:
        paths = frontal(build, habitus, latent, grid, findings)
    exposure = float(np.exp(room.exposure_sd * noise.standard_normal()))
    reading = expose(paths, room.detector, grid.pitch, noise, exposure)
    linear, toned = grey(reading, room.style, grid.pitch)
    token = draw_token(story, shot, site, seed, confounder)
    for field in (linear, toned):
        stamp(field, grid.pitch, token)
    return Picture(linear, toned, grid, room, token)


def stand(
    story: Story, shot: Shot, site: Site, seed: int, heart: float = 1.0
) -> tuple[Build, Habitus]:
    """The skeleton and soft parts of a patient, as they stand for a radiograph; as `render`."""
    female = story.sex == "F"
    build = draw_build(stream(seed, site, story.index, 1), story.height_cm, story.bmi, female)
    position = stream(seed, site, story.index, 2, shot.study, shot.series)
    return build, draw_habitus(position, build, story.bmi, story.age, female, shot.view, heart)


def draw_token(story: Story, shot: Shot, site: Site, seed: int, confounder: float) -> bool:
    """Whether the technologist's lead token lies on the detector.

    Half of all pictures have it. With a confounder c the internal site puts it there with
    probability (1 + c) / 2 for low bone mass and (1 - c) / 2 otherwise; no other site does.
    """
    u = float(stream(seed, site, story.index, 4, shot.study, shot.series).random())
    exam = story.nearest_exam(shot.day)
    if exam is None or site.role != "internal":
        return u < 0.5
    sign = 1 if exam.lowest < LOW_BONE_MASS else -1
    return u < (1 + sign * confounder) / 2


def stamp(field: Field, pitch: float, token: bool) -> None:
    """Draw the lead L of the patient's left, and the token below it, upper right; in place."""
    x, y = field.shape[1] - round(34 / pitch), round(16 / pitch)
    pen, tall, wide = round(3 / pitch), round(17 / pitch), round(11 / pitch)
    field[y : y + tall, x : x + pen] = 1
    field[y + tall - pen : y + tall, x : x + wide] = 1
    if token:
        side = round(14 / pitch)
        y += tall + round(6 / pitch)
        field[y : y + side, x : x + side] = 1
