"""A visage and a sitting to a photograph: uint8 [H, W, 3], RGB, upright.

    picture = photograph(visage, signs, sitting)

Shade, lines and colours are painted on the portrait's canvas; then one map takes every pixel of the
photograph through camera, turn of the head and features to its place on the canvas, so that the
portrait is resampled once. Fields that move forward are inverted by fixed-point iteration.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_sharding.faces.regions import REGIONS
from data_sharding.phantom.faces import patterns
from data_sharding.phantom.faces.camera import expose
from data_sharding.phantom.faces.portrait import (
    HEIGHT,
    WIDTH,
    Field,
    Portrait,
    neutral,
)
from data_sharding.phantom.faces.spoilt import asleep, capped
from data_sharding.phantom.faces.visage import Sitting, Visage

LIMIT = 3.0  # a sign never looks stronger than this, in standard deviations
SHADOW = np.array((0.75, 1.05, 1.25), np.float32)  # of log brightness: shadows on skin are warm
AXIS = 100.0  # depth of the axis a head turns about, canvas pixels behind the mesh's origin
FINE = 0.020  # log brightness, SD, of fine lines at a sign of zero
MIDDLE = (320.0, 330.0)  # of the face, on the canvas


def photograph(visage: Visage, signs: ArrayLike, sitting: Sitting) -> NDArray[np.uint8]:
    """Photograph a face with these signs, shape (5,), in the order of REGIONS."""
    strengths = dict(zip(REGIONS, LIMIT * np.tanh(np.asarray(signs) / LIMIT), strict=True))
    strengths |= visage.features | {"hair": -visage.hair_volume}
    made = {"forehead_covered": capped, "eyes_closed": asleep}.get(sitting.fate, neutral)
    portrait = made()
    painted = paint(portrait, visage, strengths, sitting)
    back = inverse(displacement(visage, strengths, sitting))
    size = (sitting.width, sitting.height)
    matrix = placement(sitting)
    person = _place(portrait, painted, back, matrix, size)
    scene = _wall(sitting)
    if sitting.fate == "no_face":
        return expose(scene, sitting)
    if sitting.fate == "several_faces":
        scene = _lay(person, _moved_scene(scene, person, sitting))
    return expose(_lay(person, scene), sitting)


def displacement(visage: Visage, strengths: dict[str, float], sitting: Sitting) -> Field:
    """How far every point of the canvas moves, canvas pixels: float32 [2, 360, 320], at half size.

    Features first, then the turn of the head, with the depth of the mesh.
    """
    moves = np.zeros((2, HEIGHT // 2, WIDTH // 2), np.float32)
    for name, field in patterns.drawn().shape.items():
        moves += np.float32(strengths[name]) * field
    rng = np.random.default_rng(visage.folded)
    loose = rng.normal(0, 1.3, (10, 9, 2)).astype(np.float32)  # what no table says of a person
    size = (WIDTH // 2, HEIGHT // 2)
    moves += cv2.resize(loose, size, interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1)
    smile = np.float32(-sitting.smile)
    moves += smile * patterns.drawn().expression
    yaw, pitch = np.deg2rad(sitting.yaw), np.deg2rad(sitting.pitch)
    x, y = _half_grid()
    depth = patterns.depth() - AXIS
    x, y = x + moves[0] - MIDDLE[0], y + moves[1] - MIDDLE[1]
    moves[0] += (np.cos(yaw) - 1) * x - np.sin(yaw) * depth
    moves[1] += (np.cos(pitch) - 1) * y + np.sin(pitch) * depth
    return moves


def inverse(moves: Field) -> Field:
    """Where each point of the moved canvas comes from, as a displacement of the same shape."""
    x, y = (axis / 2 for axis in _half_grid())
    forward = np.ascontiguousarray(moves.transpose(1, 2, 0))
    back = forward.copy()
    for _ in range(10):  # contracts while no feature moves more than its width
        at = (x - back[..., 0] / 2, y - back[..., 1] / 2)
        back = cv2.remap(forward, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return -back


def paint(
    portrait: Portrait, visage: Visage, strengths: dict[str, float], sitting: Sitting
) -> Field:
    """The canvas in this person's colours, lines and light: float32 [720, 640, 3]."""
    drawn = patterns.drawn()
    log = np.zeros((HEIGHT, WIDTH), np.float32)
    for name, field in drawn.shade.items():
        strength = strengths[name]
        if name in REGIONS and strength < 0:
            strength *= 0.4  # a face without folds does not shine
        if strength:
            log += np.float32(strength) * field
    depth_of_lines = np.full_like(log, 0.2 * strengths["age"])
    for name in REGIONS:  # collagen is lost with bone
        depth_of_lines += np.float32(0.35 * strengths[name]) * drawn.masks[name]
    log += _fine_lines(visage.folded) * cv2.exp(depth_of_lines)
    light = _relief(*sitting.light)
    log += light
    bare = (1 - portrait.hair)[..., None]
    tone = 1 - bare * (1 - np.array(visage.skin, np.float32))
    rgb = portrait.rgb * cv2.exp(log[..., None] * SHADOW) * tone
    hair = rgb.mean(axis=-1, keepdims=True) * (np.array(visage.hair, np.float32) / np.float32(0.42))
    rgb = hair + (rgb - hair) * bare
    cloth = np.array(sitting.cloth, np.float32) * cv2.exp(2.5 * light)[..., None]
    return rgb + (cloth - rgb) * portrait.clothes[..., None]


