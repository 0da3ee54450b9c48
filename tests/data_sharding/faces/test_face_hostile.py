"""Two hundred files that people, phones and attackers send: each is a face or a refusal."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
from PIL import Image

from data_sharding.faces.face import Face, make_face
from data_sharding.ledger import Refused
from data_sharding.pictures.photos import read_photo
from data_sharding.reasons import REASONS
from tests.data_sharding.faces.people import astronaut, hopper, lit, zoomed


def encoded(picture: Image.Image | np.ndarray, kind: str = "JPEG", **how) -> bytes:
    out = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(out, kind, **how)
    return out.getvalue()


def no_images() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(1)
    yield "empty", b""
    yield "text", b"photo of a face" * 50
    yield "html", b"<html><body><img src=x></body></html>"
    yield "a jpeg's first bytes", b"\xff\xd8\xff\xe0\x00\x10JFIF"
    yield "a png's first bytes", b"\x89PNG\r\n\x1a\n"
    for size in (1, 100, 5000):
        yield f"{size} random bytes", rng.bytes(size)
        yield f"jpeg then {size} random bytes", b"\xff\xd8\xff" + rng.bytes(size)
    for kind in ("GIF", "BMP", "TIFF", "WEBP"):
        yield kind, encoded(zoomed(hopper(), 0.5), kind)


def odd_pixels() -> Iterator[tuple[str, bytes]]:
    face = Image.fromarray(hopper())
    yield "CMYK", encoded(face.convert("CMYK"))
    for mode in ("L", "P", "LA", "RGBA", "1"):
        yield mode, encoded(face.convert(mode), "PNG")
    yield "grey JPEG", encoded(face.convert("L"))
    yield "progressive", encoded(face, progressive=True)
    deep = hopper().astype(np.uint16) * 257
    for name, pixels in (("16-bit colour", deep[..., ::-1]), ("16-bit grey", deep[..., 1])):
        yield name, cv2.imencode(".png", pixels)[1].tobytes()
    frames = [face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    yield "animated PNG", encoded(face, "PNG", save_all=True, append_images=frames)
    yield "MPO", encoded(face, "MPO", save_all=True, append_images=frames)
    clear = hopper().copy()
    yield "transparent face", encoded(np.dstack([clear, clear[..., 0] * 0]), "PNG")
    for quality in (1, 10, 30):
        yield f"JPEG quality {quality}", encoded(face, quality=quality)


def odd_shapes() -> Iterator[tuple[str, bytes]]:
    for shape in ((1, 1), (1, 500), (500, 1), (15, 15), (16, 16), (17, 3000), (40, 9000)):
        noise = np.random.default_rng(2).integers(0, 256, (*shape, 3)).astype(np.uint8)
        yield f"{shape}", encoded(noise, "PNG")
    tall = cv2.resize(hopper(), (40, 20000), interpolation=cv2.INTER_NEAREST)
    yield "20,000 px high", encoded(tall)
    yield "20,000 px wide", encoded(np.ascontiguousarray(tall.transpose(1, 0, 2)))
    wide = np.zeros((600, 20000, 3), np.uint8)
    wide[:, 9000:9512] = hopper()
    yield "a face in 20,000 px", encoded(wide)
    for stretch in ((0.4, 1), (1, 0.4), (3, 1), (1, 3)):
        yield (
            f"stretched {stretch}",
            encoded(cv2.resize(hopper(), None, fx=stretch[0], fy=stretch[1])),
        )


def turned_by_exif() -> Iterator[tuple[str, bytes]]:
    for person in (astronaut, hopper):
        for orientation in (*range(10), 65535):
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield f"EXIF {orientation}", encoded(person(), exif=exif)
    yield "broken EXIF", encoded(hopper(), exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)


def broken() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(3)
    for kind in ("JPEG", "PNG"):
        data = encoded(zoomed(hopper(), 0.6), kind)
        for share in (0.02, 0.2, 0.5, 0.8, 0.95, 0.999):
            yield f"{kind} cut at {share}", data[: int(share * len(data))]
        for n in range(24):
            flipped = bytearray(data)
            for where in rng.integers(0, len(data), 1 + n):
                flipped[where] = int(rng.integers(0, 256))
            yield f"{kind} with {1 + n} wrong bytes", bytes(flipped)


def no_faces() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(4)
    for value in (0, 3, 128, 255):
        yield f"all {value}", encoded(np.full((300, 300, 3), value, np.uint8))
    for size in (20, 200, 700):
        yield f"noise of {size}", encoded(rng.integers(0, 256, (size, size, 3)).astype(np.uint8))
        patches = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        yield f"patches of {size}", encoded(cv2.resize(patches, (size, size)), "PNG")
    for k in range(8):  # a shirt, a helmet, flags
        y, x = 250 + 20 * k, 30 * k
        yield f"no face {k}", encoded(np.ascontiguousarray(astronaut()[y : y + 250, x : x + 250]))
    drawn = np.full((400, 400, 3), 230, np.uint8)
    cv2.ellipse(drawn, ((200, 200), (220, 300), 0), (250, 200, 170), -1)
    for x in (150, 250):
        cv2.circle(drawn, (x, 160), 15, (40, 30, 30), -1)
    cv2.ellipse(drawn, (200, 260), (60, 30), 0, 0, 180, (160, 60, 60), 8)
    yield "a drawn face", encoded(drawn)


def odd_faces() -> Iterator[tuple[str, bytes]]:
    one = hopper()[60:460, 20:400]
    for rows, columns in ((1, 2), (2, 1), (2, 5), (5, 2), (4, 4)):
        yield f"{rows}x{columns} faces", encoded(np.tile(one, (rows, columns, 1)))
    for person in (astronaut, hopper):
        height, width = person().shape[:2]
        for degrees in (-90, -45, -20, 20, 45, 90, 180):
            matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
            yield f"rolled {degrees}", encoded(cv2.warpAffine(person(), matrix, (width, height)))
        for stops in (-9, -6, -3, 1, 2, 4):
            yield f"{stops} stops", encoded(lit(person(), stops))
        for sigma in (2, 5, 15):
            yield f"blurred {sigma}", encoded(cv2.GaussianBlur(person(), (0, 0), sigma))
        for by in (0.1, 0.3, 4.0):
            yield f"zoomed {by}", encoded(zoomed(person(), by))
        yield "negative", encoded(255 - person())
        yield "blue for red", encoded(np.ascontiguousarray(person()[..., ::-1]))
        for side in range(4):
            quarter = np.rot90(np.rot90(person(), side)[: height // 4], -side)
            yield f"edge {side}", encoded(np.ascontiguousarray(quarter))
        yield "half masked", encoded(np.where(np.arange(width)[:, None] < width // 2, person(), 0))


@cache
def files() -> tuple[tuple[str, bytes], ...]:
    kinds = (no_images, odd_pixels, odd_shapes, turned_by_exif, broken, no_faces, odd_faces)
    return tuple((f"{kind.__name__}: {name}", data) for kind in kinds for name, data in kind())


def test_each_of_two_hundred_files_is_a_face_or_a_refusal():
    ends: Counter[str] = Counter()
    for name, data in files():
        try:
            face = make_face(read_photo(data).pixels)
        except Refused as e:
            ends[e.reason if e.evidence else f"nothing said of {name}"] += 1
            continue
        except BaseException as e:
            raise AssertionError(name) from e
        assert isinstance(face, Face)
        assert np.isfinite(face.landmarks).all(), name
        assert face.picture.any(), name
        ends["a face"] += 1
    assert ends.total() == len(files()) >= 200
    assert set(ends) <= set(REASONS) | {"a face"}
    for end in (
        "a face",
        "not_photo",
        "truncated",
        "animated",
        "blank",
        "no_face",
        "several_faces",
    ):
        assert ends[end], end
    for end in ("small_face", "turned_face", "blurred_face", "face_exposure"):
        assert ends[end], end
