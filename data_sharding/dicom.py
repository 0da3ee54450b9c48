"""A chest radiograph's DICOM file: the few facts we need, and its pixels as a person sees them.

    from data_sharding.dicom import read_pixels
    picture = read_pixels(Path("a.dcm"))   # uint16 [H, W], brighter is larger
    picture.applied                        # what was done to get there

Only the tags of `ALLOWED` are ever parsed. A file that is no use raises `Refused` with a reason;
nothing else is raised, whatever the file holds. The extension is not looked at.
"""

from __future__ import annotations

import io
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from data_sharding.decode import check_size, decode, syntax_name
from data_sharding.display import Chain, Lut, Window, show
from data_sharding.ledger import Refused
from data_sharding.tables import parse_age, parse_date

ALLOWED = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "BodyPartExamined"),
    *("ViewPosition", "ViewCodeSequence", "PresentationIntentType", "StudyDate", "SeriesDate"),
    *("AcquisitionDate", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape", "PixelData"),
)
RADIOGRAPHS = ("CR", "DX", "DR", "RG")
_CHEST = re.compile(r"(CHEST|THORAX|LUNGS?)([ _]?(PA|AP|LAT|LATERAL))?")
_LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLO", "RLO", "LPO", "RPO", "LAO", "RAO")
# the element (0002,0010), transfer syntax, with one of the two deflated syntaxes
_DEFLATED = re.compile(rb"\x02\x00\x10\x00UI..(1\.2\.840\.10008\.1\.2\.(?:1\.99|8\.1))", re.DOTALL)


@dataclass(frozen=True)
class Facts:
    """What is taken from a header. `patient_id` and the dates are private: never in a shard."""

    sop_uid: str
    patient_id: str
    modality: str
    body_part: str
    view: str  # PA, AP, or another code as stated; '' if it does not say
    date: date | None
    birth_date: date | None
    age: float | None  # of PatientAge, years
    sex: str  # F, M or ''


@dataclass(frozen=True)
class Picture:
    """`pixels`: uint16 [H, W] over 0..65535, brighter is larger, as a person would see it."""

    pixels: npt.NDArray[np.uint16]
    applied: tuple[str, ...]
    facts: Facts


def read_facts(source: Path | bytes, assume_view: str = "") -> Facts:
    """The facts of a usable frontal chest radiograph, without decoding its pixels.

    Args:
        source: a path, or the bytes of a file.
        assume_view: the view of files whose header does not say; '' refuses them.

    Raises:
        Refused: with the reason; nothing else.
    """
    ds, syntax = _read(source, pixels=False)
    return _guarded(_facts, ds, syntax, source, assume_view)


def read_pixels(source: Path | bytes, assume_view: str = "") -> Picture:
    """A chest radiograph as a person sees it. Arguments and errors as of `read_facts`."""
    ds, syntax = _read(source, pixels=True)
    return _guarded(_picture, ds, syntax, source, assume_view)


def _guarded(read: Any, ds: Dataset, *arguments: Any) -> Any:
    """Call `read`; what pydicom raises on a hostile element becomes a refusal."""
    try:
        with _quiet():
            return read(ds, *arguments)
    except Refused:
        raise
    except Exception as e:
        raise Refused("undecodable", f"the header: {type(e).__name__}", str(e)[:200]) from e


