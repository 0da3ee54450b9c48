"""Pixels of every syntax, and every size that lies: checked before memory is asked for."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from data_sharding.ledger import Refused
from data_sharding.pictures.decode import decode
from data_sharding.pictures.dicom import _TAGS, read_facts, read_pixels, render
from data_sharding.pictures.elements import HEADER, opened
from data_sharding.pictures.encapsulated import Coded, coded, frame

RAMP = np.arange(64 * 64).reshape(64, 64).astype(np.uint16)  # each of the 4096 values once
OF = "1.2.840.10008.1.2"


def refusal(source, read=read_pixels) -> Refused:
    with pytest.raises(Refused) as caught:
        read(source)
    return caught.value


def peak(work) -> float:
    """MiB that `work` held at most, by Python and NumPy."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


# --- every syntax gives the pixels that were written ------------------------------------------


def test_uncompressed_syntaxes_rle_and_no_preamble_agree(dicom, tmp_path):
    plain = dicom(tmp_path / "a", RAMP)
    want = read_pixels(plain).pixels
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        pixels = RAMP.astype(">u2") if syntax == ExplicitVRBigEndian else RAMP
        path = dicom(tmp_path / "b", pixels, syntax=syntax)
        assert np.array_equal(read_pixels(path).pixels, want), syntax
    ds = pydicom.dcmread(plain)
    ds.compress(RLELossless)
    ds.save_as(tmp_path / "rle")
    assert np.array_equal(read_pixels(tmp_path / "rle").pixels, want)
    for start in (132, plain.read_bytes().index(b"\x08\0\x16\0UI")):  # without meta information too
        assert np.array_equal(read_pixels(plain.read_bytes()[start:]).pixels, want)
    big = dicom(tmp_path / "c", RAMP.astype(">u2"), syntax=ExplicitVRBigEndian).read_bytes()
    assert np.array_equal(read_pixels(big[big.index(b"\0\x08\0\x16UI") :]).pixels, want)


@pytest.mark.parametrize("columns", [64, 63])
def test_bytes_in_big_endian_words_travel_in_swapped_pairs(dicom, tmp_path, columns):
    pixels = RAMP.astype(np.uint8)[:63, :columns].copy()
    even = np.pad(pixels.ravel(), (0, pixels.size % 2))
    path = dicom(
        tmp_path / "a",
        pixels,
        syntax=ExplicitVRBigEndian,
        PixelData=even.view(np.uint16).byteswap().tobytes(),
    )
    want = read_pixels(dicom(tmp_path / "b", pixels)).pixels
    assert np.array_equal(read_pixels(path).pixels, want)


