"""Pictures kept in 16 bits: against pydicom and float64, and not otherwise refused than in 8."""

from __future__ import annotations

import hashlib
import warnings

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_modality_lut

from data_sharding.ledger import Refused
from data_sharding.pictures.cxr import PIXELS_16, centre, to_model, to_model_16
from data_sharding.pictures.dicom import render
from data_sharding.pictures.display import Display, grey
from data_sharding.pictures.grey import read_grey
from data_sharding.pictures.resample import area_average_16
from data_sharding.pictures.shown import shown
from data_sharding.pictures.work import Job, Made, make
from tests.data_sharding.pictures.test_cxr import averaged, naive_truncation

GOLDEN = "5509b3f41bdfab4c829159804e69eaa858f3e4fa4f77ba7028ef0185c2d4acab"

#: Headers and code streams disagree on the sign; pydicom believes the one, we the other.
SIGNS = ("TOSHIBA_J2K_SIZ1_PixRep0", "J2K_pixelrep_mismatch")


def displayed(path) -> np.ndarray | None:
    """PS3.3 C.11 in float64 without a table or a rounding: [H, W], 0 black to 65535 white.

    None where the header asks for what is not spelled out here (VOI tables, padding, sigmoids).
    """
    ds = pydicom.dcmread(path, force=True)
    asks = ("VOILUTSequence", "PixelPaddingValue")
    if any(name in ds for name in asks) or str(ds.get("VOILUTFunction", "LINEAR")) != "LINEAR":
        return None
    x = np.asarray(apply_modality_lut(ds.pixel_array, ds), np.float64)
    low, high = x.min(), x.max()
    if "WindowCenter" in ds:
        first = ds.WindowCenter, ds.WindowWidth
        c, w = (float(v[0] if isinstance(v, pydicom.multival.MultiValue) else v) for v in first)
        low, high = c - 0.5 - (w - 1) / 2, c - 0.5 + (w - 1) / 2
    if not high > low:
        return None
    y = np.clip((x - low) / (high - low), 0, 1) * 65535
    dark = ds.PhotometricInterpretation == "MONOCHROME1"
    turned = ds.get("PresentationLUTShape") == "INVERSE" if "PresentationLUTShape" in ds else dark
    return 65535 - y if turned else y


def test_real_files_are_within_one_level_of_a_float_pipeline(real_dicoms):
    compared, off_by_one = [], []
    for path in real_dicoms:
        if any(name in path.name for name in SIGNS):
            continue
        try:
            picture = render(path)
        except Refused:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                want = displayed(path)
            except (AttributeError, NotImplementedError, RuntimeError, ValueError):
                continue  # pydicom needs a decoder that is not installed
        if want is None or want.shape != picture.codes.shape:
            continue
        side = max(16, min(97, *want.shape))
        got = to_model_16(picture, side)
        assert (got.dtype, got.shape) == (np.uint16, (side, side))
        off = np.abs(got - averaged(want, side))
        assert off.max() <= 1.0 + 1e-6, path.name
        compared.append(path.name)
        off_by_one.append(float((off > 0.5 + 1e-6).mean()))
    assert len(compared) >= 20, compared
    assert np.mean(off_by_one) < 0.05  # the second rounding shows seldom: measured, in 2%


@pytest.mark.parametrize(
    ("shape", "size"), [((64, 64), 32), ((61, 47), 32), ((100, 333), 24), ((20, 17), 32)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_it_is_the_area_average_rounded_once(shape, size, dtype):
    image = np.random.default_rng(2).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    levels = image.astype(np.float64) * (257 if dtype == np.uint8 else 1)
    off = np.abs(to_model_16(grey(image), size) - averaged(levels, size))
    assert off.max() <= 0.5 + 1e-6


def test_the_brightest_and_longest_pictures_do_not_overflow():
    white = np.full(65536, 65535, np.uint16)
    for shape in ((65535, 3), (3, 65535), (2048, 4096)):
        assert (area_average_16(np.zeros(shape, np.uint16), white, 7) == 65535).all()


def test_nothing_is_truncated_and_padding_is_black():
    """A bright border stretches nothing in 8 bits, and keeps its level in 16."""
    image = np.random.default_rng(0).integers(20000, 40000, (64, 64)).astype(np.uint16)
    image[:8], image[-8:] = 65535, 100
    levels, mask = np.arange(65536).astype(np.uint16), np.arange(65536) == 100
    levels[100] = 0
    got = to_model_16(Display(image, levels, mask), 64)
    np.testing.assert_array_equal(got[:8], 65535)
    np.testing.assert_array_equal(got[-8:], 0)
    np.testing.assert_array_equal(got[8:-8], image[8:-8])


def test_eight_bits_are_what_they_were():
    """SHA-256 of pictures made before there was another way."""
    rng = np.random.default_rng(7)
    digest = hashlib.sha256()
    for dtype, top in ((np.uint8, 256), (np.uint16, 4096), (np.uint16, 65536)):
        for shape, size in (((97, 131), 48), ((256, 256), 64), ((33, 20), 32)):
            picture = grey(rng.integers(0, top, shape).astype(dtype))
            digest.update(to_model(picture, centre(picture), size).tobytes())
    assert digest.hexdigest() == GOLDEN


def test_a_png_of_eight_bits_is_widened_and_says_so(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    for dtype, times in ((np.uint8, 257), (np.uint16, 1)):
        path = tmp_path / np.dtype(dtype).name
        path.write_bytes(cv2.imencode(".png", image.astype(dtype))[1].tobytes())
        made = make(Job("grey", str(path), 64, pixels=PIXELS_16))
        assert isinstance(made, Made)
        np.testing.assert_array_equal(made.pixels, image.astype(np.uint16) * times)
        assert ("widened from 8 to 16 bits (x257)" in made.applied) == (dtype == np.uint8)
        assert made.applied[-2:] == ("grey scale kept in 16 bits", "area-averaged to 64")


def test_what_is_refused_is_the_same_in_both(nih_folder, tmp_path):
    """Real chests at twelve exposures and turns; the reasons, and the numbers seen."""
    path = sorted((nih_folder / "images").iterdir())[0]
    image = read_grey(path)[0]
    cases = [image, 255 - image, np.rot90(image), np.zeros_like(image), image // 128 * 120]
    reasons = []
    for n, case in enumerate(cases):
        file = tmp_path / f"{n}.png"
        file.write_bytes(cv2.imencode(".png", np.ascontiguousarray(case))[1].tobytes())
        made = [
            make(Job("grey", str(file), size, screen=True, pixels=pixels))
            for size, pixels in ((512, "cxr/2"), (768, PIXELS_16))
        ]
        said = [m.args if isinstance(m, Refused) else () for m in made]
        assert said[0] == said[1]
        reasons.append(said[0][:1])
    assert reasons[0] == ()
    assert len(set(reasons)) >= 4, reasons


def test_a_picture_is_shown_as_it_would_have_been_packed_in_eight_bits():
    rng = np.random.default_rng(0)
    image = rng.normal(30000, 2000, (64, 64)).clip(0, 65535).astype(np.uint16)
    image[:2] = 65535  # a marker beyond the centre
    assert np.abs(shown(image) - naive_truncation(image)).max() <= 0.51
    np.testing.assert_array_equal(shown(image), to_model(grey(image), centre(grey(image)), 64))
    assert not shown(np.full((8, 8), 7, np.uint16)).any()
    eight = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert shown(eight) is eight
    for wrong in (eight.astype(np.float32), eight.astype(np.uint16), np.zeros((0, 8), np.uint16)):
        with pytest.raises(ValueError, match="not a picture"):
            shown(wrong)
