"""Photographs to faces: two processes against the aim, one against MediaPipe's own solution.

    python -m tests.bench faces

The peer is what its documentation leads to: FaceMesh in static mode, no refinement, its points in a
loop over the message, a rotation by the eyes, a crop by the oval, an ellipse. It finds faces with
the short-range model, draws one frame around each, and judges nothing. Ours finds with the
full-range model, draws around a face twice, looks at the eyes with the mesh with attention, makes a
second crop, and checks nine rules. Both see one real face that is moved, turned and lit otherwise
in each photograph. The floor is the four runs of the models alone, on inputs made before.
"""

from __future__ import annotations

import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from data_sharding.faces import eyes, finder, mesh
from data_sharding.faces.face import make_face
from data_sharding.faces.graphs import mediapipe, quiet
from data_sharding.faces.sampling import Levels, area, sample
from data_sharding.pictures.photos import read_photo
from tests.bench.harness import Row, alternate, clock, ms, number, wall
from tests.data_sharding.faces.people import hopper, lit

PHOTOS, ROUNDS, AIM = 32, 5, 40
SIDE, MEGAPIXELS = 512, (3000, 4000)
Pixels = npt.NDArray[np.uint8]


def photographs(rng: np.random.Generator, rows: int, columns: int, count: int) -> list[bytes]:
    """JPEGs of one person, somewhere near the middle, nearly upright."""
    out = []
    for _ in range(count):
        scale = rows / 600 * rng.uniform(0.85, 1.05)
        turn = cv2.getRotationMatrix2D((265, 260), rng.uniform(-10, 10), scale)
        turn[:, 2] += (columns / 2 - 265, rows / 2 - 260) + rng.uniform(-0.05, 0.05, 2) * rows
        seen = lit(hopper(), rng.uniform(-1, 0.3))
        size, border = (columns, rows), cv2.BORDER_REPLICATE
        photo = cv2.warpAffine(seen, turn, size, flags=cv2.INTER_CUBIC, borderMode=border)
        data = io.BytesIO()
        Image.fromarray(photo).save(data, "JPEG", quality=90)
        out.append(data.getvalue())
    return out


def packed(data: bytes) -> int:
    """What a worker does with one file; a sum, so that nothing is left out."""
    face = make_face(read_photo(data).pixels)
    return int(face.picture.sum()) + int(face.crop.sum())


class Naive:
    """The peer."""

    def __init__(self) -> None:
        with quiet():
            mediapipe()
            from mediapipe.python.solutions import face_mesh

            self.mesh = face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=False)
            self.mesh.process(hopper())  # prints when it first has something to do
        self.oval = sorted({i for edge in face_mesh.FACEMESH_FACE_OVAL for i in edge})

    def __call__(self, rgb: Pixels, size: int = SIDE) -> Pixels:
        height, width = rgb.shape[:2]
        (found,) = self.mesh.process(rgb).multi_face_landmarks
        points = np.array([(p.x * width, p.y * height) for p in found.landmark], np.float32)
        (ax, ay), (bx, by) = points[33], points[263]
        turn = cv2.getRotationMatrix2D(
            ((ax + bx) / 2, (ay + by) / 2), np.degrees(np.arctan2(by - ay, bx - ax)), 1
        )
        turned = cv2.warpAffine(rgb, turn, (width, height))
        oval = (points @ turn[:, :2].T + turn[:, 2])[self.oval].astype(np.float32)
        ellipse = cv2.fitEllipse(oval)
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, ellipse, 255, -1)
        masked = cv2.bitwise_and(turned, turned, mask=mask)
        x, y, w, h = cv2.boundingRect(oval)
        cut = masked[max(y, 0) : y + h, max(x, 0) : x + w]
        return np.asarray(cv2.resize(cut, (size, size)), np.uint8)


def alone(photos: list[Pixels]):
    """The four runs of the models for each photograph, with their inputs made before."""
    inputs = []
    for rgb in photos:
        photo = Levels(rgb)
        points = mesh.mesh(photo, finder.find(photo)[0])
        assert points is not None
        small = area(rgb, finder.SIDE, finder.SIDE)
        inputs.append((small, sample(photo, mesh.around(points), mesh.SIDE)))

    def work() -> None:
        for small, framed in inputs:
            finder._graph()(small)
            mesh._graph()(framed)
            mesh._graph()(framed)
            eyes._graph()(framed)

    return work


def run(folder: Path) -> list[Row]:
    rng = np.random.default_rng(0)
    files = photographs(rng, SIDE, SIDE, PHOTOS)
    small = [read_photo(data).pixels for data in files]
    large = [read_photo(data).pixels for data in photographs(rng, *MEGAPIXELS, 2)]
    naive, rows = Naive(), []
    for what, photos in ((f"{SIDE}x{SIDE}", small), ("12 megapixels", large)):
        sides = {
            "ours": clock(lambda p=photos: [make_face(x) for x in p], len(photos)),
            "naive": clock(lambda p=photos: [naive(x) for x in p], len(photos)),
        }
        if photos is small:
            sides["floor"] = clock(alone(photos), len(photos))
        times = alternate(sides, ROUNDS)
        ours = ms(times.median("ours"))
        name = f"face of a photograph of {what}"
        theirs = f"FaceMesh, naively {ms(times.median('naive'))}"
        rows.append(Row(name, ours, theirs, times.ratio("naive", "ours")))
        if photos is small:
            floor = f"models alone {ms(times.median('floor'))}"
            ratio = f"{times.ratio('ours', 'floor')} x floor"
            rows.append(Row(f"{name}: against the floor", ours, floor, ratio))
    rows.append(_two_processes(files))
    return rows


def _two_processes(files: list[bytes]) -> Row:
    """Decoding included, by the clock on the wall; processes are started before."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context) as pool:
        both = wall(lambda: list(pool.map(packed, files, chunksize=4)), len(files))
        seconds = alternate({"two": both}, ROUNDS)
        assert list(pool.map(packed, files)) == [packed(data) for data in files]
    speed = 1 / seconds.median("two")
    return Row(
        f"JPEG of {SIDE}x{SIDE} to a face, 2 processes",
        f"{number(speed)}/s",
        f"aim {AIM}/s",
        f"{number(speed / AIM)} x aim",
    )
