"""Radiographs as a hospital exports them: DX and CR objects, identifiers and all.

Digital X-Ray Image Storage - For Presentation and Computed Radiography Image Storage (PS3.3 A.26
and A.2), Explicit VR Little Endian, uncompressed. Identifiers are made up but look real, so that
de-identification has work to do. UIDs are ``2.25.`` and a hash: the same world, the same UIDs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from data_sharding.phantom.strokes import Field
from data_sharding.phantom.vendors import Room, tone

# SNOMED CT code, its meaning (CID 4010), patient orientation of a picture shown as it is read.
_VIEWS = {
    "PA": ("272479007", "postero-anterior", ["L", "F"]),
    "AP": ("399348003", "antero-posterior", ["L", "F"]),
    "LL": ("399173006", "left lateral", ["P", "F"]),
}


@dataclass(frozen=True)
class Identity:
    """Who and when: what goes into the header and must not come out of the pipeline."""

    world: str  # makes UIDs unique to the world's settings
    patient_id: str
    name: str
    sex: str
    birth: date
    height_cm: float
    weight_kg: float
    hospital: str
    study: date
    time: str
    accession: str
    series: int
    view: str


def stored_values(linear: Field, toned: Field, room: Room) -> np.ndarray:
    """Pixels as stored, uint16 (rows, columns): before VOI, and inverted for MONOCHROME1.

    A window room stores toned greys in the middle 80% of its range and says so in its window; a
    LUT room stores linear values and leaves the tone to the LUT.
    """
    top = (1 << room.bits) - 1
    shown = 0.1 + 0.8 * toned if room.voi == "window" else linear
    values = np.rint(np.clip(shown, 0, 1) * np.float32(top)).astype(np.uint16)
    return top - values if room.inverted else values


def uid(*parts: object) -> UID:
    """A UID under 2.25 from a SHA-256 of the parts."""
    digest = hashlib.sha256("\x1f".join(str(p) for p in parts).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:15], 'big')}")


def image_uid(who: Identity) -> UID:
    """The picture's SOP Instance UID."""
    return uid(who.world, who.accession, who.series, "image")


def write_radiograph(
    path: Path, pixels: np.ndarray, room: Room, pitch: float, who: Identity
) -> None:
    """Write one DICOM file: `pixels` from `stored_values`, `pitch` in mm. Makes the folder."""
    ds = Dataset()
    _people(ds, who)
    _equipment(ds, room, who)
    _pixels(ds, pixels, room, pitch)
    if room.modality == "DX":
        _digital_xray(ds, room, who)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, ds, enforce_file_format=True)


def _people(ds: Dataset, who: Identity) -> None:
    """Patient, Patient Study and General Study modules."""
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientID, ds.PatientSex = who.name, who.patient_id, who.sex
    ds.PatientBirthDate = f"{who.birth:%Y%m%d}"
    birthday = (who.birth.month, who.birth.day) <= (who.study.month, who.study.day)
    ds.PatientAge = f"{who.study.year - who.birth.year - (not birthday):03d}Y"
    ds.PatientSize, ds.PatientWeight = f"{who.height_cm / 100:.3f}", f"{who.weight_kg:.1f}"
    ds.StudyInstanceUID = uid(who.world, who.accession)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = f"{who.study:%Y%m%d}"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = who.time
    ds.AccessionNumber, ds.StudyID = who.accession, who.accession[-6:]
    ds.ReferringPhysicianName = "Doe^Jordan"
    ds.StudyDescription = "Chest radiograph"


def _equipment(ds: Dataset, room: Room, who: Identity) -> None:
    """Series, equipment, image and SOP Common: what CR and DX share."""
    _, meaning, orientation = _VIEWS[who.view]
    dx = room.modality == "DX"
    ds.SOPClassUID = (
        DigitalXRayImageStorageForPresentation if dx else ComputedRadiographyImageStorage
    )
    ds.SOPInstanceUID = image_uid(who)
    ds.SeriesInstanceUID = uid(who.world, who.accession, who.series)
    ds.Modality = room.modality
    ds.SeriesNumber, ds.InstanceNumber = who.series, 1
    ds.SeriesDescription = f"CHEST {meaning}"
    ds.Manufacturer, ds.ManufacturerModelName = room.maker, room.model
    ds.InstitutionName, ds.StationName = who.hospital, room.station
    ds.DeviceSerialNumber, ds.SoftwareVersions = f"{room.station}-0042", "3.1"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", who.view
    ds.PatientOrientation = orientation
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.KVP = room.detector.kvp


def _pixels(ds: Dataset, pixels: np.ndarray, room: Room, pitch: float) -> None:
    """Image Pixel and VOI LUT modules."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if room.inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, room.bits, room.bits - 1
    ds.PixelRepresentation = 0
    ds.ImagerPixelSpacing = [f"{pitch:.5f}", f"{pitch:.5f}"]
    ds.BurnedInAnnotation = "YES"  # the lead letter
    ds.LossyImageCompression = "00"
    ds.PixelData = pixels.astype("<u2").tobytes()
    top = (1 << room.bits) - 1
    if room.voi == "window":
        ds.WindowCenter, ds.WindowWidth = f"{top / 2 + 0.5:.1f}", f"{0.8 * top + 1:.1f}"
        return
    assert room.bits <= 12, room  # one entry for each stored value
    entries = 1 << room.bits
    curve = tone(np.linspace(0, 1, entries, dtype=np.float32), room.style)
    curve = 1 - curve[::-1] if room.inverted else curve
    lut = Dataset()
    lut.LUTDescriptor = [entries, 0, 16]
    lut.LUTExplanation = f"{room.maker} chest"
    lut.LUTData = np.rint(curve * 65535).astype("<u2").tobytes()
    ds.VOILUTSequence = Sequence([lut])


def _digital_xray(ds: Dataset, room: Room, who: Identity) -> None:
    """What the DX object asks for beyond CR (PS3.3 A.26)."""
    code, meaning, _ = _VIEWS[who.view]
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = Sequence([_code("816094009", "SCT", "Chest")])
    view = _code(code, "SCT", meaning)
    view.ViewModifierCodeSequence = Sequence([])
    ds.ViewCodeSequence = Sequence([view])
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if room.inverted else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "INVERSE" if room.inverted else "IDENTITY"
    ds.DetectorType, ds.DetectorConfiguration = "SCINTILLATOR", "AREA"
    ds.AcquisitionContextSequence = Sequence([])
    ds.PositionerType = "COLUMN"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
