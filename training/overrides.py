"""Changing single values of a configuration from the command line: ``section.key=value``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from training.config import Config


def override(config: Config, changes: Sequence[str]) -> Config:
    """Apply ``section.key=value`` texts (values are YAML) and validate the whole again.

    Raises:
        ValueError: a text without ``=``, an unknown key (with the nearest known), a bad value.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    known = sorted(set(_leaves(tree)) - {"recipe"})
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise ValueError(
                f"{change!r}: an override is section.key=value, such as {known[0]}=..."
            )
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Known: {', '.join(known)}"
            raise ValueError(f"{name}: no such setting.{hint}")
        *sections, key = name.split(".")
        node = tree
        for section in sections:
            node = node[section]
        node[key] = _value(text)
    try:
        return Config.model_validate(tree)
    except ValidationError as e:
        places = [(".".join(map(str, x["loc"])), x) for x in e.errors()]
        lines = [f"{at}: {x['msg']} (got {x['input']!r})" for at, x in places]
        raise ValueError("; ".join(lines)) from e


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    try:  # YAML 1.1 reads 1e-4 as a text
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        names += _leaves(value, name + ".") if isinstance(value, dict) else [name]
    return names
