"""Net benefit by dcurves, for `net_benefit.json`: the Python package of the R package's authors.

In an environment of its own (nothing of ours is imported):

    pip install dcurves
    python tests/eval/reference/net_benefit.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import dcurves
import pandas as pd

HERE = Path(__file__).parent
THRESHOLDS = [i / 20 for i in range(1, 19)]


def net_benefits(y: list[int], p: list[float]) -> dict[str, list[float]]:
    """Of the score and of treating all, at `THRESHOLDS`.

    The rule is risk >= threshold; dcurves 1.1.7 calls a score positive at or above it, too.
    """
    frame = pd.DataFrame({"y": y, "p": p})
    found = dcurves.dca(data=frame, outcome="y", modelnames=["p"], thresholds=THRESHOLDS)
    of = {name: rows.sort_values("threshold") for name, rows in found.groupby("model")}
    return {name: of[name]["net_benefit"].tolist() for name in ("p", "all")}


given = json.loads((HERE / "reference.json").read_text())
values = {
    kind: net_benefits(given[kind]["input"]["y"], given[kind]["input"]["a"])
    for kind in ("distinct", "tied")
}
text = {"made_by": {"dcurves": version("dcurves")}, "thresholds": THRESHOLDS} | values
(HERE / "net_benefit.json").write_text(json.dumps(text, indent=1) + "\n")
