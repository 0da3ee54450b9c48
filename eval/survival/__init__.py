"""Fractures over time: who breaks first, when, and how far the predicted shares can be believed.

Arrays in, frozen dataclasses out. A time is counted from the picture to the fracture or to when the
patient was last seen; an event is 1 for a fracture. Death counts as last seen, so that a curve says
what would be if nobody died: where many die first, say so beside it.

    from eval.survival import harrell_c
    harrell_c(time, event, score).value

`cox_loss` is here too; torch is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from eval.survival.brier import SurvivalBrier, survival_brier
from eval.survival.concordance import Concordance, harrell_c, uno_c
from eval.survival.curves import Baseline, baseline
from eval.survival.dynamic_auc import DynamicAUC, dynamic_auc
from eval.survival.followup import FollowUp
from eval.survival.kaplan import KaplanMeier, kaplan_meier

if TYPE_CHECKING:
    from eval.survival.loss import cox_loss

__all__ = [
    "Baseline",
    "Concordance",
    "DynamicAUC",
    "FollowUp",
    "KaplanMeier",
    "SurvivalBrier",
    "baseline",
    "cox_loss",
    "dynamic_auc",
    "harrell_c",
    "kaplan_meier",
    "survival_brier",
    "uno_c",
]


def __getattr__(name: str) -> Any:
    if name == "cox_loss":
        from eval.survival.loss import cox_loss

        return cox_loss
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
