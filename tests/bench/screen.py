"""Fits the rule of `pictures.screen`, and measures it on pictures it was not fitted to.

    python -m tests.bench.screen ../shared/data           # cross-validated table and margins
    python -m tests.bench.screen ../shared/data --write   # also pictures/screen_rule.py

Chests: the real NIH sample (but the one that lies upside down) and phantom frontals. The rest:
phantom laterals, chests turned, inverted and shrunk into a corner, pictures and crops of
scikit-image, drawn ellipses, and the CT, MR, leg, dog and test patterns of the DICOM collection.
Two logistic regressions with an L2 penalty; every kind of picture weighs the same, however many
there are, real chests twice. In the table no picture, and no other of the same patient or file,
helped to judge itself.
"""

from __future__ import annotations

import argparse
import gzip
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pydicom
import skimage
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from data_sharding.phantom.rendering import render
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import ASAN, NORTH, PUBLIC
from data_sharding.pictures import screen

UPSIDE_DOWN = "00003490_011.png"
#: Of the DICOM collection: real chests, kept out of the fit altogether.
CHESTS = ("panimg__cxr", "dicom_00000001_000", "AIHCND_C2_Starter")
WORK = 128  # side of the pictures the fit works on


@dataclass(frozen=True)
class Case:
    """One picture: uint8 [128, 128] of kind `kind`; those of one `group` stay together."""

    kind: str
    group: str
    picture: np.ndarray
    drawn: bool = False  # made of another picture by chance


def as_model(pixels: np.ndarray, size: int = WORK) -> np.ndarray:
    """Grayscale truncation and area averaging, in floating point: uint8 [size, size]."""
    height, width = pixels.shape
    middle = pixels[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    low, high = float(middle.min()), float(middle.max())
    grey = (np.clip(pixels.astype(np.float32), low, high) - low) * (255 / max(high - low, 1e-9))
    return np.rint(cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)).astype(np.uint8)


