"""The thoracic skeleton as curves in space, and what the latent bone score does to it.

Millimetres. x runs to the viewer's right (the patient's left in a frontal view), y down from the
film's top, z towards the back. A bone is a polyline with a radius, a shell and a fill (the share of
the core that is bone); the latent changes shells and fills, never shapes, so that the same body
can be rendered at two latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Relative change of shell thickness and of core filling for each T-score away from -1. A lumbar
#: areal BMD changes by 0.12 of its value at T = -1 for each T-score; these are 2.3 times as steep,
#: so that 500 pictures and a minute can show what took 46,000 pictures in a hospital.
SHELL_PER_T = 0.26
FILL_PER_T = 0.28

CAGE_HALF_WIDTH = (54, 82, 103, 116, 125, 131, 135, 138, 138, 135, 128, 114)  # mm, ribs 1-12
RIB_DROP = (28, 46, 64, 78, 88, 96, 102, 106, 106, 112, 125, 150)  # mm, from the head to the tip
RIB_END = (148, 150, 150, 148, 146, 144, 140, 134, 124, 112, 80, 52)  # degrees around the cage


@dataclass(frozen=True)
class Build:
    """What makes one skeleton differ from another; scales are ratios to a 165 cm adult."""

    tall: float
    wide: float
    deep: float
    robust: float  # bone radii
    obliquity: float  # rib drop
    top: float  # y of T1, mm
    scoliosis: float  # amplitude, mm
    scoliosis_phase: float
    shell: float  # cortical thickness at T = -1, ratio
    fill: float  # trabecular filling at T = -1, ratio
    shoulder_raise: float  # mm
    abduction: float  # degrees of the arms


def draw_build(rng: np.random.Generator, height_cm: float, bmi: float, female: bool) -> Build:
    """Draw the skeleton of a person of that stature."""
    n = rng.standard_normal(12).tolist()  # plain floats keep float32 fields float32
    small = 0.95 if female else 1.04
    return Build(
        tall=height_cm / 165 * (1 + 0.02 * n[0]),
        wide=small * (1 + 0.006 * (bmi - 24)) * (1 + 0.035 * n[1]),
        deep=small * (1 + 0.012 * (bmi - 24)) * (1 + 0.05 * n[2]),
        robust=small * (1 + 0.04 * n[3]),
        obliquity=1 + 0.12 * n[4],
        top=36 + 7 * n[5],
        scoliosis=3.5 * abs(n[6]),
        scoliosis_phase=1.5 * n[7],
        shell=1 + 0.03 * n[8],
        fill=1 + 0.04 * n[9],
        shoulder_raise=8 * n[10],
        abduction=14 + 5 * n[11],
    )


@dataclass(frozen=True)
class Tube:
    """A hollow bone: points (n, 3) mm, radius (n,) mm, shell mm, fill 0-1, depth over height."""

    points: NDArray[np.float64]
    radius: NDArray[np.float64]
    shell: float
    fill: float
    flat: float = 1.0


@dataclass(frozen=True)
class Vertebra:
    """A vertebral body: centre (x, y, z) and half sizes in mm, tilt in radians."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    tilt: float
    shell: float
    fill: float


def mineral(latent: float) -> tuple[float, float]:
    """(shell, fill) of a latent score, relative to T = -1. Monotone, never below a quarter."""
    return max(1 + SHELL_PER_T * (latent + 1), 0.25), max(1 + FILL_PER_T * (latent + 1), 0.25)


def spine_levels(build: Build) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """y of the centres and half heights (mm) of T1-T12, L1-L3; shape (15,) each."""
    body = np.linspace(16.5, 27.5, 15) * build.tall
    disc = np.linspace(3.5, 8.5, 15) * build.tall
    top = build.top + np.concatenate([[0.0], np.cumsum(body + disc)[:-1]])
    return top + body / 2, body / 2