def _read(source: Path | bytes, pixels: bool) -> tuple[Dataset, str]:
    """The allowed elements of a file and its transfer syntax."""
    try:
        with _open(source) as f:
            head = f.read(65536)
            if not head:
                raise Refused("not_dicom", "an empty file")
            force = head[128:132] != b"DICM"
            if force and not _looks_like_dicom(head):
                raise Refused("not_dicom", "no DICM mark, and no DICOM elements at the start")
            deflated = _DEFLATED.search(head)
            if deflated:  # it would be inflated whole, however large that is
                raise Refused("undecodable", f"no decoder for {syntax_name(deflated[1].decode())}")
            with _quiet():
                f.seek(0)
                ds = pydicom.dcmread(
                    f, stop_before_pixels=not pixels, force=force, specific_tags=list(ALLOWED)
                )
    except Refused:
        raise
    except InvalidDicomError as e:
        raise Refused("not_dicom", "no DICOM header", str(e)[:200]) from e
    except EOFError as e:
        raise Refused("truncated", "the header ends early", str(e)[:200]) from e
    except OSError as e:
        raise Refused("unreadable", type(e).__name__, str(e)[:200]) from e
    except Exception as e:
        raise Refused("undecodable", f"the header: {type(e).__name__}", str(e)[:200]) from e
    little, implicit = ds.original_encoding[1], ds.original_encoding[0]
    guess = "1.2.840.10008.1.2" if implicit else f"1.2.840.10008.1.2.{1 if little else 2}"
    syntax = str(getattr(getattr(ds, "file_meta", None), "TransferSyntaxUID", "") or guess)
    if force and not any(tag in ds for tag in ("SOPClassUID", "Modality", "Rows")):
        raise Refused("not_dicom", "no DICM mark, and no DICOM elements that make sense")
    return ds, syntax


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pydicom, which quotes values it dislikes, and values may name a person."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _open(source: Path | bytes) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def _looks_like_dicom(head: bytes) -> bool:
    """Whether a file without preamble begins with an element of group 2 or 8, either byte order."""
    return len(head) >= 8 and head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")


def _text(ds: Dataset, name: str) -> str:
    """One element as stripped text; the first of several values; '' if absent or unreadable."""
    try:
        value = ds.get(name)
    except Exception:
        return ""
    if isinstance(value, MultiValue):
        value = value[0] if value else ""
    return "" if value is None else str(value).replace("\0", "").strip()


def _coded(text: str) -> str:
    """A coded value as evidence, if it looks like one; free text could name a person."""
    return text if re.fullmatch(r"[A-Z0-9_]{1,12}", text) else "an unusual value"


def _number(ds: Dataset, name: str, otherwise: float | None = None) -> float | None:
    try:
        return float(_text(ds, name))
    except ValueError:
        return otherwise


def _view(ds: Dataset) -> str:
    """PA, AP, LL or what else is stated: ViewPosition, else the meaning of the view code."""
    stated = _text(ds, "ViewPosition").upper()
    if not stated:
        stated = " ".join(str(i.get("CodeMeaning", "")) for i in ds.get("ViewCodeSequence") or [])
        stated = stated.upper()
    words = {*re.findall("[A-Z]+", stated), re.sub("[^A-Z]", "", stated)}
    for code, names in (
        ("LL", _LATERAL),
        ("PA", ("PA", "POSTEROANTERIOR")),
        ("AP", ("AP", "ANTEROPOSTERIOR")),
    ):
        if words & set(names):
            return code
    return stated


def _facts(ds: Dataset, syntax: str, source: Path | bytes, assume_view: str) -> Facts:
    modality = _text(ds, "Modality").upper()
    if modality not in RADIOGRAPHS:
        said = f"modality {_coded(modality)}" if modality else "no modality"
        raise Refused("wrong_modality", said)
    if "Rows" not in ds or "Columns" not in ds:
        raise Refused("no_pixels", "no Rows and Columns")
    body_part = _text(ds, "BodyPartExamined").upper()
    if body_part and not _CHEST.fullmatch(body_part):
        raise Refused("not_chest", f"body part {_coded(body_part)}")
    if _text(ds, "PresentationIntentType").upper() == "FOR PROCESSING":
        raise Refused("for_processing", "presentation intent FOR PROCESSING")
    if (_number(ds, "NumberOfFrames", 1) or 1) > 1:
        raise Refused("multi_frame", f"{_number(ds, 'NumberOfFrames'):.0f} frames")
    photometric = _text(ds, "PhotometricInterpretation").upper()
    if (_number(ds, "SamplesPerPixel", 1) or 1) > 1 or not photometric.startswith("MONOCHROME"):
        raise Refused("colour", f"photometric interpretation {_coded(photometric)}")
    rows, columns = int(ds.Rows), int(ds.Columns)
    check_size(rows, columns)
    if syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"):
        size = len(source) if isinstance(source, bytes) else os.stat(source).st_size  # noqa: PTH116
        need = rows * columns * int(ds.get("BitsAllocated") or 8) // 8
        if size < need:
            raise Refused("truncated", f"a file of {size} bytes for {need} bytes of pixels")
    view = _view(ds) or assume_view.upper()
    if not view:
        raise Refused("view_missing", "neither ViewPosition nor a view code")
    if view == "LL":
        raise Refused("lateral_view", "a lateral or oblique view")
    dates = (parse_date(_text(ds, n)) for n in ("StudyDate", "SeriesDate", "AcquisitionDate"))
    sex = _text(ds, "PatientSex").upper()
    return Facts(
        sop_uid=_text(ds, "SOPInstanceUID"),
        patient_id=_text(ds, "PatientID"),
        modality=modality,
        body_part=body_part,
        view=view,
        date=next((d for d in dates if d), None),
        birth_date=parse_date(_text(ds, "PatientBirthDate")),
        age=parse_age(_text(ds, "PatientAge")),
        sex=sex if sex in ("F", "M") else "",
    )


