"""What the predictions of one cohort must be beyond their columns, and what to know of them."""

from __future__ import annotations

import numpy as np

from data_sharding.schema import SEVERITIES
from eval.clinical.plausible import RANGES, UNITS, blank
from eval.frames import Frame


def check_cohort(frame: Frame, cohort: str) -> None:
    """Refuse rows that cannot be one cohort's.

    Raises:
        ValueError: rows of another cohort, an empty model, key or patient, a label that is not 0
            or 1, or a key or patient that rows disagree about. One line, with the rows and the fix.
    """
    if others := sorted(set(frame["cohort"].dropna()) - {cohort}):
        raise ValueError(
            f"{cohort}: the file also holds rows of {_some(others)}: give each cohort its own file"
        )
    if frame[["model", "key", "patient"]].isna().any(axis=None):
        raise ValueError(f"{cohort}: model, key and patient may not be empty")
    odd = frame["label"].notna() & ~frame["label"].isin([0, 1])
    if odd.any():
        raise ValueError(
            f"{cohort}: {int(odd.sum())} labels are not 0, 1 or missing, such as of "
            f"{_some(frame.loc[odd, 'key'])}: labels must be 0, 1 (positive) or empty"
        )
    for fact, known in (("sex", ("F", "M")), ("severity", SEVERITIES)):
        odd = frame[fact].notna() & (frame[fact] != "") & ~frame[fact].isin(known)
        if odd.any():
            raise ValueError(
                f"{cohort}: column {fact} of {int(odd.sum())} rows says something else than "
                f"{', '.join(known)}, such as {_some(frame.loc[odd, fact].unique())}: write it "
                "like that, or leave it empty"
            )
    _agree(frame, "key", "patient", cohort, "models disagree about the patient or the label of a")
    _agree(frame, "key", "label", cohort, "models disagree about the patient or the label of a")
    labelled = frame[frame["label"].notna()]
    _agree(labelled, "patient", "label", cohort, "duplicate patients with conflicting labels: one")


def _agree(frame: Frame, unit: str, fact: str, cohort: str, what: str) -> None:
    """Each `unit` has one `fact`; pairs are counted, which is faster than grouping."""
    pairs = frame[[unit, fact]].drop_duplicates()
    twice = pairs[unit][pairs[unit].duplicated()].unique()
    if len(twice):
        raise ValueError(
            f"{cohort}: {what} {unit}: {len(twice)} with more than one {fact}, such as "
            f"{_some(twice)}: give each {unit} one {fact}"
        )


def threshold(rows: Frame, where: str) -> float | None:
    """The one frozen threshold of a model, or None if the file has none.

    Raises:
        ValueError: there are several, or it is not a number.
    """
    values = rows["threshold"].dropna().unique()
    if values.size > 1:
        raise ValueError(f"{where}: {values.size} thresholds; a model has one, frozen on tuning")
    if values.size and not np.isfinite(values[0]):
        raise ValueError(f"{where}: the threshold is infinite: leave it empty if there is none")
    if values.size and not 0 <= values[0] <= 1:
        raise ValueError(
            f"{where}: the threshold {values[0]:g} is outside [0, 1], where probabilities are: is "
            "it of a logit?"
        )
    return float(values[0]) if values.size else None


def without_impossible(frame: Frame) -> tuple[Frame, list[str]]:
    """Ages, heights and weights that no adult has, read as not known; and how many these were."""
    found, columns = [], {}
    people = ~frame.duplicated("patient")
    for name in ("age", "height_cm", "weight_kg"):
        values = frame[name].to_numpy(np.float64, na_value=np.nan)
        columns[name] = blank(name, values)
        odd = int((people & np.isfinite(values) & np.isnan(columns[name])).sum())
        odd += int((people & np.isinf(values)).sum())
        if odd:
            low, high = RANGES[name]
            found.append(
                f"{name} of {odd} patient(s) is outside {low:g} to {high:g} {UNITS[name]}, and is "
                "read as not known."
            )
    return frame.assign(**columns), found


def notes(frame: Frame) -> list[str]:
    """Facts about the cohort that change how the numbers are read."""
    if frame.empty:
        return ["The predictions file has no rows."]
    found = []
    if frame.groupby("model")["key"].agg(frozenset).nunique() > 1:
        found.append("The models did not predict the same pictures; differences use common ones.")
    labels = frame["label"].dropna().unique()
    if not labels.size:
        found.append("No picture of this cohort has a reference label.")
    elif labels.size == 1:
        has = "has a positive one" if labels[0] == 1 else "has a negative one"
        found.append(f"Everybody with a reference label {has}: nothing can be ranked.")
    if frame.duplicated(["model", "patient"]).any():
        found.append("Some patients have several pictures: intervals allow for it.")
    return found


def _some(words: object) -> str:
    """The first three, and no longer than a line."""
    first = [str(w)[:60] for w in list(words)[:3]]  # type: ignore[call-overload]
    return ", ".join(first)
