"""Masks against what the renderer drew: attenuation, the latent, the lead marker, the sides."""

from __future__ import annotations

import numpy as np
import pytest

from data_sharding.phantom import projection
from data_sharding.phantom.anatomy import NOTHING, frontal, lateral
from data_sharding.phantom.masks import REGIONS, regions, shares
from data_sharding.phantom.public import read_findings
from data_sharding.phantom.rendering import render, stand
from data_sharding.phantom.skeleton import vertebrae
from data_sharding.phantom.stories import tell
from data_sharding.phantom.vendors import ASAN, NORTH, PUBLIC
from data_sharding.pictures.resample import area_average

SEED, SIZE = 7, 128


def pictures():
    """One picture of every room and view of every site: (story, shot, site)."""
    found = {}
    for site in (ASAN, NORTH, PUBLIC):
        for k in range(40):
            story = tell(SEED, site, k)
            for shot in story.shots:
                found.setdefault((site.name, shot.room, shot.view), (story, shot, site))
    return found


PICTURES = pictures()
ALL = pytest.mark.parametrize("which", sorted(PICTURES), ids=lambda w: "-".join(map(str, w)))


def drawn(story, shot, site):
    """What else decides a public picture."""
    if site is not PUBLIC:
        return {}
    reading = read_findings(SEED, story, shot)
    return {"findings": reading.findings, "heart": reading.heart}


def paths(story, shot, site):
    said = drawn(story, shot, site)
    build, habitus = stand(story, shot, site, SEED, said.get("heart", 1.0))
    grid, latent = site.rooms[shot.room].grid(SIZE), story.latent_on(shot.day)
    if shot.view == "LL":
        return lateral(build, habitus, latent, grid)
    return frontal(build, habitus, latent, grid, said.get("findings", NOTHING))


@ALL
def test_every_pixel_is_in_exactly_one_region(which):
    picture = PICTURES[which]
    parts = regions(*picture, seed=SEED, size=SIZE, **drawn(*picture))
    assert tuple(parts) == REGIONS
    grid = picture[2].rooms[picture[1].room].grid(SIZE)
    assert {m.shape for m in parts.values()} == {(grid.rows, grid.columns)}
    assert (np.sum(list(parts.values()), axis=0) == 1).all()
    assert all(m.any() for m in parts.values())


@ALL
def test_a_skeleton_that_stops_no_ray_changes_the_beam_inside_the_bone_mask_only(
    which, monkeypatch
):
    picture = PICTURES[which]
    parts, path = regions(*picture, seed=SEED, size=SIZE, **drawn(*picture)), paths(*picture)
    with_bone = projection.transmit(path, 120)
    monkeypatch.setattr(projection, "BONE", np.zeros(5))
    changed = projection.transmit(path, 120) != with_bone
    shown = ~parts["marker"]
    assert not changed[shown & ~parts["bone"]].any()
    # a sliver thinner than a float can tell stops nothing
    assert changed[shown & parts["bone"]].mean() > 0.999
    assert with_bone[parts["outside"]] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("which", [w for w in sorted(PICTURES) if w[2] != "LL"], ids=str)
def test_more_mineral_brightens_bone_against_the_rest(which):
    """End to end, display and all: two latents differ in the mask, less in one a little off it."""
    picture = PICTURES[which]
    said = drawn(*picture)
    thin, thick = (
        render(*picture, seed=SEED, size=SIZE, latent=z, **said).linear for z in (-2.5, 1.0)
    )
    change = thick - thin
    parts = regions(*picture, seed=SEED, size=SIZE, **said)
    mean = {name: float(change[mask].mean()) for name, mask in parts.items()}
    assert mean["bone"] > max(mean["lung"], mean["other body"]) + 0.012
    assert mean["marker"] == 0
    body = parts["bone"] | parts["lung"] | parts["other body"]

    def contrast(bone):
        return change[body & bone].mean() - change[body & ~bone].mean()

    for step, axis in ((4, 0), (-4, 0), (4, 1), (-4, 1)):
        assert contrast(parts["bone"]) > 1.2 * contrast(np.roll(parts["bone"], step, axis))