def _picture(ds: Dataset, syntax: str, source: Path | bytes, assume_view: str) -> Picture:
    facts = _facts(ds, syntax, source, assume_view)
    stored, signed = decode(ds, syntax)
    chain, applied = _chain(ds, signed, little=syntax != "1.2.840.10008.1.2.2")
    if not _view(ds):
        applied.insert(0, f"view assumed {facts.view}")
    return Picture(show(stored, chain), (f"decoded {syntax_name(syntax)}", *applied), facts)


def _chain(ds: Dataset, signed: bool, little: bool) -> tuple[Chain, list[str]]:
    """The display chain a header asks for, and the same in words."""
    applied: list[str] = []
    bits = int(ds.BitsAllocated)
    stored = int(ds.get("BitsStored") or bits)
    high = int(ds.HighBit) if ds.get("HighBit") is not None else stored - 1
    if not 0 < stored <= bits or not stored - 1 <= high < bits:
        raise Refused("undecodable", f"{stored} bits stored of {bits}, high bit {high}")
    slope, intercept = _number(ds, "RescaleSlope", 1.0) or 1.0, _number(ds, "RescaleIntercept", 0.0)
    modality_lut = _lut(ds, "ModalityLUTSequence", little)
    if modality_lut:
        applied.append("modality LUT")
    elif (slope, intercept) != (1.0, 0.0):
        applied.append(f"rescale {slope:g} x + {intercept:g}")
    voi_lut = _lut(ds, "VOILUTSequence", little)
    centre, width = _number(ds, "WindowCenter"), _number(ds, "WindowWidth")
    window = None
    if voi_lut:
        applied.append("VOI LUT")
    elif centre is not None and width is not None:
        function = _text(ds, "VOILUTFunction").upper() or "LINEAR"
        if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            applied.append("unknown VOI function read as LINEAR")
            function = "LINEAR"
        window = Window(centre, width, function)
        said = f"window {function} {centre:g} {width:g}"
        applied.append(said if window.valid else f"{said} ignored: impossible width")
    # MONOCHROME1 and INVERSE say the same thing; a file that says both is inverted once.
    mono1 = _text(ds, "PhotometricInterpretation").upper() == "MONOCHROME1"
    inverse = _text(ds, "PresentationLUTShape").upper() == "INVERSE"
    if mono1 or inverse:
        applied.append(f"inverted ({'MONOCHROME1' if mono1 else 'presentation LUT INVERSE'})")
    chain = Chain(
        *(bits, stored, high, signed, slope, intercept or 0.0, modality_lut, voi_lut, window),
        invert=mono1 or inverse,
    )
    return chain, applied


def _lut(ds: Dataset, name: str, little: bool) -> Lut | None:
    """The first lookup table of a sequence, None if there is none."""
    items = ds.get(name)
    if not items or "LUTData" not in items[0] or "LUTDescriptor" not in items[0]:
        return None
    count, first, _ = (int(v) for v in items[0].LUTDescriptor)
    count = count or 65536
    data = items[0].LUTData
    if isinstance(data, bytes):
        wide = len(data) >= 2 * count
        entries = np.frombuffer(data, f"{'<' if little else '>'}u2" if wide else "u1")
    else:
        entries = np.asarray(data).ravel()
    entries = entries[:count].astype(np.uint16)
    return Lut(first, entries) if len(entries) else None
