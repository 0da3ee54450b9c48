"""A recipe in a file: a recipe of ours, and the settings that are other than its own.

    python -m training --recipe best.yaml student.epochs=50

A sweep writes such files (``best.yaml``). They are read as data: no tags, no anchors, each name
once, and whatever is wrong is said with the file's name and line. What a sweep found out of a
recipe that has changed since is another recipe now, and that is said too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import yaml

from training.config import Config
from training.overrides import leaves, override
from training.recipes import recipe

FORMAT = "osteoray-recipe/1"
#: A recipe is a page of settings.
MOST_BYTES = 256 * 1024
DEEPEST = 8
#: Words at the top: those that are run, and what was found with them (for people).
RUN, TOLD = ("format", "recipe", "fixed", "settings"), ("found",)
PLAIN = "tag:yaml.org,2002:"


def read_recipe(path: Path, changes: Sequence[str] = ()) -> tuple[Config, list[str]]:
    """The configuration of a recipe file with `changes` on top, and remarks for the user.

    ``recipe`` names ours; ``fixed`` and ``settings`` give dotted names a value, or
    ``{from: value, to: value}``, of which `from` is the recipe's own when the file was written.

    Raises:
        ValueError: not such a file, or a setting that the recipe does not take; the file and the
            line are named. Or `changes` are refused, as by `override`.
    """
    top = _top(path)
    name, node = _recipe(path, top)
    try:
        plain = recipe(name)
    except ValueError as e:
        raise ValueError(f"{_at(path, node)}: {e}") from e
    own, given, remarks = dict(leaves(plain.model_dump(mode="json"))), {}, []
    for section in ("fixed", "settings"):
        for key, value in _pairs(path, top.get(section), section):
            before, text = _change(path, key.value, value)
            if key.value in given:
                raise ValueError(f"{_at(path, key)}: {key.value}: set twice")
            given[key.value] = (text, key)
            if before is not None and key.value in own and before != own[key.value]:
                remarks.append(
                    f"{path.name} was made when {key.value} of {name} was {before}; "
                    f"it is {own[key.value]} now"
                )
    try:
        made = override(plain, [f"{n}={text}" for n, (text, _) in given.items()])
    except ValueError as e:
        at = _at(path, _blamed(str(e), {n: key for n, (_, key) in given.items()}))
        raise ValueError(f"{at}: {e}") from e
    return override(made, changes), remarks


def _top(path: Path) -> dict[str, yaml.Node]:
    """The words at the top and what is said of them."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path}: larger than {MOST_BYTES} bytes: not a recipe file")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "not text"
        raise ValueError(f"{path}: cannot be read as a recipe file: {why}") from e
    try:
        _refuse_tricks(path, text)
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        said = getattr(e, "problem", None) or str(e).splitlines()[0]
        raise ValueError(f"{path}{line}: not YAML: {said}") from e
    known = (*RUN, *TOLD)
    top = {}
    for key, value in _pairs(path, node, "a recipe file"):
        if key.value not in known:
            raise ValueError(f"{_at(path, key)}: {key.value}: no such word; {', '.join(known)} are")
        top[key.value] = value
    return top


def _refuse_tricks(path: Path, text: str) -> None:
    """Tags may name code, anchors make pages out of lines, and depth costs its square in time."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"{_at(path, event)}: nested too deeply for a recipe file")
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError(f"{_at(path, event)}: anchors and aliases are not for recipe files")
        if tag is not None:
            raise ValueError(f"{_at(path, event)}: {tag}: tags are not for recipe files")


def _recipe(path: Path, top: dict[str, yaml.Node]) -> tuple[str, yaml.Node]:
    missing = [word for word in ("format", "recipe") if word not in top]
    if missing:
        raise ValueError(f"{path}: no {missing[0]}: in it: not a recipe file (a best.yaml is one)")
    if (form := _scalar(path, top["format"], "format")) != FORMAT:
        raise ValueError(f"{_at(path, top['format'])}: format {form}, and {FORMAT} is read here")
    return _scalar(path, top["recipe"], "recipe"), top["recipe"]


def _pairs(
    path: Path, node: yaml.Node | None, what: str
) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Names and what is said of them, each name once; nothing of an empty section."""
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{PLAIN}null"):
        if what == "a recipe file":
            raise ValueError(f"{path}: empty: not a recipe file")
        return
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{_at(path, node)}: {what}: names and values are expected, name: value")
    seen = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"{_at(path, key)}: {what}: a name is expected")
        if key.value in seen:
            raise ValueError(f"{_at(path, key)}: {key.value}: set twice")
        seen.add(key.value)
        yield key, value


def _change(path: Path, name: str, node: yaml.Node) -> tuple[Any, str]:
    """What the recipe's own was, if that is told, and the value as an override has it."""
    if not isinstance(node, yaml.MappingNode):
        return None, _text(_value(path, node, name))
    parts = {key.value: value for key, value in _pairs(path, node, name)}
    if set(parts) != {"from", "to"}:
        raise ValueError(f"{_at(path, node)}: {name}: a value, or both from: and to:, are expected")
    before = _value(path, parts["from"], name)
    return before, _text(_value(path, parts["to"], name))


def _text(value: Any) -> str:
    """As `override` reads it back: a text as it stands, unless it would be taken for a list."""
    if isinstance(value, str):
        try:
            plain = not isinstance(yaml.safe_load(value), list | dict | NoneType)
        except yaml.YAMLError:
            plain = False
        return value if plain else json.dumps(value)
    return json.dumps(value)


def _value(path: Path, node: yaml.Node, name: str) -> Any:
    """A scalar, or a list of scalars, as plain data."""
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, item, name) for item in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"{_at(path, node)}: {name}: a single value or a list is expected")
    kind = node.tag.removeprefix(PLAIN)
    if kind not in ("null", "bool", "int", "float"):
        return node.value
    try:
        # 1_000, .5 and yes are YAML's ways of writing; a float that is none is refused by name.
        found = yaml.safe_load(node.value)
        json.dumps(found, allow_nan=False)
    except (ValueError, yaml.YAMLError) as e:
        raise ValueError(f"{_at(path, node)}: {name}: {node.value} is no number") from e
    return found


def _scalar(path: Path, node: yaml.Node, name: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"{_at(path, node)}: {name}: a single value is expected")
    return str(node.value)


def _blamed(said: str, places: dict[str, yaml.Node]) -> yaml.Node | None:
    """The first setting that a refusal names, the longest of names that begin alike."""
    named = [n for n in sorted(places, key=len, reverse=True) if n in said]
    return places[min(named, key=lambda n: (said.index(n), -len(n)))] if named else None


def _at(path: Path, node: yaml.Node | yaml.Event | None) -> str:
    """``best.yaml:12``."""
    return f"{path}:{node.start_mark.line + 1}" if node is not None else str(path)
