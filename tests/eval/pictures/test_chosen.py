"""Which pictures are shown, by sorts written out; from predictions alone."""

import numpy as np
import pandas as pd

from eval.pictures.chosen import choose, right, wrong
from eval.runs import Run

RIGHT, MISSED, ALARM = (right(0), right(1)), wrong(0), wrong(1)


def test_right_answers_are_by_probability_then_key_and_one_per_patient(
    run, make_cohort, save_cohort
):
    frame = make_cohort("a-test", 40, repeats=2, models=("student",))
    save_cohort(run, frame.assign(probability=frame["label"] * 0.8 + 0.1), "a-test")
    chosen = [c for c in choose(Run.at(run), "student", 3) if c.where == "a-test"]
    expected = [
        key
        for label in (1, 0)
        for key in frame[frame["label"] == label].drop_duplicates("patient")["key"][:3]
    ]
    assert [c.key for c in chosen] == expected
    assert [c.group for c in chosen] == [RIGHT[1]] * 3 + [RIGHT[0]] * 3


def test_failures_are_the_worst_of_every_cohort(run, make_cohort, save_cohort):
    """By a sort written out: severest first, then surest; false alarms by surety alone."""
    frame = make_cohort("a-test", 300, repeats=2, models=("student",))
    rng = np.random.default_rng(1)
    frame["probability"] = rng.random(len(frame)).round(2)  # ties
    frame.loc[frame.index % 17 == 0, "severity"] = None
    save_cohort(run, frame, "a-test")
    found = choose(Run.at(run), "student", 5)
    answer = frame["probability"] >= frame["threshold"]
    rank = {"advanced": 0, "moderate": 1, "mild": 2, "normal": 3, None: 4}
    missed = sorted(
        (rank[s if isinstance(s, str) else None], p, key, who)
        for s, p, key, who in frame[(frame["label"] == 1) & ~answer][
            ["severity", "probability", "key", "patient"]
        ].itertuples(index=False)
    )
    alarms = sorted(
        (-p, key, who)
        for p, key, who in frame[(frame["label"] == 0) & answer][
            ["probability", "key", "patient"]
        ].itertuples(index=False)
    )
    for group, rows in ((MISSED, missed), (ALARM, alarms)):
        once = {}
        for row in rows:
            once.setdefault(row[-1], row[-2])
        chosen = [c for c in found if (c.where, c.group) == ("a-test", group)]
        assert [c.key for c in chosen] == list(once.values())[:5]
        assert all(c.target == (group == ALARM) for c in chosen)
    assert {c.where for c in found if c.group == MISSED} >= {"a-test", "north-external"}
    assert not any(c.where == "asan-tune" for c in found)


def test_without_a_threshold_nobody_is_right_or_wrong(run, make_cohort, save_cohort):
    save_cohort(run, make_cohort("a-test", 40).assign(threshold=np.nan), "a-test")
    assert not [c for c in choose(Run.at(run), "student", 3) if c.where == "a-test"]


def test_proxies_shown_are_the_surest(run):
    frame = pd.read_parquet(run / "pseudo/pseudo_labels.parquet")
    chosen = [
        c for c in choose(Run.at(run), "student", 2) if c.target == 1 and c.where == "public set"
    ]
    top = frame.sort_values("probability", ascending=False).drop_duplicates("patient").head(2)
    assert [c.key for c in chosen] == top["key"].tolist()
