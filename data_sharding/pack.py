"""SITE in, shards out: scan headers, decide the cohort, decode what is needed, write, seal.

    from data_sharding.pack import pack
    manifest = pack(Path("asan"), Path("shards/asan"), role="internal")

Two passes: every file's header is read, then only the pictures of the chosen pairs are decoded. A
picture that cannot be read gives way to the patient's next one. A pack that was killed goes on
where it was and comes to the same bytes. Scripts that call `pack` need the usual
``if __name__ == "__main__":`` because it starts processes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from data_sharding.cohort import FACE, Candidate, Work
from data_sharding.labels.policies import PUBLIC_POLICY, policy
from data_sharding.ledger import Ledger, NothingUsable
from data_sharding.packing import gate
from data_sharding.packing.account import account
from data_sharding.packing.assemble import Making, write_samples
from data_sharding.packing.gather import Kind, gather_paired, gather_public, kind_of
from data_sharding.packing.pool import Crew, local
from data_sharding.packing.resume import already_packed, begin, finished, listing, unfinished
from data_sharding.packing.shards import write_index
from data_sharding.pictures.cxr import DTYPES
from data_sharding.pictures.work import EXTRAS, PHOTOS
from data_sharding.private import Pseudonyms, load_key, only_one, private_folder, write_private
from data_sharding.reader import ShardDataset
from data_sharding.schema import REASONS, Manifest, Role, Split, sha256_file, write_atomic
from data_sharding.sources import fractures
from data_sharding.sources.faces import may_show_faces
from data_sharding.sources.public import NormalRules
from data_sharding.splits import FRACTIONS, assign, stratum
from data_sharding.storage.store import open_place

#: How the pictures of each kind of source are read.
_READ: dict[Kind, Literal["dicom", "grey", "photo"]] = {
    "dxa": "dicom",
    "face": "photo",
    "nih": "grey",
    "chexpert": "grey",
}


def pack(
    site: Path,
    out: Path,
    *,
    role: Role | None = None,
    name: str | None = None,
    kind: Literal["auto", "dxa", "face", "nih", "chexpert"] = "auto",
    size: int = 512,
    pixels: str = "",
    window_days: int | None = None,
    min_age: float | None = None,
    study: Literal["closest", "first"] | None = None,
    seed: int = 0,
    views: Sequence[str] = (),
    assume_view: str = "",
    label_policy: str = "",
    screen: bool = True,
    against: Sequence[Path | str] = (),
    splits_of: Path | str | None = None,
    allow_leaks: bool = False,
    shard_samples: int = 256,
    workers: int | None = None,
    on_ray: bool = False,
    key_file: Path | None = None,
    fresh: bool = False,
    show_paths: bool = False,
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
        pixels: how a radiograph is kept: cxr/2 (the default), its grey scale truncated to 8 bits,
            or cxr16/1, as it is displayed in 16 bits. How a photograph is: face/1 (the default),
            the face aligned and masked, with its landmarks and a crop beside it, or photo/1, whole.
        window_days: most days between picture and DXA; by default the policy's for this `name`.
        min_age: years at the picture; by default the policy's.
        study: of several pairs the closest or the first; by default the policy's.
        seed: of the split.
        views: views taken; by default the policy's, for public sets PA and AP.
        assume_view: view of DICOM files that do not state one; '' refuses them.
        label_policy: see `policies`; by default ospenscreen/1, for faces face2bone/1.
        screen: refuse pictures whose content is not a frontal chest (`screen.check`).
        against: datasets this one will be used with; no picture or patient may be on two sides.
        splits_of: a dataset of other pictures of the same people, packed with the same key and
            name: who is in it keeps the split, so that models of both are judged on the same.
        allow_leaks: record leaks in the manifest instead of stopping.
        shard_samples: samples in one tar.
        workers: processes; by default one for each core. 1 is this process.
        on_ray: Ray tasks on all nodes instead; `site` and `out` must be the same folders there.
        key_file: 64 hex digits; by default the private folder's own key, made at first.
        fresh: pack again even if `out` is complete.
        show_paths: name files and quote cells in the summary, though they may name patients.
        echo: gets progress and the summary, line by line.

    Raises:
        ValueError: something the caller can put right; the message says what.
        NothingUsable: not one sample came of it (also a ValueError).
        Leaked: a patient or picture is on two sides (also a ValueError); a second attempt with
            `allow_leaks` goes on from here.
    """
    site, out = Path(site).resolve(), Path(out)
    found = kind_of(site, kind)
    if out.resolve().is_relative_to(site):
        raise ValueError(f"{out}: lies inside {site}. Choose a folder outside of it.")
    name = name or site.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise ValueError(f"{name!r}: not a name for a source. Give --name in letters, digits, -_.")
    if size < 16 or shard_samples < 1:
        raise ValueError("size is at least 16, shard-samples at least 1")
    paired = found in ("dxa", "face")
    wanted = tuple(v.upper() for v in views)
    if paired and len(wanted) > 1:
        raise ValueError(f"views {', '.join(wanted)}: a DXA-paired site is packed from one view")
    role = role or ("internal" if paired else "public")
    judge = policy(label_policy or ("face2bone/1" if found == "face" else "ospenscreen/1"))
    view = FACE if found == "face" else wanted[0] if wanted else None
    every = True if found == "face" else None
    rules = judge.rules.overridden(window_days, min_age, view, study, every)
    if paired and (rules.view == FACE) != (found == "face"):
        raise ValueError(f"policy {judge.name}: for {rules.view} pictures; give --view PA")
    normal = NormalRules(
        min_age=50 if min_age is None else min_age, views=wanted or NormalRules().views
    )
    kept = PHOTOS if found == "face" else DTYPES
    pixels = pixels or next(iter(kept))
    dtype = kept.get(pixels)
    if dtype is None:
        raise ValueError(f"pixels {pixels!r}: {' or '.join(kept)} for such pictures")
    settings: dict[str, Any] = {
        **{"kind": found, "size": size, "seed": seed, "screen": screen},
        **{"views": [rules.view] if paired else list(normal.views)},
        # 50 and 50.0 are one setting
        **{"min_age": float(rules.min_age if paired else normal.min_age)},
        **{"shard_samples": shard_samples, "fractions": dict(FRACTIONS)},
        **{"pixels": pixels},
    }
    if paired:
        settings |= {"window_days": rules.window(name), "study": rules.study}
        settings |= {"assume_view": assume_view.upper()}
        if (site / fractures.NAME).is_file():
            settings |= {"followup": fractures.FOLLOWUP}
    if found == "face":
        settings |= {"every_photograph": True, "show_faces": may_show_faces(site)}
    private = private_folder(out)
    pseudonym = Pseudonyms(load_key(private, key_file), name)
    known: dict[str, Split] = {}
    if splits_of is not None:
        if role != "internal":
            raise ValueError(f"--splits-of: nobody is split where the role is {role}")
        known, settings["splits_of"] = _splits_of(splits_of, pseudonym.key_id, name)
    inputs = {
        **{"settings": settings, "name": name, "role": role, "key_id": pseudonym.key_id},
        **{"policy": judge.name if paired else PUBLIC_POLICY, "files": listing(site)},
    }
    checked = {"against": [Manifest.load(open_place(x)[0]).hash for x in against]}
    how = Making(
        *(_READ[found], pixels, size, assume_view, screen, shard_samples),
        *(name, inputs["policy"]),
    )
    with only_one(private):
        packed = already_packed(out, private, inputs | checked, fresh)
        if packed:
            echo(f"{out}: already packed, {_count(packed)} (--fresh packs again)")
            return packed
        folder = unfinished(private, inputs, fresh)
        ledger = Ledger()
        with closing(_crew(workers, on_ray)) as crew:
            if paired:
                gathered = gather_paired(
                    site, folder, judge, rules, name, assume_view, pseudonym, crew, ledger, echo
                )
            else:
                gathered = gather_public(site, found, normal, ledger)
            if not gathered.works:
                raise NothingUsable(_nothing(site, ledger))
            begin(out, folder)
            splits = _splits(gathered.works, pseudonym, seed, role, known)
            if splits_of is not None:
                same = sum(pseudonym("patient", patient) in known for patient in splits)
                ledger.notes.append(f"{same} of {len(splits)} patients keep the split they have")
            written = write_samples(out, folder, gathered.works, splits, how, pseudonym, crew, echo)
            account(written, gathered, rules, ledger)
            if not written.shards:
                raise NothingUsable(_nothing(site, ledger))
            shape = (size, size, 3) if found == "face" else (size, size)
            leaks = gate.check(
                *(out, name, pseudonym.key_id, shape, dtype, written.index, against, allow_leaks),
                *(crew, folder, echo),
            )
        index_sha256 = write_index(out, written.index)
        write_atomic(out / "ledger.csv", ledger.to_csv(pseudonym))
        write_private(private / "items.csv", ledger.private_csv(pseudonym))
        manifest = Manifest(
            name=name,
            role=role,
            policy=inputs["policy"],
            classes=judge.classes if paired else (),
            settings=settings,
            image_shape=shape,
            image_dtype=dtype,
            extras=EXTRAS.get(pixels, ()),
            key_id=pseudonym.key_id,
            shards=written.shards,
            index_sha256=index_sha256,
            ledger_sha256=sha256_file(out / "ledger.csv"),
            flow=tuple(ledger.flow),
            leaks=leaks,
        )
        finished(out, private, manifest, inputs | checked)
        for line in ledger.summary(pseudonym, show_paths):
            echo(line)
        echo(f"{out}: {_count(manifest)}")
        echo(f"{private}: keep it private; items.csv says which file or row each item is")
        return manifest


