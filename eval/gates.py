"""Gates: what a model must reach before somebody is told that it passed.

    --gate 'auroc_low>=0.80' --gate 'north-external/student: gap<=0.10' --gates gates.yaml

A gate is ``[COHORT][/MODEL]: QUANTITY OP NUMBER``. Without a place it holds for every model on
every cohort but those that chose the threshold; a tuning cohort is judged only where it is named,
and so is a clinical model (OST, say) where there is one that reads pictures alone. A
quantity that is undefined fails, and says why. `gap` is the largest of any single characteristic
with a gap at all; ``gap[sex]``, ``gap[sex x age]`` that of one, all of whose groups must have one.
Nothing in a gate is run as code.
"""

from __future__ import annotations

import difflib
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from eval.cohort import Metrics, ModelMetrics
from eval.estimate import Estimate, undefined
from eval.runs import is_tuning

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
#: Quantity -> the field of `Performance` or `Calibration`; each also as QUANTITY_low and _high.
OVERALL = {
    **{name: name for name in ("prevalence", "auroc", "average_precision", "sensitivity")},
    **{name: name for name in ("specificity", "ppv", "npv", "accuracy", "f1")},
    "brier": "brier_binary",
}
CALIBRATION = {"ece": "ece_positive_class", "slope": "slope", "in_the_large": "in_the_large"}
CALIBRATION |= {"intercept": "intercept", "ici": "ici"}
#: The field of `FractureMetrics`; a model that was not judged by fractures fails.
FRACTURES = {"c": "harrell_c"}
COUNTS = ("n", "patients", "positives", "negatives")
#: The largest distance of a subgroup from the rest; _high is the largest its interval allows.
GAPS = {"gap": "auroc", "gap_sensitivity": "sensitivity", "gap_specificity": "specificity"}
ENDS = ("_low", "_high")
#: Between the names of two characteristics, as in "sex x age".
PAIR = " x "
QUANTITIES = (
    *(name + end for name in (*OVERALL, *CALIBRATION, *FRACTURES) for end in ("", *ENDS)),
    *COUNTS,
    *(name + end for name in GAPS for end in ("", "_high")),
)
_GATE = re.compile(
    r"^\s*(?:(?P<where>[^:<>=]*?)\s*:)?\s*(?P<quantity>[A-Za-z_0-9]+)\s*(?:\[(?P<by>[^\]]+)\])?\s*"
    r"(?P<op>>=|<=|>|<)\s*(?P<limit>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*$"
)


@dataclass(frozen=True)
class Gate:
    """One gate; `cohort` and `model` None hold for all, `by` limits a gap to one characteristic."""

    text: str
    cohort: str | None
    model: str | None
    quantity: str
    by: str | None
    op: str
    limit: float

    @property
    def condition(self) -> str:
        """The gate as it was written, without its place."""
        return self.text.rpartition(":")[2].strip()


@dataclass(frozen=True)
class Outcome:
    """A gate at one model of one cohort."""

    gate: str
    cohort: str
    model: str | None
    value: float | None
    passed: bool
    why: str

    def line(self) -> str:
        """As it is printed: where, the gate, and what was found."""
        place = f"{self.cohort}/{self.model}" if self.model else self.cohort
        return f"{place}: {self.gate}: {self.why}"


def parse(text: str) -> Gate:
    """One gate.

    Raises:
        ValueError: it is not one; says what it could have meant.
    """
    found = _GATE.match(text)
    if found is None:
        example = "such as 'auroc_low>=0.80' or 'north-external/student: gap<=0.10'"
        raise ValueError(f"gate {text!r}: not QUANTITY OP NUMBER, {example}")
    quantity, by = found["quantity"], found["by"]
    if quantity not in QUANTITIES:
        raise ValueError(f"gate {text!r}: {_unknown(quantity, QUANTITIES, 'quantity')}")
    if by is not None and _gap(quantity) is None:
        raise ValueError(f"gate {text!r}: only a gap is by a characteristic, as in gap[sex]<=0.1")
    limit = float(found["limit"])
    if not math.isfinite(limit):
        raise ValueError(f"gate {text!r}: the limit must be a finite number")
    cohort, _, model = (found["where"] or "").strip().partition("/")
    cohort = "" if cohort.strip() == "all" else cohort.strip()
    by = by.strip() if by else None
    return Gate(
        text.strip(), cohort or None, model.strip() or None, quantity, by, found["op"], limit
    )


