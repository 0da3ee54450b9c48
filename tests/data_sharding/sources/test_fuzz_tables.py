"""Damaged tables of every source: rows that add up in the ledger, or one line of what to do."""

from __future__ import annotations

import gzip
import re
import tempfile
from pathlib import Path

import numpy as np

from data_sharding.ledger import Ledger
from data_sharding.schema import REASONS
from data_sharding.sources.chexpert import read_chexpert
from data_sharding.sources.columns import CHEXPERT_FINDINGS
from data_sharding.sources.faces import read_photos
from data_sharding.sources.nih import read_nih
from data_sharding.sources.paired import Site, read_clinical, read_dxa
from data_sharding.sources.public import NormalRules
from tests.data_sharding.watched import watch

COUNT = 1000
HOSTILE = (
    *("nan", "inf", "-inf", "1e999", "-0", "0x10", "1_000", "١٢", "９", "−1,5", "1.5.2", "9" * 400),
    *(
        "=cmd|' /C calc'!A0",
        "../../etc/passwd",
        "\x00",
        "\u202e",
        "\ud7ff",
        "a\u0301",
        "A" * 70_000,
    ),
    *("31/12/2020", "2020-02-30", "0000-00-00", "9999-12-31", "2020-1-1 00:00", "", " ", '"', '""'),
    *("058Y", "999Y", "-5", "No Finding|Mass", "PA\r", "2147483648", "-1.0", "NA", "١"),
)
NIH_2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_2020 = NIH_2017.rstrip(",").replace("Gender", "Sex")
CHEXPERT = ",".join(
    [
        *("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding"),
        *(name.replace("_", " ").title() for name in CHEXPERT_FINDINGS),
        "Support Devices",
    ]
)


def tables() -> dict[str, str]:
    """A small valid table of each kind, by the file's name."""
    dxa = [f"P{n},2020-0{1 + n % 9}-11,{1 - n / 4},,-0.{n}" for n in range(12)]
    clinical = [f"P{n},{'FM'[n % 2]},19{40 + n}-03-01,1{50 + n},{50 + n}.5" for n in range(12)]
    photos = [f"P{n}/{n}.jpg,{f'P{n}' if n % 3 else ''},2020-0{1 + n % 9}-12" for n in range(12)]
    old, new, chexpert = [], [], []
    for n in range(12):
        seen = "No Finding" if n % 3 else "Cardiomegaly|Effusion"
        size = "2682,2749,0.143,0.143"
        old.append(f"{n:08d}_000.png,{seen},0,{n:08d},{50 + n:03d}Y,F,PA,{size},")
        new.append(f"{n:08d}_000.png,{seen},0,{n},{50 + n},M,AP,{size}")
        path = f"CheXpert-v1.0-small/train/patient{n:05d}/study1/view1_frontal.jpg"
        chexpert.append(f"{path},Female,{50 + n},Frontal,AP,1.0" + "," * 11 + ",0.0,-1.0")
    return {
        "dxa.csv": "\n".join(
            ["patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t", *dxa, ""]
        ),
        "clinical.csv": "\n".join(["patient_id,sex,birth_date,height_cm,weight_kg", *clinical, ""]),
        "photos.csv": "\n".join(["file,patient_id,photo_date", *photos, ""]),
        "Data_Entry_2017.csv": "\r\n".join([NIH_2017, *old, ""]),
        "Data_Entry_2017_v2020.csv": "\n".join([NIH_2020, *new, ""]),
        "train.csv": "\n".join([CHEXPERT, *chexpert, ""]),
    }


def pictures(folder: Path) -> list[Path]:
    """The files that the public tables are about; nobody opens them."""
    nih = [folder / "images" / f"{n:08d}_000.png" for n in range(10)]
    return nih + [folder / f"train/patient{n:05d}/study1/view1_frontal.jpg" for n in range(10)]


def read(folder: Path, name: str, ledger: Ledger) -> None:
    rules, files = NormalRules(), pictures(folder)
    if name == "dxa.csv":
        read_dxa(folder / name, Site(), ledger)
    elif name == "clinical.csv":
        read_clinical(folder / name, Site(), ledger)
    elif name == "photos.csv":
        names = [folder / "photos" / f"P{n}" / f"{n}.jpg" for n in range(10)]
        read_photos(folder, names, Site(), ledger)
    elif name == "train.csv":
        read_chexpert(folder, files[10:], rules, ledger)
    else:
        read_nih(folder, files[:10], rules, ledger)


