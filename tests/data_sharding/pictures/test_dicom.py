"""The pixels of a radiograph as a person sees them, and a reason for every file that has none."""

from __future__ import annotations

import pickle
import warnings
from contextlib import suppress

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from data_sharding.ledger import Refused
from data_sharding.pictures.dicom import ALLOWED, read_facts, read_pixels
from data_sharding.schema import REASONS
from data_sharding.sources.tables import parse_date

ENCAPSULATED = encapsulate([b"not a picture at all"])
RAMP = np.arange(64 * 64).reshape(64, 64).astype(np.uint16)  # each of the 4096 values once


def reason_of(source, read=read_pixels, **options) -> str:
    with pytest.raises(Refused) as caught:
        read(source, **options)
    assert str(caught.value).startswith(REASONS[caught.value.reason])
    return caught.value.reason


# --- inversion: exactly once in total ---------------------------------------------------------


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", "INVERSE", True),  # not twice
        ("MONOCHROME2", "INVERSE", True),
    ],
)
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 2048, "WindowWidth": 4096}])
def test_inverted_exactly_once(dicom, tmp_path, photometric, shape, inverted, window):
    tags = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape, **window}
    picture = read_pixels(dicom(tmp_path / "a", RAMP, **tags))
    first, last = int(picture.pixels[0, 0]), int(picture.pixels[-1, -1])
    assert (first > last) == inverted
    assert {first, last} == {0, 65535}
    assert sum("inverted" in step for step in picture.applied) == inverted


# --- modality and VOI, against pydicom --------------------------------------------------------


