"""Copies planted among radiographs: how many are found, how many false alarms, how fast.

    python -m tests.bench leaks    # every fourth picture
    python -m tests.bench.leaks    # every picture, and more phantoms: some minutes

Radiographs of the phantom world and, where they are, of NIH's sample. The edits are done to the
source picture, which is then made a model's picture by `cxr.to_model`, as packing does. Each edited
picture is given to a new patient of a judged split, the originals to the learnt one: a pair of two
patients that is not planted is a false alarm (one patient's follow-up radiographs aside). The peer
is the perceptual hash that duplicate finders use (32 x 32 DCT, 64 bits, both orientations) at the
usual 10 bits, and at the most bits that raise no false alarm here, which only this bench can know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from data_sharding.copies.fingerprint import DIMENSIONS, WINDOWS, describe, search, unit
from data_sharding.leaks import Side, find
from data_sharding.phantom.world import make_world
from data_sharding.pictures.cxr import centre, to_model
from data_sharding.pictures.display import grey
from tests.bench.harness import HEAD, Row, alternate, clock, ms, number

SIZE = 512
NIH = Path(__file__).parents[2] / "../shared/data/nih_sample/images"
Grey = npt.NDArray[np.uint8]
_KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def resized(x: Grey, rng: Generator) -> Grey:
    h, w = x.shape
    sizes = [(w // 2, h // 2), (224, 224), (299, 299), (320, 390), (w * 4 // 5, h * 4 // 5)]
    width, height = [*sizes, (w * 11 // 8, h * 11 // 8)][rng.integers(6)]
    return np.asarray(
        cv2.resize(x, (width, height), interpolation=_KERNELS[rng.integers(4)]), np.uint8
    )


def recompressed(x: Grey, rng: Generator) -> Grey:
    data = cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def flipped(x: Grey, rng: Generator) -> Grey:
    return np.ascontiguousarray(x[:, ::-1])


def cropped(x: Grey, rng: Generator, low: float = 0.05, high: float = 0.15) -> Grey:
    h, w = x.shape
    left, right, top, bottom = rng.uniform(low, high, 4)
    return np.ascontiguousarray(
        x[round(h * top) : round(h * (1 - bottom)), round(w * left) : round(w * (1 - right))]
    )


def trimmed(x: Grey, rng: Generator) -> Grey:
    return cropped(x, rng, 0.0, 0.05)


def bordered(x: Grey, rng: Generator) -> Grey:
    top, bottom, left, right = (rng.uniform(0.02, 0.1, 4) * x.shape[0]).astype(int).tolist()
    return np.pad(x, ((top, bottom), (left, right)))


def rewindowed(x: Grey, rng: Generator) -> Grey:
    low, high = rng.uniform(0, 0.15), rng.uniform(0.85, 1)
    tone = ((x / 255 - low) / (high - low)).clip(0, 1) ** rng.uniform(0.6, 1.6)
    return (tone * 255).astype(np.uint8)


def equalised(x: Grey, rng: Generator) -> Grey:
    return np.asarray(cv2.equalizeHist(x), np.uint8)


def turned(x: Grey, rng: Generator) -> Grey:
    h, w = x.shape
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), float(rng.uniform(-3, 3)), 1)
    return np.asarray(cv2.warpAffine(x, matrix, (w, h)), np.uint8)


def all_at_once(x: Grey, rng: Generator) -> Grey:
    return recompressed(rewindowed(cropped(flipped(x, rng), rng, 0.02, 0.1), rng), rng)


def same(x: Grey, rng: Generator) -> Grey:
    return x


EDITS: dict[str, Callable[[Grey, Generator], Grey]] = {
    "identical": same,
    "resized": resized,
    "recompressed": recompressed,
    "flipped": flipped,
    "trimmed by 0-5% a side": trimmed,
    "cropped by 5-15% a side": cropped,
    "bordered": bordered,
    "re-windowed": rewindowed,
    "histogram-equalised": equalised,
    "turned by up to 3 degrees": turned,
    "flipped, cropped, re-windowed, JPEG": all_at_once,
}


def packed(source: Grey) -> Grey:
    """The model's picture of a source picture, as packing makes it."""
    picture = grey(source)
    return to_model(picture, centre(picture), SIZE)


def side(name: str, split: str, images: list[Grey], patients: list[str]) -> Side:
    """Pictures in memory as one side; the key is the row's number."""
    keys = [f"{i:05d}" for i in range(len(images))]
    hashes = [hashlib.sha256(x.tobytes()).hexdigest() for x in images]
    return Side(name, "bench", [split] * len(images), keys, patients, hashes, images.__getitem__)


def pairs(originals: list[Grey], edited: list[Grey], who: list[str]) -> list[tuple[int, int]]:
    """(original, edited) of every leak found. `who` is the patient of row i of both.

    A patient has two names so that a copy is a leak; follow-ups are the caller's to set aside.
    """
    sides = [
        side("learnt", "train", originals, [f"a{p}" for p in who]),
        side("judged", "test", edited, [f"b{p}" for p in who]),
    ]
    found = {(x.a, x.b) for x in find(sides)}
    rows = [{name.split("/")[0]: int(name.split("/")[2]) for name in pair} for pair in found]
    return [(row["learnt"], row["judged"]) for row in rows]


