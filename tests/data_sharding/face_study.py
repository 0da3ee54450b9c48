"""A face study as a hospital might leave it, made of one portrait: good photographs and others.

`make_study` says of each file and each row what is to become of it.
"""

from __future__ import annotations

import io
import zlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from skimage.data import astronaut

DAY = "2024:04:02 08:00:00"
#: What photographs carry that must never come out.
CANARIES = ("ZEPHYRINA", "QUAGMIRE", "CANARY77441", "2024:04:02", "2024-04-02")


@cache
def portrait(seed: int = 0, of: str = "") -> np.ndarray:
    """uint8 [480, 480, 3]: the astronaut's head; every seed but 0 bends it into somebody else's.

    Photographs of one person, `of` that one, differ in their light.
    """
    head = cv2.resize(
        np.asarray(astronaut())[:280, 80:360], (480, 480), interpolation=cv2.INTER_CUBIC
    )
    if seed:
        rng = np.random.default_rng([seed, 7])
        bend = [cv2.GaussianBlur(rng.standard_normal((480, 480)), (0, 0), 35) for _ in range(2)]
        y, x = np.mgrid[0:480, 0:480]
        maps = [
            (at + 5 * b / b.std()).astype(np.float32) for at, b in zip((x, y), bend, strict=True)
        ]
        head = cv2.remap(head, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if of:
        gain = 0.85 + 0.3 * (zlib.crc32(of.encode()) % 1000) / 1000
        head = np.clip(head * gain, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(head)


def jpeg(pixels: np.ndarray, turn: int = 1, mode: str = "RGB", quality: int = 95) -> bytes:
    """A photograph with the day, a place and names in its EXIF; stored as orientation `turn`."""
    stored = {1: pixels, 3: pixels[::-1, ::-1], 6: np.rot90(pixels), 8: np.rot90(pixels, -1)}[turn]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x013B] = turn, CANARIES[0], CANARIES[1]
    exif.get_ifd(0x8769)[0x9003] = DAY
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 31.0, 39.5), 29: CANARIES[2]})
    out = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(stored)).convert(mode)
    picture.save(out, "JPEG", exif=exif, quality=quality, comment=CANARIES[2].encode())
    return out.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """Without a day: photos.csv has it."""
    return cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()


