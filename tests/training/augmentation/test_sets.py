from __future__ import annotations

import numpy as np
import pytest

from training.augmentation import Parameters, parameters_of

N = 1000


def drawn(kind: str, size: int = 512) -> list[Parameters]:
    return [parameters_of(kind, (size, size), 0, i, "k") for i in range(N)]


def share(found: list[Parameters], has) -> float:
    return float(np.mean([bool(has(p)) for p in found]))


@pytest.mark.parametrize(
    ("kind", "shares"),
    [
        ("none", (0, 0, 0, 0, 0, 0, 0)),
        ("weak", (0.5, 0, 0, 0, 0, 0, 0)),
        ("strong", (0.5, 0, 1, 0.3, 0, 0.5, 0.3)),
        ("face", (0.5, 0, 1, 0, 0.5, 0, 0)),
        ("face_upset", (0.5, 0.5, 1, 0, 0.5, 0, 0)),
        ("li", (0.5, 0, 1, 0, 0, 1, 0)),
    ],
)
def test_each_set_has_its_transforms_as_often_as_it_says(kind, shares):
    found = drawn(kind)
    has = (
        lambda p: p.mirror,
        lambda p: p.upset,
        lambda p: p.nodes is not None,
        lambda p: p.smoothing,
        lambda p: p.clahe is not None,
        lambda p: p.tone,
        lambda p: p.holes,
    )
    for one, want in zip(has, shares, strict=True):
        # four standard errors; exactly, where it is never or always
        within = 4 * np.sqrt(want * (1 - want) / N)
        assert abs(share(found, one) - want) <= within


def test_strong_has_all_nine_and_each_blur_as_often():
    found = drawn("strong")
    blurs = [p.smoothing.kind for p in found if p.smoothing]
    for kind in ("box", "line", "median"):
        assert abs(blurs.count(kind) / N - 0.1) < 0.04
    # An affine field is straight; half of the fields are.
    bent = [np.abs(np.diff(p.nodes, 2, axis=2)).max() > 1e-9 for p in found if p.nodes is not None]
    assert abs(np.mean(bent) - 0.5) < 0.07


def test_the_face_is_upside_down_only_where_asked():
    face, upset = drawn("face"), drawn("face_upset")
    for a, b in zip(face, upset, strict=True):
        assert (a.mirror, a.clahe) == (b.mirror, b.clahe)
        np.testing.assert_array_equal(a.nodes, b.nodes)


def test_equalisation_limits_lie_between_one_and_three():
    limits = [p.clahe for p in drawn("face") if p.clahe is not None]
    assert 1 <= min(limits) < 1.1
    assert 2.9 < max(limits) <= 3
