"""How the kept differ from the offered and from the labelled: class, age, sex and source.

A confidence filter does not keep a fair sample. Standardised differences (in standard deviations;
.1 is where people begin to worry) say how far, whatever the size; the p says whether chance alone
would do. Those kept are part of those offered, so there the test sets the kept against the dropped,
which asks the same and has independent groups.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp, ttest_ind

from data_sharding.schema import CLASSES
from training.pseudo.summary import AGE_BANDS, age_bands, sexes


def shift(ledger: pd.DataFrame, labelled: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Comparison -> variable -> what differs (`numbers`, `levels`).

    Args:
        ledger: all offered, with their decision.
        labelled: the labelled training set's index (label, age, sex, source).
    """
    kept = ledger["decision"].isin(CLASSES)
    offered = _compare(ledger.loc[kept], ledger, ledger.loc[~kept], "dropped")
    against = _compare(ledger.loc[kept], labelled, labelled, "labelled")
    against["class"] = levels(
        ledger.loc[kept, "decision"].to_list(), _classes(labelled), _classes(labelled), CLASSES
    )
    found = {"kept against offered": offered, "kept against labelled": against}
    for c, name in enumerate(CLASSES):
        own = labelled.loc[labelled["label"] == c]
        proxies = ledger.loc[ledger["decision"] == name]
        found[f"proxy {name} against labelled {name}"] = _compare(proxies, own, own, "labelled")
    return found


def _classes(labelled: pd.DataFrame) -> list[str]:
    return [CLASSES[int(x)] for x in labelled["label"].to_list()]


def _sources(frame: pd.DataFrame) -> list[str]:
    return [str(x) for x in frame["source"].to_list()]


def _compare(
    a: pd.DataFrame, b: pd.DataFrame, other: pd.DataFrame, name: str
) -> dict[str, dict[str, Any]]:
    """Age, sex and source of `a` against `b`; tests of `a` against `other`, independent of it."""
    ages = [x["age"].to_numpy(np.float64) for x in (a, b, other)]
    found = {
        "age": numbers(*ages),
        "age band": levels(age_bands(a), age_bands(b), age_bands(other), AGE_BANDS),
        "sex": levels(sexes(a), sexes(b), sexes(other), ("F", "M")),
        "source": levels(_sources(a), _sources(b), _sources(other)),
    }
    for one in found.values():
        one["tested_against"] = name
    return found


def numbers(a: np.ndarray, b: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """A measurement in `a` and `b`: mean, sd, standardised difference; `a` tested against `other`.

    The difference is (mean a - mean b) / sqrt((var a + var b) / 2). Welch's t asks about the means,
    Kolmogorov-Smirnov about the whole distribution.
    """
    x, y, z = (v[~np.isnan(v)] for v in (a, b, other))
    sides = {
        side: {
            "n": len(v),
            "missing": len(whole) - len(v),
            "mean": _finite(v.mean()) if len(v) else None,
            "sd": _finite(v.std(ddof=1)) if len(v) > 1 else None,
        }
        for side, v, whole in (("a", x, a), ("b", y, b))
    }
    spread = math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2) if min(len(x), len(y)) > 1 else 0.0
    found: dict[str, Any] = sides | {
        "difference": float((x.mean() - y.mean()) / spread) if spread > 0 else None
    }
    if min(len(x), len(z)) < 2:
        return found | {"reason": "fewer than two values on a side"}
    with warnings.catch_warnings():  # constant ages: the answer is None
        warnings.simplefilter("ignore")
        welch: Any = ttest_ind(x, z, equal_var=False)
        ks: Any = ks_2samp(x, z)
    return found | {"welch_p": _finite(welch.pvalue), "ks_p": _finite(ks.pvalue)}


def levels(
    a: list[str], b: list[str], other: list[str], known: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A category in `a` and `b`: counts, shares, a standardised difference for each level.

    The difference is (p - q) / sqrt((p(1-p) + q(1-q)) / 2); None where nothing varies. Pearson's
    chi-squared tests `a` against `other` over all levels that either has.
    """
    order = [*known, *sorted((set(a) | set(b)) - set(known))]
    rows = {}
    for level in order:
        m, n = a.count(level), b.count(level)
        p, q = (m / len(a) if a else None), (n / len(b) if b else None)
        spread = (
            math.sqrt((p * (1 - p) + q * (1 - q)) / 2) if p is not None and q is not None else 0
        )
        difference = (p - q) / spread if p is not None and q is not None and spread > 0 else None
        rows[level] = {"a": m, "b": n, "share_a": p, "share_b": q, "difference": difference}
    counts = np.array([[v.count(level) for level in order] for v in (a, other)])
    seen = counts[:, counts.sum(axis=0) > 0]
    found: dict[str, Any] = {"n_a": len(a), "n_b": len(b), "levels": rows}
    if not a or not other:
        return found | {"reason": "nobody on a side"}
    if seen.shape[1] < 2:
        return found | {"reason": "one level only"}
    if not (seen > 0).all(axis=0).any():
        return found | {"reason": "no level in common: they differ altogether"}
    test: Any = chi2_contingency(seen, correction=False)
    small = int((np.asarray(test.expected_freq) < 5).sum())
    doubt = {"reason": f"{small} cells expect fewer than 5: p is rough"} if small else {}
    return found | {
        "chi2": float(test.statistic), "df": int(test.dof), "chi2_p": _finite(test.pvalue), **doubt
    }  # fmt: skip


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """The comparisons as text, a line a level."""
    out = []
    for name, variables in found.items():
        a, _, b = name.partition(" against ")
        sides = f"{a.split()[0]:>16}{b.split()[0]:>16}"  # kept or proxy, offered or labelled
        out += ["", name, f"  {'':22}{sides}{'difference':>12}  test"]
        for variable, what in variables.items():
            if "levels" not in what:
                cells = [_spread(what["a"]), _spread(what["b"])]
                out.append(_row(variable, cells, what["difference"], _tests(what)))
                continue
            for i, (level, row) in enumerate(what["levels"].items()):
                cells = [_share(row["a"], row["share_a"]), _share(row["b"], row["share_b"])]
                words = _tests(what) if i == 0 else ""
                out.append(_row(f"{variable} {level}", cells, row["difference"], words))
    return out[1:]


def _row(name: str, cells: list[str], difference: float | None, words: str) -> str:
    shown = "-" if difference is None else f"{difference:+.2f}"
    return f"  {name:22}{cells[0]:>16}{cells[1]:>16}{shown:>12}  {words}".rstrip()


def _spread(side: dict[str, Any]) -> str:
    if side["mean"] is None:
        return "-"
    return f"{side['mean']:.1f}" + ("" if side["sd"] is None else f" ± {side['sd']:.1f}")


def _share(count: int, share: float | None) -> str:
    return f"{count}" if share is None else f"{count} ({share:.1%})"


def _tests(what: dict[str, Any]) -> str:
    names = {"welch_p": "Welch", "ks_p": "KS", "chi2_p": "chi-squared"}
    found = [f"{names[k]} p = {what[k]:.2g}" for k in names if what.get(k) is not None]
    return ", ".join([*found, *([what["reason"]] if "reason" in what else [])])
