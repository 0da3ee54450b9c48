"""A chest radiograph's DICOM file: the few facts we need, and its pixels as a person sees them.

    from data_sharding.dicom import read_pixels
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

from data_sharding.decode import check_declared, decode
from data_sharding.display import Display, show
from data_sharding.elements import File, opened, syntax_name, text
from data_sharding.header import TAGS, chain_of, check_grey, one_channel
from data_sharding.ledger import Refused
from data_sharding.tables import parse_age, parse_date
from data_sharding.terms import BODY_PARTS, MODALITIES, quoted

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
_LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLO", "RLO", "LPO", "RPO", "LAO", "RAO")


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
        assume_view: the view of files whose header does not say; '' refuses them.

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
        if not _view(file.ds):
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


def _view(ds: Dataset) -> str:
    """PA, AP, LL or what else is stated: ViewPosition, else the meaning of the view code."""
    stated = text(ds, "ViewPosition").upper()
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
    view = _view(ds) or assume_view.upper()
    if not view:
        raise Refused("view_missing", "neither ViewPosition nor a view code")
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
