"""Two hundred files that are no usable photograph of one face: each ends in the ledger, by reason.

Every file is a patient's only one, so none can hide behind another.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data_sharding.pack import pack
from data_sharding.reader import ShardDataset, verify
from data_sharding.schema import Manifest
from tests.data_sharding.face_study import animated, declared, items, jpeg, png, portrait

EACH = 20
DAY = "2024-04-02"
#: The first bytes of things that are called .jpg now and then.
OTHERS = (
    *(b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\0\0\0\0WEBP", b"%PDF-1.7", b"PK\3\4"),
    *(
        b"<html>",
        b"<svg xmlns=",
        b"\x7fELF",
        b"MZ",
        b"\x80\x04\x95",
        b"#!/bin/sh\n",
        b"",
        b"\0" * 64,
    ),
    *(b"\x89PNG", b"\xff\xd8", b"8BPS", b"\0\0\1\0", b"\xef\xbb\xbfphoto"),
)


def jpeg_of(size: tuple[int, int], declare: tuple[int, int]) -> bytes:
    """A JPEG whose header was changed to declare another size."""
    out = io.BytesIO()
    Image.new("RGB", size, (90, 80, 70)).save(out, "JPEG")
    data = bytearray(out.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = declare[1].to_bytes(2, "big") + declare[0].to_bytes(2, "big")
    return bytes(data)


def broken_png(n: int) -> bytes:
    """A byte of the pixels is another."""
    data = bytearray(png(portrait(0)[::4, ::4]))
    at = data.index(b"IDAT") + 40 + 97 * n
    data[at] ^= 0xFF
    return bytes(data)


def nobody(n: int) -> np.ndarray:
    """Noise, stripes, a slope, discs: uint8 [200, 260, 3]."""
    rng = np.random.default_rng([n, 3])
    y, x = np.mgrid[0:200, 0:260]
    plain = (
        rng.integers(0, 256, (200, 260)),
        127 + 120 * np.sin(x / (2 + n)),
        (x + y) / (2 + n / 8),
        255 * ((x % 60 - 30) ** 2 + (y % 60 - 30) ** 2 < 200 + 5 * n),
    )[n % 4]
    return np.repeat(plain.astype(np.uint8)[..., None], 3, axis=2)


def crowd(n: int) -> np.ndarray:
    rows = [np.hstack([portrait((n + 5 * r + c) % 20)[::2, ::2] for c in range(5)]) for r in (0, 1)]
    return np.vstack(rows)


def cmyk(n: int) -> bytes:
    return jpeg(portrait(n), mode="CMYK")


def deep(n: int) -> bytes:
    return cv2.imencode(".png", nobody(4 * n).astype(np.uint16) * (180 + n))[1].tobytes()


def tiny(n: int) -> bytes:
    rng = np.random.default_rng(n)
    return png(rng.integers(0, 256, (1 + n % 15, 1 + (n * 7) % 15, 3)).astype(np.uint8))


def cut(n: int) -> bytes:
    whole = jpeg(portrait(n))
    return whole[: max(3, len(whole) * n // EACH)]


def huge(n: int) -> bytes:
    side = 20_000 + 1000 * n
    return declared(side, side) if n % 2 else jpeg_of((16, 16), (side, min(side, 65_000)))


def wrong_way(n: int) -> bytes:
    """The camera says it was held another way than it was: the face lies on its side."""
    data = jpeg(portrait(n))
    found = Image.open(io.BytesIO(data)).getexif()
    assert found[0x0112] == 1
    found[0x0112] = (6, 8)[n % 2]
    out = io.BytesIO()
    Image.fromarray(portrait(n)).save(out, "JPEG", exif=found)
    return out.getvalue()


def noise(n: int) -> bytes:
    return np.random.default_rng(n).bytes(1 << n % 16)


#: Kind -> a file by number, and the reasons that may end it.
KINDS: dict[str, tuple[Callable[[int], bytes], set[str]]] = {
    "random bytes": (noise, {"not_photo"}),
    "another format": (lambda n: OTHERS[n], {"not_photo", "undecodable", "truncated"}),
    "for print": (cmyk, {"not_photo"}),
    "16 bits": (deep, {"no_face"}),
    "tiny": (tiny, {"blank"}),
    "huge": (huge, {"too_large"}),
    "cut off": (cut, {"truncated", "undecodable"}),
    "damaged": (broken_png, {"undecodable", "truncated"}),
    "nobody": (lambda n: jpeg(nobody(n)), {"no_face"}),
    "wrong way up": (wrong_way, {"no_face", "turned_face"}),
}
FEW: dict[str, tuple[Callable[[int], bytes], set[str]]] = {
    "animated": (lambda n: animated(), {"animated"}),
    "ten faces": (lambda n: jpeg(crowd(n)), {"several_faces"}),
}


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[bytes, set[str]]]:
    out = {
        f"{kind} {n}": (make(n), reasons)
        for kind, (make, reasons) in KINDS.items()
        for n in range(EACH)
    }
    return out | {f"{kind} 0": (make(0), reasons) for kind, (make, reasons) in FEW.items()}


@pytest.fixture(scope="module")
def packed(files, key_file, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    people = [*files, "good"]
    for who in people:
        (root / "site" / "photos" / who).mkdir(parents=True)
        data = jpeg(portrait()) if who == "good" else files[who][0]
        (root / "site" / "photos" / who / "a.jpg").write_bytes(data)
    tables = {
        "photos": ["file,patient_id,photo_date", *(f"{p}/a.jpg,,{DAY}" for p in people)],
        "dxa": [
            "patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t",
            *(f"{p},{DAY},-1.2,0,0" for p in people),
        ],
        "clinical": [
            "patient_id,sex,birth_date,menopausal",
            *(f"{p},F,1960-01-01,post" for p in people),
        ],
    }
    for name, lines in tables.items():
        (root / "site" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    quiet = {"workers": 1, "key_file": key_file, "echo": lambda _: None}
    pack(root / "site", root / "out", size=128, role="external", **quiet)
    return root / "out"


def test_each_of_two_hundred_ends_in_the_ledger_with_its_reason(files, packed):
    assert len(files) >= 200
    rows = items(packed)
    of_file = rows.loc[rows["unit"].isin(["file", "image"])].set_index("is")["reason"]
    # two that are the same bytes are nobody's, whatever they are
    assert of_file.index.is_unique
    assert set(of_file.index) == {f"photos/{name}/a.jpg" for name in files}
    wrong = {
        name: of_file[f"photos/{name}/a.jpg"]
        for name, (_, reasons) in files.items()
        if of_file[f"photos/{name}/a.jpg"] not in reasons
    }
    assert not wrong


def test_what_is_left_is_one_face_and_a_flow_that_adds_up(files, packed):
    assert len(ShardDataset(packed)) == 1
    assert verify(packed) == []
    boxes = {box.step: box for box in Manifest.load(packed).flow}
    for box in boxes.values():
        assert box.n_in == box.n_out + sum(box.excluded.values())
    assert boxes["files to photographs"].n_in == len(files) + 1
    lost = sum(
        sum(boxes[s].excluded.values()) for s in ("files to photographs", "photographs to samples")
    )
    assert lost == len(files)
