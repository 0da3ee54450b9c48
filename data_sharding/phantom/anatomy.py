"""A patient between tube and detector: path lengths of soft tissue, fat and bone for each pixel.

Frontal pictures are shown as radiologists see them, the patient's left on the viewer's right, for
PA as for AP. A lateral is the same skeleton turned by ninety degrees in cruder soft parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data_sharding.phantom import softparts as soft
from data_sharding.phantom.skeleton import Build, Tube, mineral, tubes, vertebrae
from data_sharding.phantom.strokes import Field, splat_tubes, splat_vertebra

LUNG_DENSITY = 0.26  # relative to soft tissue: inflated lung (ICRU-44)


@dataclass(frozen=True)
class Grid:
    """Pixel grid: rows, columns and mm per pixel. x = 0 is the middle column, y = 0 the top."""

    rows: int
    columns: int
    pitch: float

    def halved(self) -> Grid:
        """The same field at half the resolution."""
        return Grid(self.rows // 2, self.columns // 2, self.pitch * 2)

    def axes(self, shift: tuple[float, float]) -> tuple[Field, Field]:
        """x (1, columns) and y (rows, 1) in mm, for a patient standing `shift` mm off."""
        x = self.pitch * (np.arange(self.columns) - (self.columns - 1) / 2) - shift[0]
        y = self.pitch * (np.arange(self.rows) + 0.5) - shift[1]
        return x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]


@dataclass(frozen=True)
class Findings:
    """What is drawn of a public picture's findings. Positions and radii in mm."""

    effusion: float = 0.0  # height of the fluid; its sign is the side
    nodule: tuple[float, float, float] | None = None
    haze: tuple[float, float, float] | None = None


NOTHING = Findings()


@dataclass(frozen=True)
class Paths:
    """Path lengths in mm, each float32 of shape (rows, columns)."""

    soft: Field
    fat: Field
    bone: Field  # of fully mineralised cortical bone (ICRU-44)


def frontal(
    build: Build, habitus: soft.Habitus, latent: float, grid: Grid, findings: Findings = NOTHING
) -> Paths:
    """Path lengths of a PA or AP view."""
    x, y = grid.axes(habitus.shift)
    origin = (float(x[0, 0]), float(y[0, 0]))
    # The body's outline is smooth: half the resolution does.
    whole, lean = (
        np.asarray(cv2.resize(field, (grid.columns, grid.rows)), np.float32)
        for field in soft.body(build, habitus, *grid.halved().axes(habitus.shift))
    )
    lung = frontal_lung(build, habitus, grid, findings)
    air = (1 - LUNG_DENSITY) * lung + soft.gas(build, habitus, x, y)
    bone = bone_path(build, latent, habitus, grid, origin, np.radians(habitus.rotation))
    flesh = np.maximum(lean - air, np.minimum(lean, 12)) - bone
    return Paths(np.maximum(flesh, 0), whole - lean, bone)


def frontal_lung(
    build: Build, habitus: soft.Habitus, grid: Grid, findings: Findings = NOTHING
) -> Field:
    """Path of aerated lung (mm) in a PA or AP view: without heart, vessels and findings."""
    x, y = grid.axes(habitus.shift)
    lung = soft.lungs(build, habitus, x, y)
    if findings.effusion:
        side = np.sign(findings.effusion)
        level = habitus.dome + 30 - abs(findings.effusion) - 0.004 * (np.abs(x) - 40) ** 2
        lung *= 1 - 0.9 * (x * side > 0) * np.clip((y - level) / 12, 0, 1)
    lung -= np.minimum(soft.heart(build, habitus, x, y), lung)
    origin = (float(x[0, 0]), float(y[0, 0]))
    blood = soft.vessels(build, habitus, lung.shape, origin, grid.pitch)
    for spot, density in ((findings.nodule, 1.0), (findings.haze, 0.35)):
        if spot:
            blood += density * soft.ball(x, y, spot[0], spot[1], *(spot[2],) * 3)
    lung -= np.minimum(blood, 0.85 * lung)
    return lung


