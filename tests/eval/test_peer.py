"""Anybody's predictions as a run: spreadsheets as people save them; nobody's files overwritten."""

import numpy as np
import pandas as pd
import pytest

from data_sharding.schema import check_predictions
from eval.evaluate import evaluate_run
from eval.peer import as_run
from eval.spreadsheet import read_predictions
from tests.eval.conftest import cohort_frame


@pytest.fixture
def frame():
    two = cohort_frame("here", 40, 1), cohort_frame("there-external", 30, 2)
    return pd.concat(two, ignore_index=True)


HEAD = "model,cohort,key,patient,label,probability\n"


def test_a_csv_and_a_parquet_are_the_same_run(frame, tmp_path):
    frame.to_csv(tmp_path / "peer.csv", index=False)
    frame.to_parquet(tmp_path / "peer.parquet")
    runs = [as_run(tmp_path / name) for name in ("peer.csv", "peer.parquet")]
    assert [r.name for r in runs] == ["peer.csv.run", "peer.parquet.run"]
    for cohort in ("here", "there-external"):
        a, b = (pd.read_parquet(r / "cohorts" / cohort / "predictions.parquet") for r in runs)
        pd.testing.assert_frame_equal(a, b)
        expected = check_predictions(frame[frame["cohort"] == cohort])
        pd.testing.assert_frame_equal(a, expected, check_like=True)
    found = [evaluate_run(r) for r in runs]
    assert [m.models for m in found[0]] == [m.models for m in found[1]]


def test_spreadsheets_with_semicolons_bom_spaces_and_blank_lines(tmp_path):
    path = tmp_path / "excel.csv"
    lines = ["model;cohort; key ;patient;label;probability;age;note", ""]
    lines += [f"ours;here;0{i};p{i};{i % 2};0,{i}5;6{i},5;x" for i in range(4)]
    path.write_bytes(("\ufeff" + "\r\n".join([*lines, ";;;;;;;", ""])).encode())
    found = read_predictions(path)
    assert found["key"].tolist() == ["00", "01", "02", "03"]
    assert found["probability"].tolist() == [0.05, 0.15, 0.25, 0.35]
    assert found["age"].tolist() == [60.5, 61.5, 62.5, 63.5]
    assert "note" not in found
    assert found.index.tolist() == [3, 4, 5, 6]


def test_absent_values_are_missing(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(HEAD.strip() + ",age,sex\nm,c,k1,p1,,0.5,NA,F\nm,c,k2,p2,1,0.5, ,\n")
    found = read_predictions(path)
    assert found["label"].isna().tolist() == [True, False]
    assert found["age"].isna().all()
    assert found["sex"].tolist()[0] == "F"
    assert pd.isna(found["sex"].tolist()[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "columns missing: model, cohort"),
        (HEAD, "no rows in it"),
        ("model,cohort,key,patient,label,probabilty\n", r"probability (is it 'probabilty'?)"),
        (HEAD + "m,c,k,p,1\n", "row 2: 5 cells under 6 columns"),
        (
            HEAD + "m,c,k,p,1,0.5\nm,c,k2,p,1,high\n",
            "row 3: probability must be a number, not 'high'",
        ),
        (HEAD + "m,c,k,p,1,inf\n", "row 2: probability must be a number, not 'inf'"),
        (HEAD + 'm,c,k,p,1,"0,5"\n', "row 2: probability must be a number, not '0,5'"),
        (HEAD + "m,,k,p,1,0.5\n", "row 2: no cohort is named"),
        (HEAD + "m,c,k,p,1,\n", "1 probabilities are missing"),
        (HEAD + "m,c,k,p,1,1.5\n", "not in [0, 1]"),
        (HEAD + "m,c,k,p,1.5,0.5\n", "column label must hold whole numbers"),
        (HEAD + "m,c,k,p,1,0.5\nm,c,k,p,1,0.5\n", "two predictions for one key"),
        (HEAD + "m,../../x,k,p,1,0.5\n", "cannot name a folder"),
        (HEAD + "m,.,k,p,1,0.5\n", "cannot name a folder"),
        (HEAD + "m,A,k,p,1,0.5\nm,a,k,p,1,0.5\n", "differ by case only"),
        (HEAD.replace("key", "model", 1), "column 'model' is there twice"),
        (HEAD + 'm,c,"k,p,1,0.5\n', "not a CSV file"),
    ],
)
def test_bad_files_are_one_line(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match="bad") as e:
        as_run(path)
    assert message in str(e.value)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "bad.csv.run").exists()


def test_files_that_are_no_table(tmp_path):
    for name, content, message in (
        ("x.csv", b"\xff\xfe\x00m", "not UTF-8"),
        ("x.parquet", b"PAR1 nonsense", "not a readable parquet"),
        ("x.txt", b"", "neither a run's folder nor"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            as_run(tmp_path / name)


def test_a_folder_is_itself(tmp_path):
    assert as_run(tmp_path) == tmp_path
    assert as_run(tmp_path / "nowhere") == tmp_path / "nowhere"


def test_the_same_file_again_changes_nothing_and_another_one_is_made_again(frame, tmp_path):
    path = tmp_path / "peer.csv"
    frame.to_csv(path, index=False)
    run = as_run(path)
    evaluate_run(run)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run.rglob("*") if p.is_file()}
    assert as_run(path) == run
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before}
    frame[frame["cohort"] == "here"].to_csv(path, index=False)
    as_run(path)
    assert [m.cohort for m in evaluate_run(run)] == ["here"]
    (run / "cohorts/here/predictions.parquet").unlink()
    assert [m.cohort for m in evaluate_run(as_run(path))] == ["here"]


def test_nobodys_files_are_overwritten(frame, tmp_path):
    path, out = tmp_path / "peer.csv", tmp_path / "out"
    frame.to_csv(path, index=False)
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        as_run(path, out)
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]
    frame.to_csv(tmp_path / "other.csv", index=False)
    as_run(path, tmp_path / "made")
    with pytest.raises(ValueError, match=r"holds the predictions of peer\.csv"):
        as_run(tmp_path / "other.csv", tmp_path / "made")
    with pytest.raises(ValueError, match="a file is in the way"):
        as_run(path, tmp_path / "other.csv")


def test_a_marker_cannot_point_elsewhere(frame, tmp_path):
    """Names in peer.json decide what is deleted: only names of folders do."""
    path = tmp_path / "peer.csv"
    frame.to_csv(path, index=False)
    run = as_run(path)
    victim = tmp_path / "victim" / "predictions.parquet"
    victim.parent.mkdir()
    victim.write_text("mine")
    marker = run / "peer.json"
    marker.write_text(
        marker.read_text().replace('"here"', '"here","../../victim",3').replace("sha256", "sha")
    )
    as_run(path)
    assert victim.read_text() == "mine"


def test_many_rows(tmp_path):
    n = 20_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "model": "m",
            "cohort": rng.choice(["a", "b"], n),
            "key": [f"k{i}" for i in range(n)],
            "patient": [f"p{i}" for i in range(n)],
            "label": rng.integers(0, 2, n),
            "probability": rng.random(n),
        }
    )
    frame.to_csv(tmp_path / "x.csv", index=False)
    run = as_run(tmp_path / "x.csv")
    made = pd.concat(pd.read_parquet(run / "cohorts" / c / "predictions.parquet") for c in "ab")
    assert len(made) == n
    expected = frame.set_index("key")["probability"]
    np.testing.assert_array_equal(
        made.set_index("key")["probability"].loc[expected.index], expected
    )
