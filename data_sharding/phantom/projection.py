"""From path lengths to a detector's reading: Beer-Lambert, scatter, quanta, blur.

``I = sum_e w_e exp(-sum_m mu_m(e) t_m)``, with NIST's mass attenuation coefficients (Hubbell and
Seltzer, NISTIR 5632) of the ICRU-44 materials at five energies and a spectrum for each tube
voltage. Scatter is a share of the blurred primary; noise is Gaussian with Poisson's variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data_sharding.phantom.anatomy import Paths
from data_sharding.phantom.strokes import Field

ENERGIES_KEV = (40, 50, 60, 80, 100)
#: Linear attenuation in 1/mm: mu/rho (cm2/g) times density (g/cm3) over ten.
SOFT = np.array([0.2688, 0.2264, 0.2048, 0.1823, 0.1693]) * 1.06 / 10
FAT = np.array([0.2396, 0.2123, 0.1974, 0.1800, 0.1688]) * 0.95 / 10
BONE = np.array([0.6655, 0.4242, 0.3148, 0.2229, 0.1855]) * 1.92 / 10

#: Weights of the five energies in the detected signal, by tube voltage: tuned, not tabulated.
SPECTRA = {
    80: (0.30, 0.36, 0.26, 0.08, 0.00),
    100: (0.20, 0.28, 0.28, 0.19, 0.05),
    120: (0.14, 0.23, 0.27, 0.24, 0.12),
}


@dataclass(frozen=True)
class Detector:
    """What a room's detector does. `quanta` is the median count of a pixel behind the body."""

    kvp: int
    scatter: float  # scatter over primary behind the body
    quanta: float
    blur_mm: float


def transmit(paths: Paths, kvp: int) -> Field:
    """Transmitted share of the primary beam; float32 in (0, 1], shape of the paths."""
    total = np.zeros_like(paths.soft)
    for k, weight in enumerate(SPECTRA[kvp]):
        if weight:
            depth = paths.soft * np.float32(-SOFT[k])
            depth += paths.fat * np.float32(-FAT[k])
            depth += paths.bone * np.float32(-BONE[k])
            total += np.float32(weight) * np.exp(depth)
    return total


def expose(
    paths: Paths, detector: Detector, pitch: float, rng: np.random.Generator, exposure: float = 1.0
) -> Field:
    """Minus the logarithm of the detector's reading (0 = unattenuated); float32.

    Args:
        paths: the patient.
        detector: the room's detector.
        pitch: mm per pixel.
        rng: the noise's own stream.
        exposure: ratio to the dose automatic exposure control would choose.
    """
    primary = transmit(paths, detector.kvp)
    rows, columns = primary.shape
    coarse = cv2.resize(primary, (columns // 8, rows // 8), interpolation=cv2.INTER_AREA)
    # Scatter comes from the body: the open beam beside it makes none.
    fog = cv2.GaussianBlur(np.minimum(coarse, 0.25), (0, 0), 28 / (8 * pitch))
    fog = cv2.resize(fog, (columns, rows), interpolation=cv2.INTER_LINEAR)
    reading = primary + np.float32(detector.scatter) * fog
    reading = cv2.GaussianBlur(reading, (0, 0), max(detector.blur_mm / pitch, 0.3))
    # Automatic exposure control: the median behind the body decides the dose.
    behind = coarse[coarse < 0.2]
    level = float(np.median(behind)) if behind.size else 1.0
    scale = np.float32(detector.quanta * exposure / level)
    counts = reading * scale
    counts += np.sqrt(counts) * rng.standard_normal(counts.shape, np.float32)
    return -np.log(np.maximum(counts, 1.0) / scale)
