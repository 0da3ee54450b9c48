"""The portrait: whence it comes, where its mesh lies, and where bone loss is drawn on it."""

from __future__ import annotations

import numpy as np
import pytest

from data_sharding.faces.regions import REGIONS, region_map
from data_sharding.phantom.faces import patterns, portrait, rendering
from data_sharding.phantom.faces.law import Law
from data_sharding.phantom.faces.visage import sitting_of, visage_of
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import ASAN


def mediapipe_mesh(rgb: np.ndarray) -> np.ndarray:
    """[468, 3] in pixels, by MediaPipe's own solution."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    height, width = rgb.shape[:2]
    with FaceMesh(static_image_mode=True, max_num_faces=1) as found:
        faces = getattr(found.process(rgb), "multi_face_landmarks")  # noqa: B009  (made at run time)
    assert faces is not None
    return np.array([(p.x * width, p.y * height, p.z * width) for p in faces[0].landmark])


def test_the_portrait_is_the_one_it_says():
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    pixels, mesh = portrait.source()
    assert np.array_equal(pixels[..., :3], data.astronaut()[:236, 108:340])
    assert mesh.shape == (468, 3)


def test_the_mesh_lies_where_mediapipe_sees_it():
    p = portrait.neutral()
    scene = 0.7 * (1 - p.person[..., None]) + p.rgb * p.person[..., None]
    seen = mediapipe_mesh(np.rint(scene * 255).astype(np.uint8))
    off = np.linalg.norm(seen[:, :2] - p.landmarks[:, :2], axis=1)
    assert off.mean() < 0.025 * patterns.unit()
    assert np.quantile(off, 0.95) < 0.06 * patterns.unit()


@pytest.mark.parametrize("name", REGIONS)
def test_a_sign_is_drawn_in_its_region_only(name):
    drawn = patterns.drawn()
    size = portrait.HEIGHT
    labels = region_map(portrait.neutral().landmarks, size)[:, : portrait.WIDTH]
    here = labels == 1 + REGIONS.index(name)
    elsewhere = (labels > 0) & ~here
    shade = np.abs(drawn.shade[name])
    assert shade[~here].max() == 0
    assert shade[here].max() > 0.03
    moves = np.abs(drawn.shape[name]).max(axis=0)
    assert moves[elsewhere[::2, ::2]].max() < 0.3  # of a pixel; a point of the mesh moves by 3
    assert (moves.max() > 2) == (name != "forehead")


def test_every_feature_changes_something_and_stays_a_map():
    """No effect folds the canvas over: its displacement never grows faster than the place."""
    for name, moves in patterns.drawn().shape.items():
        strength = 30 if name == "hair" else 3
        steep = [
            np.abs(np.gradient(strength * moves[k] / 2, axis=a)).max()
            for k in (0, 1)
            for a in (0, 1)
        ]
        assert max(steep) < 0.95, name
        assert np.abs(moves).max() > 0.2 or np.abs(patterns.drawn().shade[name]).max() > 0.03, name


def test_the_way_back_undoes_the_way_there():
    story = tell(1, ASAN, 3)
    visage, sitting = visage_of(1, story), sitting_of(1, story, 0)
    strengths = dict.fromkeys(REGIONS, 1.5) | visage.features | {"hair": 5.0}
    moves = rendering.displacement(visage, strengths, sitting)
    back = rendering.inverse(moves)
    points = portrait.neutral().landmarks[:, :2]

    def at(field: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Bilinear by hand: field [h, w, 2] at half size."""
        x, y = where.T / 2
        i, j = np.floor(x).astype(int), np.floor(y).astype(int)
        u, v = (x - i)[:, None], (y - j)[:, None]
        above = field[j, i] * (1 - u) + field[j, i + 1] * u
        below = field[j + 1, i] * (1 - u) + field[j + 1, i + 1] * u
        return above * (1 - v) + below * v

    there = points + at(moves.transpose(1, 2, 0), points)
    assert np.linalg.norm(there - points, axis=1).max() > 5
    again = there + at(back, there)
    assert np.linalg.norm(again - points, axis=1).max() < 0.7  # of a canvas pixel


def test_one_sign_changes_the_photograph_in_its_region():
    """The same person and photograph, with only the folds of another latent."""
    story = tell(1, ASAN, 3)
    visage, sitting = visage_of(1, story), sitting_of(1, story, 0)
    law = Law.parse("nasolabial=1")
    pictures = [
        rendering.photograph(visage, law.signs(t, np.zeros(5)), sitting).astype(int)
        for t in (0.5, -3.0)
    ]
    changed = np.abs(pictures[0] - pictures[1]).sum(axis=-1)
    labels = region_map(mediapipe_mesh(pictures[0].astype(np.uint8)), max(changed.shape))
    labels = labels[: changed.shape[0], : changed.shape[1]]
    share = np.bincount(labels.ravel(), changed.ravel(), minlength=6) / changed.sum()
    assert share[1 + REGIONS.index("nasolabial")] > 0.75
