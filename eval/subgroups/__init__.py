"""The same model by sex, by age band, by severity ...: who is it worth less to?"""

from eval.subgroups.levels import AGE_BANDS, SEXES, age_band
from eval.subgroups.old import by_severity, by_sex_and_age
from eval.subgroups.shapes import Gap, SeverityBand, Subgroup, Tested

__all__ = [
    "AGE_BANDS",
    "SEXES",
    "Gap",
    "SeverityBand",
    "Subgroup",
    "Tested",
    "age_band",
    "by_severity",
    "by_sex_and_age",
]
