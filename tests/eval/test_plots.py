"""Ink: stands out from paper, told apart by the colour-blind and on a grey printer, same bytes."""

import re
from itertools import combinations

import numpy as np
import pytest

from eval import plots
from eval.estimate import Estimate, undefined
from eval.plots import fractures, style
from eval.plots.strip import WIDTH, Scale
from eval.survival.shapes import Curve

#: Machado, Oliveira & Fernandes (IEEE TVCG 2009), severity 1: linear RGB -> linear RGB as seen.
SEEN = {
    "everybody": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
INKS = (*style.COLOURS, *fractures.INKS, style.INK, style.MUTED)
READ = (style.INK, style.MUTED)


def linear(colour):
    """sRGB '#rrggbb' -> linear RGB in [0, 1], IEC 61966-2-1."""
    v = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def lab(rgb):
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("ink", INKS)
def test_every_ink_stands_out_from_paper(ink):
    """WCAG 2.2: 3:1 for what is drawn, 4.5:1 for what is read."""
    contrast = 1.05 / (luminance(ink) + 0.05)
    assert contrast >= (4.5 if ink in READ else 3)


@pytest.mark.parametrize("eye", SEEN)
def test_no_two_models_look_alike_to_any_eye(eye):
    """A just noticeable difference is about 2.3 units of L*a*b*; lines want much more."""
    seen = {c: lab(np.array(SEEN[eye]) @ linear(c)) for c in style.COLOURS[:4]}
    apart = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in combinations(seen, 2)}
    assert min(apart.values()) > 15, min(apart, key=apart.get)


def test_without_any_colour_dash_and_mark_tell_models_apart():
    models = ["teacher", "student", *(f"peer {i}" for i in range(23))]
    pens = [plots.pen(m, models) for m in models]
    assert len({(str(p.dash), p.mark) for p in pens}) == 25
    assert plots.pen("student", ["student"]) == plots.pen("student", models)


def test_thirds_of_risk_are_darker_the_worse():
    light = [luminance(c) for c in fractures.INKS]
    assert light == sorted(light, reverse=True)
    assert min(np.diff(light[::-1])) > 0.04


def places(drawn, tag, attribute):
    return [float(v) for v in re.findall(rf'<{tag} [^>]*\b{attribute}="([\d.]+)"', drawn)]


def test_a_strip_is_on_the_scale_of_its_axis():
    scale = Scale(0.5, 1.0, (0.5, 0.75, 1.0))
    pen = plots.pen("student", [])
    drawn = plots.strip([(Estimate(value=0.75, low=0.6, high=0.9), pen)], scale)
    (x,) = places(drawn, "circle", "cx")
    assert x == pytest.approx(WIDTH / 2)
    ticks = places(plots.axis(scale), "text", "x")
    assert ticks[1] == x
    low, high = (
        float(v) for v in re.findall(r'<line x1="([\d.]+)" y1="9.5" x2="([\d.]+)"', drawn)[0]
    )
    assert (x - low) / (high - x) == pytest.approx(1, abs=0.05)
    assert (high - low) / (ticks[2] - ticks[0]) == pytest.approx(0.3 / 0.5, abs=0.01)


def test_a_strip_draws_no_mark_for_what_is_undefined_and_a_hollow_one_without_interval():
    pen, scale = plots.pen("student", []), Scale(0, 1, (0, 1))
    assert "<circle" not in plots.strip([(undefined("one class"), pen)], scale)
    assert 'fill="#fff"' in plots.strip([(Estimate(value=0.5), pen)], scale)


@pytest.mark.parametrize("low", [-0.73, 0.0, 0.431, 0.86])
@pytest.mark.parametrize("high", [0.87, 0.999, 1.0, 3.2])
def test_a_scale_is_round_and_holds_everything(low, high):
    scale = plots.scale_of([Estimate(value=(low + high) / 2, low=low, high=high)])
    assert scale.low <= low < high <= scale.high
    assert 2 <= len(scale.ticks) <= 6
    steps = np.diff(scale.ticks)
    assert np.allclose(steps, steps[0])
    assert plots.scale_of([]).low < plots.scale_of([]).high


def test_same_numbers_same_bytes_and_other_names_do_not_clash():
    line = {"student": (np.linspace(0, 1, 9), np.linspace(0, 1, 9) ** 0.5)}
    one, again, other = (plots.roc(line, {}, name) for name in ("a", "a", "b"))
    assert one == again
    ids = [set(re.findall(r'id="([a-z0-9]*[0-9a-f]{8,})"', text)) for text in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_curve_of_many_points_stays_small():
    rng = np.random.default_rng(0)
    x, y = (np.sort(rng.random(100_000)) for _ in range(2))
    assert len(plots.roc({"student": (x, y)}, {}, "many")) < 150_000


def test_the_numbers_at_risk_are_those_at_whole_years():
    days = tuple(range(0, 1100, 30))
    n = len(days)
    curve = Curve(
        third="low",
        n=500,
        fractures=3,
        survival=(*np.linspace(1, 0.9, n - 5), *[None] * 5),
        low=(None,) * n,
        high=(None,) * n,
        at_risk=tuple(range(500, 500 - n, -1)),
    )
    drawn = plots.fracture_free(days, [curve], "km")
    for year in (0, 365, 730):
        k = int(np.argmin(np.abs(np.array(days) - year)))
        assert f">{500 - k}<" in drawn


def test_a_run_without_student_and_teacher_begins_with_their_pens():
    models = ["image", "clinical", "combined", "OST"]
    both = [plots.pen(m, ["student", "teacher"]) for m in ("student", "teacher")]
    assert [plots.pen(m, models) for m in models[:2]] == both
    assert len({plots.pen(m, models) for m in models}) == 4
    assert plots.pen("image", ["teacher", "image"]) not in both
