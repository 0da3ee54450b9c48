"""What a sweep optimises, held against second implementations, and read from one file alone."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from training.launch import start
from training.models import build
from training.overrides import override
from training.recipes import recipe
from tuning.cost import multiply_adds
from tuning.objectives import LEAST, check, directions, objectives


def delong_by_hand(y, s):
    """AUROC and DeLong's standard error, pair by pair (one row a patient)."""
    sick, well = s[y == 1], s[y == 0]
    wins = (sick[:, None] > well) + 0.5 * (sick[:, None] == well)
    variance = wins.mean(1).var(ddof=1) / len(sick) + wins.mean(0).var(ddof=1) / len(well)
    return wins.mean(), math.sqrt(variance)


def said(n=400, seed=0, **columns):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    rows = {
        "model": "student",
        "patient": [f"p{i}" for i in range(n)],
        "label": label,
        "logit": label + rng.normal(0, 1.5, n),
        "sex": rng.choice(["F", "M"], n),
        "age": rng.uniform(50, 80, n),
        "fracture": pd.array([pd.NA] * n, "Int64"),
        "followup_days": pd.array([pd.NA] * n, "Int64"),
    }
    return pd.DataFrame(rows | columns)


@pytest.fixture
def run(tmp_path):
    """Makes a finished run of predictions of the tune split; what it says of others is no table."""

    def make(frame, model="student", changes=()):
        folder = tmp_path / "run"
        for cohort in ("here-tune", "here-test", "there-external"):
            place = folder / "cohorts" / cohort / "predictions.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("not to be read")
        other = frame.assign(model="teacher", logit=-frame["logit"])
        both = pd.concat([other, frame.assign(model=model)])
        both.to_parquet(folder / "cohorts" / "here-tune" / "predictions.parquet")
        facts = {
            "models": ["teacher", model],
            "manifests": {"there": {"role": "external"}, "here": {"role": "internal"}},
        }
        (folder / "run.json").write_text(json.dumps(facts))
        config = override(recipe("ospenscreen:smoke"), list(changes))
        (folder / "config.yaml").write_text(config.to_yaml())
        return folder

    return make


def test_auroc_and_its_lower_bound(run):
    frame = said()
    auc, error = delong_by_hand(frame["label"].to_numpy(), frame["logit"].to_numpy())
    assert auc == pytest.approx(roc_auc_score(frame["label"], frame["logit"]))
    found = objectives(run(frame), ("auroc", "auroc_low"))
    assert found == pytest.approx([auc, auc - 1.959964 * error], rel=1e-6)


def test_patients_of_several_pictures_count_once(run):
    frame = said(100)
    twice = pd.concat([frame, frame])
    once, repeated = (objectives(run(f), ("auroc_low",))[0] for f in (frame, twice))
    assert repeated == pytest.approx(once, abs=0.003)
    strangers = twice.assign(patient=[f"p{i}" for i in range(200)])
    assert objectives(run(strangers), ("auroc_low",))[0] > once + 0.01


def test_the_gap_is_the_larger_of_those_between_sexes_and_between_ages(run):
    frame = said(1200)
    men = frame["sex"] == "M"
    frame.loc[men, "logit"] = np.random.default_rng(1).normal(0, 1, int(men.sum()))
    by_sex = [roc_auc_score(f["label"], f["logit"]) for _, f in frame.groupby("sex")]
    bands = pd.cut(frame["age"], [50, 55, 60, 65, 200], right=False)
    by_age = [roc_auc_score(f["label"], f["logit"]) for _, f in frame.groupby(bands, observed=True)]
    wanted = max(max(by) - min(by) for by in (by_sex, by_age))
    assert wanted == pytest.approx(by_sex[0] - by_sex[1])
    assert objectives(run(frame), ("gap",)) == pytest.approx([wanted])
    one_sex = frame.assign(sex="F")
    ages = max(by_age) - min(by_age)
    assert objectives(run(one_sex), ("gap",)) == pytest.approx([ages])


def test_a_group_counts_from_enough_patients_of_both_classes_on(run):
    frame = said(1200, age=70.0)
    men = np.flatnonzero((frame["sex"] == "M") & (frame["label"] == 1))
    few = frame.drop(index=men[LEAST - 1 :])
    with pytest.raises(ValueError, match=r"gap: no two sexes.*too few: men.*another objective"):
        objectives(run(few), ("gap",))
    again = pd.concat([few, few.loc[[men[0]]]])  # a picture more, of the same man
    with pytest.raises(ValueError, match="too few: men"):
        objectives(run(again), ("gap",))
    assert objectives(run(frame.drop(index=men[LEAST:])), ("gap",))[0] > 0
    unknown = frame.assign(sex=[None] * len(frame))
    with pytest.raises(ValueError, match="too few: unknown"):
        objectives(run(unknown), ("gap",))