def real_chests(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(file name, uint16 pixels) of the NIH sample, the upside-down one included."""
    for path in sorted((data / "nih_sample/images").glob("*.png")):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert grey is not None, path
        yield path.name, grey.astype(np.uint16) * 257


def phantoms(patients: int, lateral: bool, size: int = WORK) -> Iterator[tuple[str, np.ndarray]]:
    """(name, uint16 pixels) of the first radiographs of synthetic patients of three sites."""
    for site in (ASAN, NORTH, PUBLIC):
        for index in range(patients):
            story = tell(7, site, index)
            shot = story.shots[0]
            view = "LL" if lateral else shot.view if shot.view != "LL" else "PA"
            toned = render(story, replace(shot, view=view), site, seed=7, size=size).toned
            yield f"{site.name}{index}", (np.clip(toned, 0, 1) * 65535).astype(np.uint16)


def photographs() -> Iterator[tuple[str, np.ndarray]]:
    """(name, grey pixels) of the pictures that come with Python packages, and an MR slice."""
    found = sorted((Path(skimage.__file__).parent / "data").glob("*.*g"))
    found += sorted((Path(sklearn.__file__).parent / "datasets/images").glob("*.jpg"))
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    for path in (*found, samples / "grace_hopper.jpg", samples / "Minduka_Present_Blue_Pack.png"):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if grey is not None:
            yield path.stem.split("_")[0], grey
    mr = np.frombuffer(gzip.decompress((samples / "s1045.ima.gz").read_bytes()), "<u2")
    yield "s1045", mr.reshape(256, 256)


def other_dicom(data: Path, chests: bool = False) -> Iterator[tuple[str, np.ndarray]]:
    """(name, grey pixels) of the middle frame of the DICOM collection, as stored."""
    for path in sorted((data / "dicom").iterdir()):
        if chests != any(name in path.name for name in CHESTS):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ds = pydicom.dcmread(path, force=True)
                pixels = np.asarray(ds.pixel_array)
        except Exception:
            continue
        if ds.SamplesPerPixel > 1:
            pixels = pixels[..., 0]
        if pixels.ndim == 3:
            pixels = pixels[len(pixels) // 2]
        if min(pixels.shape) < 32 or pixels.dtype.kind not in "ui":
            continue
        pixels = pixels.astype(np.float32)
        if ds.PhotometricInterpretation == "MONOCHROME1":
            pixels = pixels.max() - pixels
        yield path.name.split(".")[0][:34], pixels


def moved(picture: np.ndarray, zoom: tuple[float, float], turn: float, shift: np.ndarray):
    """The picture zoomed (x, y), turned by degrees and shifted (share of its side); truncated."""
    middle = np.array([WORK / 2, WORK / 2])
    turned = cv2.getRotationMatrix2D((0, 0), turn, 1)[:, :2]
    matrix = np.diag(zoom) @ turned
    offset = middle - matrix @ middle + shift * WORK
    out = cv2.warpAffine(picture, np.c_[matrix, offset], (WORK, WORK))
    return as_model(out)


def shapes(rng: np.random.Generator) -> np.ndarray:
    """One to eight blurred ellipses, often mirrored: what heads, joints and slices come down to."""
    picture = np.full((WORK, WORK), rng.choice([0, 20, 255]), np.float32)
    mirrored = rng.random() < 0.7
    big = rng.uniform(0.25, 0.48, 2) * WORK
    cv2.ellipse(picture, ((64, 64), tuple(2 * big), 0), float(rng.uniform(60, 200)), -1)
    for _ in range(int(rng.integers(0, 8))):
        x, y = rng.uniform(64 - big, 64 + big)
        axes = tuple(rng.uniform(6, 50, 2))
        turn, grey = float(rng.uniform(0, 180)), float(rng.uniform(0, 255))
        cv2.ellipse(picture, ((x, y), axes, turn), grey, -1)
        if mirrored:
            cv2.ellipse(picture, ((127 - x, y), axes, -turn), grey, -1)
    return as_model(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 4)))


def cases(data: Path, patients: int = 150) -> list[Case]:
    """Everything the rule is fitted and measured on."""
    rng = np.random.default_rng(0)
    out = []
    chests = [("nih", n.split("_")[0], n, p) for n, p in real_chests(data)]
    chests += [("phantom", n, n, p) for n, p in phantoms(patients, lateral=False)]
    for kind, group, name, pixels in chests:
        m = as_model(pixels)
        if name == UPSIDE_DOWN:
            continue
        out.append(Case(kind, group, m))
        for _ in range(6 if kind == "nih" else 1):  # other hospitals crop and collimate otherwise
            zoom = rng.uniform(0.88, 1.2) * np.array([1, rng.uniform(0.87, 1.15)])
            a = moved(m, tuple(zoom), rng.uniform(-6, 6), rng.uniform(-0.05, 0.05, 2))
            a = (255 * (a / 255) ** np.exp(rng.normal(0, 0.3))).astype(np.uint8)
            out.append(Case(f"{kind} moved", group, a, drawn=True))
        shrunk = moved(m, (0.4, 0.4), 0, rng.choice([-0.28, 0.28], 2))
        for what, wrong in (
            *(("upside down", m[::-1]), ("turned 90", np.rot90(m)), ("turned 270", np.rot90(m, 3))),
            *(("inverted", 255 - m), ("in a corner", shrunk)),
        ):
            out.append(Case(f"{kind} {what}", group, np.ascontiguousarray(wrong)))
    for name, pixels in phantoms(patients, lateral=True):
        m = as_model(pixels)
        out.append(Case("lateral", name, m))
        for _ in range(3):
            zoom = rng.uniform(0.95, 1.6) * np.array([1, rng.uniform(0.8, 1.1)])
            a = moved(m, tuple(zoom), rng.uniform(-6, 6), rng.uniform(-0.08, 0.08, 2))
            a = a[:, ::-1] if rng.random() < 0.5 else a
            out.append(Case("lateral moved", name, np.ascontiguousarray(a), drawn=True))
    for kind, pictures in (("photograph", photographs()), ("other DICOM", other_dicom(data))):
        for name, pixels in pictures:
            out.append(Case(kind, name, as_model(pixels)))
            for _ in range(12):
                side = int(rng.uniform(0.3, 1) * min(pixels.shape))
                y, x = (int(rng.integers(0, n - side + 1)) for n in pixels.shape)
                a = np.rot90(pixels[y : y + side, x : x + side], int(rng.integers(0, 4)))
                a = as_model(np.ascontiguousarray(a[:, ::-1] if rng.random() < 0.5 else a))
                a = 255 - a if rng.random() < 0.5 else a
                out.append(Case(f"{kind} crop", name, a, drawn=True))
    out += [Case("shapes", f"shapes {k}", shapes(rng)) for k in range(400)]
    return [case for case in out if case.picture.std() > 1]


def is_chest(kind: str) -> bool:
    return kind in ("nih", "nih moved", "phantom", "phantom moved")


def weights(kinds: list[str]) -> np.ndarray:
    """Sum equal for chests and the rest; within each, equal for each kind; real chests double."""
    share = {k: 2.0 if k.startswith("nih") and is_chest(k) else 1.0 for k in set(kinds)}
    out = np.array([share[k] / kinds.count(k) for k in kinds])
    chest = np.array([is_chest(k) for k in kinds])
    out[chest] /= 2 * out[chest].sum()
    out[~chest] /= 2 * out[~chest].sum()
    return out * len(kinds)


Rule = tuple[tuple[float, ...], float]


def fit(some: list[Case]) -> tuple[Rule, Rule]:
    """The rules for frontal chests and for laterals: (weights, bias) each, two decimals."""
    v = np.array([screen.blocks(c.picture) for c in some])
    kinds = [c.kind for c in some]
    chest, side = (np.array([test(k) for k in kinds]) for test in (is_chest, _is_lateral))
    w = weights(kinds)
    frontal = LogisticRegression(C=0.1, max_iter=2000)
    frontal.fit(np.array([screen.symmetric(x) for x in v]), chest, sample_weight=w)
    # Laterals all face one way, as most of them did when drawn; the rest is shown both ways.
    facing = v[[k == "lateral" for k in kinds]].mean(axis=0)
    mirror = (v * facing).sum(axis=(1, 2)) < (v[..., ::-1] * facing).sum(axis=(1, 2))
    ours = np.where(mirror[:, None, None], v[..., ::-1], v)[side]
    rest = np.concatenate([v[~side], v[~side][..., ::-1]])
    x = np.array([screen.sided(a) for a in np.concatenate([ours, rest])])
    y = np.arange(len(x)) < len(ours)
    both = np.concatenate([w[side] * (w[~side].sum() / w[side].sum()), w[~side] / 2, w[~side] / 2])
    lateral = LogisticRegression(C=0.1, max_iter=2000).fit(x, y, sample_weight=both)
    return _rounded(frontal), _rounded(lateral)


def _is_lateral(kind: str) -> bool:
    return kind in ("lateral", "lateral moved")


def _rounded(model: LogisticRegression) -> Rule:
    bias = np.asarray(model.intercept_)[0]
    return tuple(float(w) for w in model.coef_[0].round(2)), float(bias.round(2))


def use(rules: tuple[Rule, Rule]) -> None:
    """Put rules in the place of those of `data_sharding.pictures.screen_rule`, in this process."""
    (screen.rule.FRONTAL, screen.rule.FRONTAL_BIAS), lateral = rules
    screen.rule.LATERAL, screen.rule.LATERAL_BIAS = lateral


def main() -> None:
    """Cross-validate, print, and write the rule if asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.screen", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("data", type=Path, help="folder with nih_sample/ and dicom/")
    parser.add_argument("--write", action="store_true", help="replace the rule")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    everything = cases(arguments.data)
    seen: list[screen.Content | None] = [None] * len(everything)
    groups = [c.group for c in everything]
    for train, test in GroupKFold(8).split(groups, groups=groups):
        use(fit([everything[i] for i in train]))
        for i in test:
            seen[i] = screen.content(everything[i].picture)
    for line in table(everything, seen):
        print(line)
    if arguments.write:
        write(fit(everything))


def table(everything: list[Case], seen: list[screen.Content | None]) -> list[str]:
    """One markdown row a kind: how many are refused, and as what; then the margins."""
    lines = ["| kind | n | refused | as |", "|---|---|---|---|"]
    for kind in dict.fromkeys(c.kind for c in everything):
        of = [s for c, s in zip(everything, seen, strict=True) if c.kind == kind and s]
        found = [screen.content_refusal(s) for s in of]
        reasons = [r.reason for r in found if r]
        said = ", ".join(f"{r} {reasons.count(r)}" for r in sorted(set(reasons)))
        lines.append(f"| {kind} | {len(found)} | {len(reasons)} | {said} |")
    for kind in ("nih", "phantom"):
        of = [s for c, s in zip(everything, seen, strict=True) if c.kind == kind and s]
        for what, worst, limit in (
            ("lowest frontal chest", min(s.upright for s in of), screen.CHEST),
            ("highest negative over it", max(s.inverted - s.upright for s in of), screen.INVERTED),
            ("highest turned over it", max(s.turned - s.upright for s in of), screen.TURNED),
            ("highest lateral over it", max(s.lateral - s.upright for s in of), screen.LATERAL),
            ("highest roughness", max(s.rough for s in of), screen.ROUGH),
        ):
            lines.append(f"{kind}: {what} {worst:+.2f}, limit {limit:+.2f}")
    return lines


def write(rules: tuple[Rule, Rule]) -> None:
    """Write ``data_sharding/pictures/screen_rule.py``: the numbers as pictures of 8x8 blocks."""
    (frontal, frontal_bias), (lateral, lateral_bias) = rules
    text = [HEAD, f"FRONTAL_BIAS = {frontal_bias}", "# fmt: off", "FRONTAL = ("]
    half = screen.SIDE // 2
    for k, what in ((0, "the mean of a block and its mirror"), (half * 8, "the square of that")):
        text.append(f"    # {what}: left half, from the edge to the middle")
        text += [_row(frontal[k + half * r : k + half * (r + 1)]) for r in range(8)]
    text += ["    # the difference of the halves", _row(frontal[-1:]), ")", "# fmt: on"]
    text += ["", f"LATERAL_BIAS = {lateral_bias}", "# fmt: off", "LATERAL = ("]
    text += [_row(lateral[8 * r : 8 * (r + 1)]) for r in range(8)] + [")", "# fmt: on"]
    Path(screen.rule.__file__ or "").write_text("\n".join(text) + "\n")


def _row(numbers: tuple[float, ...]) -> str:
    return "    " + " ".join(f"{n + 0.0:.2f}," for n in numbers)


HEAD = '''"""The numbers of `pictures.screen`: a frontal chest and a lateral in 8x8 blocks.

Written by ``python -m tests.bench.screen ../shared/data --write``, which says what they were
fitted to. Logits: above 0 means more like it than like anything else. Rows are top to bottom; a
lung wants dark blocks (below 0), shoulders and abdomen bright ones. The lateral's back is right.
"""
'''

if __name__ == "__main__":
    main()
