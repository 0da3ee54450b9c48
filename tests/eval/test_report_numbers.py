"""No number is typed by hand: each of metrics.json is made unmistakable, and is on the page.

All numbers are replaced at once, each by one that occurs nowhere else (4001.25, 4002.25, ...;
counts by 1000001, ...), so that what the page prints says which of them it printed.
"""

import fnmatch
import re

import numpy as np
import pytest

from eval.cohort import Metrics, Settings
from eval.evaluate import evaluate_cohorts
from eval.figures import cohort_figures
from eval.reporting.contents import contents
from eval.reporting.page import page
from eval.reporting.pictures import Pictures
from eval.runs import Run

#: Decide where things stand, or are held to limits: left as they are.
KEPT = ("settings.*", "*.decision.thresholds.*", "*.horizons.*.days", "*.fracture.days.*")
#: Small, so that the gap beside it is spoken of.
SMALL = ("*.gap.sensitivity.p_holm", "*.gap.specificity.p_holm")
#: Beyond 10 standard deviations the page says no more than that.
BELOW_TEN = "*.contrast.smd"
#: In metrics.json for whoever reads that; the page does without.
NOT_ON_THE_PAGE = (
    "*.contrast.statistic",
    "*.contrast.df",
    "*.known",
    "spectrum.*",  # told where cohorts differ: test_cautions
    "*.youden.*",
    "*.mcc.*",
    "*.balanced_accuracy.*",
    "*.unlabelled",  # where nobody has a label
    "*.patients",  # in the head and in Table 1
    "*.calibration.intercept.*",
    "*.hosmer_lemeshow.groups",
    "*.calibration.e50.value",
    "*.calibration.e90.value",
    "*.calibration.emax.value",
    "*.p_bonferroni",  # of gaps Holm's
    "*.gap.*.p",
    "*.gap.sensitivity.low",
    "*.gap.sensitivity.high",
    "*.gap.specificity.low",
    "*.gap.specificity.high",
    "*.performance.negatives",
    "*.performance.prevalence.*",
    "*.performance.average_precision.*",
    "*.performance.confusion.*",
    "*.performance.ppv.*",
    "*.performance.npv.*",
    "*.performance.accuracy.*",
    "*.performance.f1.*",
    "*.performance.brier_binary.*",
    "*.confounding.positives",
    "*.confounding.covariates.*.missing",
    "*.confounding.explained.low",
    "*.confounding.explained.high",
    "*.matched.positives",
    "*.matched.negatives",
    "*.against.*.positives",
    "*.against.*.z",
    "differences.*.z",
    "differences.*.comparisons",
)
#: Drawn: test_a_drawn_number_changes_its_figure.
DRAWN = (
    "*.calibration.bins.*",
    "*.fracture.curves.*",
    "*.scores.tenths.*",
    "*.severities.*.accuracy.*",
    "*.severities.0.n",
)
#: On the page in part: the curve is read at a few thresholds, a score that is named twice is
#: printed once.
IN_PART = (
    "*.decision.net_benefit.*",
    "*.decision.treat_all.*",
    "*.against.*.first_auroc.*",
    "*.against.*.second_auroc.*",
    "baseline.splits.*",  # sites are told apart in one table only
)


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def leaves(value, name=""):
    """(dotted name, holder, key) of every number of a tree of JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        at = f"{name}.{key}" if name else str(key)
        if isinstance(inner, dict | list):
            yield from leaves(inner, at)
        elif isinstance(inner, int | float) and not isinstance(inner, bool):
            yield at, value, key


@pytest.fixture(scope="module")
def run(tmp_path_factory, make_cohort, save_cohort):
    """One test cohort with everything that a cohort can have."""
    folder = tmp_path_factory.mktemp("numbers") / "run"
    frame = make_cohort("asan-test", 160)
    keys = frame["key"].unique()
    rng = np.random.default_rng(0)
    event, seen = rng.exponential(1500, keys.size), rng.uniform(300, 2600, keys.size)
    facts = {
        "vendor": rng.choice(["GE", "Siemens"], keys.size),
        "source": rng.choice(["A", "B"], keys.size),
        "fracture": (event < seen).astype(int),
        "followup_days": np.minimum(event, seen).round(),
    }
    facts = {c: frame["key"].map(dict(zip(keys, v, strict=True))) for c, v in facts.items()}
    save_cohort(folder, frame.assign(**facts), "asan-test")
    return Run.at(folder)


@pytest.fixture(scope="module")
def metrics(run):
    (found,), problems = evaluate_cohorts(run, Settings(draws=50))
    assert not problems
    return found


def text(run, metrics, drawn):
    """The page as it is read; its drawings are those of the true numbers, and left out."""
    figures = {metrics.cohort: drawn}
    written = page(**contents(run, [metrics], [], figures, Pictures(why="not asked for")))
    written = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", written, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", " ", written).replace(",", "").replace("−", "-")


@pytest.fixture(scope="module")
def marked(run, metrics, drawn):
    """Name -> the number put in its place; the page's numbers."""
    tree = metrics.model_dump(mode="json")
    put = {}
    for i, (name, holder, key) in enumerate(list(leaves(tree))):
        if matches(name, KEPT):
            continue
        if matches(name, SMALL):
            holder[key] = 0.01
        elif matches(name, [BELOW_TEN]):
            put[name] = holder[key] = 1.01 + len(put) / 1000
        elif isinstance(holder[key], int):
            put[name] = holder[key] = 1_000_001 + i
        else:
            put[name] = holder[key] = 4001.25 + i
    printed = text(run, Metrics.model_validate(tree), drawn)
    return put, set(re.findall(r"\d+(?:\.\d+)?", printed))


