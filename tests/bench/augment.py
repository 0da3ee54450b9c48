"""Strong augmentation against albumentations 2.0.8, and one resampling against one for each warp.

    make bench                                              # all
    PYTHONPATH=.venv/peers python -m tests.bench augment    # only this, once that is there

albumentations' pipeline has the same flip and the same nine transforms with our amplitudes
(tests/training/augmentation/reference.py, where their statistics are held against ours), in our
groups with our probabilities. Its elastic transform is most of what it costs, so that it is timed
with `approximate=True` too, its own short cut; and as somebody would write it down who names the
transforms and says no more, each at its default amplitude and probability.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_sharding.phantom.rendering import render
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import PUBLIC
from tests.bench.harness import Row, alternate, clock, ms
from tests.training.augmentation.reference import peers
from training.augmentation import augment, warp
from training.augmentation.random import generator
from training.augmentation.sets import DISTORTIONS, shift_scale_rotate

BLURS = "blur", "motion blur", "median blur"
SHORT = "elastic approximate"


def grouped(side: int, elastic: str = "elastic") -> Any:
    """Our strong set made of albumentations' transforms, each with the probability it has here."""
    import albumentations as A  # pyright: ignore

    theirs = peers(side)
    theirs[SHORT] = A.ElasticTransform(
        alpha=theirs["elastic"].alpha, sigma=theirs["elastic"].sigma, approximate=True, p=1
    )
    theirs["gamma"].p, theirs["grid dropout"].p = 0.5, 0.3
    distortions = [theirs[name] for name in ("grid distortion", elastic, "optical distortion")]
    return A.Compose(
        [
            theirs["flip"],
            A.OneOf(distortions, p=0.5),
            theirs["shift-scale-rotate"],
            A.OneOf([theirs[name] for name in BLURS], p=0.3),
            theirs["gamma"],
            theirs["grid dropout"],
        ],
        seed=0,
    )


def named() -> Any:
    """The transforms' names and nothing else."""
    import albumentations as A  # pyright: ignore

    names = "HorizontalFlip Blur MotionBlur MedianBlur ShiftScaleRotate GridDistortion "
    names += "ElasticTransform OpticalDistortion RandomGamma GridDropout"
    return A.Compose([getattr(A, name)() for name in names.split()], seed=0)


def radiograph(size: int) -> np.ndarray:
    story = tell(0, PUBLIC, 0)
    picture = render(story, story.shots[0], PUBLIC, seed=0, size=512).toned
    return (cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)


def two_warps(image: np.ndarray, n: int) -> list[list[np.ndarray]]:
    """Fields of a distortion and of ShiftScaleRotate, alone and composed, `n` of each."""
    out = []
    for i in range(n):
        rng = generator(0, 0, str(i))
        distortion = DISTORTIONS[i % 3](warp.identity(), rng)
        rest = rng.bit_generator.state
        alone = shift_scale_rotate(warp.identity(), rng, 1)
        rng.bit_generator.state = rest
        both = shift_scale_rotate(distortion, rng, 1)
        out.append([np.stack(field) for field in (distortion, alone, both)])
    return out


def run(folder: Path) -> list[Row]:
    try:
        import albumentations  # noqa: F401  # pyright: ignore
    except ImportError as e:
        raise SystemExit(f"{e}: `make bench` installs what is compared with") from e
    rows = []
    for side, n in ((512, 100), (128, 400)):
        image = radiograph(side)
        rounds = iter(range(1000))  # ours and theirs draw anew in every round

        def ours(image: np.ndarray, n: int, rounds: Any = rounds) -> None:
            draw = next(rounds)
            for i in range(n):
                augment(image, "strong", 0, draw, str(i))

        def theirs(pipeline: Any, image: np.ndarray, n: int) -> Callable[[], None]:
            return lambda: [pipeline(image=image) for _ in range(n)] and None

        pipelines = {"exact": grouped(side), "short": grouped(side, SHORT), "named": named()}
        sides = {"ours": clock(functools.partial(ours, image, n), n)}
        sides |= {k: clock(theirs(p, image, n), n) for k, p in pipelines.items()}
        times = alternate(sides)
        what = f"strong augmentation at {side}x{side}, a picture"
        told = {
            "exact": "albumentations 2.0.8, same groups, probabilities, amplitudes",
            "short": "same, its elastic approximate",
            "named": "albumentations 2.0.8, defaults of the same transforms",
        }
        rows += [
            Row(
                what,
                ms(times.median("ours")),
                f"{peer}, {ms(times.median(k))}",
                times.ratio(k, "ours"),
            )
            for k, peer in told.items()
        ]
    return [*rows, composing(radiograph(512), 60)]


def composing(image: np.ndarray, n: int) -> Row:
    """A distortion and ShiftScaleRotate: one resampling, or one after the other."""
    fields = two_warps(image, n)
    far = []
    for distortion, alone, both in fields:
        # A composed field reads the shifted picture at the distorted places: shift first.
        apart = warp.resample(warp.resample(image, alone), distortion)
        far.append(np.abs(apart.astype(int) - warp.resample(image, both)).mean())
    assert np.median(far) < 2, f"{np.median(far):.1f} grey levels apart"
    times = alternate(
        {
            "once": clock(lambda: [warp.resample(image, both) for _, _, both in fields], n),
            "twice": clock(
                lambda: [warp.resample(warp.resample(image, b), a) for a, b, _ in fields], n
            ),
        }
    )
    return Row(
        "two warps of a 512x512 picture, composed",
        ms(times.median("once")),
        f"resampled twice, {ms(times.median('twice'))}",
        times.ratio("twice", "once"),
    )