def read_gates(path: Path) -> list[Gate]:
    """Gates from a YAML or JSON file: a list of texts.

    Raises:
        ValueError: no such file, or not a list of gates.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file of gates")
    try:
        text = path.read_text("utf-8")
        value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as e:
        raise ValueError(f"{path}: not YAML or JSON: {' '.join(str(e).split())}") from None
    if not isinstance(value, list) or not value:
        raise ValueError(f"{path}: must hold a list of gates, such as - auroc_low>=0.80")
    found = []
    for i, entry in enumerate(value, 1):
        if isinstance(entry, dict) and len(entry) == 1:  # YAML's reading of `cohort: gate`
            entry = ": ".join(map(str, *entry.items()))
        if not isinstance(entry, str):
            raise ValueError(f"{path}: entry {i} is not a gate but {entry!r}")
        try:
            found.append(parse(entry))
        except ValueError as e:
            raise ValueError(f"{path}: entry {i}: {e}") from None
    return found


def check(
    gates: Iterable[Gate], metrics: Sequence[Metrics], known: Sequence[Metrics] | None = None
) -> list[Outcome]:
    """Every gate at every place it holds for.

    Args:
        gates: what must hold.
        metrics: of one run.
        known: of every run that is judged together, whose cohorts and models may be named too; a
            run without the one named fails.

    Raises:
        ValueError: a gate names a cohort, a model or a characteristic that is not there.
    """
    gates = list(gates)
    for gate in gates:
        _check_names(gate, metrics if known is None else known)
    return [outcome for gate in gates for outcome in _check(gate, metrics)]


def _check_names(gate: Gate, metrics: Sequence[Metrics]) -> None:
    models = [x for m in metrics for x in m.models]
    for word, kind, names in (
        (gate.cohort, "cohort", [m.cohort for m in metrics]),
        (gate.model, "model", [x.model for x in models]),
        (gate.by, "characteristic", [s.by for x in models for s in x.subgroups]),
    ):
        if word is not None and word not in names:
            raise ValueError(
                f"gate {gate.text!r}: {_unknown(word, list(dict.fromkeys(names)), kind)}"
            )


def _check(gate: Gate, metrics: Sequence[Metrics]) -> list[Outcome]:
    found = []
    for m in metrics:
        if m.cohort != (gate.cohort or m.cohort) or (gate.cohort is None and is_tuning(m.cohort)):
            continue
        meant = [x for x in m.models if x.model not in m.clinical] or m.models
        here = [x for x in m.models if x.model == gate.model] if gate.model else meant
        found += [_judge(gate, m.cohort, x) for x in here]
        if not here:
            why = f"undefined: no predictions{f' of {gate.model}' if gate.model else ''}"
            found.append(Outcome(gate.condition, m.cohort, gate.model, None, False, why))
    if not found:
        why = "not judged on it" if gate.cohort else "no cohort but those that chose the threshold"
        place = gate.cohort or "all"
        found.append(Outcome(gate.condition, place, gate.model, None, False, f"undefined: {why}"))
    return found


def _judge(gate: Gate, cohort: str, model: ModelMetrics) -> Outcome:
    value, why = _value(gate, model)
    if value is None:
        return Outcome(gate.condition, cohort, model.model, None, False, f"undefined: {why}")
    passed = OPERATORS[gate.op](value, gate.limit)
    shown = f"{value:.6g}{f' ({why})' if why else ''}"
    return Outcome(gate.condition, cohort, model.model, value, passed, shown)


def _value(gate: Gate, model: ModelMetrics) -> tuple[float | None, str]:
    """The quantity and a remark, or None and why there is none."""
    if gate.quantity in COUNTS:
        return float(getattr(model.overall, gate.quantity)), ""
    name, end = _split(gate.quantity)
    if (gap := _gap(gate.quantity)) is not None:
        return _largest_gap(model, gap, gate.by, end)
    if name in FRACTURES and model.fracture is None:
        return None, "no patient was followed for fractures"
    part, field = (
        (model.fracture, FRACTURES[name])
        if name in FRACTURES
        else (model.overall, OVERALL[name])
        if name in OVERALL
        else (model.calibration, CALIBRATION[name])
    )
    estimate: Estimate = getattr(part, field)
    value = getattr(estimate, end or "value")
    return value, "" if value is not None else _why(estimate)


def _largest_gap(
    model: ModelMetrics, of: str, by: str | None, end: str
) -> tuple[float | None, str]:
    """The largest |gap| over the groups of single characteristics, or of the one named.

    Groups that cannot be compared are counted; where the characteristic is named, one is enough to
    leave no answer.
    """
    largest, at, without = None, "", 0
    for s in model.subgroups:
        if s.by != by if by is not None else PAIR in s.by:
            continue
        if s.performance is not None and s.gap is None:
            continue  # nobody, or everybody: there is no rest
        estimate: Estimate = getattr(s.gap, of) if s.gap else undefined(s.suppressed or "kept back")
        ends = (estimate.low, estimate.high) if end else (estimate.value,)
        if any(v is None for v in ends):
            if by is not None and s.gap is not None:
                return None, f"{s.level}: {_why(estimate)}"
            without += 1
            continue
        size = max(abs(v) for v in ends if v is not None)
        if largest is None or size > largest:
            largest, at = size, f"{s.by}: {s.level}"
    rest = f"{without} groups could not be compared with the rest" if without else ""
    if largest is None:
        return None, rest or "there are no subgroups"
    return largest, f"{at}; {rest}" if rest else at


def _why(e: Estimate) -> str:
    return e.undefined or "it has no interval"


def _split(quantity: str) -> tuple[str, str]:
    """``auroc_low`` -> ``auroc``, ``low``."""
    for end in ENDS:
        if quantity.endswith(end):
            return quantity.removesuffix(end), end.strip("_")
    return quantity, ""


def _gap(quantity: str) -> str | None:
    return GAPS.get(_split(quantity)[0])


def _unknown(word: str, known: Sequence[str], kind: str) -> str:
    near = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    return f"no {kind} {word!r}: {hint}"
