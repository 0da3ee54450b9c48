"""When a face is of no use: a limit for each rule, where it comes from, and what it cannot see.

    check_geometry(...)      # small, cut off, turned: from the mesh, before the picture is made
    check_picture(...)       # light, blur, cover: from the aligned picture, before it is masked

Limits were measured on versions of two real faces (an astronaut of 40 and an admiral of 78 with
glasses; the tests make them again): reduced, blurred, turned, lit, covered, with their eyes shut.
Two faces are not a population: each limit lies between versions that a person would use and ones
that a person would not, on the lenient side, and the ledger has the number for each refusal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_sharding.faces.measures import bare, light, sharpness
from data_sharding.faces.pose import Pose
from data_sharding.faces.sampling import Frame
from data_sharding.ledger import Refused

#: Another face counts from this share of the largest one's side: somebody as near, not in the back.
OTHER = 1 / 3
#: Pixels from chin to forehead. Below, more than half of what the model sees at 224 is invented.
#: (Points of the mesh stay within 0.7% of the eyes' distance down to 80 pixels, 1.5% at 50.)
HEIGHT = 100
#: Share of the face's ellipse that may lie beyond the photograph's edge.
BEYOND = 0.02
#: Degrees, as `pose` measures them. Of a yaw of 30 it reads 20 to 23, of 20 it reads 13 to 17; of
#: pitch 0.9 to 1.3, from -10 and -5 for the two as photographed. Roll is taken out again.
YAW, PITCH, ROLL = 20.0, 30.0, 35.0
#: Opening of the wider eye, height by width: open 0.27 to 0.36; drawn shut 0.12 to 0.18, of which
#: two in three are refused. Not seen: eyes shut behind glasses (0.21 to 0.24). Lenient, for narrow
#: eyes and heavy lids are no fault and come with age; one eye shut is not refused.
OPEN = 0.15
#: Luma that one pixel in twenty exceeds: light skin underexposed 16 times has 57 to 62. Lenient
#: because skin is dark as well as light.
DARK = 50.0
#: Luma between the 5th and 95th percentile: what fog, haze and a washed-out print leave.
FLAT = 30.0
#: Share of the face burnt to white: overexposed twice 0.01 to 0.11, 2.8 times 0.06 to 0.36.
BURNT = 0.05
#: `sharpness`: as photographed 0.30 and 0.42; blurred by 1% of the face's height 0.14 and 0.21, by
#: 1.5% 0.10 and 0.13, and with strong noise on top 0.18. So noise can hide blur.
SHARP = 0.13
#: Share of the forehead above the brows with the cheeks' colour: bare 0.94, under a fringe 0.28;
#: covered from above by six tenths 0.20 to 0.30, by eight 0.04 to 0.17, wholly up to 0.10. Not
#: seen: what has the colour of skin, such as fair hair on a fair face; and nothing looks for masks
#: over mouth and nose, for beards, or for hands.
BARE = 0.12
BROWS = (105, 334)  # the upper edges of the brows, where they are highest


def check_geometry(shape: tuple[int, ...], frame: Frame, height: float, pose: Pose) -> None:
    """Refuse a face by where and how it is in the photograph.

    Args:
        shape: of the photograph, (H, W, ...).
        frame: the square that will be the picture.
        height: of the face, in the photograph's pixels.
        pose: of the face.

    Raises:
        Refused: small_face, cut_face, turned_face.
    """
    if height < HEIGHT:
        raise Refused("small_face", f"{height:.0f} pixels high, at least {HEIGHT}")
    beyond = _beyond(shape, frame, height)
    if beyond > BEYOND:
        raise Refused("cut_face", f"{beyond:.0%} of it beyond the edge, at most {BEYOND:.0%}")
    limits = zip(("yaw", "pitch", "roll"), pose, (YAW, PITCH, ROLL), strict=True)
    wrong = [f"{n} {d:.0f} degrees, at most {most:.0f}" for n, d, most in limits if abs(d) > most]
    if wrong:
        raise Refused("turned_face", "; ".join(wrong))


def _beyond(shape: tuple[int, ...], frame: Frame, height: float) -> float:
    """Share of the disc of the face's height around the frame's middle outside the photograph."""
    steps = (np.arange(64) + 0.5) / 32 - 1
    x, y = np.meshgrid(steps, steps)
    disc = x * x + y * y <= 1
    # a face is about 0.88 as wide as high; level in the frame
    across, down = 0.44 * height * x[disc], 0.5 * height * y[disc]
    turn = np.deg2rad(frame.degrees)
    px = frame.x + np.cos(turn) * across - np.sin(turn) * down
    py = frame.y + np.sin(turn) * across + np.cos(turn) * down
    inside = (px >= 0) & (py >= 0) & (px < shape[1]) & (py < shape[0])
    return float(1 - inside.mean())


def check_eyes(ratios: tuple[float, float]) -> None:
    """Refuse a face with both eyes shut; `ratios` as of `eyes.openness`.

    Raises:
        Refused: eyes_closed.
    """
    if max(ratios) < OPEN:
        raise Refused("eyes_closed", f"opening {max(ratios):.2f} of an eye's width, from {OPEN}")


def check_picture(
    picture: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    landmarks: npt.NDArray[np.floating],
) -> None:
    """Refuse a face by its pixels.

    Args:
        picture: uint8 [S, S, 3], RGB, aligned, not masked.
        labels: uint8 [S, S], its regions.
        landmarks: [468, 3], its points.

    Raises:
        Refused: face_exposure, blurred_face, forehead_covered.
    """
    low, high, burnt = light(picture, labels)
    if high < DARK:
        raise Refused("face_exposure", f"dark: luma up to {high:.0f}, at least {DARK:.0f}")
    if burnt > BURNT:
        raise Refused("face_exposure", f"{burnt:.0%} burnt to white, at most {BURNT:.0%}")
    if high - low < FLAT:
        raise Refused("face_exposure", f"flat: {high - low:.0f} levels of luma, from {FLAT:.0f}")
    sharp = sharpness(picture, labels)
    if sharp < SHARP:
        raise Refused("blurred_face", f"sharpness {sharp:.3f}, at least {SHARP}")
    seen = bare(picture, labels, float(landmarks[list(BROWS), 1].min()))
    if seen < BARE:
        raise Refused("forehead_covered", f"{seen:.0%} of it like the cheeks, from {BARE:.0%}")
