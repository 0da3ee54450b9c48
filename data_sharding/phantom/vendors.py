"""Rooms and hospitals: what makes two sites' pictures of the same patient differ.

A room has a detector, a tone curve, a matrix and a way to store pixels. `asan` is the internal site
(one maker, two rooms), `north` an external one (a CR reader and another maker's panel), `south` a
second external one (two panels of two more makers, one of them a mobile unit of lower voltage, less
dose and flatter processing), and the public set comes from three rooms with styles of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from data_sharding.phantom.anatomy import Grid
from data_sharding.phantom.patients import Mix
from data_sharding.phantom.projection import Detector
from data_sharding.phantom.strokes import Field


@dataclass(frozen=True)
class Style:
    """How a maker turns minus-log exposure into grey: a power, a sigmoid, sharpened edges."""

    gamma: float
    steepness: float  # of the sigmoid; 0 leaves the power law alone
    edge_gain: float
    edge_mm: float


@dataclass(frozen=True)
class Room:
    """One X-ray room. `matrix` is rows and columns over the world's picture size."""

    station: str
    maker: str
    model: str
    modality: Literal["DX", "CR"]
    bits: int
    inverted: bool  # MONOCHROME1
    voi: Literal["window", "lut"]
    matrix: tuple[float, float]
    width_mm: float
    detector: Detector
    style: Style
    exposure_sd: float  # of the exposure's logarithm

    def grid(self, size: int) -> Grid:
        """The room's pixel grid in a world of pictures of `size` pixels."""
        rows, columns = (round(size * m / 8) * 8 for m in self.matrix)
        return Grid(rows, columns, self.width_mm / columns)


@dataclass(frozen=True)
class Site:
    """One hospital: its people, its rooms, and the days between radiograph and DXA."""

    name: str
    role: Literal["internal", "external", "public"]
    code: int  # keys the random streams: never change one
    mix: Mix
    rooms: tuple[Room, ...]
    weights: tuple[float, ...]
    same_day: float  # share of pairs taken on one day
    longest_gap: int  # days between the others
    hospital: str


_PANEL = Detector(kvp=120, scatter=0.35, quanta=2400, blur_mm=0.35)
_PLATE = Detector(kvp=120, scatter=0.45, quanta=1300, blur_mm=0.55)
_OTHER = Detector(kvp=120, scatter=0.37, quanta=1800, blur_mm=0.45)
_FLAT = Detector(kvp=120, scatter=0.30, quanta=2000, blur_mm=0.40)
_MOBILE = Detector(kvp=100, scatter=0.55, quanta=1000, blur_mm=0.50)
_PLAIN, _TALL, _WIDE = (1.0, 1.0), (1.125, 1.0), (1.0, 1.0625)

# fmt: off
_AXR1 = Room("AXR1", "Meridian Imaging", "Lumen 6", "DX", 12, False, "window", _PLAIN, 372,
             _PANEL, Style(1.10, 0.0, 0.80, 9.0), 0.15)
_AXR2 = Room("AXR2", "Meridian Imaging", "Lumen 8", "DX", 14, True, "window", _PLAIN, 372,
             _PANEL, Style(1.00, 2.5, 0.75, 9.0), 0.20)
_NCR1 = Room("NCR1", "Fukada Medical", "Plate Reader XL", "CR", 10, True, "lut", _TALL, 350,
             _PLATE, Style(1.00, 2.4, 0.66, 10.5), 0.30)
_NDX2 = Room("NDX2", "Halden Health", "Panorama DR", "DX", 16, False, "window", _WIDE, 380,
             _OTHER, Style(1.20, 0.5, 0.90, 8.5), 0.20)
_SDX1 = Room("SDX1", "Corvina Systems", "Thora 3", "DX", 12, False, "lut", (1.0625, 1.0625), 390,
             _FLAT, Style(1.05, 1.6, 0.70, 11.0), 0.20)
_SDX2 = Room("SDX2", "Ostrava Roentgen", "Nomad 100", "DX", 14, True, "window", (1.0625, 1.125),
             384, _MOBILE, Style(0.90, 1.2, 0.60, 12.0), 0.35)
_PUBLIC = (
    Room("PUB1", "Meridian Imaging", "Lumen 4", "DX", 8, False, "window", _PLAIN, 368,
         _OTHER, Style(1.00, 2.0, 0.72, 9.5), 0.25),
    Room("PUB2", "Halden Health", "Panorama", "DX", 8, False, "window", _PLAIN, 380,
         _PANEL, Style(1.10, 1.5, 0.85, 8.5), 0.20),
    Room("PUB3", "Fukada Medical", "Plate Reader S", "CR", 8, False, "window", _PLAIN, 362,
         _PLATE, Style(0.95, 2.8, 0.70, 10.0), 0.30),
)
# fmt: on

ASAN = Site(
    *("asan", "internal", 1, Mix(57.5, 7.5, 40, 88, 0.56)),
    *((_AXR1, _AXR2), (0.75, 0.25), 0.6, 90, "Phantom Asan Medical Center"),
)
NORTH = Site(
    *("north", "external", 2, Mix(60.0, 7.5, 42, 90, 0.55)),
    *((_NCR1, _NDX2), (0.5, 0.5), 0.1, 180, "Phantom North Hospital"),
)
#: Li et al.'s external hospitals: older than at home (72 and 75 years to 63), more osteoporosis.
#: Three quarters women, as in their three; nobody near the window's end, most within a month.
SOUTH = Site(
    *("south", "external", 4, Mix(68.0, 9.0, 41, 94, 0.74, -0.30)),
    *((_SDX1, _SDX2), (0.7, 0.3), 0.25, 60, "Phantom South People's Hospital"),
)
PUBLIC = Site(
    *("public", "public", 3, Mix(63.0, 13.0, 20, 95, 0.46)),
    *(_PUBLIC, (0.4, 0.35, 0.25), 0.0, 0, "Phantom Clinical Center"),
)


def grey(log_exposure: Field, style: Style, pitch: float) -> tuple[Field, Field]:
    """The maker's processing: (linear, toned), both float32 in [0, 1], bone bright.

    The range is the histogram's, as vendors choose it; `linear` is before the tone curve (what a
    file with a VOI LUT stores) and `toned` after it (what its reader should see).
    """
    sample = log_exposure[::8, ::8]
    body = sample[sample > 0.7]
    low, high = (0.0, 1.0) if body.size < 16 else np.percentile(body, (0.5, 99.5)).tolist()
    low -= 0.1 * (high - low)
    u = (log_exposure - np.float32(low)) * np.float32(1 / max(high - low, 0.2))
    width = max(int(style.edge_mm / pitch) | 1, 3)
    smooth = cv2.blur(cv2.blur(u, (width, width)), (width, width))
    u = np.clip(u + np.float32(style.edge_gain) * (u - smooth), 0, 1.15) / np.float32(1.15)
    linear = u.astype(np.float32, copy=False)
    return linear, tone(linear, style)


def tone(u: Field, style: Style) -> Field:
    """The tone curve: [0, 1] to [0, 1], monotone, 0 to 0 and 1 to 1."""
    v = np.power(u, np.float32(style.gamma)) if style.gamma != 1 else u
    if not style.steepness:
        return v
    k = np.float32(style.steepness)
    ends = np.tanh(k / 4)
    return np.float32(0.5) + np.tanh((v - np.float32(0.5)) * (k / 2)) * np.float32(0.5 / ends)
