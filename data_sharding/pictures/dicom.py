"""A chest radiograph's DICOM file: the few facts we need, and its pixels as a person sees them.

    from data_sharding.pictures.dicom import read_pixels
    picture = read_pixels(Path("a.dcm"))
    picture.pixels                         # uint16 [H, W], brighter is larger
    picture.applied                        # what was done to get there

Only the tags of `ALLOWED` are ever parsed. A file that is no use raises `Refused` with a reason;
nothing else is raised, whatever the file holds. The extension is not looked at. `render` shows any
grey picture of one frame, of whatever modality, as `read_pixels` shows a radiograph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from data_sharding.ledger import Refused
from data_sharding.pictures.decode import check_declared, decode
from data_sharding.pictures.display import Display, show
from data_sharding.pictures.elements import File, opened, syntax_name, text, texts
from data_sharding.pictures.header import TAGS, chain_of, check_grey, one_channel
from data_sharding.pictures.terms import BODY_PARTS, MODALITIES, quoted
from data_sharding.sources.tables import parse_age, parse_date

ALLOWED = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Modality"),
    *("BodyPartExamined", "ViewPosition", "ViewCodeSequence", "PresentationIntentType"),
    *("StudyDate", "SeriesDate", "AcquisitionDate"),
    *("PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("Manufacturer", "ManufacturerModelName"),
    *TAGS,
)
RADIOGRAPHS = ("CR", "DX", "DR", "RG")
_TAGS = [Tag(name) for name in ALLOWED]
_CHEST = re.compile(r"(CHEST|THORAX|LUNGS?)([ _]?(PA|AP|LAT|LATERAL))?")
# a view in capitals, as a word of its own: P A, P.A. and POSTERO-ANTERIOR are written too
_WORD = {
    view: re.compile(f"(?<![A-Z])(?:{words})(?![A-Z])")
    for view, words in (
        ("LL", "L[^A-Z]?L|R[^A-Z]?L|LAT|LATERAL|LLAT|RLAT"),
        ("PA", "P[^A-Z]?A|POSTER(?:O|IOR)[^A-Z]*ANTERIOR"),
        ("AP", "A[^A-Z]?P|ANTER(?:O|IOR)[^A-Z]*POSTERIOR"),
    )
}
_OBLIQUE = re.compile("(?<![A-Z])(?:OBL|OBLIQUE|LLO|RLO|LPO|RPO|LAO|RAO)(?![A-Z])")


@dataclass(frozen=True)
class Facts:
    """What is taken from a header. `patient_id`, `study_uid` and the dates never reach a shard."""

    sop_uid: str
    patient_id: str
    modality: str
    body_part: str
    view: str  # PA, AP, or another code as stated; '' if it does not say
    date: date | None
    birth_date: date | None
    age: float | None  # of PatientAge, years
    sex: str  # F, M or ''
    manufacturer: str = ""  # of the device, at most 64 characters; '' if it does not say
    model: str = ""
    study_uid: str = ""


@dataclass(frozen=True)
class Picture:
    """A radiograph's facts and what it shows; its grey levels are looked up when asked for."""

    display: Display
    facts: Facts

    @property
    def pixels(self) -> npt.NDArray[np.uint16]:
        """Grey levels over 0..65535, uint16 [H, W]; brighter is larger, as a person sees them."""
        return self.display.pixels

    @property
    def applied(self) -> tuple[str, ...]:
        """What was done to get there, in words."""
        return self.display.applied


def read_facts(source: Path | bytes, assume_view: str = "") -> Facts:
    """The facts of a usable frontal chest radiograph, without decoding its pixels.

    Args:
        source: a path, or the bytes of a file.
        assume_view: the view of files whose header does not say; '' refuses them. What a header
            says is never overruled.

    Raises:
        Refused: with the reason; nothing else.
    """
    with opened(source, _TAGS) as file:
        return _facts(file, assume_view)


