"""What a header asks to be done to its pixels before a person sees them: the chain, and in words.

Damaged wishes are dropped and said so: an impossible window, an empty table, a slope of zero. What
would change the picture without a rule to go by is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from data_sharding.ledger import Refused
from data_sharding.pictures.display import Chain, Lut, Window
from data_sharding.pictures.elements import File, number, text, whole_number

_PALETTE = tuple(f"{c}PaletteColorLookupTable" for c in ("Red", "Green", "Blue"))
TAGS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape"),
    *(f"{name}{what}" for what in ("Descriptor", "Data") for name in _PALETTE),
)
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_FARTHEST = 1e9  # of slope and intercept: beyond it, doubles no longer tell pixel values apart


def check_grey(file: File) -> None:
    """Return if the header declares one frame that is grey, or could be grey saved as colour.

    Raises:
        Refused: multi_frame, undecodable.
    """
    frames = number(file.ds, "NumberOfFrames", 1.0) or 1.0
    if frames > 1:
        raise Refused("multi_frame", "more than one frame", f"{frames:.0f} frames")
    photometric = _photometric(file.ds)
    samples = whole_number(file.ds, "SamplesPerPixel", 1)
    known = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") if samples == 1 else _COLOURS
    if file.pixels and photometric not in known:
        said = (
            photometric if photometric in (*_COLOURS, "MONOCHROME1", "MONOCHROME2") else "unknown"
        )
        raise Refused(
            "undecodable", f"photometric interpretation {said}, {samples} samples a pixel"
        )


def one_channel(file: File, codes: Any) -> tuple[Any, tuple[str, ...]]:
    """The grey picture in bit patterns [H, W] or [H, W, 3], and what was done in words.

    Raises:
        Refused: colour, where the channels differ.
    """
    if codes.ndim == 2:
        return codes, ()
    first, second, third = (codes[..., i] for i in range(3))
    flat = 1 << (int(file.ds.get("BitsStored") or 8) - 1)  # no colour in YCbCr
    same = np.array_equal(first, second) and np.array_equal(first, third)
    if not same and _photometric(file.ds).startswith("YBR"):
        same = bool((second == flat).all() and (third == flat).all())
    if not same:
        raise Refused("colour", f"{_photometric(file.ds)}: three channels that differ")
    return np.ascontiguousarray(first), ("equal colour channels as grey",)


def chain_of(file: File, signed: bool) -> tuple[Chain, tuple[str, ...]]:
    """The display chain a header asks for, and the same in words.

    Raises:
        Refused: undecodable, or colour for a palette that is not grey.
    """
    ds, applied = file.ds, []
    bits = int(ds.BitsAllocated)
    stored = whole_number(ds, "BitsStored", bits)
    high = whole_number(ds, "HighBit") if ds.get("HighBit") is not None else stored - 1
    if not 0 < stored <= bits or not stored - 1 <= high < bits:
        raise Refused("undecodable", f"{stored} bits stored of {bits}, high bit {high}")
    photometric = _photometric(ds)
    if photometric == "PALETTE COLOR":
        lut = _palette(file)
        applied.append("grey palette")
        return Chain(bits, stored, high, signed, voi_lut=lut), tuple(applied)
    if not photometric.startswith("MONOCHROME"):
        whole = Window(2.0 ** (stored - 1), 2.0**stored)  # colour channels have no other chain
        return Chain(bits, stored, high, False, window=whole), ()
    padding = _padding(file, signed, bits, applied)
    slope, intercept = _rescale(ds, applied)
    negative = signed or intercept < 0 or slope < 0
    modality_lut = _lut(file, "ModalityLUTSequence", "modality LUT", signed, applied)
    if modality_lut:
        slope, intercept = 1.0, 0.0
    elif (slope, intercept) != (1.0, 0.0):
        applied.append(f"rescale {slope:g} x + {intercept:g}")
    voi_lut = _lut(file, "VOILUTSequence", "VOI LUT", negative and not modality_lut, applied)
    window = None if voi_lut else _window(ds, applied)
    # MONOCHROME1 and INVERSE say the same thing; a file that says both is inverted once.
    mono1 = photometric == "MONOCHROME1"
    invert = mono1 or text(ds, "PresentationLUTShape").upper() == "INVERSE"
    chain = Chain(
        *(bits, stored, high, signed, padding, slope, intercept, modality_lut, voi_lut, window),
        invert=invert,
    )
    if not chain.windowed:
        applied.append("no window: shown over the range of its values")
    if invert:
        applied.append(f"inverted ({'MONOCHROME1' if mono1 else 'presentation LUT INVERSE'})")
    return chain, tuple(applied)


def _photometric(ds: Dataset) -> str:
    return text(ds, "PhotometricInterpretation").upper()


def _rescale(ds: Dataset, applied: list[str]) -> tuple[float, float]:
    slope, intercept = number(ds, "RescaleSlope"), number(ds, "RescaleIntercept") or 0.0
    slope = 1.0 if slope is None else slope
    if slope == 0:
        applied.append("rescale slope 0 ignored")
        slope = 1.0
    if max(abs(slope), abs(intercept)) > _FARTHEST:
        raise Refused("undecodable", "an impossible rescale", f"{slope:g} x + {intercept:g}")
    return slope, intercept


def _window(ds: Dataset, applied: list[str]) -> Window | None:
    centre, width = number(ds, "WindowCenter"), number(ds, "WindowWidth")
    if centre is None or width is None:
        return None
    function = text(ds, "VOILUTFunction").upper() or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        applied.append("unknown VOI function read as LINEAR")
        function = "LINEAR"
    window = Window(centre, width, function)
    said = f"window {function} {centre:g} {width:g}"
    several = getattr(ds.get("WindowCenter"), "__len__", lambda: 1)()
    if several > 1:
        said += f" (first of {several})"
    applied.append(said if window.valid else f"{said} ignored: impossible width")
    return window


def _padding(file: File, signed: bool, bits: int, applied: list[str]) -> tuple[int, int] | None:
    ends = [
        values[0]
        for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if (values := _integers(file, file.ds.get(name)))
    ]
    if not ends or "PixelPaddingValue" not in file.ds:
        return None
    if signed:  # written as an unsigned number by some
        ends = [e - (1 << bits) if e >= 1 << (bits - 1) else e for e in ends]
    applied.append(f"padding {' to '.join(map(str, ends))} shown black")
    return ends[0], ends[-1]


def _lut(file: File, name: str, said: str, negative: bool, applied: list[str]) -> Lut | None:
    """The first lookup table of a sequence, if any; `negative`: what it looks up may be."""
    items = file.ds.get(name)
    if not items:
        return None
    lut = _table(file, items[0].get("LUTDescriptor"), items[0].get("LUTData"), negative)
    applied.append(said if lut else f"empty {said} ignored")
    return lut


def _table(file: File, descriptor: Any, data: Any, negative: bool) -> Lut | None:
    numbers = _integers(file, descriptor)
    if len(numbers) != 3 or data is None:
        return None
    count, first, bits = numbers[0] & 0xFFFF or 65536, numbers[1], numbers[2]
    if negative and first >= 32768:
        first -= 65536
    if isinstance(data, bytes):
        wide = len(data) >= 2 * count
        kind = f"{'<' if file.little else '>'}u2" if wide else "u1"
        entries = np.frombuffer(data[: len(data) // 2 * 2] if wide else data, kind)
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
    entries = entries[:count].astype(np.uint16)
    return Lut(first, entries.tobytes(), bits) if len(entries) else None


def _palette(file: File) -> Lut:
    tables = [
        _table(file, file.ds.get(f"{name}Descriptor"), file.ds.get(f"{name}Data"), False)
        for name in _PALETTE
    ]
    if tables[0] is None:
        raise Refused("undecodable", "PALETTE COLOR without a table")
    if any(lut != tables[0] for lut in tables):
        raise Refused("colour", "a palette of colours")
    return tables[0]


def _integers(file: File, value: Any) -> list[int]:
    """An element of integers, which pydicom gives as bytes where it cannot tell their sign."""
    if value is None or value == "":
        return []
    if isinstance(value, bytes):
        usable = value[: len(value) // 2 * 2]
        return np.frombuffer(usable, "<u2" if file.little else ">u2").tolist()
    return [int(v) for v in np.atleast_1d(np.asarray(value)).tolist()]
