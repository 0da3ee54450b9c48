"""Late fusion: the scores of a face, a chest radiograph and of age, sex and BMI as one.

    python -m eval fusion --face RUN --cxr RUN --out DIR

Patients have one pseudonym in datasets packed with one key under one name, so that two runs can be
put together patient by patient. A logistic model of the calibrated log odds (stacking; Wolpert,
Neural Networks 1992) is fitted to patients who are tuning data of both runs, ridge-penalised as
`eval.clinical.splines.logistic`, and applied once to those who are test data of both. Nobody is in
both groups, and nobody who was learnt from is in either.

AUROCs are compared by DeLong's paired test, which takes the fitted weights as given.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from eval.calibration import brier, calibration_line
from eval.classes.body import Body, fit, learners
from eval.classes.single import facts
from eval.clinical.features import image_logit
from eval.clinical.rows import DELONG, FEWEST
from eval.clinical.splines import logistic
from eval.comparison.multiple import holm
from eval.delong import delong_auc, delong_test
from eval.estimate import Estimate, undefined
from eval.frames import Frame
from eval.fusion.met import Pairs, pairs
from eval.fusion.modality import Modality, event_of, modality, task_of
from eval.fusion.shapes import Event, Fitted, Fusion, Gain, Judged, Met, Scored
from eval.inputs import check_level

__all__ = ["Fusion", "fuse"]

CLINICAL = "clinical"
#: Columns of predictions.parquet that are the patient's own.
OWN = ["age", "sex", "height_cm", "weight_kg"]


def fuse(face: str, cxr: str, mixed: bool = False, level: float = 0.95) -> tuple[Fusion, Frame]:
    """Fit the stack and judge it.

    Args:
        face: RUN or RUN:MODEL that read faces.
        cxr: RUN or RUN:MODEL that read radiographs.
        mixed: fit to those, too, who are tuning data of one run and test data of the other; they
            are never judged.
        level: two-sided confidence level.

    Returns:
        What came out, and predictions of every score (`schema.PREDICTION_COLUMNS`).

    Raises:
        ValueError: runs that cannot be read or fused; nobody, or too few, in both.
    """
    check_level(level)
    tasks = task_of(face), task_of(cxr)
    event = event_of(tasks)
    first = modality("face", face, tasks[0], event)
    second = modality("CXR", cxr, tasks[1], event)
    found = pairs(first, second, mixed)
    clinical, why = _clinical(first, found, event)
    scored = {role: _scores(f, first, second, clinical, event) for role, f in found.frames.items()}
    label = found.frames["fitted"]["label"].to_numpy(np.float64)
    _enough(label, found.met)
    names = list(scored["fitted"])
    stacks = {
        " + ".join(of): _stack(of, scored["fitted"], label)
        for size in range(2, len(names) + 1)
        for of in combinations(names, size)
    }
    logits = dict(scored["judged"])
    for name, stack in stacks.items():
        logits[name] = _apply(stack, scored["judged"])
    judged = found.frames["judged"]
    rows = [(c, (judged["cohort"] == c).to_numpy(bool)) for c in sorted(judged["cohort"].unique())]
    made = Fusion(
        event=event,
        confidence=level,
        mixed=mixed,
        face=first.source.part,
        cxr=second.source.part,
        clinical=None if clinical is None else facts(clinical),
        no_clinical=why,
        met=found.met,
        fitted_on=(label.size, int(label.sum())),
        fitted=tuple(stacks.values()),
        cohorts=tuple(
            _judged(c, judged["label"].to_numpy(np.int64)[r], _where(logits, r), names, level)
            for c, r in rows
        ),
        notes=tuple(_notes(first, second, found)),
    )
    return made, _predictions(judged, logits)


def _clinical(face: Modality, found: Pairs, event: Event) -> tuple[Body | None, str]:
    """Age, sex and BMI of those whom the face run learnt from, and of nobody else."""
    try:
        people, where = learners(face.source.run, ("train",))
        model = fit(people, where)
    except ValueError as e:
        return None, str(e)
    for frame in found.frames.values():
        if both := sorted(model.who.intersection(frame.index)):
            return None, f"{len(both)} patients are in {where}, too, such as {both[0]}"
    return model, ""


def _scores(
    frame: Frame, face: Modality, cxr: Modality, clinical: Body | None, event: Event
) -> dict[str, NDArray[np.float64]]:
    """Name -> log odds [n]."""
    out = {m.name: image_logit(frame[m.name].to_numpy(np.float64)) for m in (face, cxr)}
    if clinical is not None:
        p = clinical.predict(frame.assign(patient=frame.index))
        out[CLINICAL] = image_logit(p[:, 2] if event == "osteoporosis" else 1 - p[:, 0])
    return out


def _enough(label: NDArray[np.float64], met: Sequence[Met]) -> None:
    """Raise ValueError, with what would bring more, where too few are fitted to."""
    sick, well = int(label.sum()), int(label.size - label.sum())
    if min(sick, well) >= FEWEST:
        return
    apart = sum(m.other_role for m in met)
    more = (
        f"--mixed would fit to {apart} who are tuning data of one run and test data of the other, "
        "too"
        if apart
        else "take more people, or more of them into tune (python -m data_sharding split), or "
        "cross-validate both runs (--folds), whose out-of-fold scores may be fitted to"
    )
    raise ValueError(
        f"{sick} patients with and {well} without the event are tuning data of both runs: fewer "
        f"than {FEWEST} of a kind cannot be fitted to; {more}"
    )


def _stack(
    of: Sequence[str], logits: dict[str, NDArray[np.float64]], label: NDArray[np.float64]
) -> Fitted:
    """Ridge logistic regression on standardised log odds, told in the log odds' own units."""
    x = np.column_stack([logits[n] for n in of])
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation < 1e-12] = 1.0
    b = logistic((x - mean) / deviation, label)
    weights = b[1:] / deviation
    return Fitted(
        name=" + ".join(of),
        intercept=float(b[0] - weights @ mean),
        coefficients={n: float(w) for n, w in zip(of, weights, strict=True)},
    )


