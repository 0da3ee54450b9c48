"""End to end on the phantom's people: what the systems answer, and the tests between them."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from eval.classes import three_classes
from eval.classes.compose import compose
from eval.comparison.multiple import holm
from eval.thresholds import youden_threshold
from tests.eval.classes.cases import People, frame, write


@pytest.fixture(scope="module")
def made(template):
    first, second, *others = map(str, template)
    return three_classes(first, second, others, tuned=True, draws=300)


def frames(runs, cohort):
    return [pd.read_parquet(r / "cohorts" / cohort / "predictions.parquet") for r in runs]


def of(made, cohort):
    (found,) = [c for c in made.cohorts if c.cohort == cohort]
    return found


def test_two_stages_are_composed_from_the_files(template, made):
    one, two, *_ = frames(template, "there-external")
    y = one["category"].to_numpy(int)
    said = np.where(one["probability"] >= 0.3, 2, (two["probability"] >= 0.45).astype(int))
    a = of(made, "there-external").systems[0]
    assert a.confusion == tuple(map(tuple, sk.confusion_matrix(y, said).tolist()))
    assert a.f1_macro.value == pytest.approx(sk.f1_score(y, said, average="macro"))
    assert sum(map(sum, a.confusion)) == a.errors.wrong + np.trace(a.confusion) == 240
    p1, p2 = one["probability"].to_numpy(), two["probability"].to_numpy()
    P = np.column_stack([(1 - p1) * (1 - p2), (1 - p1) * p2, p1])
    assert a.auroc_ovr.value == pytest.approx(sk.roc_auc_score(y, P, multi_class="ovr"))
    assert [k.mean_predicted for k in a.classes] == pytest.approx(P.mean(axis=0).tolist())


def test_unified_models_answer_by_their_rule(template, made):
    test = frames(template, "here-test")[2]
    columns = ["p_normal", "p_low_bone_mass", "p_osteoporosis"]
    y, P = test["category"].to_numpy(int), test[columns].to_numpy()
    b, c = of(made, "here-test").systems[1:3]
    assert b.confusion == tuple(map(tuple, sk.confusion_matrix(y, P.argmax(axis=1)).tolist()))
    for system, model in ((made.systems[4], 3), (made.systems[2], 2)):
        tune = frames(template, "here-tune")[model]
        truth, Q = tune["category"].to_numpy(int), tune[columns].to_numpy()
        rest = truth < 2
        t1 = youden_threshold(truth == 2, Q[:, 2]).value
        t2 = youden_threshold(truth[rest] == 1, (Q[:, 1] / (Q[:, 0] + Q[:, 1]))[rest]).value
        assert system.thresholds == pytest.approx((t1, t2))
        assert system.chosen_on == ("here-tune",)
    said = np.where(P[:, 2] >= t1, 2, (P[:, 1] / (P[:, 0] + P[:, 1]) >= t2).astype(int))
    assert c.confusion == tuple(map(tuple, sk.confusion_matrix(y, said).tolist()))
    assert b.rps == c.rps


def test_every_test_is_between_comparable_systems_and_counted(made):
    assert [s.letter for s in made.systems] == list("ABCDE")
    pairs = {(t.first, t.second) for t in made.contrasts}
    assert pairs == {("A", "B"), ("A", "C"), ("A", "D"), ("A", "E"), ("B", "D"), ("C", "E")}
    assert {(t.first, t.second) for t in made.contrasts if t.statistic == "rps"} == {
        ("A", "B"), ("A", "D"), ("B", "D")
    }  # fmt: skip
    assert {t.cohort for t in made.contrasts} == {"here-test", "there-external"}
    with_p = [t for t in made.contrasts if t.p is not None]
    assert made.comparisons == len(with_p) == 2 * (6 * 4 - 3)
    assert [t.p_holm for t in with_p] == pytest.approx(holm([t.p for t in with_p]))
    assert "draws cannot tell a difference" in made.notes[-1]
    for t in with_p:
        first, second = (
            next(s for s in of(made, t.cohort).systems if s.system == letter)
            for letter in (t.first, t.second)
        )
        gap = getattr(second, t.statistic).value - getattr(first, t.statistic).value
        assert t.difference.value == pytest.approx(gap, abs=1e-12)
        assert t.difference.low < t.difference.value < t.difference.high
        # p and the interval say the same, but for draws at the edge
        if t.p < 0.03 or t.p > 0.07:
            assert (t.p < 0.05) == (t.difference.low > 0 or t.difference.high < 0)


def test_a_better_reader_is_better_and_oracles_better_still(made):
    for cohort in made.cohorts:
        a, b, _, d, _ = cohort.systems
        assert a.rps.value < b.rps.value < d.rps.value
        for oracle in a.oracles:
            assert oracle.rps.value < a.rps.value
            assert oracle.accuracy.value >= a.accuracy.value
    heads = [s.parts[0].head for s in made.systems[1:]]
    assert heads == ["softmax"] * 2 + ["cumulative link"] * 2


def test_people_are_counted_and_not_their_pictures(made):
    assert of(made, "there-external").patients == 120
    assert of(made, "here-test").patients == 240


def test_the_same_files_give_the_same_numbers(template, made):
    first, second, *others = map(str, template)
    assert three_classes(first, second, others, tuned=True, draws=300) == made


def test_out_of_fold_rows_chose_thresholds_too(runs):
    """The train split of a cross-validated run: shown, marked, and not tested."""
    for run in runs:
        (run / "cohorts" / "there-external").rename(run / "cohorts" / "here-train")
    first, second, *others = map(str, runs)
    made = three_classes(first, second, others, draws=40)
    assert [(c.cohort, c.chose) for c in made.cohorts] == [
        ("here-test", False), ("here-train", True), ("here-tune", True)
    ]  # fmt: skip
    assert {t.cohort for t in made.contrasts} == {"here-test"}


def test_those_with_osteoporosis_have_no_say_in_the_second_threshold(tmp_path):
    """They look like low bone mass; counted as normal they would push its threshold up."""
    p1 = np.array([0.1, 0.1, 0.1, 0.1, *[0.9] * 5])
    p2 = np.array([0.2, 0.4, 0.5, 0.9, *[0.6] * 5])
    who = People(np.zeros(9), np.array([0, 0, 1, 1, *[2] * 5]), p1, p2)
    P = compose(p1, p2)
    columns = dict(zip(("p_normal", "p_low_bone_mass", "p_osteoporosis"), P.T, strict=True))
    label = (who.category >= 1).astype(int)
    made = {c: frame(c, who, 1 - P[:, 0], label=label, **columns) for c in ("x-tune", "x-test")}
    run = write(tmp_path / "run", made)
    found = three_classes(None, None, [str(run)], tuned=True, draws=20)
    assert found.systems[1].thresholds == pytest.approx((0.9, 0.5))
    assert found.cohorts[0].systems[1].errors.wrong == 0