def _crew(workers: int | None, on_ray: bool) -> Crew:
    if on_ray:
        from data_sharding.packing.on_ray import RayCrew

        return RayCrew()
    return local(workers)


def _splits_of(place: Path | str, key_id: str, name: str) -> tuple[dict[str, Split], str]:
    """The split of every patient of a dataset, by pseudonym, and its hash."""
    data = ShardDataset(place)
    manifest, sources = data.manifest, set(data.index["source"])
    if manifest.key_id != key_id or sources != {name} or manifest.role != "internal":
        raise ValueError(
            f"--splits-of {place}: its patients have other pseudonyms. It must be internal and "
            f"packed with the same --key-file and --name {', '.join(sorted(sources))}"
        )
    rows = zip(data.index["patient"], data.index["split"], strict=True)
    return dict(rows), manifest.hash


def _splits(
    works: list[Work], pseudonym: Pseudonyms, seed: int, role: Role, kept: Mapping[str, Split]
) -> dict[str, Split]:
    """Patient -> split. The order of `works` has no say in it."""
    strata: dict[str, tuple[str, str, str]] = {}
    hidden = {work.patient: pseudonym("patient", work.patient) for work in works}
    # of several works of a patient the one whose picture is closest to its DXA speaks
    for work in sorted(works, key=lambda w: _closest(w.candidates[0])):
        first = work.candidates[0]
        label = first.verdict.label if first.verdict else None
        strata.setdefault(hidden[work.patient], stratum(label, first.sex or None, first.age))
    of_hidden = assign(strata, seed, role, kept=kept)
    return {patient: of_hidden[name] for patient, name in hidden.items()}


def _closest(candidate: Candidate) -> tuple[int, str]:
    return abs(candidate.days_to_dxa or 0), candidate.name


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
