"""A number with its interval, or the reason why there is none.

Every statistic of `metrics.json` is an `Estimate`, so that no reader meets a bare number, and none
meets 0.5, 0 or NaN where the question had no answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value, its confidence interval, and how the interval was made.

    `value` is None where the statistic is undefined and `low`, `high` are None where the interval
    is; `undefined` then says why. `method` names the interval's construction.
    """

    #: Read back from metrics.json, an unknown field is an error there as everywhere.
    __pydantic_config__ = ConfigDict(extra="forbid")

    value: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    undefined: str | None = None

    def __float__(self) -> float:
        """The value alone, for a caller who has seen to it that there is one."""
        if self.value is None:
            raise ValueError(f"undefined: {self.undefined}")
        return float(self.value)

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
