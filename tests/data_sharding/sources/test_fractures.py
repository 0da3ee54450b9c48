"""fractures.csv: what a row says of a picture, rows that cannot be, and what a pack makes of it."""

from __future__ import annotations

import csv
import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import chisquare

from data_sharding.ledger import Ledger, Refused
from data_sharding.pack import pack
from data_sharding.private import Pseudonyms, load_key
from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest, Sample, sha256_file
from data_sharding.sources.fractures import FollowUp, Seen, cut, follow_up, read_fractures
from data_sharding.sources.paired import site_files
from tests.data_sharding.hand_made import make_site

HEADER = "patient_id,last_seen,fracture_date\n"
DAY = date(2020, 1, 1)  # of every picture of `make_site`
CLOSING = date(2022, 1, 1)  # of its registry


def read(tmp_path: Path, rows: str) -> tuple[dict[str, Seen], Ledger]:
    path, ledger = tmp_path / "fractures.csv", Ledger()
    path.write_text(HEADER + rows)
    followed, _ = read_fractures(path, ledger)
    box = ledger.flow[0]
    assert box.n_in == box.n_out + sum(box.excluded.values()) == len(rows.splitlines())
    return followed, ledger


@pytest.mark.parametrize(
    ("last", "fracture", "expected"),
    [
        (10, None, FollowUp(0, 10)),
        (10, 4, FollowUp(1, 4)),
        (4, 4, FollowUp(1, 4)),
        (0, None, FollowUp(0, 0)),
        (10, 0, "prevalent_fracture"),
        (10, -5, "prevalent_fracture"),
        (-3, -5, "prevalent_fracture"),
        (-1, None, "no_followup"),
        (18262, None, FollowUp(0, 18262)),
        (18263, None, "bad_value"),
        (18263, 4, "bad_value"),
        (18263, 18263, "bad_value"),
        (18263, -5, "prevalent_fracture"),
    ],
)
def test_days_are_counted_from_the_picture(last, fracture, expected):
    def day(n: int) -> date:
        return DAY + timedelta(days=n)

    seen = Seen(day(last), None if fracture is None else day(fracture), 2)
    found = follow_up(seen, DAY)
    assert (found.reason if isinstance(found, Refused) else found) == expected


@pytest.mark.parametrize(
    ("fracture", "days", "known"),
    [(None, 5, None), (94, 5, 94), (95, 5, 95), (96, 5, None), (-7, 5, -7), (-7, 200, None)],
)
def test_a_cut_ends_observation_sooner_and_hides_what_came_later(fracture, days, known):
    def day(n: int | None) -> date | None:
        return None if n is None else DAY + timedelta(days=n)

    seen = Seen(DAY + timedelta(days=100), day(fracture), 2)
    assert cut(seen, days) == Seen(DAY + timedelta(days=100 - days), day(known), 2)


def test_each_patient_is_cut_by_their_own_days_of_1_to_365():
    ours, other = Pseudonyms(b"k" * 32, "asan"), Pseudonyms(b"l" * 32, "asan")
    days = [ours.sooner(f"HOSP-{n:04d}") for n in range(4000)]
    assert days == [ours.sooner(f"HOSP-{n:04d}") for n in range(4000)]
    assert (min(days), max(days)) == (1, 365)
    counts = np.bincount(days, minlength=366)[1:]
    assert chisquare(counts).pvalue > 0.001
    assert sum(d == other.sooner(f"HOSP-{n:04d}") for n, d in enumerate(days)) < 40


