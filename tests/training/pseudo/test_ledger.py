from __future__ import annotations

import hashlib
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training import pseudo
from training.config import Pseudo
from training.pseudo import ledger
from training.pseudo.ledger import Given

SHA = "0123456789abcdef" * 4
DAY = date(2026, 3, 1)


@pytest.fixture
def index():
    return pd.DataFrame(
        {
            "key": list("abcd"),
            "patient": list("wxyz"),
            "source": "nih",
            "age": [60.0, 70, np.nan, 90],
            "sex": ["F", "M", None, "F"],
        }
    )


@pytest.fixture
def rows(index):
    return ledger.table(index, np.array([0.001, 0.8, 0.5, 0.9]), Pseudo(), SHA, DAY)


def test_class_thresholds_at_their_edges():
    p = np.array([0.0, 0.01, 0.010001, 0.5, 0.7499999, 0.75, 1.0])
    assert list(pseudo.decide(p, Pseudo())) == [
        *("normal", "normal", "dropped", "dropped", "dropped"),
        *("low bone mass", "low bone mass"),
    ]


def test_a_class_without_a_threshold_keeps_nobody():
    p = np.array([0.0, 0.5, 1.0])
    assert list(ledger.decide(p, Given(None, 0.75))) == ["dropped", "dropped", "low bone mass"]
    assert list(ledger.decide(p, Given(0.99, None))) == ["normal", "dropped", "dropped"]


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(ValueError, match="probability"):
        pseudo.decide(np.array([0.5, bad]), Pseudo())


def test_every_decision_is_in_the_table_and_counted(index, rows):
    summary = pseudo.summary(rows)
    assert summary["counts"] == {"normal": 1, "low bone mass": 2, "dropped": 1}
    assert summary["prevalence"] == pytest.approx(2 / 3)
    assert summary["by_sex"]["unknown"]["dropped"] == 1
    assert summary["by_age"]["unknown"]["dropped"] == 1
    assert summary["by_age"]["60-64"]["normal"] == 1
    assert sum(sum(x.values()) for x in summary["by_sex"].values()) == len(index)
    assert pseudo.summary(rows.iloc[2:3])["prevalence"] is None


def test_what_is_written_is_read_and_plain_pandas_reads_it_too(rows, tmp_path):
    path = tmp_path / "ledger.parquet"
    data = ledger.encode(rows)
    path.write_bytes(data)
    found = ledger.read(path, hashlib.sha256(data).hexdigest())
    assert ledger.first_difference(rows, found) is None
    assert ledger.encode(found) == data
    assert (found["date"] == DAY).all()
    assert pd.read_parquet(path)["decision"].to_list() == rows["decision"].to_list()


def test_the_same_rows_are_the_same_bytes_and_only_the_date_tells_days_apart(index, rows):
    p = np.array([0.001, 0.8, 0.5, 0.9])
    again = ledger.table(index, p, Pseudo(), SHA, DAY)
    assert ledger.encode(again) == ledger.encode(rows)
    later = ledger.table(index, p, Pseudo(), SHA, date(2026, 3, 2))
    assert ledger.encode(later) != ledger.encode(rows)
    assert "row 0, date" in str(ledger.first_difference(rows, later))
    assert ledger.first_difference(rows, later.assign(date=DAY)) is None


def test_the_day_may_be_given_by_the_environment(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert ledger.today() == date(1970, 1, 2)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    assert ledger.today().year > 200


def test_nobody_is_a_ledger_too(index, tmp_path):
    path = tmp_path / "ledger.parquet"
    path.write_bytes(
        ledger.encode(ledger.table(index.iloc[:0], np.zeros(0), Given(None, None), SHA, DAY))
    )
    assert len(ledger.read(path)) == 0


def test_a_threshold_that_is_none_comes_back(index, tmp_path):
    path = tmp_path / "ledger.parquet"
    rows = ledger.table(index, np.array([0.001, 0.8, 0.5, 0.9]), Given(0.99, None), SHA, DAY)
    path.write_bytes(ledger.encode(rows))
    found = ledger.read(path)
    assert Given.of(found).p_lbm is None
    assert set(found["decision"]) == {"normal", "dropped"}


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("decision", "normal", "score and thresholds do not give"),
        ("decision", "perhaps", "score and thresholds do not give"),
        ("key", "a", "one key twice"),
        ("key", None, "empty"),
        ("probability", 1.2, "not in"),
        ("age", 400.0, "age"),
        ("sex", "X", "sex"),
        ("p_lbm", 0.9, "more than one p_lbm"),
        ("teacher_sha256", "f" * 64, "more than one teacher"),
        ("date", date(2020, 1, 1), "more than one date"),
        ("rule", "gut-feeling/1", "rule"),
    ],
)
def test_a_row_that_cannot_be_is_named(rows, column, value, words):
    rows = rows.astype({column: object})
    rows.at[3, column] = value
    with pytest.raises(ValueError, match=words) as e:
        ledger.check(rows, "x.parquet")
    assert "the first is row" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(("column", "value"), [("p_normal", 0.4), ("teacher_sha256", "mine")])
def test_a_whole_column_that_cannot_be_is_refused(rows, column, value):
    with pytest.raises(ValueError, match=r"above \.5|SHA-256"):
        ledger.check(rows.assign(**{column: value}), "x.parquet")


def written(table, tmp_path):
    pq.write_table(table, tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def test_files_that_are_no_ledger(rows, tmp_path):
    table = pq.read_table(pa.BufferReader(ledger.encode(rows)))
    other = {
        "columns missing: rule": table.drop_columns(["rule"]),
        "no ledger has": table.append_column("x", [[1, 2, 3, 4]]),
        "holds no text": table.set_column(0, "key", [[1, 2, 3, 4]]),
        "above 200 characters": table.set_column(2, "source", [["n" * 300] * 4]),
        "not a ledger": table.set_column(6, "probability", [["much"] * 4]),
    }
    for words, changed in other.items():
        with pytest.raises(ValueError, match=words):
            ledger.read(written(changed, tmp_path))
    for content in (b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1", b"key,patient\n"):
        (tmp_path / "x.parquet").write_bytes(content)
        with pytest.raises(ValueError, match="not a ledger of proxy labels"):
            ledger.read(tmp_path / "x.parquet")
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(ValueError, match="no ledger to be read"):
            ledger.read(path)


def test_more_rows_than_any_ledger_has_are_not_unpacked(rows, tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    path.write_bytes(ledger.encode(rows))
    monkeypatch.setattr(ledger, "MAX_ROWS", 3)
    with pytest.raises(ValueError, match="4 rows"):
        ledger.read(path)


def test_damage_is_an_error_in_one_line_or_none_at_all(rows, tmp_path):
    """Bytes flipped, cut and repeated: never another exception; with the hash, always noticed."""
    path, rng = tmp_path / "x.parquet", np.random.default_rng(0)
    data = ledger.encode(rows)
    sha256, refused = hashlib.sha256(data).hexdigest(), []
    for _ in range(300):
        bad = bytearray(data)
        kind, at = rng.integers(3), int(rng.integers(len(data)))
        if kind == 0:
            bad[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del bad[at:]
        else:
            bad[at:at] = bad[at : at + 20]
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="sha256 differs"):
            ledger.read(path, sha256)
        try:
            ledger.check(ledger.read(path), "again")
        except ValueError as e:
            refused.append(str(e))
    assert len(refused) > 200
    assert not any("\n" in line for line in refused)
