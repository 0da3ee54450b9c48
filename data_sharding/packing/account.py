"""The last steps of a pack's flow: what could not be read, what was not needed, who is followed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pyarrow as pa

from data_sharding.cohort import FACE
from data_sharding.labels.policies import Rules
from data_sharding.ledger import Exclusion, Ledger
from data_sharding.packing.assemble import Written
from data_sharding.packing.gather import Gathered
from data_sharding.sources import fractures
from data_sharding.sources.paired import Site


def account(written: Written, gathered: Gathered, rules: Rules, ledger: Ledger) -> None:
    """Enter the steps from the works of a cohort to its samples.

    A patient may have several works, and is out only where nothing of any could be read.
    """
    n, works, site = len(written.index), gathered.works, gathered.site
    if site is None:
        ledger.step("images that can be read", "image", len(works), n, written.failed.values())
    else:
        packed = set(written.chosen.values())
        tried: dict[str, int] = {}
        for work in works:
            tried[work.patient] = tried.get(work.patient, 0) + len(work.candidates)
        unread = [
            Exclusion(patient, patient, "no_readable_image", f"{count} tried")
            for patient, count in tried.items()
            if patient not in packed
        ]
        noun = "photograph" if rules.view == FACE else "radiograph"
        step = f"patients with a readable {noun}"
        ledger.step(step, "patient", len(tried), len(packed), unread)
        passed = {each.item: each for work in works for each in work.passed}
        rest = image_step(site, rules, written.chosen, written.failed, passed)
        ledger.step(f"{noun}s to samples", "image", len(site.radiographs), n, rest)
        if site.followed:
            fractures.account(site.followed, _first_days(written, gathered), ledger)
    if shared := _shared_pictures(written.index):
        ledger.notes.append(
            f"{shared} pictures are the same, pixel for pixel, for two patients or more"
        )


def image_step(
    site: Site,
    rules: Rules,
    chosen: Mapping[str, str],
    failed: Mapping[str, Exclusion],
    passed: Mapping[str, Exclusion],
) -> list[Exclusion]:
    """Why each radiograph that was not packed was not.

    Args:
        site: all usable radiographs.
        rules: the cohort's criteria.
        chosen: item that was packed -> patient.
        failed: item -> why its pixels were no use.
        passed: item -> why it is no sample, as `Work.passed` says.
    """
    out = []
    packed = set(chosen.values())
    for radiograph in site.radiographs:
        item, patient, view = radiograph.item, radiograph.facts.patient_id, radiograph.facts.view
        if item in chosen:
            continue
        if item in failed or item in passed:
            out.append(failed.get(item) or passed[item])
        elif view != rules.view:
            reason = "view_not_pa" if rules.view == "PA" else "view_not_wanted"
            out.append(Exclusion(item, patient, reason, f"not {rules.view}", f"view {view}"))
        elif radiograph.facts.date is None:
            out.append(Exclusion(item, patient, "undated", "no date: it cannot be paired"))
        elif patient in packed:
            out.append(Exclusion(item, patient, "not_selected", "a closer or earlier one was used"))
        else:
            out.append(Exclusion(item, patient, "patient_excluded", "see the patient's row"))
    return out


def _first_days(written: Written, gathered: Gathered) -> dict[str, date]:
    """Patient -> day of the first picture that was packed."""
    out: dict[str, date] = {}
    for candidate in (c for work in gathered.works for c in work.candidates):
        patient = written.chosen.get(candidate.item)
        if patient is not None and candidate.day is not None:
            out[patient] = min(out.get(patient, candidate.day), candidate.day)
    return out


def _shared_pictures(index: pa.Table) -> int:
    """Pictures that belong to several patients."""
    patients: dict[str, set[str]] = {}
    columns = (index[c].to_pylist() for c in ("pixels_sha256", "patient"))
    for pixels, patient in zip(*columns, strict=True):
        patients.setdefault(pixels, set()).add(patient)
    return sum(len(who) > 1 for who in patients.values())
