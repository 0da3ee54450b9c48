"""The clinical models in the run's own report, and the tables of the paper, against their data."""

import csv
import json
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost
from scipy.stats import chi2_contingency, ttest_ind
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from eval.clinical import clinical_of
from eval.clinical.beside import STALE, judged
from eval.cohort import Settings
from eval.delong import delong_test
from eval.evaluate import evaluate_cohorts, evaluate_run
from eval.figures import cohort_figures
from eval.gates import check, parse
from eval.reporting.contents import contents, shown
from eval.reporting.page import page
from eval.reporting.pictures import Pictures
from eval.reporting.tables import table1, table2, write_tables
from eval.runs import Run
from tests.eval.clinical_cases import made
from tests.eval.clinical_folds import build_folds
from tests.eval.test_report_numbers import forms, leaves, matches

COHORTS = ("asan-test", "north-external", "south-external")
MODELS = ("image", "clinical", "combined", "OST")
FEW = Settings(draws=50)


def people(name, n, seed, repeats=1):
    rows = made(n, seed, repeats, prefix=name)
    return rows.assign(weight_kg=rows["weight_kg"].clip(lower=35), lowest_t=-1.5 - rows["image"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    parts = {
        "train": people("train", 100, 0),
        "tune": people("tune", 40, 1),
        "test": people("test", 120, 2),
        "north": people("north", 70, 3, 2),
        "south": people("south", 70, 4),
    }
    parts["south"].loc[:6, "weight_kg"] = np.nan
    build_folds(folder, parts, run_id="li2026-folds3", recipe="li2026")
    clinical_of(folder, monotone=True)
    evaluate_run(folder, FEW)
    return folder


@pytest.fixture
def folder(built, tmp_path):
    """A copy that a test may spoil."""

    return shutil.copytree(built, tmp_path / "run")


@pytest.fixture(scope="module")
def metrics(built):
    found, problems = evaluate_cohorts(Run.at(built), FEW)
    assert not problems
    return found


@pytest.fixture(scope="module")
def rendered(built, metrics):
    """(run, metrics) -> the page; other sections' drawings are those of the run as it was made."""
    run = Run.at(built)
    drawn = {m.cohort: cohort_figures(m, judged(run, m.cohort).frame) for m in shown(metrics)}

    def make(run, metrics):
        return page(**contents(run, metrics, [], drawn, Pictures(why="not asked for")))

    return make


def test_image_clinical_combined_and_ost_stand_side_by_side_on_every_cohort(
    built, metrics, rendered
):
    text = rendered(Run.at(built), metrics)
    results = re.search(r'<section id="results">.*?</section>', text, re.DOTALL).group(0)
    for m in metrics:
        assert [x.model for x in m.models] == list(MODELS)
        assert m.clinical == ("clinical", "combined", "OST")
        assert len(m.differences) == 6
        block = results[results.index(f'colspan="12">{m.cohort}') :]
        places = [block.index(f"<th>{model}</th>") for model in MODELS]
        assert places == sorted(places)
    assert {m.cohort for m in shown(metrics)} == set(COHORTS)
    for cohort in COHORTS:
        for section in ("curves", "benefit"):
            found = re.search(f'<section id="{section}">.*?</section>', text, re.DOTALL).group(0)
            figure = found[found.index(cohort) :]
            assert all(f">{model}<" in figure for model in MODELS)
    for m in metrics:  # frozen: one threshold a model, on all cohorts
        assert [x.threshold for x in m.models] == [x.threshold for x in metrics[0].models]


def test_the_report_fits_nothing(built, metrics, monkeypatch, rendered):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a report must not fit")

    monkeypatch.setattr(xgboost, "train", refuse)
    assert "With age, sex, height and weight" in rendered(Run.at(built), metrics)


def test_a_run_without_clinical_models_has_no_such_section(folder, rendered):
    for path in [*folder.glob("cohorts/*/clinical.parquet"), folder / "clinical/summary.json"]:
        path.unlink()
    found, _ = evaluate_cohorts(Run.at(folder), FEW)
    assert [x.model for x in found[0].models] == ["image"]
    text = rendered(Run.at(folder), found)
    assert 'id="clinical"' not in text
    assert 'id="tables"' not in text


def test_models_made_beside_other_predictions_are_left_out_and_it_says_so(folder, rendered):
    path = folder / "cohorts" / "asan-test" / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame.assign(probability=frame["probability"] * 0.9).to_parquet(path)
    found, _ = evaluate_cohorts(Run.at(folder), FEW)
    of = {m.cohort: m for m in found}
    assert [x.model for x in of["asan-test"].models] == ["image"]
    assert STALE in of["asan-test"].notes
    assert len(of["north-external"].models) == 4
    text = rendered(Run.at(folder), found)
    section = re.search(r'<section id="clinical">.*?</section>', text, re.DOTALL).group(0)
    assert STALE.split(":")[0] in section
    assert "Mean |SHAP|" not in section


@pytest.mark.parametrize("said", ["{", '{"format": "osteoray-clinical-summary/1"}', "[]"])
def test_a_summary_that_cannot_be_read_is_a_line(folder, metrics, said, rendered):
    (folder / "clinical" / "summary.json").write_text(said)
    assert "is not of this version: run" in rendered(Run.at(folder), metrics)


def test_a_torn_clinical_file_is_a_cohort_that_cannot_be_evaluated(folder):
    path = folder / "cohorts" / "south-external" / "clinical.parquet"
    path.write_bytes(path.read_bytes()[:400])
    found, problems = evaluate_cohorts(Run.at(folder), FEW)
    assert len(found) == 4
    assert "clinical.parquet: not a readable parquet file" in problems[0]


def test_a_model_of_both_files_is_refused(folder):
    path = folder / "cohorts" / "asan-test" / "predictions.parquet"
    beside = path.with_name("clinical.parquet")

    table = pq.read_table(beside)
    frame = table.to_pandas()
    frame["model"] = frame["model"].replace("OST", "image")

    changed = pa.Table.from_pandas(frame).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, beside)
    with pytest.raises(ValueError, match=r"image is in predictions\.parquet too"):
        judged(Run.at(folder), "asan-test")


def test_a_gate_without_a_model_is_of_models_that_read_pictures_alone(metrics):
    found = check([parse("auroc>=0")], metrics)
    assert {o.model for o in found} == {"image"}
    named = check([parse("all/OST: auroc>=0")], metrics)
    assert {o.model for o in named} == {"OST"}


#: What decides where things stand, or is words.
KEPT = ("fits.*.monotone.*",)
#: Of the cohort that is drawn every dot is a number in a table; of the others it is in the file.
#: The combined model learns from pictures with a score alone.
NOT_ON_THE_PAGE = (
    *("cohorts.asan-t[ru]*.parts.*", "cohorts.*-external.*.parts.*"),
    *("cohorts.*.models.*.rows", "fits.combined.missing.image_logit"),
)


def test_every_number_of_the_summary_is_on_the_page(folder, metrics, rendered):
    path = folder / "clinical" / "summary.json"
    tree, put = json.loads(path.read_text()), {}
    tree["emptied"] = {"age": 3}
    tree["cohorts"]["asan-test"]["emptied"] = {"weight_kg": 2}
    for i, (name, holder, key) in enumerate(list(leaves(tree))):
        if matches(name, KEPT):
            continue
        number = 1_000_001 + i if isinstance(holder[key], int) else 4001.25 + i
        put[name] = holder[key] = number
    path.write_text(json.dumps(tree))
    text = rendered(Run.at(folder), metrics)
    section = re.search(r'<section id="clinical">.*?</section>', text, re.DOTALL).group(0)
    section = re.sub(r"<svg.*?</svg>", "", section, flags=re.DOTALL)
    section = re.sub(r"<[^>]*>", " ", section).replace(",", "").replace("−", "-")
    printed = set(re.findall(r"\d+(?:\.\d+)?", section))
    missing = [
        name
        for name, value in put.items()
        if forms(value).isdisjoint(printed) and not matches(name, NOT_ON_THE_PAGE)
    ]
    assert not missing, f"{len(missing)} of {len(put)}, such as {missing[:9]}"
    assert len(put) > 150


def test_a_drawn_contribution_changes_its_figure(folder, metrics, rendered):
    run = Run.at(folder)

    def figures():
        section = rendered(run, metrics).split('<section id="clinical">')[1].split("</section>")[0]
        return re.findall(r"<svg.*?</svg>", section, re.DOTALL)

    before, path = figures(), folder / "clinical" / "summary.json"
    assert len(before) == 2
    for where in ("importance", "parts"):
        tree = json.loads(path.read_text())
        model = tree["cohorts"]["asan-test"]["models"]["combined"]
        if where == "importance":
            model["importance"]["age"] += 0.1
        else:
            model["parts"]["age"][0]["mean"] -= 0.1
        path.write_text(json.dumps(tree))
        after = figures()
        assert after[0] == before[0]
        assert after[1] != before[1]
        before = after


def test_table_1_is_welchs_t_and_pearsons_chi_squared_as_scipy_has_them(built, metrics):
    table = table1(metrics, Run.at(built).learnt)
    assert table.head[:5] == ("Set", "Group", "Age (years)", "Men", "Women")
    for cohort in COHORTS:
        frame = Run.at(built).predictions(cohort).sort_values("key").drop_duplicates("patient")
        sick, well = (frame[frame["label"] == v] for v in (1, 0))
        rows = [dict(zip(table.head, r, strict=True)) for r in table.rows if cohort in r[0]]
        assert [r["Group"] for r in rows] == [
            f"osteoporosis (n={len(sick)})",
            f"no osteoporosis (n={len(well)})",
            *("χ²/t", "P"),
        ]
        assert rows[0]["Set"] == f"{cohort} (n={len(frame)})"
        bmi = [f["weight_kg"] / (f["height_cm"] / 100) ** 2 for f in (sick, well)]
        for column, pair, digits in (
            ("Age (years)", [sick["age"], well["age"]], 1),
            ("BMI (kg/m²)", bmi, 1),
            ("Lowest T-score (SD)", [sick["lowest_t"], well["lowest_t"]], 2),
        ):
            for i, side in enumerate(pair):
                said = f"{side.mean():.{digits}f}±{side.std():.{digits}f}"
                assert rows[i][column] == said
            t = ttest_ind(*(side.dropna() for side in pair), equal_var=False)
            assert rows[2][column] == f"{t.statistic:.3f}"
            assert rows[3][column] == ("<0.001" if t.pvalue < 0.001 else f"{t.pvalue:.3f}")
        counts = [[int((f["sex"] == s).sum()) for s in ("M", "F")] for f in (sick, well)]
        for i in range(2):
            assert [rows[i]["Men"], rows[i]["Women"]] == [str(n) for n in counts[i]]
        chi = chi2_contingency(counts, correction=False)
        assert rows[2]["Men"] == f"{chi.statistic:.3f}"
        assert rows[3]["Men"] == ("<0.001" if chi.pvalue < 0.001 else f"{chi.pvalue:.3f}")


def test_table_2_is_what_sklearn_says_of_the_predictions(built, metrics):
    table = table2(shown(metrics))
    assert len(table.rows) == len(COHORTS) * len(MODELS)
    for row in (dict(zip(table.head, r, strict=True)) for r in table.rows):
        frame = judged(Run.at(built), row["Set"]).frame
        rows = frame[frame["model"] == row["Model"]].sort_values("key")
        y, p = rows["label"].to_numpy(int), rows["probability"].to_numpy()
        said = (p >= rows["threshold"].iloc[0]).astype(int)
        assert row["AUC (95% CI)"].startswith(f"{roc_auc_score(y, p):.3f} (")
        for column, value in (
            ("Sensitivity (%)", recall_score(y, said)),
            ("Specificity (%)", recall_score(1 - y, 1 - said)),
            ("Accuracy (%)", (y == said).mean()),
            ("PPV (%)", precision_score(y, said)),
            ("NPV (%)", precision_score(1 - y, 1 - said)),
        ):
            assert row[column] == f"{100 * value:.2f}", column
        assert row["F1"] == f"{f1_score(y, said):.3f}"
        if row["Model"] == "combined":
            assert row["P against combined"] == ""
            continue
        other = frame[frame["model"] == "combined"].set_index("key").loc[rows["key"]]
        p = delong_test(y, other["probability"].to_numpy(), p, 0.95, rows["patient"]).p
        assert row["P against combined"] == ("<0.001" if p < 0.001 else f"{p:.3f}")


def test_the_csv_are_the_page_s_tables(built, metrics, tmp_path, rendered):
    run = Run.at(built)
    paths = write_tables(tmp_path, metrics, shown(metrics), run.learnt)
    text = re.sub(r"<[^>]*>", "|", rendered(run, metrics)).replace("−", "-")
    for path, name in zip(paths, ("table1.csv", "table2.csv"), strict=True):
        assert path.name == name
        rows = list(csv.reader(path.open(encoding="utf-8")))
        assert len({len(r) for r in rows}) == 1
        for row in rows[1:]:
            for cell in row[1:]:
                assert not cell or f"|{cell}|" in text.replace("&lt;", "<"), cell


@pytest.mark.parametrize(
    "gone", ["thresholds", "fits.clinical.missing", "cohorts.asan-test.missing"]
)
def test_a_summary_that_lacks_a_number_is_a_line(folder, metrics, gone, rendered):
    path = folder / "clinical" / "summary.json"
    tree = holder = json.loads(path.read_text())
    for key in gone.split("."):
        holder = holder[key]
    holder.popitem()
    path.write_text(json.dumps(tree))
    assert "is not of this version: run" in rendered(Run.at(folder), metrics)


def test_clinical_rows_of_other_pictures_are_refused(folder):
    path = folder / "cohorts" / "asan-test" / "clinical.parquet"
    table = pq.read_table(path)
    frame = table.to_pandas()
    frame["key"] = "other-" + frame["key"]
    changed = pa.Table.from_pandas(frame).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path)
    with pytest.raises(ValueError, match=r"120 pictures that are not in predictions\.parquet"):
        judged(Run.at(folder), "asan-test")


def test_a_decision_curve_of_fewer_pictures_is_named(built, metrics, rendered):
    text = rendered(Run.at(built), metrics)
    section = re.search(r'<section id="benefit">.*?</section>', text, re.DOTALL).group(0)
    said = "Not of the same pictures as the rest, nor as everybody: OST in south-external (63, the "
    assert f"{said}image 70)." in section
