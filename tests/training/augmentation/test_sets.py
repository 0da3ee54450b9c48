from __future__ import annotations

import numpy as np
import pytest

from training.augmentation import Parameters, augment, parameters_of, view_of, warp

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


def pictures(kind: str, strength: float, n: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (96, 96), np.uint8)
    return [augment(image, kind, 0, i, "k", strength) for i in range(n)]


@pytest.mark.parametrize("kind", ["strong", "li", "face"])
def test_without_strength_a_flip_is_left(kind):
    plain, mirrored = pictures("none", 1)[0], pictures("none", 1)[0][:, ::-1]
    for i, shown in enumerate(pictures(kind, 0)):
        assert (shown == (mirrored if view_of(0, i, "k") else plain)).all()


@pytest.mark.parametrize("kind", ["strong", "li", "face", "face_upset"])
def test_strength_is_a_factor_on_amplitudes_and_flips_stay(kind):
    """A warp's nodes move in proportion, a tone's logarithm too; 1 is what there is without."""
    plain = drawn(kind)
    at = {s: [parameters_of(kind, (512, 512), 0, i, "k", s) for i in range(N)] for s in (1, 0.1, 2)}
    for i, p in enumerate(plain):
        same, little, more = (at[s][i] for s in (1, 0.1, 2))
        assert repr(same) == repr(p)
        assert p.mirror == little.mirror == more.mirror
        assert (p.clahe, p.tone) == (same.clahe, same.tone)
    home = np.stack(warp.identity())

    def moved(found):
        return np.mean([np.abs(p.nodes - home).mean() for p in found])

    assert moved(at[0.1]) == pytest.approx(0.1 * moved(plain), rel=0.1)
    assert moved(at[2]) == pytest.approx(2 * moved(plain), rel=0.1)
    for has in (lambda p: p.smoothing, lambda p: p.clahe is not None, lambda p: p.holes):
        assert share(at[0.1], has) == pytest.approx(0.1 * share(plain, has), abs=0.03)
        assert share(at[2], has) == pytest.approx(min(1, 2 * share(plain, has)), abs=0.03)
    tones = [[np.log(p.tone.gamma) for p in found if p.tone] for found in (plain, at[2])]
    if tones[0]:
        assert np.std(tones[1]) == pytest.approx(2 * np.std(tones[0]), rel=0.2)