def score(found: list[tuple[int, int]], who: list[str]) -> tuple[int, int]:
    """Planted copies found, and pairs of two patients."""
    return sum(a == b for a, b in found), sum(who[a] != who[b] for a, b in found)


def phash(image: Grey) -> npt.NDArray[np.bool_]:
    """64 bits: low frequencies of the cosine transform above their median."""
    small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = np.asarray(cv2.dct(small))[:8, :8].ravel()
    return low > np.median(low)


def phash_distance(originals: list[Grey], edited: list[Grey]) -> npt.NDArray[np.int64]:
    """Bits apart, [originals, edited], the nearer of the two orientations."""
    a = np.stack([phash(x) for x in originals])
    ways = (edited, [np.ascontiguousarray(x[:, ::-1]) for x in edited])
    both = [np.stack([phash(x) for x in way]) for way in ways]
    return np.min([(a[:, None] != b[None]).sum(-1) for b in both], axis=0)


def phantoms(folder: Path, patients: int) -> tuple[list[Grey], list[str]]:
    """Frontal radiographs of a phantom world's public set, and whose they are."""
    make_world(folder, seed=5, internal=1, external=1, public=patients, size=512, workers=1)
    return pictures(folder / "public" / "images")


def pictures(folder: Path) -> tuple[list[Grey], list[str]]:
    """The PNGs of a folder in NIH's layout, as grey, and the patients of their names."""
    paths = sorted(folder.glob("*.png"))
    images = [np.asarray(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE), np.uint8) for p in paths]
    return images, [p.name[:8] for p in paths]


def recall(name: str, sources: list[Grey], who: list[str]) -> list[Row]:
    """One row for each kind of edit."""
    rng = np.random.default_rng(0)
    originals = [packed(x) for x in sources]
    n = len(originals)
    apart = np.array(who)[:, None] != np.array(who)[None]
    edits = {k: [packed(f(x, rng)) for x in sources] for k, f in EDITS.items()}
    bits = {k: phash_distance(originals, v) for k, v in edits.items()}
    silent = min(int(d[apart].min()) for d in bits.values()) - 1
    rows = []
    for kind, edited in edits.items():
        hit, false = score(pairs(originals, edited, who), who)
        d, strangers = bits[kind], int(apart.sum())
        usual = f"{(np.diag(d) <= 10).mean():.1%}, {int((d[apart] <= 10).sum())} false"
        rows.append(
            Row(
                f"copies found, {name}: {kind}",
                f"{hit} of {n} ({hit / n:.1%}), {false} false of {strangers:,} pairs",
                f"pHash at 10 bits {usual}; at {silent} bits "
                f"{(np.diag(d) <= silent).mean():.1%}, 0 false",
                "",
            )
        )
    return rows


def speed(images: list[Grey]) -> list[Row]:
    """Fingerprints a second, and pairs a second of the search, all hypotheses included."""
    few = images[:32]
    rng = np.random.default_rng(0)
    store = unit(rng.standard_normal((20_000, DIMENSIONS), np.float32)).astype(np.float16)
    shape = (64, 2 * len(WINDOWS), DIMENSIONS)
    queries = unit(rng.standard_normal(shape, np.float32))
    hashes = rng.random((2, len(store), 64)) < 0.5

    def peer() -> None:
        for q in hashes[1, :64]:
            (hashes[0] != q).sum(axis=1).argmin()

    times = alternate(
        {
            "describe": clock(lambda: [describe(x) for x in few], len(few)),
            "phash": clock(lambda: [phash(x) for x in few], len(few)),
            "search": clock(
                lambda: search(
                    queries, store, lambda r: np.zeros((64, r.stop - r.start), bool), 16
                ),
                64 * len(store),
            ),
            "peer": clock(peer, 64 * len(store)),
        },
        rounds=3,
    )
    a, b = 1 / times.median("search"), 1 / times.median("peer")
    return [
        Row(
            "fingerprint of a 512x512 picture",
            ms(times.median("describe")),
            f"pHash {ms(times.median('phash'))}",
            times.ratio("phash", "describe"),
        ),
        Row(
            f"search, pairs a second, {2 * len(WINDOWS)} crops and flips each",
            f"{number(a / 1e6)} million",
            f"pHash, as it is only, {number(b / 1e6)} million",
            times.ratio("peer", "search"),
        ),
    ]


def run(folder: Path, every: int = 4) -> list[Row]:
    sources, who = phantoms(folder / "world", 160 // every)
    rows = recall("phantoms", sources, who)
    if NIH.is_dir():
        sources, who = pictures(NIH)
        rows += recall("NIH", sources[::every], who[::every])
    return [*rows, *speed([packed(x) for x in sources[:32]])]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    with TemporaryDirectory() as scratch:
        print(HEAD, *run(Path(scratch), every=1), sep="\n")