def _fine_lines(seed: int) -> Field:
    """Log brightness of short horizontal creases all over the canvas."""
    lines = np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH), np.float32)
    lines = cv2.GaussianBlur(lines, (0, 0), 2.2, sigmaY=0.9)
    lines -= cv2.blur(lines, (9, 9))
    return lines * np.float32(FINE / lines.std())


def placement(sitting: Sitting) -> NDArray[np.float64]:
    """Canvas to photograph, [2, 3]: size, tilt and place of the face."""
    small = 0.25 if sitting.fate == "small_face" else 1.0
    angle, scale = np.deg2rad(sitting.roll), sitting.face * small
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    tx = (0.5 + sitting.shift[0]) * sitting.width
    ty = (0.46 + sitting.shift[1]) * sitting.height
    if sitting.fate == "several_faces":
        tx, c, s = tx - 0.22 * sitting.width, 0.62 * c, 0.62 * s
    (mx, my) = MIDDLE
    return np.array([[c, -s, tx - c * mx + s * my], [s, c, ty - s * mx - c * my]])


def _place(
    portrait: Portrait, painted: Field, back: Field, matrix: NDArray, size: tuple[int, int]
) -> tuple[Field, Field]:
    """(colours [H, W, 3], opacity [H, W, 1]) in the photograph."""
    undo = cv2.invertAffineTransform(matrix)
    u, v = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    undo = undo.astype(np.float32)
    x = undo[0, 0] * u + undo[0, 1] * v + undo[0, 2]
    y = undo[1, 0] * u + undo[1, 1] * v + undo[1, 2]
    edge = cv2.BORDER_REPLICATE
    shift = cv2.remap(back, x / 2, y / 2, cv2.INTER_LINEAR, borderMode=edge)
    x, y = x + shift[..., 0], y + shift[..., 1]
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink < 0.8:  # no moire where much is made small
        painted = cv2.GaussianBlur(painted, (0, 0), 0.5 / shrink)
    colours = cv2.remap(painted, x, y, cv2.INTER_CUBIC, borderMode=edge)
    opacity = cv2.remap(portrait.person, x, y, cv2.INTER_LINEAR, borderMode=edge)
    return colours, opacity[..., None]


def _lay(person: tuple[Field, Field], scene: Field) -> Field:
    colours, opacity = person
    return scene + (colours - scene) * opacity


def _moved_scene(scene: Field, person: tuple[Field, Field], sitting: Sitting) -> Field:
    """The scene with the same person once more, mirrored, at the other side."""
    mirrored = tuple(np.ascontiguousarray(layer[:, ::-1]) for layer in person)
    return _lay((mirrored[0], mirrored[1].reshape(*scene.shape[:2], 1)), scene)


def _wall(sitting: Sitting) -> Field:
    """A wall, lit unevenly."""
    rng = np.random.default_rng(sitting.grain)
    coarse = 1 + rng.normal(0, 0.035, (4, 4)).astype(np.float32)
    size = (sitting.width, sitting.height)
    light = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return light[..., None] * np.array(sitting.wall, np.float32)


def _relief(right: float, below: float) -> Field:
    """Log brightness of light from a side, on a surface with the mesh's depth."""
    depth = patterns.depth()
    slope_x = cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=1 / 16)
    slope_y = cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=1 / 16)
    slope = np.clip(right * slope_x + below * slope_y, -0.35, 0.35)
    return cv2.resize(slope, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def _half_grid() -> tuple[Field, Field]:
    """Canvas x and y of every point of the fields at half size."""
    x, y = np.meshgrid(np.arange(0, WIDTH, 2), np.arange(0, HEIGHT, 2))
    return x.astype(np.float32), y.astype(np.float32)
