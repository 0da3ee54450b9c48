"""Hand-made radiographs and sites: small, valid, and wrong in exactly one way."""

from __future__ import annotations

import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian


def radiograph(path: Path, pixels: np.ndarray | None = None, **tags: Any) -> Path:
    """Write a chest radiograph; `tags` replace elements, None takes one away.

    `syntax` is the transfer syntax UID.
    """
    if pixels is None:
        pixels = np.arange(64 * 64).reshape(64, 64).astype(np.uint16)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    uid = tags.get("SOPInstanceUID") or f"1.2.3.{zlib.crc32(str(path).encode())}"
    meta.MediaStorageSOPInstanceUID = uid
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    elements: dict[str, Any] = {
        **{"SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": uid},
        **{"Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": "PA"},
        **{"PatientID": "P1", "PatientBirthDate": "19500101", "PatientSex": "F"},
        **{"StudyDate": "20200101", "PatientName": "Secret^Name"},
        **{"Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 1},
        **{"BitsAllocated": 8 * pixels.itemsize, "BitsStored": 12 if pixels.itemsize == 2 else 8},
        **{"PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2"},
        **{"PixelData": pixels.tobytes()},
    }
    elements |= tags
    elements.setdefault("HighBit", (elements["BitsStored"] or 1) - 1)
    for name, value in elements.items():
        if value is not None:
            setattr(ds, name, value)
    if "PixelData" in ds:
        ds["PixelData"].VR = "OW"
    big = meta.TransferSyntaxUID == ExplicitVRBigEndian
    implicit = meta.TransferSyntaxUID == ImplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(
            path,
            ds,
            little_endian=not big,
            implicit_vr=implicit,
            enforce_file_format=False,
            force_encoding=True,  # also of syntaxes newer than pydicom
        )
    return path


def texture(seed: int) -> np.ndarray:
    """A picture with something to see in it, uint16 [64, 64], 12 bits."""
    return np.random.default_rng(seed).integers(0, 4096, (64, 64)).astype(np.uint16)


def make_site(folder: Path, patients: int = 40) -> Path:
    """A clean DXA-paired site: one PA radiograph and one DXA row a patient, T from 1.0 to -2.4."""
    dxa = ["patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t"]
    clinical = ["patient_id,sex,birth_date,height_cm,weight_kg"]
    for n in range(patients):
        who = f"HOSP-{n:04d}"
        tags = {"PatientID": who, "SOPInstanceUID": f"1.2.3.4.{n}", "StudyDate": "20200101"}
        radiograph(folder / "dicom" / who / "image", texture(n), **tags)
        dxa.append(f"{who},2020-02-{1 + n % 28:02d},{1.0 - n % 35 / 10:.1f},,1.5")
        clinical.append(f"{who},{'FM'[n % 2]},19{40 + n % 25}-03-01,160,60")
    (folder / "dxa.csv").write_text("\n".join(dxa) + "\n")
    (folder / "clinical.csv").write_text("\n".join(clinical) + "\n")
    return folder
