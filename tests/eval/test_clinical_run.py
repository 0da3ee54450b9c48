"""`clinical_of` on a made run: what is fitted to what, what is written, and what stops it."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from data_sharding.schema import CLASSES, Manifest, Shard, check_predictions, sha256_file
from eval.clinical import clinical_of
from eval.clinical.beside import BESIDE
from eval.clinical.model import fit_clinical, load
from eval.clinical.summary import Summary
from eval.delong import delong_auc
from eval.thresholds import youden_threshold
from tests.eval.clinical_cases import made

SPLITS = {"train": 300, "tune": 150, "test": 150}


def cohort(rows, name, models=("student", "teacher")):
    """Predictions of an image model and of a worse one."""
    rng = np.random.default_rng(0)
    frames = []
    for model in models:
        p = rows["image"] if model != "teacher" else rng.random(len(rows))
        facts = rows.drop(columns="image").assign(source="asan", vendor="Acme")
        facts = facts.assign(model=model, cohort=name, probability=p, threshold=0.4)
        frames.append(facts.assign(logit=np.log(p / (1 - p))))
    return check_predictions(pd.concat(frames, ignore_index=True))


def write(run, frame, name):
    path = run / "cohorts" / name / "predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)


def pack(folder, index):
    """An internal dataset without pictures: its index and its manifest."""
    folder.mkdir(parents=True)
    index.to_parquet(folder / "index.parquet")
    shards = tuple(
        Shard(path=f"{s}-0.tar", split=s, samples=n, bytes=1, sha256="0" * 64)
        for s, n in index["split"].value_counts().sort_index().items()
    )
    manifest = Manifest(
        name="asan",
        role="internal",
        policy="who-lbm/1",
        classes=CLASSES,
        settings={},
        image_shape=(8, 8),
        key_id="ab12cd34",
        shards=shards,
        index_sha256=sha256_file(folder / "index.parquet"),
        ledger_sha256="2" * 64,
        flow=(),
    )
    manifest.save(folder)
    return manifest


def build(run, change=lambda index: index):
    splits = {s: made(n, i, prefix=s) for i, (s, n) in enumerate(SPLITS.items())}
    index = pd.concat([f.drop(columns="image").assign(split=s) for s, f in splits.items()])
    manifest = pack(run / "packs" / "asan", change(index))
    for split in ("tune", "test"):
        write(run, cohort(splits[split], f"asan-{split}"), f"asan-{split}")
    write(run, cohort(made(60, 7, 2, "north"), "north-external"), "north-external")
    entry = {"path": "packs/asan", "hash": manifest.hash, "role": "internal"}
    (run / "run.json").write_text(json.dumps({"manifests": {"asan": entry}}))
    return run, index


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run, index = build(tmp_path_factory.mktemp("runs") / "run")
    return run, index, clinical_of(run)


def read(path):
    return pd.read_parquet(path)


def test_a_file_a_cohort_in_the_shape_of_predictions(finished):
    paths = finished[2]
    assert [p.parent.name for p in paths] == ["asan-test", "north-external", "asan-tune"]
    for path in paths:
        frame = read(path)
        pd.testing.assert_frame_equal(check_predictions(frame), frame)
        beside = read(path.with_name("predictions.parquet"))
        assert sorted(frame["model"].unique()) == ["OST", "clinical", "combined"]
        for _, rows in frame.groupby("model"):
            assert rows["key"].tolist() == sorted(beside["key"].unique())
        facts = ["key", "patient", "label", "age", "weight_kg", "source", "vendor"]
        mine = frame.loc[frame["model"] == "clinical", facts].reset_index(drop=True)
        theirs = beside.loc[beside["model"] == "student", facts].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, theirs)
        assert pq.read_schema(path).metadata[BESIDE].decode() == sha256_file(
            path.with_name("predictions.parquet")
        )


def test_the_clinical_model_is_of_the_training_split_and_nothing_else(finished):
    run, index, paths = finished
    model = load(run / "clinical" / "clinical")
    train = index[index["split"] == "train"]
    assert model.facts.n == 300
    assert model.trees == fit_clinical(train).trees
    said = read(paths[0]).query("model == 'clinical'")
    again = model.predict(said)
    assert said["probability"].to_numpy() == pytest.approx(again, rel=1e-5)


def test_the_combined_model_is_of_the_tuning_split_with_the_student_s_score(finished):
    run, _, paths = finished
    facts = load(run / "clinical" / "combined").facts
    assert facts.n == SPLITS["tune"]
    assert list(facts.out_of_sample) == ["student"]
    frames = {p.parent.name: read(p).query("model == 'combined'") for p in paths}
    y = frames["asan-test"]["label"].to_numpy(int)
    assert delong_auc(y, frames["asan-test"]["probability"]).low > 0.7
    # the tuning rows are cross-fitted: not what the model of all of them says
    from eval.clinical.combined import with_score

    tune = read(paths[2].with_name("predictions.parquet")).query("model == 'student'")
    fitted = load(run / "clinical" / "combined").predict(with_score(tune, tune["probability"]))
    assert np.abs(fitted - frames["asan-tune"]["probability"].to_numpy()).max() > 0.01


def test_thresholds_are_youdens_on_the_tuning_split_and_frozen(finished):
    _, _, paths = finished
    frames = {p.parent.name: read(p) for p in paths}
    for model, rows in frames["asan-tune"].groupby("model"):
        chosen = youden_threshold(rows["label"].to_numpy(int), rows["probability"]).value
        for frame in frames.values():
            assert frame.loc[frame["model"] == model, "threshold"].unique().tolist() == [chosen]


def test_the_summary_says_what_was_met(finished):
    run, _, _ = finished
    s = Summary.model_validate_json((run / "clinical" / "summary.json").read_bytes())
    assert s.image == "student"
    assert s.training_rows == 300
    assert s.skipped == {}
    said = s.cohorts["asan-test"].models
    assert said["clinical"].rows == 150
    assert set(said["combined"].importance) == set(said["clinical"].importance) | {"image_logit"}
    assert said["OST"].importance == {}


def test_again_it_writes_the_same_bytes(finished):
    run, _, paths = finished
    files = [*paths, *sorted((run / "clinical").rglob("*.json"))]
    assert len(files) == 8
    first = [f.read_bytes() for f in files]
    clinical_of(run)
    assert [f.read_bytes() for f in files] == first


def test_missing_weights_are_left_out_of_ost_alone_and_counted(tmp_path):
    run, _ = build(tmp_path / "run")
    frame = read(run / "cohorts" / "asan-test" / "predictions.parquet")
    keys = sorted(frame["key"].unique())
    frame.loc[frame["key"].isin(keys[:20]), "weight_kg"] = np.nan
    frame.loc[frame["key"] == keys[30], "height_cm"] = 1.7
    frame = frame[(frame["model"] != "student") | ~frame["key"].isin(keys[50:55])]
    write(run, frame, "asan-test")
    clinical_of(run)
    said = read(run / "cohorts" / "asan-test" / "clinical.parquet")
    assert said["model"].value_counts().to_dict() == {"clinical": 150, "combined": 145, "OST": 130}
    s = Summary.model_validate_json((run / "clinical" / "summary.json").read_bytes())
    met = s.cohorts["asan-test"]
    assert met.missing["weight_kg"] == 20
    assert met.emptied == {"height_cm": 1}
    assert (met.models["OST"].left_out, met.models["combined"].left_out) == (20, 5)


def test_a_tuning_split_too_small_for_trees_skips_the_combined_model_and_says_so(tmp_path):
    run, _ = build(tmp_path / "run")
    path = run / "cohorts" / "asan-tune" / "predictions.parquet"
    frame = read(path)
    few = frame["key"].isin(sorted(frame["key"].unique())[:12])
    frame[few].to_parquet(path)
    paths = clinical_of(run)
    assert set(read(paths[0])["model"]) == {"OST", "clinical"}
    s = Summary.model_validate_json((run / "clinical" / "summary.json").read_bytes())
    assert s.image is None
    assert "patients" in s.skipped["combined"]


def test_it_reads_the_image_model_it_is_told(tmp_path):
    run, _ = build(tmp_path / "run")
    clinical_of(run, image="teacher")
    assert list(load(run / "clinical" / "combined").facts.out_of_sample) == ["teacher"]
    importance = json.loads((run / "clinical" / "summary.json").read_text())["cohorts"]["asan-test"]
    importance = importance["models"]["combined"]["importance"]
    assert max(importance, key=importance.get) == "age"  # the teacher here is noise


def spoil(run, how):
    index = run / "packs" / "asan" / "index.parquet"
    tune = run / "cohorts" / "asan-tune" / "predictions.parquet"
    test = run / "cohorts" / "asan-test" / "predictions.parquet"
    if how == "no run.json":
        (run / "run.json").unlink()
    elif how == "no index":
        index.unlink()
    elif how == "other index":
        pd.read_parquet(index).assign(label=0).to_parquet(index)
    elif how == "no tune":
        tune.unlink()
    elif how == "trained on":
        frame = pd.read_parquet(tune)
        frame.assign(patient=frame["patient"].str.replace("tune", "train")).to_parquet(tune)
    elif how == "tuned on":
        frame = pd.read_parquet(test)
        frame.assign(patient=frame["patient"].str.replace("test", "tune")).to_parquet(test)
    elif how == "metres":
        frame = pd.read_parquet(test)
        frame.assign(height_cm=frame["height_cm"] / 100).to_parquet(test)
    elif how == "torn":
        test.write_bytes(test.read_bytes()[:300])


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no run.json", "one internal dataset is needed"),
        ("no index", "not the index that was packed"),
        ("other index", "not the index that was packed"),
        ("no tune", "no predictions of asan-tune"),
        ("trained on", "asan-tune: 150 patients are in the clinical model's training split"),
        ("tuned on", "asan-test: 150 patients are in asan-tune"),
        ("metres", "asan-test: .* metres or inches"),
        ("torn", "not a readable parquet file"),
    ],
)
def test_what_stops_it_is_one_line_that_says_what_to_do(tmp_path, how, says):
    run, _ = build(tmp_path / "run")
    spoil(run, how)
    with pytest.raises(ValueError, match=says) as e:
        clinical_of(run)
    assert "\n" not in str(e.value)
    assert not list(run.glob("cohorts/*/clinical.parquet"))


def test_an_image_model_that_the_run_has_not_is_named(tmp_path):
    run, _ = build(tmp_path / "run")
    with pytest.raises(ValueError, match="no model 'professor'"):
        clinical_of(run, image="professor")


def test_without_weights_there_is_no_ost_and_the_clinical_model_does_without(tmp_path):
    run, _ = build(tmp_path / "run", lambda index: index.assign(weight_kg=np.nan))
    paths = clinical_of(run)
    assert set(read(paths[0])["model"]) == {"clinical", "combined"}
    s = Summary.model_validate_json((run / "clinical" / "summary.json").read_bytes())
    assert "have age and weight for OST" in s.skipped["OST"]
    facts = load(run / "clinical" / "clinical").facts
    assert facts.missing["weight_kg"] == facts.missing["bmi"] == 300
    assert facts.ranges["bmi"] is None


def test_a_model_that_is_skipped_now_is_not_left_from_before(tmp_path):
    run, _ = build(tmp_path / "run")
    clinical_of(run)
    path = run / "cohorts" / "asan-tune" / "predictions.parquet"
    frame = read(path)
    frame[frame["key"].isin(sorted(frame["key"].unique())[:12])].to_parquet(path)
    clinical_of(run)
    load(run / "clinical" / "clinical")
    with pytest.raises(ValueError, match=r"facts\.json"):
        load(run / "clinical" / "combined")