def spine_x(build: Build, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lateral position of the spine (mm) at heights y (mm)."""
    return build.scoliosis * np.sin(2 * np.pi * y / 420 + build.scoliosis_phase)


def spine_z(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depth of the vertebral bodies (mm): the thoracic kyphosis."""
    return 38 + 22 * np.sin(np.pi * np.clip(y, 0, 400) / 330)


def vertebrae(build: Build, latent: float) -> list[Vertebra]:
    """Bodies of T1-L3, and of C4-C7 above them."""
    shell, fill = mineral(latent)
    y, half_h = spine_levels(build)
    x, z = spine_x(build, y), spine_z(y)
    half_w = np.linspace(14.5, 22.5, 15) * build.robust
    half_d = np.linspace(9.5, 17.5, 15) * build.robust
    tilt = np.arctan(np.gradient(x, y))
    thick, dense = 1.3 * build.shell * shell, 0.24 * build.fill * fill
    found = [
        Vertebra((x[k], y[k], z[k]), (half_w[k], half_h[k], half_d[k]), -tilt[k], thick, dense)
        for k in range(len(y))
    ]
    for k in range(1, 5):  # the neck leans forwards
        centre = (x[0], y[0] - 18.5 * k * build.tall, z[0] - 7 * k)
        half = (12 * build.robust, 6.8 * build.tall, 8 * build.robust)
        found.append(Vertebra(centre, half, 0.0, 0.8 * thick, dense))
    return found


def tubes(build: Build, latent: float, arms_raised: bool = False) -> list[Tube]:
    """Ribs, vertebral arches, sternum; clavicles, scapulae and humeri unless out of the way."""
    shell, fill = mineral(latent)
    shell, fill = shell * build.shell, fill * build.fill
    found = [
        *_arches(build, shell, fill),
        *(t for side in (-1.0, 1.0) for t in _ribs(build, side, shell, fill)),
    ]
    if not arms_raised:
        for side in (-1.0, 1.0):
            found += _shoulder(build, side, shell, fill)
    sternum = np.array([[0, 70, -82], [0, 108, -92], [0, 150, -98], [0, 205, -96]], float)
    sternum[:, 1] += build.top - 36
    radius = np.array([24, 15, 17, 13]) * build.robust
    found.append(Tube(sternum, radius, 0.5 * shell, 0.10 * fill, flat=0.22))
    return found


def _arches(build: Build, shell: float, fill: float) -> list[Tube]:
    y, half_h = spine_levels(build)
    x, z = spine_x(build, y), spine_z(y)
    half_w = np.linspace(14.5, 22.5, 15) * build.robust
    found = []
    for k in range(len(y)):
        back = z[k] + 25
        spine = np.array([[x[k], y[k] + 2, back], [x[k], y[k] + half_h[k] * 1.5, back + 18]])
        found.append(Tube(spine, np.array([3.2, 4.4]), 1.0 * shell, 0.35 * fill, 2.2))
        for side in (-1.0, 1.0):
            px, py = x[k] + side * 0.62 * half_w[k], y[k] - 0.25 * half_h[k]
            pedicle = np.array([[px, py - 2.2, z[k] + 14], [px, py + 2.2, z[k] + 14]])
            found.append(Tube(pedicle, np.full(2, 4.2), 1.0 * shell, 0.20 * fill, 2.0))
            tip = x[k] + side * (half_w[k] + 13)
            process = np.array([[px, py + 1, z[k] + 22], [tip, py - 2, z[k] + 30]])
            found.append(Tube(process, np.array([4.5, 3.6]), 0.8 * shell, 0.20 * fill))
    return found


def _ribs(build: Build, side: float, shell: float, fill: float) -> list[Tube]:
    y, _ = spine_levels(build)
    found = []
    for k in range(12):
        head = float(spine_x(build, y[k : k + 1])[0])
        phi = np.radians(np.linspace(9, RIB_END[k], 21))
        bulge = np.sin(phi) ** 0.85
        drop = RIB_DROP[k] * build.obliquity * build.tall
        points = np.stack(
            [
                head * np.cos(phi / 2) + side * CAGE_HALF_WIDTH[k] * build.wide * bulge,
                y[k]
                - 8
                + drop * (0.5 - 0.5 * np.cos(phi))
                - 7 * np.sin(phi * 2) * (phi < np.pi / 2),
                78 * build.deep * np.cos(phi) * (0.62 if k == 0 else 0.8 if k == 1 else 1.0),
            ],
            axis=1,
        )
        radius = np.interp(phi, [0, 0.5, 1.6, 2.6], [4.6, 5.6, 6.2, 7.2]) * build.robust
        cuts = (slice(0, 11), slice(10, 21))  # the halves in front and behind overlap: they add
        for part in cuts if RIB_END[k] > 90 else (slice(0, 21),):
            found.append(Tube(points[part], radius[part], 1.4 * shell, 0.32 * fill, 0.75))
    return found


def _shoulder(build: Build, side: float, shell: float, fill: float) -> list[Tube]:
    wide, up = build.wide, build.shoulder_raise
    base = build.top + 8 - up
    s = np.linspace(0, 1, 13)
    clavicle = np.stack(
        [
            side * (18 + 142 * s) * wide,
            base + 40 - 42 * s + 8 * np.sin(2 * np.pi * s),
            -62 + 70 * s - 16 * np.sin(2 * np.pi * s),
        ],
        axis=1,
    )
    thick = np.interp(s, [0, 0.2, 0.5, 0.8, 1], [10, 6.8, 6.0, 6.4, 8.0]) * build.robust
    found = [Tube(clavicle, thick, 1.9 * shell, 0.24 * fill)]
    blade = np.array(
        [
            [118, 30, 62],
            [104, 60, 70],
            [106, 110, 76],
            [126, 168, 72],
            [150, 110, 50],
            [166, 52, 30],
        ]
    ) * [side * wide, build.tall, 1.0] + [0, base, 0]
    found.append(Tube(blade[:4], np.array([2.6, 2.2, 2.4, 4.0]), 0.9 * shell, 0.3 * fill))
    found.append(Tube(blade[3:], np.array([4.2, 4.6, 6.0]), 1.1 * shell, 0.3 * fill))
    ridge = np.array([[106, 52, 84], [140, 28, 84], [176, 6, 40]]) * [side * wide, 1, 1]
    ridge = ridge + [0, base, 0]
    found.append(Tube(ridge, np.array([2.8, 4.4, 6.0]), 1.0 * shell, 0.25 * fill))
    swing = np.radians(build.abduction)
    joint = np.array([side * 176 * wide, base + 30, 18.0])
    axis = np.array([side * np.sin(swing), np.cos(swing), 0.0])
    t = np.array([0.0, 22, 45, 75, 290]) * build.tall
    radius = np.array([23.5, 22, 15, 11.8, 11.2]) * build.robust
    found.append(Tube(joint + t[:, None] * axis, radius, 2.6 * shell, 0.11 * fill))
    return found
