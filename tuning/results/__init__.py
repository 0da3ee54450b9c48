"""What a sweep found: its table, its pictures, its best as a recipe, and whether that holds."""

from tuning.results.best import best, command, ranking, write_best
from tuning.results.table import table

__all__ = ["best", "command", "ranking", "table", "write_best"]
