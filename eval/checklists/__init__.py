"""CLAIM 2024, TRIPOD+AI and STARD-AI, filled as far as the files of a run prove an answer.

    for checklist in filled(Run.at(folder)): ...
    write_checklists(Run.at(folder))       RUN/report/checklists.{json,csv}

An answer is computed from files and names them. Where one is missing, broken or another than the
run used, the item is the author's to complete; so is every item that no file can answer.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from data_sharding.schema import write_atomic
from eval.checklists.answers import ANSWERS
from eval.checklists.evidence import Evidence, Missing, said
from eval.checklists.shapes import Answer, Checklist, Filled, Item, Standard
from eval.runs import Run

#: In the order they are shown.
NAMES = ("claim", "tripod", "stard")
COLUMNS = ("checklist", "number", "section", "item", "status", "answer", "proved by", "author adds")

__all__ = ["Answer", "Checklist", "Filled", "Item", "filled", "standards", "write_checklists"]


def standards() -> tuple[Standard, ...]:
    """The checklists without answers."""
    folder = Path(__file__).parent / "items"
    return tuple(
        Standard.model_validate_json((folder / f"{name}.json").read_bytes()) for name in NAMES
    )


def filled(run: Run) -> list[Checklist]:
    """Every checklist, filled from the run's files; metrics.json must have been written first."""
    evidence = Evidence(run)
    return [
        Checklist(standard, tuple(_filled(item, evidence.afresh()) for item in standard.items))
        for standard in standards()
    ]


def write_checklists(run: Run, checklists: list[Checklist] | None = None) -> tuple[Path, Path]:
    """Write RUN/report/checklists.json and .csv; return their paths."""
    checklists = filled(run) if checklists is None else checklists
    folder = run.folder / "report"
    folder.mkdir(exist_ok=True)
    as_json, as_csv = folder / "checklists.json", folder / "checklists.csv"
    value = {"format": "osteoray-checklists/1", "checklists": [_plain(c) for c in checklists]}
    write_atomic(as_json, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    write_atomic(as_csv, _csv(checklists))
    return as_json, as_csv


def _filled(item: Item, evidence: Evidence) -> Filled:
    if item.answer is None:
        return Filled(item)
    try:
        text = said(ANSWERS[item.answer], evidence)
    except Missing as e:
        return Filled(item, why=str(e))
    return Filled(item, Answer(text, tuple(evidence.used)))


def _plain(c: Checklist) -> dict[str, object]:
    return {
        "name": c.standard.name,
        "source": c.standard.source,
        "doi": c.standard.doi,
        "answered": c.answered,
        "items": [
            {
                "number": f.item.number,
                "section": f.item.section,
                "item": f.item.text,
                "status": f.status,
                "answer": " ".join(f.answer.sentences) if f.answer else None,
                "proved_by": list(f.answer.proofs) if f.answer else [],
                "author_adds": f.item.adds if f.answer else None,
                "why": f.why,
            }
            for f in c.items
        ],
    }


def _csv(checklists: list[Checklist]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for c in checklists:
        for f in c.items:
            answer = ("", "")
            if f.answer:
                answer = " ".join(f.answer.sentences), "; ".join(f.answer.proofs)
            adds = (f.item.adds or "") if f.answer else ""
            item = (f.item.number, f.item.section, f.item.text)
            writer.writerow((c.standard.name, *item, f.status, *answer, adds))
    return out.getvalue()