def _bytes(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for at in rng.integers(0, len(out), 1 + int(rng.integers(12))):
        out[at] = int(rng.integers(256))
    return bytes(out)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def _cell(data: bytes, rng: np.random.Generator) -> bytes:
    cells = re.split(rb"(,|\r?\n)", data)
    for _ in range(1 + int(rng.integers(4))):
        said = HOSTILE[int(rng.integers(len(HOSTILE)))]
        cells[2 * int(rng.integers(len(cells) // 2))] = said.encode("utf-8", "surrogatepass")
    return b"".join(cells)


def _swap_cells(data: bytes, rng: np.random.Generator) -> bytes:
    cells = re.split(rb"(,|\r?\n)", data)
    a, b = (2 * int(x) for x in rng.integers(0, len(cells) // 2, 2))
    cells[a], cells[b] = cells[b], cells[a]
    return b"".join(cells)


def _separator(data: bytes, rng: np.random.Generator) -> bytes:
    cells = re.split(rb"(,|\r?\n)", data)
    for _ in range(1 + int(rng.integers(3))):
        other = (b",", b"\n", b";", b"\t", b"", b'"', b"\r", b"\0", b",,,,,")[int(rng.integers(9))]
        cells[2 * int(rng.integers(len(cells) // 2)) + 1] = other
    return b"".join(cells)


def _lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    for _ in range(1 + int(rng.integers(3))):
        a, b = (int(x) for x in rng.integers(0, len(lines), 2))
        lines.insert(a, lines[b])
        del lines[int(rng.integers(len(lines)))]
    return b"\n".join(lines)


def _encoding(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode("utf-8", "replace")
    name = ("utf-16", "utf-16-be", "utf-8-sig", "utf-32", "cp500", "utf-7")[int(rng.integers(6))]
    return text.encode(name, "replace")


def _delimiter(data: bytes, rng: np.random.Generator) -> bytes:
    return data.replace(b",", (b";", b"\t", b"|", b" ")[int(rng.integers(4))])


CHANGES = (_bytes, _cut, _cell, _cell, _swap_cells, _separator, _lines, _encoding, _delimiter)


def mutated(number: int) -> tuple[str, bytes]:
    """Mutation `number`: a table's name and its damaged bytes; some are packed, badly."""
    rng = np.random.Generator(np.random.Philox(number))
    names = list(tables())
    name = names[number % len(names)]
    data = tables()[name].encode()
    for _ in range(1 + int(rng.integers(3))):
        if len(re.split(rb"(,|\r?\n)", data)) > 2:  # else there is nothing left to change
            data = CHANGES[int(rng.integers(len(CHANGES)))](data, rng)
    if rng.random() < 0.05 and name not in ("dxa.csv", "clinical.csv", "photos.csv"):
        packed = gzip.compress(data, mtime=0)
        return f"{name}.gz", _bytes(packed, rng) if rng.random() < 0.7 else packed
    return name, data


def lines_below_the_header(data: bytes) -> int | None:
    """Rows by counting lines; None where quotes or an encoding make that impossible."""
    if b'"' in data or b"\0" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"):
        return None
    lines = re.split(rb"\r\n|\r|\n", data)
    lines = lines[: -1 if lines[-1] == b"" else None]
    while lines and lines[0] in (b"", b"\xef\xbb\xbf"):
        lines = lines[1:]
    return len(lines) - 1


class Fuzz:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, number: int) -> None:
        name, data = mutated(number)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            (Path(scratch) / name).write_bytes(data)
            check(Path(scratch), name.removesuffix(".gz"), name, data)


def check(folder: Path, kind: str, name: str, data: bytes) -> None:
    ledger = Ledger()
    try:
        read(folder, kind, ledger)
    except ValueError as e:
        if type(e) is not ValueError:  # a UnicodeError is one, and tells nobody what to do
            raise
        if name not in str(e) or not str(e).isprintable() or len(str(e)) > 2000:
            raise AssertionError(f"not one clear line: {str(e)[:200]!r}") from e
        return
    for box in ledger.flow:
        assert box.n_in == box.n_out + sum(box.excluded.values())
        assert set(box.excluded) <= set(REASONS)
    counted = lines_below_the_header(data)
    if counted is not None:
        assert ledger.flow[0].n_in == counted, f"{ledger.flow[0].n_in} rows of {counted} lines"
    ledger.to_csv(lambda kind, item: f"{kind}-{item}")
    listed = sum(unit == "row" for _, unit, _ in ledger.rows)
    # a public table has far more rows than a copy of it has pictures; they are only counted
    public = kind not in ("dxa.csv", "clinical.csv", "photos.csv")
    not_listed = ledger.flow[0].excluded.get("no_image_file", 0) if public else 0
    assert listed + not_listed == sum(ledger.flow[0].excluded.values())


def test_the_tables_are_read(tmp_path):
    for name, text in tables().items():
        (tmp_path / name).write_text(text, newline="")
        ledger = Ledger()
        read(tmp_path, name, ledger)
        assert (ledger.flow[0].n_in, ledger.flow[0].n_out >= 10) == (12, True), name
        (tmp_path / name).unlink()


def test_damaged_tables(tmp_path):
    found = watch(Fuzz, str(tmp_path), COUNT)
    assert not found.problems
    assert len(found.seconds) == COUNT
