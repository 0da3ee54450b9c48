"""A contact sheet of each set: the phantom radiograph, every transform alone, the set as drawn.

    python -m tests.training.augmentation.sheet    # writes docs/augmentation-*.jpg

Of eight draws of a transform the one that changes most is shown. Warps are shown with a grid drawn
on the picture before, blurs as a detail at its own size. The patient does not exist.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_sharding.phantom.rendering import render
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import PUBLIC
from tests.training.augmentation.named import NAMED, SETS
from training.augmentation import augment
from training.augmentation.random import generator

DOCS = Path(__file__).resolve().parents[3] / "docs"
TILE, LABEL, COLUMNS = 256, 20, 4
DRAWS = 8


def radiograph() -> np.ndarray:
    """uint8 [512, 512], bone bright."""
    story = tell(0, PUBLIC, 0)
    toned = render(story, story.shots[0], PUBLIC, seed=0, size=512).toned
    return (cv2.resize(toned, (512, 512), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)


def with_grid(image: np.ndarray) -> np.ndarray:
    """A light line every 64 pixels."""
    lined = image.copy()
    lined[31::64] = lined[:, 31::64] = 230
    return lined


def whole(image: np.ndarray) -> np.ndarray:
    """All of it, at the size of a tile."""
    return cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA)


def detail(image: np.ndarray) -> np.ndarray:
    """Shoulder, clavicle and ribs, pixel for pixel."""
    return image[64 : 64 + TILE, 32 : 32 + TILE]


def alone(image: np.ndarray, name: str) -> np.ndarray:
    """The transform's strongest of some draws, as a tile."""
    warps = NAMED[name](generator(0, 0, name), *image.shape).nodes is not None
    blurs = NAMED[name](generator(0, 0, name), *image.shape).smoothing is not None
    image = with_grid(image) if warps else image
    made = [
        NAMED[name](generator(0, draw, name), *image.shape).apply(image) for draw in range(DRAWS)
    ]
    strongest = max(made, key=lambda x: np.abs(x.astype(int) - image).mean())
    return detail(strongest) if blurs else whole(strongest)


def tiles(image: np.ndarray, kind: str) -> list[tuple[str, np.ndarray]]:
    """Labelled pictures [TILE, TILE] of one set, a multiple of COLUMNS in number."""
    found = [("as it is", whole(image))]
    if any(NAMED[n](generator(0, 0, n), 512, 512).smoothing for n in SETS[kind]):
        found.append(("as it is, detail", detail(image)))
    found += [(name, alone(image, name)) for name in SETS[kind]]
    for draw in range(COLUMNS - len(found) % COLUMNS):
        found.append((f"{kind}, draw {draw}", whole(augment(image, kind, 0, draw, "phantom"))))
    return found


def sheet(found: list[tuple[str, np.ndarray]]) -> Image.Image:
    """All tiles on white, with labels above."""
    step = TILE + LABEL
    page = Image.new("L", (COLUMNS * (TILE + 4) - 4, -(-len(found) // COLUMNS) * (step + 4)), 255)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for n, (label, tile) in enumerate(found):
        x, y = n % COLUMNS * (TILE + 4), n // COLUMNS * (step + 4)
        pen.text((x + 2, y + 2), label, fill=0, font=font)
        page.paste(Image.fromarray(tile), (x, y + LABEL))
    return page


if __name__ == "__main__":
    picture = radiograph()
    for kind in SETS:
        path = DOCS / f"augmentation-{kind}.jpg"
        sheet(tiles(picture, kind)).save(path, quality=85, optimize=True)
        print(path, path.stat().st_size)