def lut(first: int, values: list[int], bits: int = 16) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = np.asarray(values, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    return Sequence([item])


CHAINS = {
    "window": {"WindowCenter": 2000, "WindowWidth": 1000},
    "first of two windows": {"WindowCenter": [2000, 50], "WindowWidth": [1000, 60]},
    "exact": {"WindowCenter": 2000, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    "rescaled": {
        **{"RescaleSlope": 2, "RescaleIntercept": -1000},
        **{"WindowCenter": 3000, "WindowWidth": 2000},
    },
    "VOI LUT": {"VOILUTSequence": lut(1000, [i * i // 16 for i in range(1024)])},
    "VOI LUT before window": {
        "VOILUTSequence": lut(0, list(range(0, 65536, 16))),
        **{"WindowCenter": 10, "WindowWidth": 10},
    },
    "modality LUT": {
        "ModalityLUTSequence": lut(0, [4095 - i for i in range(4096)]),
        **{"WindowCenter": 2048, "WindowWidth": 3000},
    },
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_display_chain_is_pydicoms(dicom, tmp_path, name):
    path = dicom(tmp_path / "a", RAMP, **CHAINS[name])
    ds = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds, prefer_lut=True)
    want = want.astype(np.float64)
    want = (want - want.min()) / (want.max() - want.min())
    out = read_pixels(path).pixels / 65535
    np.testing.assert_allclose((out - out.min()) / (out.max() - out.min()), want, atol=4e-5)


def test_a_negative_slope_turns_the_picture_round(dicom, tmp_path):
    # pydicom 3.0.2 turns it round twice: its window's output range has the slope in it
    tags = {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096}
    picture = read_pixels(dicom(tmp_path / "a", RAMP, **tags))
    assert (picture.pixels[0, 0], picture.pixels[-1, -1]) == (65535, 0)


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_an_impossible_window_is_ignored_and_noted(dicom, tmp_path, width):
    picture = read_pixels(dicom(tmp_path / "a", RAMP, WindowCenter=10, WindowWidth=width))
    assert any("ignored" in step for step in picture.applied)
    assert np.array_equal(picture.pixels, read_pixels(dicom(tmp_path / "b", RAMP)).pixels)


def test_the_first_of_several_windows_is_used_and_said(dicom, tmp_path):
    tags = {"WindowCenter": [2000, 50], "WindowWidth": [1000, 60]}
    applied = read_pixels(dicom(tmp_path / "a", RAMP, **tags)).applied
    assert "window LINEAR 2000 1000 (first of 2)" in applied


@pytest.mark.parametrize("empty", [b"", None])
def test_an_empty_lookup_table_is_ignored_and_noted(dicom, tmp_path, empty):
    """The window beside it is used, as if it were not there."""
    table = lut(0, [0, 1])
    table[0].LUTData = empty
    window = {"WindowCenter": 2048, "WindowWidth": 1000}
    picture = read_pixels(dicom(tmp_path / "a", RAMP, VOILUTSequence=table, **window))
    assert "empty VOI LUT ignored" in picture.applied
    assert np.array_equal(picture.pixels, read_pixels(dicom(tmp_path / "b", RAMP, **window)).pixels)


PADDED = {
    "one value": (RAMP, {"PixelPaddingValue": 4095}, RAMP == 4095),
    "a range": (
        RAMP,
        {"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095},
        RAMP >= 4000,
    ),
    "a range written downwards": (
        RAMP,
        {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000},
        RAMP >= 4000,
    ),
    "signed": (
        np.where(RAMP < 64, 63536, RAMP).astype(np.uint16),
        {"PixelPaddingValue": -2000, "PixelRepresentation": 1, "BitsStored": 16},
        RAMP < 64,
    ),
    "outside of the bits stored": (
        np.where(RAMP < 64, 63536, RAMP).astype(np.uint16),
        {"PixelPaddingValue": 63536},
        RAMP < 64,
    ),
}


@pytest.mark.parametrize("name", PADDED)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_decides_nothing(dicom, tmp_path, name, photometric):
    pixels, tags, padded = PADDED[name]
    tags = {**tags, "PhotometricInterpretation": photometric}
    path = dicom(tmp_path / "a", pixels, **tags)
    out = read_pixels(path).pixels
    assert not out[padded].any()
    low, high = RAMP[~padded].min(), RAMP[~padded].max()
    want = (RAMP - low.astype(float)) / (high - low) * 65535
    want = 65535 - want if photometric == "MONOCHROME1" else want
    np.testing.assert_allclose(out[~padded], want[~padded], atol=0.51)
    assert any("padding" in step for step in read_pixels(path).applied)
    windowed = read_pixels(dicom(tmp_path / "b", pixels, WindowCenter=0, WindowWidth=9, **tags))
    assert not windowed.pixels[padded].any()


def test_a_device_is_named_and_a_study_too(dicom, tmp_path):
    tags = {"Manufacturer": " ACME\t Imaging", "ManufacturerModelName": "x" * 99}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = read_facts(dicom(tmp_path / "a", RAMP, StudyInstanceUID="1.2.9", **tags))
    assert (facts.manufacturer, facts.model, facts.study_uid) == ("ACME Imaging", "x" * 64, "1.2.9")
    assert read_facts(dicom(tmp_path / "b", RAMP)).manufacturer == ""


def test_a_window_of_one_is_a_step(dicom, tmp_path):
    out = read_pixels(dicom(tmp_path / "a", RAMP, WindowCenter=100, WindowWidth=1)).pixels
    assert np.array_equal(out, np.where(RAMP >= 100, 65535, 0))


def test_signed_values_and_overlay_bits(dicom, tmp_path):
    signed = (RAMP.astype(np.int16) - 2048).view(np.uint16)
    path = dicom(tmp_path / "a", signed, PixelRepresentation=1, BitsStored=16)
    assert (np.diff(read_pixels(path).pixels.ravel().astype(int)) >= 0).all()
    overlay = RAMP | np.uint16(0xF000)  # bits above the stored 12 belong to an overlay
    plain = read_pixels(dicom(tmp_path / "b", RAMP)).pixels
    assert np.array_equal(read_pixels(dicom(tmp_path / "c", overlay)).pixels, plain)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "wrong_modality"),
        ({"Modality": None}, "wrong_modality"),
        ({"BodyPartExamined": "HIP"}, "not_chest"),
        ({"ViewPosition": "LL"}, "lateral_view"),
        ({"ViewPosition": None}, "view_missing"),
        ({"NumberOfFrames": 2}, "multi_frame"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "Rows": 20}, "colour"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for_processing"),
        ({"Rows": 40000, "Columns": 40000}, "too_large"),
        ({"Rows": 0}, "no_pixels"),
        ({"Rows": 640}, "truncated"),
        ({"PixelData": None}, "no_pixels"),
        ({"PhotometricInterpretation": None}, "undecodable"),
        ({"PhotometricInterpretation": "HSV"}, "undecodable"),
        ({"RescaleSlope": 1e12}, "undecodable"),
        ({"Rows": None}, "no_pixels"),
        ({"BitsStored": 17}, "undecodable"),
        ({"HighBit": 3}, "undecodable"),
        ({"BitsAllocated": 12}, "undecodable"),
        ({"BitsAllocated": None}, "undecodable"),
        ({"syntax": "1.2.840.10008.1.2.4.90", "PixelData": ENCAPSULATED}, "undecodable"),
        ({"syntax": "1.2.840.10008.1.2.4.100", "PixelData": ENCAPSULATED}, "undecodable"),
    ],
)
def test_each_reason(dicom, tmp_path, tags, reason):
    assert reason_of(dicom(tmp_path / "a", RAMP, **tags)) == reason


def test_unsupported_syntaxes_are_named(dicom, tmp_path):
    tags = {"syntax": "1.2.840.10008.1.2.4.100", "PixelData": ENCAPSULATED}
    path = dicom(tmp_path / "a", RAMP, **tags)
    with pytest.raises(Refused, match=r"1\.2\.840\.10008\.1\.2\.4\.100"):
        read_pixels(path)


OWN_UID = "900101.2345678.11.1"  # of somebody's own making, with a resident number in it


def test_what_is_no_term_of_dicom_is_not_quoted(dicom, tmp_path):
    path = dicom(tmp_path / "a", RAMP, syntax=OWN_UID, PixelData=ENCAPSULATED)
    with pytest.raises(Refused, match="no decoder for an unknown transfer syntax"):
        read_pixels(path)
    frames = dicom(tmp_path / "b", RAMP, NumberOfFrames=900101)
    slope = dicom(tmp_path / "c", RAMP, RescaleSlope="9001012345678")
    rows = bytearray(dicom(tmp_path / "d", RAMP).read_bytes())
    at = rows.index(b"\x28\x00\x10\x00US\x02\x00")
    rows[at + 4 : at + 10] = b"IS\x06\x00900101"  # as text
    for bad in (path, frames, slope, bytes(rows)):
        with pytest.raises(Refused) as caught:
            read_pixels(bad)
        assert "9001" not in caught.value.evidence
        assert "9.001" not in caught.value.evidence
    assert caught.value.evidence == "Rows is not a number of 16 bits"


def test_files_that_are_not_dicom(tmp_path):
    (tmp_path / "a.dcm").write_text("I am a text file, named .dcm.")
    (tmp_path / "b.dcm").write_bytes(b"")
    for path in (tmp_path / "a.dcm", tmp_path / "b.dcm"):
        assert reason_of(path) == "not_dicom"
    assert reason_of(tmp_path / "none") == "unreadable"
    assert reason_of(b"\x08\x00" + bytes(500)) in ("not_dicom", "undecodable")


def test_every_truncation_of_a_file_is_refused(dicom, tmp_path):
    """As ending early, or for the first element that is cut off or no longer there."""
    whole = dicom(tmp_path / "a", RAMP).read_bytes()
    missing = {"not_dicom", "wrong_modality", "not_chest", "view_missing", "no_pixels"}
    pixels = whole.index(RAMP.tobytes())
    for end in [*range(0, 1200, 7), len(whole) // 2, len(whole) - 40]:
        may = {"truncated"} if end >= pixels else {"truncated", *missing}
        assert reason_of(whole[:end]) in may, end
        if end < 8192:  # the pixels alone are larger than that: seen without reading them
            assert reason_of(whole[:end], read_facts) in may, end


def test_damaged_bytes_are_read_or_refused_and_nothing_else(dicom, tmp_path):
    whole = dicom(tmp_path / "a", RAMP, **CHAINS["VOI LUT"]).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(132, 1400, 3):
            damaged[at] = rng.integers(256)
        with suppress(Refused):
            assert read_pixels(bytes(damaged)).pixels.dtype == np.uint16


def test_refusals_name_nobody_and_survive_a_process_boundary(dicom, tmp_path):
    with pytest.warns(UserWarning, match="KIM"):  # pydicom itself quotes what it dislikes
        odd = dicom(tmp_path / "a", RAMP, Modality="KIM^MINJI SEOUL")
    with pytest.raises(Refused) as caught:
        read_facts(odd)
    assert "KIM" not in caught.value.evidence
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.evidence) == (caught.value.reason, caught.value.evidence)


def test_only_allowed_tags_are_read(dicom, tmp_path):
    assert not {"PatientName", "AccessionNumber", "InstitutionName"} & set(ALLOWED)
    facts = read_facts(dicom(tmp_path / "a", RAMP))
    assert "Secret" not in repr(facts)
    assert (facts.view, facts.sex, facts.date) == ("PA", "F", parse_date("2020-01-01"))


# --- real files -------------------------------------------------------------------------------


def test_no_real_file_gives_a_traceback(real_dicoms):
    assert len(real_dicoms) == 111
    for path in real_dicoms:
        for read in (read_facts, read_pixels):
            with suppress(Refused):
                read(path, assume_view="PA")
