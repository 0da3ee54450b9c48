"""The same model by sex, age, severity, site, vendor, BMI and two of them: who is it worth less to?

    groups, comparisons = subgroups(levels(frame), cases, Rule())

Each group has its performance and its gap to everybody else, with Holm's and Bonferroni's p for all
gaps tested. A group of one class is listed with its counts and the reason why a ranking is
undefined; a group too small is listed, and its numbers are kept back (`suppression`).
"""

from eval.subgroups.groups import Rule, kept_back, subgroups
from eval.subgroups.levels import AGE_BANDS, SEXES, Levels, age_band, levels
from eval.subgroups.severity import by_severity
from eval.subgroups.shapes import Gap, SeverityBand, Subgroup, Tested

__all__ = [
    "AGE_BANDS",
    "SEXES",
    "Gap",
    "Levels",
    "Rule",
    "SeverityBand",
    "Subgroup",
    "Tested",
    "age_band",
    "by_severity",
    "kept_back",
    "levels",
    "subgroups",
]