def _apply(stack: Fitted, logits: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    parts = [w * logits[name] for name, w in stack.coefficients.items()]
    return stack.intercept + np.sum(parts, axis=0)


def _where(
    logits: dict[str, NDArray[np.float64]], rows: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    return {name: z[rows] for name, z in logits.items()}


def _judged(
    cohort: str,
    label: NDArray[np.int64],
    logits: dict[str, NDArray[np.float64]],
    single: Sequence[str],
    level: float,
) -> Judged:
    everything = list(logits)[-1]
    without = [n for n in logits if n.count(" + ") == len(single) - 2 and n not in single]
    against = [*single, *(without if len(single) > 2 else ())]
    gains = [_gain(label, logits, everything, n, level) for n in against]
    adjusted = iter(holm([g.p for g in gains if g.p is not None]))
    return Judged(
        cohort=cohort,
        n=label.size,
        positives=int(label.sum()),
        scores=tuple(_scored(n, label, z, level) for n, z in logits.items()),
        gains=tuple(
            g if g.p is None else g.model_copy(update={"p_holm": next(adjusted)}) for g in gains
        ),
    )


def _scored(name: str, label: NDArray[np.int64], z: NDArray[np.float64], level: float) -> Scored:
    area, p = delong_auc(label, z, level), expit(z)
    line = calibration_line(label, p, level=level)
    if area.auc is None:
        auroc = undefined(area.undefined or "")
    elif area.low is None or area.note:
        auroc = Estimate(value=area.auc, undefined=area.undefined or area.note)
    else:
        auroc = Estimate(value=area.auc, low=area.low, high=area.high, method=DELONG)
    return Scored(
        name=name,
        auroc=auroc,
        brier=brier(label, p),
        slope=line.slope,
        in_the_large=line.in_the_large,
    )


def _gain(
    label: NDArray[np.int64],
    logits: dict[str, NDArray[np.float64]],
    first: str,
    second: str,
    level: float,
) -> Gain:
    t = delong_test(label, logits[first], logits[second], level)
    if t.difference is None:
        gap = undefined(t.undefined or "")
    else:
        gap = Estimate(
            value=t.difference, low=t.low, high=t.high, method="DeLong, paired",
            undefined=t.undefined,
        )  # fmt: skip
    return Gain(first=first, second=second, difference=gap, p=t.p, p_holm=None)


def _predictions(judged: Frame, logits: dict[str, NDArray[np.float64]]) -> Frame:
    """A row a patient and score; the key is the patient's, for there is no one picture."""
    own = judged[OWN].assign(
        cohort=judged["cohort"], key=judged.index, patient=judged.index, label=judged["label"]
    )
    each = [own.assign(model=name, logit=z, probability=expit(z)) for name, z in logits.items()]
    return pd.concat(each, ignore_index=True)


def _notes(face: Modality, cxr: Modality, found: Pairs) -> list[str]:
    notes = [
        f"{m.name}: its packed dataset cannot be read, so that nobody was checked for having been "
        "learnt from."
        for m in (face, cxr)
        if m.learnt_from is None
    ]
    odd = sum(m.disagree for m in found.met)
    if odd:
        notes.append(f"{odd} patients with another label in each run are left out{_by(face, cxr)}.")
    small = found.frames["judged"]["label"].value_counts().min()
    if small < 100:
        notes.append(
            f"Only {small} patients of the rarer kind are judged: intervals are wide, and a gain "
            "that is not found may be there."
        )
    return notes


def _by(face: Modality, cxr: Modality) -> str:
    """Who labelled them, where that may be why."""
    if not (face.policy and cxr.policy) or face.policy == cxr.policy:
        return ""
    return (
        f": faces are labelled by {face.policy}, radiographs by {cxr.policy} (python -m "
        "data_sharding policies --compare; variants with +minus-one= make T = -1.0 one class)"
    )
