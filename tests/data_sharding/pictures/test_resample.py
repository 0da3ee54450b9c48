"""Tables that are lines are averaged without looking up, to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from data_sharding.ledger import Refused
from data_sharding.pictures import resample
from data_sharding.pictures.cxr import centre, truncated
from data_sharding.pictures.dicom import read_pixels
from data_sharding.pictures.display import grey
from data_sharding.pictures.grey import read_grey
from data_sharding.pictures.resample import area_average, line


def looked_up(codes: np.ndarray, table: np.ndarray, size: int) -> np.ndarray:
    """Every pixel looked up, in whole numbers: parts of pixels by two matrix products."""

    def parts(source: int) -> np.ndarray:
        edges = np.arange(source + 1) * size
        ours = np.arange(size + 1) * source
        high = np.minimum(edges[1:], ours[1:, None])
        return np.maximum(high - np.maximum(edges[:-1], ours[:-1, None]), 0)

    height, width = codes.shape
    total = parts(height) @ table[codes].astype(np.int64) @ parts(width).T
    area = height * width * 256
    return ((2 * total + area) // (2 * area)).astype(np.uint8)


def ramp(entries: int, low: int, high: int, inverted: bool) -> np.ndarray:
    share = np.clip((np.arange(entries) - low) / (high - low), 0, 1)
    return np.rint((1 - share if inverted else share) * 65280).astype(np.uint16)


@pytest.mark.parametrize("seed", range(60))
def test_lines_give_what_looking_up_gives(seed):
    rng = np.random.default_rng(seed)
    entries = (256, 65536)[seed % 2]
    height, width, size = (int(n) for n in rng.integers(1, (250, 250, 120)))
    low, high = sorted(int(x) for x in rng.choice(entries, 2, replace=False))
    table = ramp(entries, low, high, inverted=seed % 3 == 0)
    table[rng.integers(0, entries, 3)] ^= 1  # as twice rounded
    codes = rng.integers(0, rng.integers(2, entries + 1), (height, width))
    codes = codes.astype((np.uint8, np.uint16)[seed % 2])
    want = looked_up(codes, table, size)
    assert np.array_equal(area_average(codes, table, size), want)


def test_levels_on_the_edge_of_rounding_are_looked_up():
    """Pictures that are flat at every level, so that the table's last bit decides."""
    table = ramp(65536, 0, 4095, inverted=False)
    assert line(table, 4095) is not None
    for code in range(0, 4096, 7):
        codes = np.full((5, 3), code, np.uint16)
        codes[2, 1] = 4095  # the line is drawn as far as the brightest
        assert np.array_equal(area_average(codes, table, 2), looked_up(codes, table, 2))


def test_what_is_no_line_is_looked_up():
    codes = np.random.default_rng(0).integers(0, 4096, (60, 50)).astype(np.uint16)
    curve = (65280 * np.linspace(0, 1, 65536) ** 0.5).astype(np.uint16)
    padded = ramp(65536, 100, 3000, inverted=False)
    padded[2000] = 0  # padding is black
    folded = np.tile(ramp(4096, 100, 3000, inverted=True), 16)  # overlays above the highest bit
    for table, top in ((curve, 4095), (padded, 4095), (folded, 65535), (np.full_like(curve, 9), 9)):
        assert line(table, top) is None
        assert np.array_equal(area_average(codes, table, 16), looked_up(codes, table, 16))


def test_the_longest_sides_do_not_overflow():
    table = ramp(65536, 0, 65535, inverted=False)
    for shape in ((65535, 3), (3, 65535)):
        codes = np.full(shape, 65535, np.uint16)
        codes[0, 0] = 0
        assert (area_average(codes, table, 7).ravel()[1:] == 255).all()


def test_real_pictures(real_dicoms, nih_folder, monkeypatch):
    pictures = [grey(read_grey(path)[0]) for path in sorted(nih_folder.rglob("*.png"))[:4]]
    for path in real_dicoms:
        try:
            pictures.append(read_pixels(path, "PA").display)
        except Refused:  # most are no radiographs
            continue
    assert len(pictures) > 4
    on_a_line = 0
    for picture in pictures:
        table = truncated(picture, centre(picture))
        on_a_line += line(table, int(picture.codes.max())) is not None
        got = area_average(picture.codes, table, 512)
        with monkeypatch.context() as m:
            m.setattr(resample, "OFF", -1.0)  # no table is a line
            assert np.array_equal(area_average(picture.codes, table, 512), got)
    assert on_a_line
