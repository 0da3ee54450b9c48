"""A photograph to the face that is packed, or to a reason why not.

    face = make_face(read_photo(path).pixels)      # raises Refused
    face.picture, face.crop, face.landmarks, face.pose, face.applied

Nothing is kept from one photograph to the next: the bytes are the same in any order, in any
process, and for any number of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from data_sharding.faces.eyes import openness
from data_sharding.faces.finder import find, score_upside_down
from data_sharding.faces.mesh import mesh
from data_sharding.faces.oval import FILL, frame_of, mask
from data_sharding.faces.pose import Pose, pose_of
from data_sharding.faces.quality import OTHER, check_eyes, check_geometry, check_picture
from data_sharding.faces.regions import region_map
from data_sharding.faces.sampling import Floats, Levels, sample
from data_sharding.ledger import Refused

PIXELS = "face/1"  # the manifest's name for what this module does
CROP = 160  # side of FaceNet's input
#: Share of the crop's side that is face: the 160 pixels with a margin of 32 that FaceNet's authors
#: align the pictures they test with to (facenet, validate on LFW: --image_size 160 --margin 32).
CROP_FILL = 128 / 160


@dataclass(frozen=True)
class Face:
    """One face of one photograph.

    `picture`: uint8 [size, size, 3], RGB, eyes level, black outside the face's ellipse.
    `crop`: uint8 [160, 160, 3], RGB, the same turn and middle, a wider view, nothing masked.
    `landmarks`: float32 [468, 3] in the picture's pixels (the first pixel's middle is 0.5):
    x right, y down, z away from the camera. `applied`: what was done, nothing of a person.
    """

    picture: npt.NDArray[np.uint8]
    crop: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]
    pose: Pose
    applied: tuple[str, ...]


def make_face(rgb: npt.NDArray[np.uint8], size: int = 512) -> Face:
    """The one face of a photograph, uint8 [H, W, 3], upright.

    Raises:
        Refused: no_face, several_faces, small_face, cut_face, turned_face, eyes_closed,
            face_exposure, blurred_face, forehead_covered.
    """
    photo = Levels(rgb)
    points = _the_one(photo)
    pose = pose_of(points)
    frame = frame_of(points)
    check_geometry(rgb.shape, frame, frame.side * FILL, pose)
    opening = openness(photo, points)
    if opening is None:
        raise Refused("no_face", "the mesh with attention fits nothing where the plain one did")
    check_eyes(opening)
    matrix = frame.matrix(size)
    landmarks = np.c_[
        points[:, :2] @ matrix[:, :2].T + matrix[:, 2], points[:, 2] * size / frame.side
    ].astype(np.float32)
    open_picture = sample(photo, frame, size)
    check_picture(open_picture, region_map(landmarks, size), landmarks)
    inside = mask(landmarks, size).view(np.uint8)
    picture = np.asarray(cv2.bitwise_and(open_picture, open_picture, mask=inside), np.uint8)
    crop = sample(photo, replace(frame, side=frame.side * FILL / CROP_FILL), CROP)
    applied = (
        f"face turned level and fitted to {size} pixels by similarity ({PIXELS})",
        "black outside the ellipse of the face oval",
    )
    return Face(picture, crop, landmarks, pose, applied)


def _the_one(photo: Levels) -> Floats:
    """The mesh of the only face that counts, [468, 3] in the photograph's pixels."""
    boxes = find(photo)
    if not boxes:
        raise Refused("no_face", "the detector finds none")
    points = mesh(photo, boxes[0])
    if points is None:
        raise Refused("no_face", "the mesh fits nothing where the detector sees a face")
    near = [box for box in boxes[1:] if box.side >= OTHER * boxes[0].side]
    others = [box for box in near if mesh(photo, box) is not None]
    if others:
        raise Refused("several_faces", f"{1 + len(others)} of about the same size")
    if (turned := score_upside_down(photo, boxes[0].far)) > boxes[0].score:
        scores = f"the detector's score {boxes[0].score:.2f}, turned by 180 degrees {turned:.2f}"
        raise Refused("turned_face", f"upside down: {scores}")
    return points
