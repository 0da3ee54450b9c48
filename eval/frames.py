"""Pandas tables as the type checker sees them.

Pandas' inline annotations make every column "a series, or a table, or an array, or anything", and a
checker that complains of each use of each column finds nothing else. These names say what is meant.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Frame: TypeAlias = Any
Column: TypeAlias = Any