def forms(value):
    """How a number may be printed: with some digits, or per 100."""
    if isinstance(value, int):
        return {str(value)}
    return {f"{value:.{d}f}" for d in range(5)} | {f"{100 * value:.0f}", f"{100 * value:.1f}"}


def shown(put, printed):
    return {name: not forms(value).isdisjoint(printed) for name, value in put.items()}


def test_every_number_is_on_the_page_or_known_not_to_be(marked):
    found = shown(*marked)
    missing = [
        name
        for name, there in found.items()
        if not there and not matches(name, (*NOT_ON_THE_PAGE, *DRAWN, *IN_PART))
    ]
    assert not missing, f"{len(missing)} of {len(found)}, such as {missing[:12]}"
    assert sum(found.values()) > 1500


@pytest.mark.parametrize("pattern", IN_PART)
def test_what_is_shown_in_part_is_shown(marked, pattern):
    put, printed = marked
    of_pattern = {n: v for n, v in put.items() if matches(n, [pattern])}
    assert not of_pattern or any(shown(of_pattern, printed).values())


def test_nothing_is_excused_that_is_not_in_metrics_json(metrics):
    names = [n for n, _, _ in leaves(metrics.model_dump(mode="json"))]
    excused = (*KEPT, *SMALL, *NOT_ON_THE_PAGE, *DRAWN, *IN_PART)
    assert not [p for p in excused if not any(matches(n, [p]) for n in names)]


@pytest.mark.parametrize(
    "changed",
    [
        {
            "reliability": "models.1.calibration.bins.0.n",
            "decision": "models.1.decision.net_benefit.20.value",
            "severity": "models.1.severities.0.accuracy.value",
            "roc": "models.1.overall.sensitivity.value",
            "fractures": "models.1.fracture.curves.0.survival.9",
        },
        {
            "reliability": "models.1.calibration.bins.0.mean_predicted",
            "decision": "models.1.decision.net_benefit.20.low",
            "severity": "models.1.severities.2.accuracy.low",
            "roc": "models.0.overall.specificity.value",
            "fractures": "models.1.fracture.curves.0.low.9",
        },
        {
            "reliability": "models.1.calibration.bins.0.observed.high",
            "decision": "models.0.decision.treat_all.20",
            "severity": "models.0.severities.0.n",
            "precision_recall": "models.1.overall.ppv.value",
            "fractures": "models.1.fracture.curves.0.at_risk.0",
        },
    ],
)
def test_a_drawn_number_changes_its_figure(run, metrics, drawn, changed):
    tree = metrics.model_dump(mode="json")
    places = {name: (holder, key) for name, holder, key in leaves(tree)}
    for name in changed.values():
        holder, key = places[name]
        holder[key] = holder[key] + 1 if isinstance(holder[key], int) else holder[key] * 0.9
    other = cohort_figures(Metrics.model_validate(tree), run.predictions("asan-test"))
    for figure in changed:
        assert getattr(other, figure) != getattr(drawn, figure), figure


@pytest.fixture(scope="module")
def drawn(run, metrics):
    return cohort_figures(metrics, run.predictions("asan-test"))
