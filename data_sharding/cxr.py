"""From a radiograph as a person sees it to the model's 512x512 grey picture (OsPenScreen).

Grayscale truncation first, on the full picture, then area averaging: the paper's order. Edges,
markers and collimator blades outside the middle of the picture cannot stretch its grey scale.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def central_range(pixels: npt.NDArray[np.generic]) -> tuple[float, float]:
    """V_min and V_max of the central 50% x 50%: rows floor(H/4)..floor(3H/4), columns alike."""
    height, width = pixels.shape
    middle = pixels[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    if not middle.size:  # a picture one pixel high or wide has no middle
        middle = pixels
    return float(middle.min()), float(middle.max())


def truncate(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Grayscale truncation (OsPenScreen): clip to the central range, rescale to 0..255.

    Args:
        pixels: [H, W], any numbers, larger is brighter.

    Returns:
        float32 [H, W] in 0..255; all zeros where the centre is flat.
    """
    low, high = central_range(pixels)
    if not high > low:
        return np.zeros(pixels.shape, np.float32)
    # bounds of the picture's own type: clipping integers by floats would make a float64 copy
    bounds = pixels.dtype.type(low), pixels.dtype.type(high)
    out = np.clip(pixels, *bounds).astype(np.float32, copy=False)
    out -= np.float32(low)
    out *= np.float32(255.0 / (high - low))
    return out


def blank_reason(pixels: npt.NDArray[np.generic]) -> str:
    """Why nothing can be seen in a picture as a person would see it, or ''.

    A flat centre, or a centre of which 99% has one value, carries no anatomy: a failed exposure,
    a test image, or a window that shows nothing.
    """
    height, width = pixels.shape
    if min(height, width) < 16:
        return f"only {width}x{height} pixels"
    low, high = central_range(pixels)
    if not high > low:
        return "the centre of the picture is flat"
    middle = pixels[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    for edge, name in ((low, "black"), (high, "white")):
        share = float(np.count_nonzero(middle == edge)) / middle.size
        if share > 0.99:
            return f"{share:.1%} of the centre is {name}"
    return ""


def to_model(pixels: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.uint8]:
    """Truncate, then resize to uint8 [size, size] by area averaging (no aspect is kept)."""
    picture = truncate(pixels)
    if picture.shape != (size, size):
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