def read_pixels(source: Path | bytes, assume_view: str = "") -> Picture:
    """A chest radiograph as a person sees it. Arguments and errors as of `read_facts`."""
    with opened(source, _TAGS) as file:
        facts = _facts(file, assume_view)
        display = _display(file)
        if not _stated(file.ds):
            applied = (f"view assumed {facts.view}", *display.applied)
            display = replace(display, applied=applied)
        return Picture(display, facts)


def render(source: Path | bytes) -> Display:
    """Any grey picture of one frame, whatever it is of. Errors as of `read_facts`."""
    with opened(source, _TAGS) as file:
        return _display(file)


def _display(file: File) -> Display:
    check_grey(file)
    codes, signed = decode(file)
    codes, merged = one_channel(file, codes)
    chain, applied = chain_of(file, signed)
    applied = (f"decoded {syntax_name(file.syntax)}", *merged, *applied)
    return replace(show(codes, chain), applied=applied)


def _stated(ds: Dataset) -> str:
    """PA, AP, LL, or what else the header states; '' if it states no view.

    ViewPosition, the meaning of the view code and the end of the body part (CHEST_LAT) must agree,
    each with all of its values: a picture of two views is of neither.

    Raises:
        Refused: view_missing, where two views are named.
    """
    codes = [v for i in ds.get("ViewCodeSequence") or [] for v in texts(i, "CodeMeaning")]
    said = [v.upper() for v in (*texts(ds, "ViewPosition"), *codes)]
    parts = [v.upper() for v in texts(ds, "BodyPartExamined")]
    ends = [(m[3] or "") if (m := _CHEST.fullmatch(v)) else v for v in parts]
    views = {view for v in (*said, *ends) for view in _views(v)}
    if len(views) > 1:
        raise Refused("view_missing", "the header names two views")
    return next(iter(views), "") or next(filter(None, said), "")


def _views(said: str) -> set[str]:
    """The views that one value names, in capitals; an oblique view counts as a lateral one."""
    if _OBLIQUE.search(said):
        return {"LL"}
    return {view for view, word in _WORD.items() if word.search(said)}


def _facts(file: File, assume_view: str) -> Facts:
    ds = file.ds
    modality = text(ds, "Modality").upper()
    if modality not in RADIOGRAPHS:
        said = f"modality {quoted(modality, MODALITIES)}" if modality else "no modality"
        raise Refused("wrong_modality", said)
    body_part = text(ds, "BodyPartExamined").upper()
    if body_part and not _CHEST.fullmatch(body_part):
        raise Refused("not_chest", f"body part {quoted(body_part, BODY_PARTS)}")
    if text(ds, "PresentationIntentType").upper() == "FOR PROCESSING":
        raise Refused("for_processing", "presentation intent FOR PROCESSING")
    check_grey(file)
    check_declared(file)
    view = _stated(ds) or assume_view.upper()
    if not view:
        raise Refused("view_missing", "neither ViewPosition nor a view code, nor the body part")
    if view == "LL":
        raise Refused("lateral_view", "a lateral or oblique view")
    dates = (parse_date(text(ds, n)) for n in ("StudyDate", "SeriesDate", "AcquisitionDate"))
    sex = text(ds, "PatientSex").upper()
    return Facts(
        sop_uid=text(ds, "SOPInstanceUID"),
        patient_id=text(ds, "PatientID"),
        modality=modality,
        body_part=body_part,
        view=view,
        date=next((d for d in dates if d), None),
        birth_date=parse_date(text(ds, "PatientBirthDate")),
        age=parse_age(text(ds, "PatientAge")),
        sex=sex if sex in ("F", "M") else "",
        manufacturer=_device(ds, "Manufacturer"),
        model=_device(ds, "ManufacturerModelName"),
        study_uid=text(ds, "StudyInstanceUID"),
    )


def _device(ds: Dataset, name: str) -> str:
    """A device's name: printable characters, single spaces, at most 64."""
    kept = "".join(c if c.isprintable() else " " for c in text(ds, name))
    return " ".join(kept.split())[:64].strip()