def test_the_first_of_several_fractures_counts(tmp_path):
    followed, _ = read(tmp_path, "A,2022-01-01,2021-05-01\nA,2022-01-01,2020-07-01\n")
    assert followed == {"A": Seen(date(2022, 1, 1), date(2020, 7, 1), 2)}


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        ("A,2022-01-01,2022-01-02\n", {"bad_value": 1}),
        ("A,,2021-01-01\n", {"bad_date": 1}),
        ("A,2022-01-01,soon\n", {"bad_date": 1}),
        (",2022-01-01,\n", {"no_identifier": 1}),
        ("A,2022-01-01\n", {"bad_row": 1}),
        ("\n", {"empty_line": 1}),
        ("A,2022-01-01,2021-01-01\nA,2023-01-01,2021-01-01\n", {"conflicting_rows": 2}),
        ("A,2022-01-01,2021-01-01\nA,2022-01-01,\n", {"conflicting_rows": 2}),
        ("A,2022-01-01,2021-01-01\nA,2022-01-01,x\n", {"bad_date": 1, "incomplete_patient": 1}),
    ],
)
def test_rows_that_cannot_be_go_to_the_ledger(tmp_path, rows, reasons):
    followed, ledger = read(tmp_path, rows)
    assert followed == {}
    assert ledger.flow[0].excluded == reasons
    assert len(ledger.rows) == sum(reasons.values())


def test_copies_of_a_row_count_once(tmp_path):
    followed, ledger = read(tmp_path, "A,2022-01-01,\nB,2022-01-01,\nA,2022/01/01,-\n")
    assert set(followed) == {"A", "B"}
    assert ledger.flow[0].excluded == {"duplicate_row": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"patient_id,last_seen\nA,2020-01-01\n", "no column fracture_date"),
        (b"<html><body>login</body></html>", "HTML"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
    ],
)
def test_what_is_no_such_table_is_one_line(tmp_path, content, said):
    path = tmp_path / "fractures.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as e:
        read_fractures(path, Ledger())
    assert "\n" not in str(e.value)
    assert "fractures.csv" in str(e.value)


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> tuple[Path, Path]:
    """A site of 40 patients with a table of fractures, and its pack."""
    root = tmp_path_factory.mktemp("followed")
    site = make_site(root / "asan")
    rows = ["HOSP-0000,2025-01-01,2021-01-01"]  # 366 days after
    rows += ["HOSP-0001,2025-01-01,2019-12-20"]  # prevalent
    rows += ["HOSP-0002,2019-06-01,"]  # gone before the picture
    rows += ["HOSP-0003,2025-01-01,2026-01-01"]  # after last seen: no such row
    rows += [f"HOSP-{n:04d},2022-01-01," for n in range(4, 35)]
    rows += ["NOBODY,2022-01-01,"]
    rows += ["HOSP-0035,2099-12-31,"]  # a placeholder
    (site / "fractures.csv").write_text(HEADER + "\n".join(rows) + "\n")
    out = root / "packed" / "asan"
    pack(site, out, size=32, workers=1, screen=False, echo=lambda _: None)
    return site, out


def items(out: Path) -> dict[str, str]:
    """Row of fractures.csv -> the reason in the private list."""
    with (out.with_name("asan.private") / "items.csv").open() as f:
        rows = list(csv.DictReader(f))
    return {r["is"]: r["reason"] for r in rows if r["is"].startswith("fractures.csv")}


def test_a_pack_holds_days_and_no_dates(followed):
    _, out = followed
    data = ShardDataset(out)
    index = data.index
    broken = index[index["fracture"] == 1]
    assert broken["followup_days"].tolist() == [366]
    assert (index["fracture"] == 0).sum() == 31
    assert index["fracture"].isna().sum() == len(index) - 32
    assert (index["fracture"].isna() == index["followup_days"].isna()).all()
    for i in range(len(data)):
        fact, row = data.sample(i), index.iloc[i]
        assert fact.fracture == (None if pd.isna(row["fracture"]) else row["fracture"])
        assert fact.followup_days == (None if pd.isna(row["fracture"]) else row["followup_days"])
    for path in out.rglob("*"):
        if path.is_file():
            assert b"2022-01-01" not in path.read_bytes(), path.name


def test_follow_up_ends_by_the_patients_key(followed):
    _, out = followed
    hide = Pseudonyms(load_key(out.with_name("asan.private"), None), "asan")
    index = ShardDataset(out).index
    free = index[index["fracture"] == 0].set_index("patient")["followup_days"]
    for n in range(4, 35):
        name = f"HOSP-{n:04d}"
        assert free[hide("patient", name)] == (CLOSING - DAY).days - hide.sooner(name)