@ALL
def test_the_marker_is_white_and_air_is_black_in_the_packed_frame(which):
    """Through the resizing of packing: a region's own pixels hold what was drawn there."""
    picture = PICTURES[which]
    said = drawn(*picture)
    toned = render(*picture, seed=SEED, size=256, **said).toned
    table = np.arange(256, dtype=np.uint16) * 256
    packed = area_average(np.rint(255 * toned).clip(0, 255).astype(np.uint8), table, 192)
    parts = {
        name: shares(mask, 192) > 1 - 1e-6
        for name, mask in regions(*picture, seed=SEED, size=256, **said).items()
    }
    assert (packed[parts["marker"]] == 255).all()
    assert parts["marker"].any()
    assert packed[parts["outside"]].mean() < 4
    if picture[1].view != "LL":
        assert packed[parts["lung"]].mean() < packed[parts["bone"]].mean()


def test_sides_are_as_radiologists_see_them():
    """The patient's left is on the right: the heart's bulk takes lung there, the marker lies there.

    A vertebra's centre, turned and shifted by hand, is bone.
    """
    story, shot, site = PICTURES["asan", 0, "PA"]
    parts = regions(story, shot, site, seed=SEED, size=256)
    build, habitus = stand(story, shot, site, SEED)
    grid = site.rooms[shot.room].grid(256)
    middle = (grid.columns - 1) / 2 + habitus.shift[0] / grid.pitch
    assert np.flatnonzero(parts["marker"].any(axis=0)).min() > middle
    angle = np.radians(habitus.rotation)
    for body in vertebrae(build, -1.0):
        x, y, z = body.centre
        column = middle + (x * np.cos(angle) + z * np.sin(angle)) / grid.pitch
        row = (y + habitus.shift[1]) / grid.pitch - 0.5
        if 0 <= row < grid.rows - 1:
            assert parts["bone"][round(row), round(column)]
    level = slice(round((habitus.dome - 60) / grid.pitch), round((habitus.dome - 10) / grid.pitch))
    lung = parts["lung"][level]
    right, left = lung[:, : round(middle)].sum(), lung[:, round(middle) :].sum()
    assert right > left


@pytest.mark.parametrize("size", [17, 64, 96, 200])
def test_shares_are_those_of_the_resizing_that_packs(size):
    """The kernel of packing, in whole grey levels, and a plain block mean."""
    rng = np.random.default_rng(size)
    mask = rng.random((72, 96)) < 0.3
    table = np.arange(256, dtype=np.uint16) * 256
    packed = area_average(mask.astype(np.uint8) * 255, table, size)
    found = shares(mask, size)
    assert np.abs(found * 255 - packed).max() <= 0.5 + 1e-3
    assert np.abs(found + shares(~mask, size) - 1).max() < 1e-5
    blocks = mask.reshape(24, 3, 24, 4).mean(axis=(1, 3))
    assert np.abs(shares(mask, 24) - blocks).max() < 1e-6


def test_the_confounder_moves_the_marker_and_nothing_else():
    story, shot, site = next(p for k in range(60) if differs(p := first(k)))
    plain, strong = (
        regions(story, shot, site, seed=SEED, size=SIZE, confounder=c) for c in (0.0, 1.0)
    )
    changed = plain["marker"] ^ strong["marker"]
    assert changed.any()
    for name in REGIONS[:-1]:
        assert not ((plain[name] != strong[name]) & ~changed).any()


def first(k):
    story = tell(SEED, ASAN, k)
    return story, story.shots[0], ASAN


def differs(picture):
    pair = [regions(*picture, seed=SEED, size=64, confounder=c)["marker"].sum() for c in (0, 1)]
    return pair[0] != pair[1]
