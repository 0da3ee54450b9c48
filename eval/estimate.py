"""A number with its interval, or the reason why there is none.

Every statistic of `metrics.json` is an `Estimate`, so that no reader meets a bare number, and none
meets 0.5, 0 or NaN where the question had no answer.
"""

from __future__ import annotations

from data_sharding.schema import Strict


class Estimate(Strict):
    """A value, its confidence interval, and how the interval was made.

    `value` is None where the statistic is undefined and `low`, `high` are None where the interval
    is; `undefined` then says why. `method` names the interval's construction.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    undefined: str | None = None

    def text(self, digits: int = 3, percent: bool = False) -> str:
        """As ``0.812 [0.790, 0.834]`` or ``undefined: reason``; `percent` multiplies by 100."""
        if self.value is None:
            return f"undefined: {self.undefined}"
        scale, unit = (100.0, "%") if percent else (1.0, "")
        shown = f"{self.value * scale:.{digits}f}{unit}"
        if self.low is None or self.high is None:
            return f"{shown} (interval undefined: {self.undefined})" if self.undefined else shown
        return f"{shown} [{self.low * scale:.{digits}f}, {self.high * scale:.{digits}f}]"


def undefined(reason: str) -> Estimate:
    """The estimate that is not there, and why."""
    return Estimate(undefined=reason)
