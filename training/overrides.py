"""Changing single values of a configuration from the command line: ``section.key=value``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from training.config import Config


def override(config: Config, changes: Sequence[str]) -> Config:
    """Apply ``section.key=value`` texts (values are YAML) and validate the whole again.

    Raises:
        ValueError: a text without ``=``, an unknown key (with the nearest known), a bad value.
    """
    try:
        return _overridden(config, changes)
    except ValidationError as e:
        texts = _texts(e)
        if not texts:
            raise ValueError(_said(e)) from e
    try:
        return _overridden(config, changes, texts)
    except ValidationError as e:
        raise ValueError(_said(e)) from e


def _overridden(
    config: Config, changes: Sequence[str], texts: frozenset[str] = frozenset()
) -> Config:
    """`override`, where the values of the settings in `texts` are taken as they are written."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    known = sorted({name for name, _ in leaves(tree)} - {"recipe"})
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise ValueError(
                f"{change!r}: an override is section.key=value, such as {known[0]}=..."
            )
        if name not in known and not (text == "null" and _is_section(tree, name)):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Known: {', '.join(known)}"
            raise ValueError(f"{name}: no such setting.{hint}")
        *sections, key = name.split(".")
        node = tree
        for section in sections:
            node = node[section]
        node[key] = text if name in texts else _value(text)
    made = Config.model_validate(tree)
    given = any(c.startswith("model.classes=") for c in changes)
    if given and made.model.classes != tree["model"]["classes"]:
        raise ValueError(
            f"model.classes follows the target, and {made.target} has {made.model.classes}: "
            "set target instead"
        )
    return made


def _texts(refused: ValidationError) -> frozenset[str]:
    """Text settings that YAML made a number, a date or a truth of."""
    return frozenset(
        ".".join(map(str, error["loc"][:2]))
        for error in refused.errors()
        if error["type"] in ("string_type", "path_type")
        and not isinstance(error["input"], (list, dict, type(None)))
        and not any(isinstance(step, int) for step in error["loc"])  # one of a list
    )


def _said(refused: ValidationError) -> str:
    return "; ".join(map(_line, refused.errors()))


def _line(error: Any) -> str:
    """Where, what is wrong, and what was given; of settings at odds only what the check says."""
    at, what = ".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")
    if isinstance(error["input"], (Mapping, BaseModel)):  # pages of it
        return what if error["type"] == "value_error" else f"{at}: {what}"
    return f"{at}: {what} (got {error['input']!r})"


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    try:  # YAML 1.1 reads 1e-4 as a text
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _is_section(tree: Mapping[str, Any], name: str) -> bool:
    """Is that a whole group of settings, which may be left out?"""
    node: Any = tree
    for part in name.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return isinstance(node, dict)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a tree of settings by their dotted names, as overrides have them."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
