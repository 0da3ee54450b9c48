"""What folds say together, against slow computations; leaks between them and changed files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from data_sharding.reader import ShardDataset
from eval.runs import Run
from tests.training.followed import pack_followed
from tests.training.processes import contents
from training.config import Config
from training.crossvalidate import cross_validate
from training.crossvalidate.plan import Plan
from training.crossvalidate.together import mean_of
from training.crossvalidate.whole import make
from training.folder import complete
from training.folds import fold_of
from training.launch import start as do
from training.overrides import override
from training.recipes import recipe
from training.validate import choose_threshold

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ("pseudo.enabled=false", "teacher.epochs=2", "student.epochs=1", "compute.workers=1")
MODELS = ("teacher", "student")


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("folds") / "runs"


@pytest.fixture
def done(tiny, packs, once) -> Plan:
    """Three folds done, in this process, and the whole: the first who asks waits for it."""
    unlabelled = f"paths.unlabelled=[{packs['public']}]"
    plan = Plan.of(tiny(*SMALL, "data.folds=3", f"paths.runs={once}", unlabelled))
    for fold in plan.folds:
        do(fold.config)
    plan.folder.mkdir(exist_ok=True)
    make(plan)
    return plan


@pytest.fixture
def copied(done, tmp_path) -> Plan:
    """The same in a folder of its own, to be tampered with; the whole is yet to be made."""
    shutil.copytree(done.config.paths.runs, tmp_path / "copied", symlinks=True)
    paths = done.config.paths.model_copy(update={"runs": tmp_path / "copied"})
    plan = Plan.of(done.config.model_copy(update={"paths": paths}))
    shutil.rmtree(plan.folder)
    plan.folder.mkdir()
    return plan


def table(folder: Path, cohort: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "cohorts" / cohort / "predictions.parquet")


def of(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    return frame.loc[frame["model"] == model]


def test_what_the_folds_say_together_is_their_mean(done):
    names = ("here-tune", "here-test", "there-external", "open-public")
    whole = {name: table(done.folder, name) for name in (*names, "here-train")}
    for name in names:
        each = [table(f.folder, name).set_index(["model", "key"]) for f in done.folds]
        ours = whole[name].set_index(["model", "key"])
        assert len(ours) == len(each[0])
        for row in ours.index:
            mean = sum(e.loc[row, "probability"] for e in each) / 3
            assert ours.loc[row, "probability"] == pytest.approx(mean, abs=1e-15)
            assert ours.loc[row, "logit"] == pytest.approx(logit(mean), rel=1e-9)
            assert pd.isna(ours.loc[row, "label"]) == (name == "open-public")
        assert set(ours["cohort"]) == {name}
    for model in MODELS:
        mine = of(whole["here-train"], model)
        y, p = mine["label"].to_numpy(int), mine["probability"].to_numpy()
        expected = choose_threshold(y, p, "youden")["threshold"]
        assert {of(f, model)["threshold"].unique().item() for f in whole.values()} == {expected}
        cut = [np.mean(p[y == 1] >= t) - np.mean(p[y == 0] >= t) for t in p]
        assert np.mean(p[y == 1] >= expected) - np.mean(p[y == 0] >= expected) == max(cut)


def test_a_row_out_of_fold_is_of_the_model_that_never_saw_its_patient(done):
    train = ShardDataset(done.config.paths.internal, "train").index
    part = fold_of(train["patient"].tolist(), train["label"].tolist(), 3)
    whole = table(done.folder, "here-train").set_index(["model", "key"])
    assert len(whole) == 2 * len(train)
    for model in MODELS:
        for key, k in zip(train["key"], part, strict=True):
            theirs = table(done.folds[k].folder, "here-heldout").set_index(["model", "key"])
            expected = theirs.loc[(model, key), "probability"]
            assert whole.loc[(model, key), "probability"] == expected
    counts = [len(table(f.folder, "here-heldout")) for f in done.folds]
    assert sum(counts) == len(whole)


def test_it_looks_like_a_run(done):
    run = Run.at(done.folder)
    assert set(run.cohorts) == {
        *("here-train", "here-tune", "here-test", "there-external", "open-public")
    }
    assert all(len(run.predictions(c)) for c in run.cohorts)
    assert complete(done.folder)
    assert [p.problem for p in run.packs] == [None] * len(run.packs)
    facts = run.facts
    assert (facts["folds"], facts["complete"], facts["models"]) == (3, True, list(MODELS))
    assert facts["positive"] == "low bone mass"
    assert done.folder.name == f"ospenscreen-smoke-folds3-{facts['identity'][:10]}"
    for fold in done.folds:
        link = done.folder / "folds" / str(fold.number)
        assert not link.readlink().is_absolute()
        assert link.resolve() == fold.folder.resolve()
        assert (link / "run.json").is_file()
    weights = done.folder / "student" / "weights"
    first = done.folds[0].folder / "student" / "weights" / "model.safetensors"
    assert (weights / "model.safetensors").samefile(first)
    point = json.loads((weights / "operating_point.json").read_text())
    student = of(table(done.folder, "here-test"), "student")
    assert set(student["threshold"]) == {point["threshold"]}
    assert point["split"] == "train, out of fold"
    assert "fold 0's" in json.loads((weights / "calibration.json").read_text())["reason"]
    assert Config.from_yaml(done.folder / "config.yaml").data.folds == 3


def test_how_each_fold_ranks_is_kept(done):
    found = json.loads((done.folder / "per_fold.json").read_text())
    assert found["folds"] == 3
    for cohort, theirs in (("here-test", "here-test"), ("here-train", "here-heldout")):
        for model in MODELS:
            each = [of(table(f.folder, theirs), model) for f in done.folds]
            expected = [roc_auc_score(t["label"].to_numpy(int), t["probability"]) for t in each]
            ours = of(table(done.folder, cohort), model)
            said = found["auroc"][cohort][model]
            assert said["each"] == pytest.approx(expected)
            assert said["together"] == pytest.approx(
                roc_auc_score(ours["label"].to_numpy(int), ours["probability"])
            )


def test_it_is_made_again_when_a_fold_or_the_whole_has_changed(copied, done):
    assert make(copied)
    before = contents(copied.folder)
    assert before == contents(done.folder)  # in another place, the same bytes
    assert not make(copied)
    (copied.folder / "cohorts" / "here-test" / "predictions.parquet").write_bytes(b"torn")
    assert make(copied)
    assert contents(copied.folder) == before
    path = copied.folds[1].folder / "cohorts" / "here-test" / "predictions.parquet"
    rewrite(path, lambda f: f.assign(probability=f["probability"] / 2))
    assert make(copied)
    ours, theirs = table(copied.folder, "here-test"), table(done.folder, "here-test")
    halved = table(done.folds[1].folder, "here-test")["probability"] / 6
    assert np.allclose(theirs["probability"] - ours["probability"], halved)


def rewrite(path: Path, change) -> None:
    """Rows changed, and what the file says that it was made with kept."""
    metadata = pq.read_schema(path).metadata
    made = pa.Table.from_pandas(change(pd.read_parquet(path)))
    pq.write_table(made.replace_schema_metadata(made.schema.metadata | metadata), path)


def test_a_leak_is_refused(copied):
    first, second = (
        f.folder / "cohorts/here-heldout/predictions.parquet" for f in copied.folds[:2]
    )
    kept = first.read_bytes()
    shutil.copy(second, first)
    with pytest.raises(ValueError, match="not made by this fold's weights"):
        make(copied)
    first.write_bytes(kept)
    rewrite(first, lambda _: pd.read_parquet(second))
    with pytest.raises(ValueError, match=r"\d+ patients whom this fold's models learnt from"):
        make(copied)
    first.write_bytes(kept)
    rewrite(first, lambda f: f[f["key"] != f["key"].iloc[0]])
    with pytest.raises(ValueError, match=r"not the \d+ pictures of part 0"):
        make(copied)
    first.write_bytes(kept)
    tune = pd.read_parquet(copied.folds[0].folder / "cohorts/here-tune/predictions.parquet")
    rewrite(first, lambda f: pd.concat([f, tune.head(1).assign(cohort="here-heldout")]))
    with pytest.raises(ValueError, match=r"1 patients whom .* or were chosen by"):
        make(copied)
    assert not complete(copied.folder)
    first.write_bytes(kept)
    assert make(copied)


def test_a_fold_that_is_another_run_is_refused(copied):
    folder = copied.folds[2].folder
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("fold: 2", "fold: 1"))
    with pytest.raises(ValueError, match=r"config\.yaml: edited"):
        make(copied)
    (folder / "config.yaml").write_text(config)
    facts = (folder / "run.json").read_text()
    (folder / "run.json").write_text(facts.replace(copied.folds[2].identity, "0" * 64))
    with pytest.raises(ValueError, match=r"run\.json: of another run"):
        make(copied)
    (folder / "run.json").write_text(facts)
    shutil.rmtree(folder / "student" / "weights")
    with pytest.raises(ValueError, match="not usable weights"):
        make(copied)


def test_the_probabilities_of_three_classes_still_sum_to_one(done):
    rng, columns = np.random.default_rng(0), ["p_normal", "p_low_bone_mass", "p_osteoporosis"]
    frames = []
    for fold in done.folds:
        frame = table(fold.folder, "here-test")
        p = rng.dirichlet([1, 1, 1], len(frame))
        frames.append(frame.assign(**dict(zip(columns, p.T, strict=True)), probability=1 - p[:, 0]))
    ours = mean_of(frames)
    assert np.allclose(ours[columns].sum(axis=1), 1)
    assert np.allclose(ours["probability"], 1 - ours["p_normal"])
    assert ours["risk_1y"].isna().to_numpy().all()


def test_folds_that_know_other_facts_are_no_mean(done):
    frames = [table(f.folder, "here-test") for f in done.folds]
    with pytest.raises(ValueError, match="fold 1 has other pictures, or other facts"):
        mean_of([frames[0], frames[1].assign(age=1.0), frames[2]])
    with pytest.raises(ValueError, match="fold 2 has other pictures, or other facts"):
        mean_of([*frames[:2], frames[2].head(3)])


def test_a_survival_models_risks_are_averaged_and_keep_their_order(tmp_path):
    runs = tmp_path / "runs"
    config = override(
        recipe("fracture:smoke"),
        [
            f"paths.internal={pack_followed(tmp_path / 'here')}",
            *("paths.external=[]", f"paths.runs={runs}", "model.name=test_convnext"),
            *("input.size=48", "fracture.epochs=2", "fracture.batch=16", "data.folds=2"),
            *("fracture.horizon_days=900", "compute.launcher=local", "track.wandb=disabled"),
        ],
    )
    plan = Plan.of(config)
    for fold in plan.folds:
        do(fold.config)
    assert cross_validate(config) == (plan.folder, False)
    ours = table(plan.folder, "here-test")
    each = [table(f.folder, "here-test") for f in plan.folds]
    for column in ("probability", "risk_1y", "risk_5y"):
        assert np.allclose(ours[column], (each[0][column] + each[1][column]) / 2)
    assert ours["threshold"].isna().to_numpy().all()
    train = table(plan.folder, "here-train")
    for frame in (ours, train):
        assert np.allclose(np.exp(-np.exp(frame["logit"])), 1 - frame["probability"])
    assert set(json.loads((plan.folder / "per_fold.json").read_text())["c"]) == {
        *("here-train", "here-tune", "here-test")
    }
    assert cross_validate(config) == (plan.folder, True)
