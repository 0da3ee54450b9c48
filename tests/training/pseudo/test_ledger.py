from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training import pseudo
from training.config import Pseudo


def test_class_thresholds_at_their_edges():
    p = np.array([0.0, 0.01, 0.010001, 0.5, 0.7499999, 0.75, 1.0])
    assert list(pseudo.decide(p, Pseudo())) == [
        *("normal", "normal", "dropped", "dropped", "dropped"),
        *("low bone mass", "low bone mass"),
    ]


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(ValueError, match="probability"):
        pseudo.decide(np.array([0.5, bad]), Pseudo())


def test_every_decision_is_in_the_table_and_counted():
    index = pd.DataFrame(
        {
            "key": list("abcd"),
            "patient": list("wxyz"),
            "source": "nih",
            "age": [60.0, 70, 80, 90],
            "sex": ["F", "M", None, "F"],
        }
    )
    decided = pseudo.table(index, np.array([0.001, 0.8, 0.5, 0.9]), Pseudo(), "sha")
    summary = pseudo.summary(decided)
    assert summary["counts"] == {"normal": 1, "low bone mass": 2, "dropped": 1}
    assert summary["prevalence"] == pytest.approx(2 / 3)
    assert summary["by_sex"]["unknown"]["dropped"] == 1
    assert sum(sum(x.values()) for x in summary["by_sex"].values()) == len(index)
    assert pseudo.summary(decided.iloc[2:3])["prevalence"] is None
