"""Keys and what is under them, against metrics.json and the predictions; what is withheld."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from eval.dashboards.told import COHORTS, DRIFT, WITHHELD, columns, of_run
from tests.eval.conftest import cohort_frame, write_cohort
from tests.eval.dashboards.conftest import metrics_of

#: Key -> where metrics.json has it.
PLACES = {
    "auroc": ("overall", "auroc"),
    "ap": ("overall", "average_precision"),
    "sensitivity": ("overall", "sensitivity"),
    "specificity": ("overall", "specificity"),
    "ppv": ("overall", "ppv"),
    "npv": ("overall", "npv"),
    "prevalence": ("overall", "prevalence"),
    "brier": ("overall", "brier_binary"),
    "ece": ("calibration", "ece_positive_class"),
    "slope": ("calibration", "slope"),
    "in_the_large": ("calibration", "in_the_large"),
    "called_positive": ("scores", "called_positive"),
}
TABLES = ("roc", "pr", "calibration", "scores", "subgroups")


def table(told, key):
    return pd.DataFrame(told.tables[key], columns=list(columns(key)))


@pytest.mark.parametrize("cohort", ["asan-test", "asan-tune", "north-external"])
def test_numbers_are_those_of_metrics_json(evaluated, told, cohort):
    for model in metrics_of(evaluated, cohort)["models"]:
        plain = model["model"] == "student"
        at = f"eval/{cohort}" + ("" if plain else "/teacher")
        for name, (part, field) in PLACES.items():
            e = model[part][field]
            found = [told.numbers.get(f"{at}/{name}{end}") for end in ("", "_lo", "_hi")]
            assert found == [e["value"], e["low"], e["high"]], f"{at}/{name}"
        assert told.numbers[f"{at}/patients"] == 120
        assert told.numbers[f"{at}/score_median"] == model["scores"]["quantiles"][2]


def test_every_table_is_there_with_its_columns(told):
    want = {f"eval/{c}/{t}" for c in ("asan-test", "asan-tune", "north-external") for t in TABLES}
    assert set(told.tables) == want | {COHORTS, DRIFT}
    for key, rows in told.tables.items():
        assert {len(row) for row in rows} == {len(columns(key))}
        assert {row[0].split(" ")[0] for row in rows} == {"0123456789"}
    whole = table(told, COHORTS)
    assert len(whole) == 6
    row = whole.set_index(["cohort", "model"]).loc[("north-external", "teacher")]
    assert row["auroc_lo"] == told.numbers["eval/north-external/teacher/auroc_lo"]
    assert list(whole["tuning"]) == [c == "asan-tune" for c in whole["cohort"]]


def test_curves_are_the_curves_at_fixed_places(evaluated, told):
    frame = pd.read_parquet(evaluated / "cohorts" / "north-external" / "predictions.parquet")
    for model in ("teacher", "student"):
        rows = frame[frame["model"] == model]
        y, p = np.array(rows["label"], int), np.array(rows["probability"])
        curve = table(told, "eval/north-external/roc").query(f"line == '0123456789 {model}'")
        assert list(curve["fpr"]) == pytest.approx(np.linspace(0, 1, 101))
        for fpr, tpr in zip(curve["fpr"], curve["tpr"], strict=True):
            # slowly: of all thresholds that cost no more, the best
            cuts = [np.inf, *p]
            fits = [(p >= c)[y == 1].mean() for c in cuts if (p >= c)[y == 0].mean() <= fpr + 1e-9]
            assert tpr == pytest.approx(max(fits))
        curve = table(told, "eval/north-external/pr").query(f"line == '0123456789 {model}'")
        for recall, precision in zip(curve["recall"], curve["precision"], strict=True):
            cut = max(c for c in p if (p >= c)[y == 1].mean() >= recall - 1e-9)
            assert precision == pytest.approx(y[p >= cut].mean())


def test_no_score_of_anybody_is_in_it(evaluated, told):
    scores = set()
    for path in evaluated.glob("cohorts/*/predictions.parquet"):
        frame = pd.read_parquet(path)
        scores |= {x for c in ("probability", "logit", "lowest_t", "age") for x in frame[c]}
    cells = [x for rows in told.tables.values() for row in rows for x in row]
    assert not scores & {x for x in [*cells, *told.numbers.values()] if isinstance(x, float)}


def test_gaps_and_drift(evaluated, told):
    (student,) = [
        m for m in metrics_of(evaluated, "asan-test")["models"] if m["model"] == "student"
    ]
    for g in student["subgroups"]:
        if " x " in g["by"] or not g["gap"]:
            continue
        level = g["level"].replace("≥", "from-").replace("<", "below-").replace(".", "_")
        key = f"gap/asan-test/{g['by']}/{level}/auroc"
        assert told.numbers.get(key) == g["gap"]["auroc"]["value"]
        assert told.numbers.get(f"{key}_hi") == g["gap"]["auroc"]["high"]
    sizes = [abs(v) for k, v in told.numbers.items()
             if k.startswith("gap/asan-test/") and k.endswith("/auroc")]  # fmt: skip
    assert told.numbers["gap/asan-test/widest"] == max(sizes)
    apart = told.numbers["eval/north-external/auroc"] - told.numbers["eval/asan-test/auroc"]
    assert told.numbers["drift/north-external/auroc"] == pytest.approx(apart)
    assert {k.split("/")[1] for k in told.numbers if k.startswith("drift/")} == {"north-external"}
    assert len(table(told, DRIFT)) == 2


def only(run, name, frame):
    """The run with that cohort beside its test split, and nothing else."""
    write_cohort(run, frame, name)
    for other in (run / "cohorts").iterdir():
        if other.name not in (name, "asan-test"):
            for file in other.iterdir():
                file.unlink()
            other.rmdir()
    return of_run(run, "x")


def test_a_cohort_of_four_is_withheld_whole(run):
    told = only(run, "few-external", cohort_frame("few-external", 4, 9))
    assert not [k for k in told.keys if "few-external" in k]
    rows = [r for r in told.tables[WITHHELD] if r[1] == "few-external"]
    assert [r[2:] for r in rows] == [
        (m, "everything", "fewer than 5 patients") for m in ("teacher", "student")
    ]
    assert "few-external, student: withheld: everything (fewer than 5 patients)" in told.withheld


def test_four_positive_patients_are_withheld_though_they_have_many_pictures(run):
    frame = cohort_frame("rare-external", 60, 9, repeats=3)
    sick = frame.loc[frame["label"] == 1, "patient"].unique()
    frame = frame[~frame["patient"].isin(sick[4:])]
    told = only(run, "rare-external", frame)
    found = {k.removeprefix("eval/rare-external/") for k in told.keys if k.startswith("eval/rare")}
    student = {k for k in found if not k.startswith("teacher/")}
    ends = ("", "_lo", "_hi")
    assert student - {f"called_positive{e}" for e in ends} == {
        *("patients", "threshold", "scores", "score_median", "score_p25", "score_p75")
    }
    assert not [k for k in told.numbers if k.startswith("gap/rare")]
    drift = {k.split("/")[2] for k in told.numbers if k.startswith("drift/rare")}
    assert drift == {f"{n}{e}" for n in ("called_positive", "scores") for e in ends} | {"distance"}


def test_bins_of_few_are_left_out_and_what_they_could_be_told_from(run):
    frame = cohort_frame("bins-external", 200, 9, models=("student",))
    # 2 patients in one tenth, 30 in another, the others in a third
    p = np.repeat([0.05, 0.35, 0.85], [168, 30, 2])
    told = only(run, "bins-external", frame.assign(probability=p))
    shown = table(told, "eval/bins-external/scores")
    assert 0.8 not in set(shown["low"]), "two patients"
    assert 0.3 not in set(shown["low"]), "the smallest of the others: they add up to one"
    assert shown.set_index("low").loc[0.0, "share"] == pytest.approx(168 / 200)
    assert len(table(told, "eval/bins-external/calibration")) == 1
    said = [r[3] for r in told.tables[WITHHELD]]
    assert "2 of 10 bins of scores" in said
    assert "2 of 10 bins of calibration" in said


def test_quartiles_need_people_on_either_side(run):
    told = only(run, "small-external", cohort_frame("small-external", 16, 9))
    assert "eval/small-external/score_median" in told.numbers
    assert "eval/small-external/score_p25" not in told.numbers


def test_free_text_of_sites_and_makers_becomes_numbers(run):
    frame = cohort_frame("asan-test", 120, 0)
    place = np.arange(len(frame)) % 120 % 3
    frame["vendor"] = np.array(["Jane Doe", "GE", "PACS /srv/doe"])[place]
    frame["source"] = np.array(["asan", "Dr Doe", "asan"])[place]
    told = only(run, "asan-test", frame)
    groups = table(told, "eval/asan-test/subgroups")
    assert set(groups.loc[groups["by"] == "vendor", "level"]) == {"GE", "vendor 1", "vendor 2"}
    assert set(groups.loc[groups["by"] == "site", "level"]) == {"asan", "site 1"}
    crossed = set(groups.loc[groups["by"] == "site x vendor", "level"])
    assert "site 1, GE" in crossed
    assert "Doe" not in json.dumps([told.tables, told.numbers])


def test_clinical_and_peers_models_have_names_in_their_keys(tmp_path):
    run = tmp_path / "theirs"
    write_cohort(run, cohort_frame("here", 60, 1, models=("Net B", "Net/A")), "here")
    told = of_run(run, "x")
    assert "eval/here/auroc" in told.numbers, "the first by name"
    assert "eval/here/Net-A/auroc" in told.numbers
    assert "eval/here/Net-B/auroc" not in told.numbers