def declared(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares this size."""
    data = bytearray(png(np.zeros((2, 2, 3), np.uint8)))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def animated() -> bytes:
    out = io.BytesIO()
    frames = [Image.fromarray(portrait(s)[::8, ::8].copy()) for s in (0, 1)]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    return out.getvalue()


def photographs() -> dict[str, tuple[bytes, str]]:
    """File -> its bytes and the reason that ends it, '' for a sample."""
    face, two = portrait(), np.hstack([portrait(), portrait(1)])
    nobody = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    whole = jpeg(portrait(3))
    deep = cv2.imencode(".png", portrait(12)[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    return {
        # F1: three visits of one person, all taken
        "F1/a.jpg": (jpeg(portrait(0, "a")), ""),
        "F1/turned by the camera.jpg": (jpeg(portrait(0, "b"), turn=6), ""),
        "F1/upside down.jpg": (jpeg(portrait(0, "c"), turn=3), ""),
        # F2: one of many is good
        "F2/good.png": (png(portrait(2)), ""),
        "F2/nobody.jpg": (jpeg(nobody), "no_face"),
        "F2/two.jpg": (jpeg(two), "several_faces"),
        "F2/far away.jpg": (jpeg(cv2.resize(face, (110, 110))), "small_face"),
        "F2/print.jpg": (jpeg(face, mode="CMYK"), "not_photo"),
        "F2/half.jpg": (whole[: len(whole) // 2], "truncated"),
        "F2/turned and not said.jpg": (jpeg(np.ascontiguousarray(portrait(4)[::-1])), "no_face"),
        "F2/empty.jpg": (b"", "not_photo"),
        "F2/notes.jpg": (b"call back on Monday", "not_photo"),
        "F2/phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "heic"),
        "F2/clip.png": (animated(), "animated"),
        "F2/dot.png": (png(np.full((1, 1, 3), 9, np.uint8)), "blank"),
        "F2/wall.png": (declared(20000, 20000), "too_large"),
        "F2/long.png": (declared(1, 1 << 30), "too_large"),
        "F2/no pixels.png": (declared(3000, 2000), "truncated"),
        "F2/stub.jpg": (whole[:12], "undecodable"),
        # one file twice: for one person it is taken once, for two it cannot be known whose it is
        "F1/turned by the camera_copy.jpg": (jpeg(portrait(0, "b"), turn=6), "same_bytes"),
        "F2/whose.jpg": (jpeg(portrait(15)), "same_bytes"),
        "F3/whose.jpg": (jpeg(portrait(15)), "same_bytes"),
        # F3: nothing of theirs is any good
        "F3/nobody.png": (png(nobody[:200]), "no_face"),
        "F3/black.png": (png(np.zeros((64, 64, 3), np.uint8)), "blank"),
        # not for the study
        "F4/before.jpg": (jpeg(portrait(5)), "patient_excluded"),  # pre-menopausal
        "F5/no DXA.jpg": (jpeg(portrait(6)), "patient_excluded"),
        "F6/half a DXA.jpg": (jpeg(portrait(7)), "patient_excluded"),
        # a grey and a deep one, and two whom nobody asks more of
        "F7/grey.jpg": (jpeg(portrait(8), mode="L"), ""),
        "F8/osteoporosis.jpg": (jpeg(portrait(9)), ""),
        "F9/long ago.jpg": (jpeg(portrait(10)), "outside_window"),
        "F9/in time.jpg": (jpeg(portrait(11)), ""),
        "M1/deep.png": (deep, ""),
        "M2/under 50.jpg": (jpeg(portrait(13)), "patient_excluded"),
        "lost.jpg": (jpeg(portrait(14)), "not_in_metadata"),
    }


#: photos.csv: a day for what has none in EXIF, or another one.
PHOTOS_CSV = {
    **{"F2/good.png": "2024-04-03", "M1/deep.png": "2024-04-04", "F9/long ago.jpg": "2022-01-01"},
    **dict.fromkeys(("F3/nobody.png", "F3/black.png", "F2/dot.png"), "2024-04-03"),
}
DXA = {
    **{"F1": "-1.0,0.2,0.3", "F2": "-0.9,0.2,0.3", "F3": "0,0,0", "F4": "0,0,0"},
    **{"F6": "-1.2,,", "F7": "-2.4,0.2,-2.499", "F8": "1,-2.5,0", "F9": "0,0,0"},
    **{"M1": "-1.001,0,0", "M2": "0,0,0"},
}
CLASSES = {"F1": 1, "F2": 0, "F7": 1, "F8": 2, "F9": 0, "M1": 1}
#: Who is out, and why.
OUT = {
    **{"F3": "no_readable_image", "F4": "not_in_policy", "M2": "not_in_policy"},
    **{"F5": "no_dxa", "F6": "site_missing"},
}


def make_study(folder: Path, consent: str = '{"show_faces": true}') -> dict[str, str]:
    """Write the study; file -> the reason that ends it, '' for a sample."""
    told = photographs()
    for name, (data, _) in told.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    rows = [f'"{name}",,{PHOTOS_CSV.get(name, "")}' for name in sorted(told)]
    (folder / "photos.csv").write_text("\n".join(["file,patient_id,photo_date", *rows]) + "\n")
    head = "patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t"
    rows = [f"{who},2024-04-01,{scores}" for who, scores in DXA.items()]
    (folder / "dxa.csv").write_text("\n".join([head, *rows]) + "\n")
    people = [
        f"{who},{who[0]},{1985 if who == 'M2' else 1960}-01-01,"
        f"{'' if who[0] == 'M' else 'pre' if who == 'F4' else 'post'}"
        for who in sorted({*DXA, "F5"})
    ]
    head = "patient_id,sex,birth_date,menopausal"
    (folder / "clinical.csv").write_text("\n".join([head, *people]) + "\n")
    if consent:
        (folder / "consent.json").write_text(consent)
    return {name: reason for name, (_, reason) in told.items()}


def items(folder: Path) -> pd.DataFrame:
    """ledger.csv joined with the private list of what each item is."""
    ledger = pd.read_csv(folder / "ledger.csv", dtype=str)
    private = pd.read_csv(folder.with_name(f"{folder.name}.private") / "items.csv", dtype=str)
    assert len(ledger) == len(private)
    assert ((ledger["item"] == private["item"]) & (ledger["reason"] == private["reason"])).all()
    return ledger.assign(**{"is": private["is"]})