@pytest.mark.parametrize(
    ("tail", "codec", "options"),
    [
        ("4.50", "jpeg8", {"level": 100}),
        ("4.51", "jpeg8", {"level": 100, "bitspersample": 12}),
        ("4.70", "ljpeg", {"bitspersample": 12}),
        ("4.57", "jpeg8", {"bitspersample": 12, "lossless": True, "predictor": 6}),
        ("4.80", "jpegls", {}),
        ("4.90", "jpeg2k", {"codecformat": "j2k", "reversible": True}),
        ("4.90", "jpeg2k", {"codecformat": "jp2", "reversible": True}),
        ("4.201", "htj2k", {"reversible": True}),
    ],
)
def test_compressed_syntaxes(dicom, tmp_path, tail, codec, options):
    pixels = (RAMP // 16).astype(np.uint8) if tail == "4.50" else RAMP
    data = bytes(getattr(imagecodecs, f"{codec}_encode")(pixels, **options))
    want = read_pixels(dicom(tmp_path / "a", pixels)).pixels.astype(int)
    for pieces in (1, 3):
        element = encapsulate([data], fragments_per_frame=pieces)
        path = dicom(tmp_path / "b", pixels, syntax=f"{OF}.{tail}", PixelData=element)
        apart = np.abs(read_pixels(path).pixels - want).max()
        assert apart <= (3 * 65535 / pixels.max() if tail in ("4.50", "4.51") else 0)


def test_deflated_frames(dicom, tmp_path):
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(RAMP.tobytes()) + packer.flush()
    path = dicom(tmp_path / "a", RAMP, syntax=f"{OF}.8.1", PixelData=encapsulate([data]))
    want = read_pixels(dicom(tmp_path / "b", RAMP)).pixels
    assert np.array_equal(read_pixels(path).pixels, want)


def test_one_bit_and_thirty_two_bits(dicom, tmp_path):
    mask = np.random.default_rng(0).integers(0, 2, (37, 21)).astype(np.uint8)
    bits = np.packbits(mask.ravel(), bitorder="little").tobytes()
    tags = {"BitsAllocated": 1, "BitsStored": 1, "PixelData": bits + b"\0" * (len(bits) % 2)}
    assert np.array_equal(
        render(dicom(tmp_path / "a", mask, **tags)).pixels, mask.astype(int) * 65535
    )
    deep = RAMP.astype(np.uint32) * 70000
    tags = {"BitsAllocated": 32, "BitsStored": 32}
    shown = render(dicom(tmp_path / "b", deep, **tags)).pixels
    np.testing.assert_allclose(shown, RAMP / 4095 * 65535, atol=0.51)
    big = dicom(tmp_path / "c", deep.astype(">u4"), syntax=ExplicitVRBigEndian, **tags)
    assert np.array_equal(render(big).pixels, shown)


def test_colour_that_is_grey_is_read_and_said(dicom, tmp_path):
    grey = (RAMP // 16).astype(np.uint8)
    want = render(dicom(tmp_path / "a", grey, WindowCenter=128, WindowWidth=256)).pixels
    rgb = np.dstack([grey] * 3)
    flat = np.dstack([grey, np.full_like(grey, 128), np.full_like(grey, 128)])
    tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    planes = {**tags, "PlanarConfiguration": 1, "PixelData": np.stack([grey] * 3).tobytes()}
    for photometric, pixels, more in (
        ("RGB", rgb, tags),
        ("RGB", rgb, planes),
        ("YBR_FULL", flat, tags),
    ):
        more = {**more, "PhotometricInterpretation": photometric}
        picture = render(dicom(tmp_path / "b", pixels, **more))
        assert np.array_equal(picture.pixels, want)
        assert "equal colour channels as grey" in picture.applied
    rgb[3, 4, 1] ^= 1
    tags["PhotometricInterpretation"] = "RGB"
    assert refusal(dicom(tmp_path / "c", rgb, **tags)).reason == "colour"
    names = [f"{c}PaletteColorLookupTable" for c in ("Red", "Green", "Blue")]
    palette = {
        **{"PhotometricInterpretation": "PALETTE COLOR"},
        **{f"{n}Descriptor": [256, 0, 16] for n in names},
        **{f"{n}Data": (np.arange(256) * 257).astype("<u2").tobytes() for n in names},
    }
    picture = render(dicom(tmp_path / "d", grey, **palette))
    assert np.array_equal(picture.pixels, want)
    assert "grey palette" in picture.applied
    palette[f"{names[1]}Data"] = bytes(512)
    assert refusal(dicom(tmp_path / "e", grey, **palette)).reason == "colour"


# --- sizes that lie ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, RLELossless, f"{OF}.4.90", f"{OF}.4.70"]
)
def test_a_declared_bomb_is_refused_by_its_size(dicom, tmp_path, syntax):
    element = RAMP.tobytes() if syntax == ExplicitVRLittleEndian else encapsulate([bytes(100)])
    tags = {"Rows": 65535, "Columns": 65535, "syntax": syntax, "PixelData": element}
    path = dicom(tmp_path / "a", RAMP, **tags)
    for read in (read_facts, read_pixels):
        assert peak(lambda r=read: refusal(path, r)) < 1
        assert refusal(path, read).reason == "too_large"


def test_a_picture_too_deep_for_its_size_is_refused(dicom, tmp_path):
    """In bytes, not only in pixels: 60 million pixels of colour, or of 32 bits."""
    tags = {"syntax": RLELossless, "PixelData": encapsulate([bytes(100)])}
    size = {"Rows": 6000, "Columns": 10000}
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    for more in (colour, {"BitsAllocated": 32, "BitsStored": 32}):
        path = dicom(tmp_path / "a", RAMP, **{**tags, **size, **more})
        assert refusal(path).reason == "too_large"


@pytest.mark.parametrize(
    ("tail", "codec", "patch"),
    [
        ("4.90", "jpeg2k", 8),
        ("4.201", "htj2k", 8),
        ("4.50", "jpeg8", None),
        ("4.80", "jpegls", None),
    ],
)
def test_a_stream_that_states_another_size_is_never_decoded(dicom, tmp_path, tail, codec, patch):
    """A small stream that says 60000x60000, and one of a size that is not the header's."""
    pixels = RAMP.astype(np.uint8)
    options = {"codecformat": "j2k"} if codec == "jpeg2k" else {}
    wider = bytes(getattr(imagecodecs, f"{codec}_encode")(np.zeros((64, 80), np.uint8), **options))
    huge = bytearray(wider)
    if patch:
        struct.pack_into(">2L", huge, patch, 60000, 60000)
    else:
        at = huge.index(b"\xff\xc0" if codec == "jpeg8" else b"\xff\xf7")
        struct.pack_into(">2H", huge, at + 5, 60000, 60000)
    for data, said in ((wider, "80x64"), (bytes(huge), "60000x60000")):
        tags = {"syntax": f"{OF}.{tail}", "PixelData": encapsulate([data])}
        path = dicom(tmp_path / "a", pixels, **tags)
        assert said in refusal(path).evidence
        assert peak(lambda p=path: refusal(p)) < 1


def test_a_stream_with_more_channels_than_the_header_is_refused(dicom, tmp_path):
    rgb = np.zeros((64, 64, 3), np.uint8)
    data = imagecodecs.jpeg2k_encode(rgb, codecformat="j2k")
    tags = {"syntax": f"{OF}.4.90", "PixelData": encapsulate([data])}
    path = dicom(tmp_path / "a", rgb[..., 0], **tags)
    assert "3 channels" in refusal(path).evidence


def test_deflated_bombs_are_inflated_only_as_far_as_declared(dicom, tmp_path):
    whole = dicom(tmp_path / "a", RAMP, syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    start = whole.index(DeflatedExplicitVRLittleEndian.encode()) + 22  # the last of the meta
    data = zlib.decompress(whole[start:], -15)
    private = b"\x09\0\x01\x10UN\0\0" + struct.pack("<L", 300 << 20)
    at = data.index(b"\x10\0\x20\0LO")  # PatientID: one bomb stands before it

    def bomb(head: bytes, tail: bytes) -> bytes:
        """The file with 300 MiB of zeros between two parts of its elements."""
        packer, zeros = zlib.compressobj(1, wbits=-15), bytes(1 << 20)
        body = packer.compress(head) + b"".join(packer.compress(zeros) for _ in range(300))
        return whole[:start] + body + packer.compress(tail) + packer.flush()

    before, after = bomb(data[:at] + private, data[at:]), bomb(data, b"")
    assert refusal(before).reason == "too_large"
    assert peak(lambda: refusal(before)) < 3 * HEADER / 2**20
    want = read_pixels(tmp_path / "a").pixels
    assert np.array_equal(read_pixels(after).pixels, want)  # what follows the pixels is not read
    assert peak(lambda: read_pixels(after)) < 5


def test_lengths_that_lie_ask_for_no_memory(dicom, tmp_path):
    whole = dicom(tmp_path / "a", RAMP).read_bytes()
    for tag in (b"\x08\0\x60\0CS", b"\x10\0\x20\0LO"):  # a short element that says 4 GiB
        at = whole.index(tag)
        lying = whole[:at] + tag[:4] + b"UN\0\0\xf0\xff\xff\xff" + whole[at + 8 :]
        (tmp_path / "b").write_bytes(lying)
        assert peak(lambda: refusal(tmp_path / "b")) < 5
    at = whole.index(b"\xe0\x7f\x10\0OW\0\0")
    lying = whole[: at + 8] + b"\xff\xff\xff\xff" + whole[at + 12 :]
    assert refusal(lying).reason == "undecodable"


def test_run_lengths_that_give_too_few_or_too_many_pixels(dicom, tmp_path):
    def rle(*planes: bytes) -> bytes:
        at = [64 + sum(map(len, planes[:i])) for i in range(len(planes))]
        at += [0] * (15 - len(at))
        return struct.pack("<16L", len(planes), *at) + b"".join(planes)

    run = bytes([129, 7]) * 32  # 128 bytes of 7, 32 times: 4096
    for planes in ((run,), (run[:-2], run[:-2]), (run, run, run), (run[:30], run * 50)):
        tags = {"syntax": RLELossless, "PixelData": encapsulate([rle(*planes)])}
        path = dicom(tmp_path / "a", RAMP, **tags)
        assert refusal(path).reason in ("truncated", "undecodable"), len(planes)
        assert peak(lambda p=path: refusal(p)) < 5


def test_what_streams_say_of_themselves():
    assert coded(b"") is coded(b"\xff\xd8\xff") is coded(b"\xff\x4f\xff\x51") is None
    deep = imagecodecs.jpeg2k_encode(np.zeros((5, 9), np.uint16), codecformat="jp2")
    assert coded(bytes(deep)) == Coded(5, 9, 1, 16)
    assert coded(bytes(imagecodecs.jpegls_encode(RAMP))) == Coded(64, 64, 1, 16)
    twelve = imagecodecs.ljpeg_encode(RAMP, bitspersample=12)
    assert coded(bytes(twelve)) == Coded(64, 64, 1, 12)


@pytest.mark.parametrize(
    ("tail", "codec", "options"),
    [
        ("4.51", "jpeg8", {"bitspersample": 12}),
        ("4.70", "ljpeg", {"bitspersample": 12}),
        ("4.80", "jpegls", {}),
        ("4.90", "jpeg2k", {"codecformat": "j2k", "reversible": True}),
        ("4.201", "htj2k", {"reversible": True}),
    ],
)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_stream_cut_short_is_no_picture(dicom, tmp_path, tail, codec, options, kept):
    """Whole fragments around half a stream: some decoders fill up the rest and say nothing."""
    noise = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    data = bytes(getattr(imagecodecs, f"{codec}_encode")(noise, **options))
    element = encapsulate([data[: int(len(data) * kept)]])
    path = dicom(tmp_path / "a", noise, syntax=f"{OF}.{tail}", PixelData=element)
    assert refusal(path).reason in ("truncated", "undecodable")


def test_fragments():
    whole = encapsulate([b"abcd" * 10], fragments_per_frame=4)
    assert bytes(frame(whole)) == b"abcd" * 10
    for end in range(0, len(whole) - 8, 3):
        with pytest.raises(Refused):
            coded(frame(whole[:end])) or frame(b"")
    with pytest.raises(Refused, match="no fragments"):
        frame(b"\xff\xd8 a bare stream")


# --- real files -------------------------------------------------------------------------------


def test_real_grey_frames_decode_as_pydicom_decodes_them(real_dicoms):
    """Of any modality: all syntaxes, signs and depths that are to be had."""
    compared = set()
    for path in real_dicoms:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, force=True)
            grey = str(ds.get("PhotometricInterpretation", "")).startswith("MONOCHROME")
            if not grey or int(ds.get("NumberOfFrames") or 1) > 1:
                continue
            try:
                theirs = ds.pixel_array.astype(np.int64)
                with opened(path, _TAGS) as file:
                    ours, signed = decode(file)
            except Exception:
                continue
        mask = (1 << int(ds.BitsStored)) - 1
        if signed and not ds.PixelRepresentation:
            theirs -= 32768  # Pillow moves the negative numbers that the header denies
        assert np.array_equal(ours & mask, theirs & mask), path.name
        compared.add(str(ds.file_meta.TransferSyntaxUID).removeprefix("1.2.840.10008.1."))
    assert {"2", "2.1", "2.2", "2.5", "2.4.90"} <= compared
