"""Makes survival_reference.json: what R, lifelines and scikit-survival say of three small cohorts.

    Rscript --version; pip install lifelines scikit-survival    # in an environment of its own
    python tests/eval/survival_reference.py

Needs R with survival, riskRegression and jsonlite (Debian: r-cran-survival r-cran-riskregression
r-cran-jsonlite). None of these is needed to run the tests.
"""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from sksurv import metrics as sk
from sksurv.util import Surv

HERE = Path(__file__).parent


def cohort(n: int, seed: int, ties: bool, censoring: float) -> dict:
    """Years, some fractures, scores that know something; whole times and scores if tied."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    fracture = rng.exponential(6 * np.exp(-0.8 * risk))
    last = rng.uniform(0.5, censoring, size=n)
    time, event = np.minimum(fracture, last), fracture <= last
    score = risk + rng.normal(size=n)
    time = np.ceil(time) if ties else np.round(time, 6)
    score = np.round(score) if ties else np.round(score, 6)
    return {
        "time": time.tolist(),
        "event": event.astype(int).tolist(),
        "score": score.tolist(),
        "patient": (rng.integers(0, n * 2 // 3, n)).tolist(),
        "horizon": 6.5,
        "times": [1.5, 2.5, 4.5, 6.5],
        "new": [-1.5, 0.0, 0.7],
    }


def python_says(case: dict) -> dict:
    """lifelines and scikit-survival."""
    time, event = np.array(case["time"]), np.array(case["event"], bool)
    score, times = np.array(case["score"]), np.array(case["times"])
    share = np.exp(-np.outer(np.exp(0.7 * score), times) * 0.08)
    kmf = KaplanMeierFitter().fit(time, event)
    limits = kmf.confidence_interval_
    said = {
        "share": share.tolist(),
        "lifelines": {
            "harrell": concordance_index(time, -score, event),
            "times": kmf.survival_function_.index.tolist(),
            "survival": kmf.survival_function_["KM_estimate"].tolist(),
            "low": limits.iloc[:, 0].fillna(-1).tolist(),
            "high": limits.iloc[:, 1].fillna(-1).tolist(),
        },
    }
    c, *counts = sk.concordance_index_censored(event, time, score)
    said["sksurv"] = {"harrell": float(c), "counts": list(map(int, counts))}
    if np.unique(time).size == time.size:  # it weighs by G(t) and not G(t-), which differ at ties
        y = Surv.from_arrays(event, time)
        auc, mean = sk.cumulative_dynamic_auc(y, y, score, times)
        said["sksurv"] |= {
            "uno": float(sk.concordance_index_ipcw(y, y, score, tau=case["horizon"])[0]),
            "auc": auc.tolist(),
            "mean_auc": float(mean),
            "brier": sk.brier_score(y, y, share, times)[1].tolist(),
            "integrated": float(sk.integrated_brier_score(y, y, share, times)),
        }
    return said


def main() -> None:
    """Write the file."""
    cases = {
        "no ties": cohort(70, 1, False, 12),
        "ties": cohort(80, 2, True, 12),
        "last a fracture": cohort(40, 5, True, 30),
    }
    for case in cases.values():
        case |= python_says(case)
    script = HERE / "survival_reference.R"
    done = subprocess.run(
        ["Rscript", str(script)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    for name, case in cases.items():
        case["R"] = said["cases"][name]
    made_by = said["versions"] | {p: version(p) for p in ("lifelines", "scikit-survival", "numpy")}
    text = json.dumps({"made_by": made_by, "cases": cases})
    (HERE / "survival_reference.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