def test_the_closing_day_of_the_registry_gives_no_day_of_a_picture(followed):
    """31 patients are followed up to one day, which everybody knows."""
    _, out = followed
    index = ShardDataset(out).index
    free = index.loc[index["fracture"] == 0, "followup_days"]
    guessed = [CLOSING - timedelta(days=int(days)) for days in free]
    assert len(guessed) == 31
    assert DAY not in guessed
    assert len(set(guessed)) > 20
    assert max(guessed) - min(guessed) > timedelta(days=180)


def test_no_evidence_counts_days_from_the_tables_dates(followed):
    _, out = followed
    with (out / "ledger.csv").open() as f:
        said = [r["evidence"] for r in csv.DictReader(f) if "fractures.csv" in r["evidence"]]
    assert sorted(re.sub(r"\d+ days", "N days", e.partition(", ")[2]) for e in said) == [
        "column fracture_date: after last_seen",
        "column last_seen: over 50 years after the picture, a placeholder?",
        "last seen N days before the picture",
        "no later than the picture",
    ]
    gone = next(e for e in said if "last seen" in e)  # counted after the cut
    hide = Pseudonyms(load_key(out.with_name("asan.private"), None), "asan")
    early = (DAY - date(2019, 6, 1)).days + hide.sooner("HOSP-0002")
    assert f"last seen {early} days before" in gone


def test_whoever_has_no_follow_up_is_in_the_ledger(followed):
    _, out = followed
    manifest = Manifest.load(out)
    rows, samples = (box for box in manifest.flow if box.step.startswith(("fractures", "followed")))
    assert manifest.flow.index(samples) == manifest.flow.index(rows) + 1  # not next to pictures
    assert (rows.n_in, rows.n_out, rows.excluded) == (37, 36, {"bad_value": 1})
    assert (samples.n_in, samples.n_out) == (36, 32)
    assert samples.excluded == {
        "bad_value": 1,
        "no_followup": 1,
        "patient_excluded": 1,
        "prevalent_fracture": 1,
    }
    assert items(out) == {
        "fractures.csv row 3": "prevalent_fracture",
        "fractures.csv row 4": "no_followup",
        "fractures.csv row 5": "bad_value",
        "fractures.csv row 37": "patient_excluded",
        "fractures.csv row 38": "bad_value",
    }


def test_the_table_is_no_radiograph_and_changes_no_picture(followed, tmp_path):
    site, out = followed
    assert site / "fractures.csv" not in site_files(site)
    flat = shutil.copytree(site, tmp_path / "flat")
    shutil.move(flat / "dicom" / "HOSP-0000" / "image", flat / "image")
    shutil.rmtree(flat / "dicom")
    assert site_files(flat) == [flat / "image"]
    bare = shutil.copytree(site, tmp_path / "asan")
    (bare / "fractures.csv").unlink()
    key = out.with_name("asan.private") / "pseudonym.key"
    key = key if key.is_file() else next(out.with_name("asan.private").glob("*key*"))
    other = tmp_path / "bare" / "asan"
    pack(bare, other, size=32, workers=1, screen=False, key_file=key, echo=lambda _: None)
    ours, theirs = (ShardDataset(x).index for x in (out, other))
    columns = ["key", "split", "label", "pixels_sha256"]
    assert ours[columns].equals(theirs[columns])
    assert theirs["fracture"].isna().all()


def test_a_pack_from_before_these_columns_reads_as_without(followed, tmp_path):
    _, out = followed
    old = shutil.copytree(out, tmp_path / "asan")
    table = pq.read_table(old / "index.parquet").drop_columns(["fracture", "followup_days"])
    pq.write_table(table, old / "index.parquet")
    manifest = Manifest.load(old)
    manifest.model_copy(update={"index_sha256": sha256_file(old / "index.parquet")}).save(old)
    data = ShardDataset(old, split="train")
    assert data.index["fracture"].isna().all()
    assert data.index["followup_days"].isna().all()
    assert data.index["followup_days"].dtype == "Int64"


def test_a_sample_from_before_these_fields_reads_as_without(followed):
    _, out = followed
    said = ShardDataset(out).sample(0).model_dump(mode="json")
    old = {k: v for k, v in said.items() if k not in ("fracture", "followup_days")}
    assert Sample(**old).fracture is None