def lateral(build: Build, habitus: soft.Habitus, latent: float, grid: Grid) -> Paths:
    """Path lengths of a left lateral view: spine on the right, heart in front."""
    x, y = grid.axes(habitus.shift)
    origin = (float(x[0, 0]), float(y[0, 0]))
    trunk = soft.ball(x, y, 5, build.top + 220, 128 * habitus.deep, 330, 165 * habitus.wide)
    lung = lateral_lung(build, habitus, grid)
    bone = bone_path(build, latent, habitus, grid, origin, np.pi / 2)
    flesh = np.maximum(trunk - (1 - LUNG_DENSITY) * lung, np.minimum(trunk, 20)) - bone
    return Paths(np.maximum(0.9 * flesh, 0), 0.1 * trunk, np.where(trunk > 0, bone, 0))


def lateral_lung(build: Build, habitus: soft.Habitus, grid: Grid) -> Field:
    """Path of aerated lung (mm) in a left lateral view: without the heart."""
    x, y = grid.axes(habitus.shift)
    chest = soft.ball(x, y, 2, habitus.dome - 110, 88 * build.deep, 150, 112 * build.wide)
    dome = habitus.dome - 6 + 0.006 * np.maximum(x + 20, 0) ** 2
    chest *= np.clip(0.5 + (dome - y) / 4, 0, 1)
    core = soft.ball(x, y, -28, habitus.dome - 44, 50 * habitus.heart, 54 * habitus.heart, 62)
    return chest - np.minimum(core, chest)


def bone_path(
    build: Build,
    latent: float,
    habitus: soft.Habitus,
    grid: Grid,
    origin: tuple[float, float],
    angle: float,
) -> Field:
    """Bone along each ray, the skeleton turned by `angle` radians about its long axis."""
    shape = (grid.rows, grid.columns)
    shell, core = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    scratch = np.zeros((2, *shape), np.float32)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    bones = tubes(build, latent, arms_raised=abs(angle) > 1)
    points, starts = project(bones, cos, sin)
    fills = np.array([tube.fill for tube in bones])
    splat_tubes(shell, core, scratch, points, starts, fills, origin, grid.pitch)
    for body in vertebrae(build, latent):
        x, y, z = body.centre
        half_w, half_h, half_d = body.half
        across = np.hypot(half_w * cos, half_d * sin)
        along = np.hypot(half_d * cos, half_w * sin)
        box = np.array([x * cos + z * sin, y, across, half_h, along, body.tilt, body.shell])
        splat_vertebra(shell, core, box, body.fill, origin, grid.pitch)
    core *= trabeculae(latent, habitus.texture, shape, grid.pitch)
    shell += core
    return shell


def trabeculae(latent: float, seed: int, shape: tuple[int, int], pitch: float) -> Field:
    """A multiplier of mean 1: as trabeculae thin out, those left stand out more, upright."""
    rng = np.random.default_rng(seed)
    coarse = (
        round(shape[0] * pitch / 2.8),
        round(shape[1] * pitch / 1.5),
    )  # grains of that many mm
    grain = rng.standard_normal(coarse, np.float32)
    grain = cv2.resize(grain, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    scale = 0.10 / mineral(latent)[1]
    return np.asarray(np.maximum(1 + scale * grain, 0.2), np.float32)


def project(bones: list[Tube], cos: float, sin: float) -> tuple[np.ndarray, np.ndarray]:
    """Tubes turned about the long axis: the points and starts `strokes.splat_tubes` wants."""
    counts = [len(tube.points) for tube in bones]
    starts = np.concatenate([[0], np.cumsum(counts)])
    world = np.concatenate([tube.points for tube in bones])
    x = world[:, 0] * cos + world[:, 2] * sin
    z = world[:, 2] * cos - world[:, 0] * sin
    step = np.diff(np.stack([x, world[:, 1], z]), axis=1, append=0)
    last = starts[1:] - 1
    step[:, last] = step[:, last - 1]
    along = step[2] / np.maximum(np.sqrt((step * step).sum(axis=0)), 1e-9)
    # A ray that runs along the tube stays in it longer: up to three times.
    flat = np.repeat([tube.flat for tube in bones], counts)
    stretch = flat / np.sqrt(np.maximum(1 - along**2, 1 / 9))
    shell = np.repeat([tube.shell for tube in bones], counts)
    radius = np.concatenate([tube.radius for tube in bones])
    return np.stack([x, world[:, 1], radius, shell, stretch], axis=1), starts
