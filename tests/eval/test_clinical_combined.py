"""The combined model, and the proof it asks for: no leak from the image model's training rows."""

import numpy as np
import pytest

from eval.clinical.combined import OutOfSample, combined_out_of_fold, fit_combined, with_score
from eval.clinical.crossfit import out_of_fold
from eval.clinical.model import fit_clinical
from eval.delong import delong_auc, delong_test
from tests.eval.clinical_cases import made

OTHERS = frozenset({"z1", "z2"})


def proof(rows):
    return OutOfSample.one_model("student", OTHERS, len(rows))


def test_it_does_better_than_either_alone():
    tune, test = made(800, 0), made(1500, 1, prefix="q")
    model = fit_combined(tune, tune["image"], proof(tune))
    y = test["label"].to_numpy(int)
    combined = model.predict(with_score(test, test["image"]))
    clinical = fit_clinical(tune).predict(test)
    assert delong_test(y, combined, clinical).low > 0
    assert delong_auc(y, combined).auc > delong_auc(y, test["image"]).auc - 0.005
    assert model.facts.features[-1] == "image_logit"
    assert model.facts.units["image_logit"] == "log odds"
    assert list(model.facts.out_of_sample) == ["student"]
    importance = model.importance(with_score(test, test["image"]))
    assert max(importance, key=importance.get) == "image_logit"
    phi = model.contributions(with_score(test, test["image"]))
    assert phi.sum(axis=1) == pytest.approx(model.margin(with_score(test, test["image"])), abs=1e-4)


def test_rows_of_the_image_models_training_are_refused():
    rows = made(100, 2)
    seen = [*OTHERS, rows["patient"][7]]
    with pytest.raises(ValueError, match=f"1 patients were scored by 'student'.*{seen[-1]}"):
        fit_combined(rows, rows["image"], OutOfSample.one_model("student", seen, 100))
    with pytest.raises(ValueError, match="trained on them"):
        combined_out_of_fold(rows, rows["image"], OutOfSample.one_model("s", seen, 100))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (OutOfSample.one_model("student", [], 100), "nobody is named"),
        (OutOfSample.one_model("student", OTHERS, 99), "proof for 99 rows where there are 100"),
        (OutOfSample(np.full(100, "a"), {"b": OTHERS}), "nobody is named whom 'a'"),
    ],
)
def test_a_proof_that_proves_nothing_is_refused(given, says):
    rows = made(100, 3)
    with pytest.raises(ValueError, match=says):
        fit_combined(rows, rows["image"], given)


def test_folds_of_a_cross_validation_are_a_proof_if_patients_are_whole_in_them():
    rows = made(60, 4, repeats=2)
    whole = np.arange(120) // 2 % 5
    assert set(OutOfSample.of_folds(whole, rows["patient"]).check(rows["patient"])) == set("01234")
    torn = np.arange(120) % 5
    with pytest.raises(ValueError, match="trained on them"):
        OutOfSample.of_folds(torn, rows["patient"]).check(rows["patient"])
    with pytest.raises(ValueError, match="one for each row"):
        OutOfSample.of_folds(whole[:5], rows["patient"])
    assert OutOfSample.of_folds(whole, rows["patient"]).where(whole == 1).by.size == 24


def test_each_fold_model_answers_for_its_own_rows_only():
    """Model 0 saw patients of fold 1: that is what cross-validation is."""
    by = np.array(["0", "1"])
    fine = OutOfSample(by, {"0": frozenset({"b"}), "1": frozenset({"a"})})
    fine.check(["a", "b"])
    with pytest.raises(ValueError, match="scored by '0'"):
        fine.check(["b", "a"])


def test_shuffled_labels_give_a_combined_auroc_within_the_null_interval():
    for seed in range(3):
        rows = made(300, seed)
        rows["label"] = np.random.default_rng(seed).permutation(rows["label"])
        found = combined_out_of_fold(rows, rows["image"], proof(rows), folds=3)
        y = rows["label"].to_numpy(int)
        m, n = y.sum(), (1 - y).sum()
        null = np.sqrt((m + n + 1) / (12 * m * n))  # of the rank sum
        assert abs(delong_auc(y, found.probability).auc - 0.5) < 3 * null


def test_a_score_that_memorised_its_patients_would_have_shown():
    """What the proof keeps out: scores of training rows lead trees to trust them blindly."""
    rows, test = made(400, 5), made(800, 6, prefix="q")
    rng = np.random.default_rng(0)
    memorised = np.where(rows["label"] == 1, 0.9, 0.1) + rng.normal(0, 0.05, 400)
    honest = fit_combined(rows, rows["image"], proof(rows))
    leaky = fit_combined(rows, memorised.clip(0, 1), proof(rows))
    y, scored = test["label"].to_numpy(int), with_score(test, test["image"])
    assert delong_test(y, honest.predict(scored), leaky.predict(scored)).low > 0


def test_no_row_s_combined_score_comes_from_a_model_that_saw_the_patient():
    rows = made(120, 7, repeats=2)
    found = combined_out_of_fold(rows, rows["image"], proof(rows), folds=3)
    for i, patient in enumerate(rows["patient"]):
        assert patient not in found.seen[found.fold[i]]
        assert found.models[found.fold[i]].facts.n == sum(
            p in found.seen[found.fold[i]] for p in rows["patient"]
        )


def test_the_same_patients_are_held_out_together_by_clinical_and_combined():
    """So that the two can be compared row by row."""
    rows = made(120, 8)
    clinical = out_of_fold(rows, fit_clinical, folds=3)
    combined = combined_out_of_fold(rows, rows["image"], proof(rows), folds=3)
    assert (clinical.fold == combined.fold).all()


def test_probabilities_are_what_it_takes():
    rows = made(100, 9)
    with pytest.raises(ValueError, match="logits need a sigmoid"):
        fit_combined(rows, rows["image"] * 7 - 3, proof(rows))
    with pytest.raises(ValueError, match="NaN"):
        fit_combined(rows, np.full(100, np.nan), proof(rows))
    sure = with_score(rows.head(2), [0.0, 1.0])["image_logit"]
    assert sure.tolist() == pytest.approx([-13.8155, 13.8155], abs=1e-3)