def test_c_is_the_share_of_pairs_in_their_order(run):
    rng = np.random.default_rng(0)
    n = 60
    days, event = rng.integers(1, 900, n), rng.integers(0, 2, n)
    frame = said(n, fracture=event, followup_days=days, label=pd.array([pd.NA] * n, "Int64"))
    right = pairs = 0.0
    for i in range(n):
        for j in range(n):
            if event[i] and (days[j] > days[i] or (days[j] == days[i] and not event[j])):
                pairs += 1
                a, b = frame["logit"][i], frame["logit"][j]
                right += (a > b) + 0.5 * (a == b)
    assert objectives(run(frame, "fracture"), ("c",)) == pytest.approx([right / pairs])
    nobody = frame.assign(fracture=0)
    with pytest.raises(ValueError, match="nobody in the tune split can be compared"):
        objectives(run(nobody, "fracture"), ("c",))


def counted_by_hooks(config):
    """Multiply-adds of convolutions and linear layers, each by its own formula."""
    model, total = build(config.model, load=False).eval(), 0

    def count(layer, inputs, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        else:
            total += output.numel() * layer.in_features

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    size = config.input.size
    with torch.no_grad():
        model(torch.zeros(1, config.model.channels, size, size))
    return total


@pytest.mark.parametrize(("name", "size"), [("test_byobnet", 96), ("resnet18", 64)])
def test_the_cost_is_what_its_layers_multiply(run, name, size):
    changes = [f"model.name={name}", f"input.size={size}"]
    config = override(recipe("ospenscreen:smoke"), changes)
    wanted = counted_by_hooks(config)
    assert wanted > 0
    assert objectives(run(said(), changes=changes), ("auroc", "cost"))[1] == wanted
    assert multiply_adds(config) == wanted


def test_the_cost_of_the_papers_networks_needs_neither_weights_nor_time():
    """ResNet-18 of three channels at 224 has 1.814e9 (He et al. 2016: 1.8e9 FLOPs)."""
    face = override(
        recipe("face2bone"),
        ["model.name=resnet18", "model.face=null", "model.pretrained=none", "image.lr=0.1"],
    )
    assert multiply_adds(face) == pytest.approx(1.814e9, rel=1e-3)
    # what tells the network about FaceNet's embedding is counted, FaceNet is not
    given = override(recipe("face2bone:smoke"), ["model.face.facenet=/x.pt"])
    assert 1 < multiply_adds(given) / multiply_adds(recipe("face2bone:smoke")) < 1.5


def test_of_a_real_run_only_the_tune_split_is_asked(changes):
    short = [*changes, "compute.launcher=local", "predict=tune"]
    folder, _ = start(override(recipe("ospenscreen:smoke"), short))
    auc, low, cost = objectives(folder, ("auroc", "auroc_low", "cost"))
    record = json.loads((folder / "student" / "metrics.jsonl").read_text().splitlines()[-1])
    assert auc == pytest.approx(record["tune/auroc"], abs=1e-6)
    assert 0 <= low <= auc <= 1
    assert cost > 0
    with pytest.raises(ValueError, match="gap: no two sexes"):
        objectives(folder, ("gap",))


def test_what_is_no_number_is_said(run):
    frame = said()
    folder = run(frame.assign(logit=math.nan))
    with pytest.raises(ValueError, match="not finite: the training diverged"):
        objectives(folder, ("auroc",))
    for column in ("auroc", "auroc_low", "gap"):
        with pytest.raises(ValueError, match=r"run: (AUROC|gap)"):
            objectives(run(frame.assign(label=1)), (column,))
    with pytest.raises(ValueError, match="missing or not finite"):
        objectives(run(frame.iloc[:0]), ("auroc",))
    path = folder / "cohorts" / "here-tune" / "predictions.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="no predictions of the tune split"):
        objectives(folder, ("auroc",))
    path.unlink()
    with pytest.raises(ValueError, match="no predictions of the tune split"):
        objectives(folder, ("auroc",))
    (folder / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="not a finished run"):
        objectives(folder, ("auroc",))


def test_directions_and_names():
    assert directions(("auroc_low", "gap")) == ["maximize", "minimize"]
    assert directions(("c",)) == ["maximize"]
    for wrong, why in (
        (("auroc_lo",), "did you mean auroc_low"),
        (("gap", "gap"), "each once"),
        ((), "at least one"),
    ):
        with pytest.raises(ValueError, match=why):
            directions(wrong)


def test_what_a_recipe_has_not_is_refused_before_anything_is_trained():
    check(("c", "cost"), recipe("fracture"))
    check(("auroc_low", "gap"), recipe("three_classes"))
    with pytest.raises(ValueError, match="fracture:smoke is a survival model; it has c, cost"):
        check(("auroc_low",), recipe("fracture:smoke"))
    with pytest.raises(ValueError, match="no survival model; it has auroc_low"):
        check(("c",), recipe("ospenscreen"))
