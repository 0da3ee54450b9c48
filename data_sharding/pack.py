"""SITE in, shards out: scan headers, decide the cohort, decode what is needed, write, seal.

    from data_sharding.pack import pack
    manifest = pack(Path("asan"), Path("shards/asan"), role="internal")

Two passes: every file's header is read, then only the pictures of the chosen pairs are decoded. A
picture that cannot be read gives way to the patient's next one. Scripts that call `pack` need the
usual ``if __name__ == "__main__":`` because it starts processes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from data_sharding.assemble import Making, Written, write_samples
from data_sharding.cohort import Rules, Work, dxa_cohort, image_step
from data_sharding.ledger import CRASH, Exclusion, Ledger, NothingUsable
from data_sharding.nih import NormalRules, find_table, image_files, read_nih
from data_sharding.policies import PUBLIC_POLICY, policy
from data_sharding.pool import in_order
from data_sharding.private import Pseudonyms, load_key, only_one, private_folder, write_private
from data_sharding.resume import already_packed, clear, listing
from data_sharding.schema import (
    CLASSES,
    REASONS,
    Manifest,
    Role,
    Split,
    sha256_file,
    write_atomic,
)
from data_sharding.shards import write_index
from data_sharding.sources import (
    Site,
    read_clinical,
    read_dxa,
    site_files,
    take_radiographs,
)
from data_sharding.splits import FRACTIONS, assign, stratum
from data_sharding.work import Scan, scan

Kind = Literal["dxa", "nih"]


def pack(
    site: Path,
    out: Path,
    *,
    role: Role | None = None,
    name: str | None = None,
    kind: Literal["auto", "dxa", "nih"] = "auto",
    size: int = 512,
    window_days: int = 180,
    min_age: float = 50,
    seed: int = 0,
    views: Sequence[str] = (),
    assume_view: str = "",
    label_policy: str = "ospenscreen/1",
    shard_samples: int = 256,
    workers: int | None = None,
    key_file: Path | None = None,
    fresh: bool = False,
    echo: Callable[[str], Any] = print,
) -> Manifest:
    """Pack a site's folder into WebDataset shards at `out`; returns the manifest, written last.

    Args:
        site: a DXA-paired site (dxa.csv) or a copy of NIH ChestX-ray14 (Data_Entry*.csv).
        out: folder for the dataset; `out`.private beside it gets the key and what must stay.
        role: internal (split 70/10/20), external or public; by default internal, public for NIH.
        name: the source's name in every sample; by default the folder's.
        kind: how to read `site`; auto looks which table is there.
        size: side of the square picture, pixels.
        window_days: most days between radiograph and DXA.
        min_age: years at the radiograph.
        seed: of the split.
        views: views taken; by default PA, for NIH PA and AP.
        assume_view: view of DICOM files that do not state one; '' refuses them.
        label_policy: a name of `policies.POLICIES`.
        shard_samples: samples in one tar.
        workers: processes; by default one per core.
        key_file: 64 hex digits; by default the private folder's own key, made at first.
        fresh: pack again even if `out` is complete.
        echo: gets progress and the summary, line by line.

    Raises:
        ValueError: something the caller can put right; the message says what.
        NothingUsable: not one sample came of it (also a ValueError).
    """
    site, out = Path(site), Path(out)
    found = _kind(site, kind)
    if out.resolve().is_relative_to(site.resolve()):
        raise ValueError(f"{out}: lies inside {site}. Choose a folder outside of it.")
    name = name or site.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise ValueError(f"{name!r}: not a name for a source. Give --name in letters, digits, -_.")
    if size < 16 or window_days < 0 or shard_samples < 1:
        raise ValueError("size is at least 16, window-days at least 0, shard-samples at least 1")
    wanted = tuple(v.upper() for v in views) or (("PA",) if found == "dxa" else ("PA", "AP"))
    if found == "dxa" and len(wanted) != 1:
        raise ValueError(f"views {', '.join(wanted)}: a DXA-paired site is packed from one view")
    role = role or ("public" if found == "nih" else "internal")
    settings: dict[str, Any] = {
        **{"kind": found, "size": size, "seed": seed, "views": list(wanted)},
        **{"min_age": float(min_age)},  # 50 and 50.0 are one setting
        **{"shard_samples": shard_samples, "fractions": dict(FRACTIONS), "pixels": "cxr/1"},
    }
    if found == "dxa":
        label = policy(label_policy)
        settings |= {"window_days": window_days, "assume_view": assume_view.upper()}
    private = private_folder(out)
    pseudonym = Pseudonyms(load_key(private, key_file), name)
    inputs = {
        **{"settings": settings, "name": name, "role": role, "key_id": pseudonym.key_id},
        **{"policy": label_policy if found == "dxa" else PUBLIC_POLICY, "files": listing(site)},
    }
    with only_one(private):
        packed = already_packed(out, private, inputs, fresh)
        if packed:
            echo(f"{out}: already packed, {_count(packed)} (--fresh packs again)")
            return packed
        workers = workers or _cores()
        ledger = Ledger()
        rules = Rules(window_days, min_age, wanted[0])
        paired = None
        if found == "dxa":
            paired = _scan(site, workers, assume_view, ledger, echo)
            works = dxa_cohort(paired, label, rules, ledger)
        else:
            normal = NormalRules(min_age=min_age, views=wanted)
            works = read_nih(site, image_files(site), normal, ledger)
        if not works:
            raise NothingUsable(_nothing(site, ledger))

        clear(out)
        making = Making(
            *("dicom" if found == "dxa" else "png", size, assume_view, shard_samples),
            *(name, inputs["policy"], workers),
        )
        written = write_samples(
            out, works, _splits(works, pseudonym, seed, role), making, pseudonym, echo
        )
        _account(written, len(works), paired, rules, ledger)
        if not written.rows:
            raise NothingUsable(_nothing(site, ledger))
        index_sha256 = write_index(out, written.rows)
        write_atomic(out / "ledger.csv", ledger.to_csv(pseudonym))
        write_private(private / "items.csv", ledger.private_csv(pseudonym))
        write_private(private / "inputs.json", json.dumps(inputs, indent=1) + "\n")
        manifest = Manifest(
            name=name,
            role=role,
            policy=inputs["policy"],
            classes=CLASSES if found == "dxa" else (),
            settings=settings,
            image_shape=(size, size),
            key_id=pseudonym.key_id,
            shards=written.shards,
            index_sha256=index_sha256,
            ledger_sha256=sha256_file(out / "ledger.csv"),
            flow=tuple(ledger.flow),
            leaks=(),
        )
        manifest.save(out)
        for line in ledger.summary():
            echo(line)
        echo(f"{out}: {_count(manifest)}. Private, keep: {private}")
        return manifest


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _kind(site: Path, kind: str) -> Kind:
    """What kind of folder `site` is."""
    if not site.is_dir():
        raise ValueError(f"{site}: no such folder")
    if kind not in ("auto", "dxa", "nih"):
        raise ValueError(f"kind {kind!r}: auto, dxa or nih")
    if kind in ("auto", "dxa") and (site / "dxa.csv").is_file():
        return "dxa"
    if kind in ("auto", "nih") and find_table(site):
        return "nih"
    wanted = {"dxa": "dxa.csv", "nih": "Data_Entry*.csv", "auto": "dxa.csv or Data_Entry*.csv"}
    raise NothingUsable(f"nothing to pack in {site}: there is no {wanted[kind]} in it")


def _scan(
    folder: Path, workers: int, assume_view: str, ledger: Ledger, echo: Callable[[str], Any]
) -> Site:
    """Read all headers and both tables of a DXA-paired site."""
    site = Site()
    read_dxa(folder / "dxa.csv", site, ledger)
    if (folder / "clinical.csv").is_file():
        read_clinical(folder / "clinical.csv", site, ledger)
    else:
        ledger.notes.append("no clinical.csv: age and sex are those of the DICOM headers")
    files = site_files(folder)
    jobs = [Scan(str(path), assume_view) for path in files]
    facts = list(in_order(scan, jobs, workers, lambda _: CRASH, "headers", echo))
    items = [str(path.relative_to(folder)) for path in files]
    scanned = [(i, str(p), f) for i, p, f in zip(items, files, facts, strict=True)]
    take_radiographs(site, scanned, ledger)
    return site


def _account(
    written: Written, tried: int, paired: Site | None, rules: Rules, ledger: Ledger
) -> None:
    """Enter the last steps of the flow: what could not be read, and what was not needed."""
    n = len(written.rows)
    if paired is None:
        ledger.step("images that can be read", "image", tried, n, written.failed.values())
    else:
        unread = [
            Exclusion(w.patient, w.patient, "no_readable_image", f"{len(w.candidates)} tried")
            for w in written.unread
        ]
        ledger.step("patients with a readable radiograph", "patient", tried, n, unread)
        rest = image_step(paired, rules, written.chosen, written.failed)
        ledger.step("radiographs to samples", "image", len(paired.radiographs), n, rest)
    patients: dict[str, set[str]] = {}
    for row in written.rows:
        patients.setdefault(row["pixels_sha256"], set()).add(row["patient"])
    shared = sum(len(who) > 1 for who in patients.values())
    if shared:
        ledger.notes.append(
            f"{shared} pictures are the same, pixel for pixel, for two patients or more: "
            "the same person may be in two splits"
        )


def _splits(works: list[Work], pseudonym: Pseudonyms, seed: int, role: Role) -> dict[str, Split]:
    """Patient -> split. The order of `works` has no say in it."""
    strata: dict[str, tuple[str, str, str]] = {}
    hidden = {work.patient: pseudonym("patient", work.patient) for work in works}
    for work in sorted(works, key=lambda w: w.candidates[0].name):
        first = work.candidates[0]
        label = first.verdict.label if first.verdict else None
        strata.setdefault(hidden[work.patient], stratum(label, first.sex or None, first.age))
    of_hidden = assign(strata, seed, role)
    return {patient: of_hidden[name] for patient, name in hidden.items()}


def _count(manifest: Manifest) -> str:
    of_split: dict[str, int] = {}
    for shard in manifest.shards:
        of_split[shard.split] = of_split.get(shard.split, 0) + shard.samples
    each = ", ".join(f"{split} {n}" for split, n in of_split.items())
    return f"{sum(of_split.values())} samples ({each}) in {len(manifest.shards)} shards"


def _nothing(site: Path, ledger: Ledger) -> str:
    """One line: what was there and why none of it could be used."""
    boxes = [box for box in ledger.flow if box.excluded]
    said = [
        f"{box.step}: " + ", ".join(f"{n} {REASONS[reason]}" for reason, n in box.excluded.items())
        for box in boxes
    ]
    return f"nothing to pack in {site}: " + ("; ".join(said) or "no files")
