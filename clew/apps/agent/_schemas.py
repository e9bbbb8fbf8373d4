"""The schemas of tools, as short as a client can use them: an agent pays for all of them with its context."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

NULL = {"type": "null"}
NAMES = ("properties", "$defs")
"""Words under which stand names, and no words of a schema."""
REPEATS = ("title",)
"""What says a name once more."""
OF_ANSWERS = (*REPEATS, "description", "default", "required")
"""What whoever reads an answer does not need: the answer holds every field."""
TOLD_BY = {"Number": "show", "Shown": "show", "Worked": "run", "RunShown": "run"}
"""Parts of many answers, and the tool whose schema says what is in them."""


def of_arguments(schema: dict[str, Any]) -> dict[str, Any]:
    """What a tool takes, each argument typed and described; what may be left out is no longer said to take null as well."""
    return _without(schema, REPEATS, _given)


def of_answer(schema: dict[str, Any], tool: str) -> dict[str, Any]:
    """What a tool answers: the names and types of its fields. What several tools answer with is spelt out in one of them."""
    elsewhere = {f"#/$defs/{part}": home for part, home in TOLD_BY.items() if home != tool}
    return _used(_without(_pointed(schema, elsewhere), OF_ANSWERS, _nullable))


def _pointed(schema: Any, elsewhere: Mapping[str, str]) -> Any:
    """A schema that names a tool in place of each part which that tool's own schema spells out."""
    if isinstance(schema, list):
        return [_pointed(one, elsewhere) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    held = cast("dict[str, Any]", schema)
    if (home := elsewhere.get(str(held.get("$ref")))) is not None:
        return {"type": "object", "$comment": f"as `{home}` tells it"}
    return {word: _pointed(value, elsewhere) for word, value in held.items()}


def _used(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with those of its parts alone that it refers to."""
    parts, inside = schema.get("$defs", {}), {name: one for name, one in schema.items() if name != "$defs"}
    kept, new = dict[str, Any](), _named(inside)
    while new:
        kept |= {name: parts[name] for name in new}
        new = _named(kept) - kept.keys()
    return {**inside, "$defs": {name: part for name, part in parts.items() if name in kept}}


def _named(schema: Any) -> set[str]:
    """The parts that a schema refers to."""
    return set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))


def _without(schema: Any, words: tuple[str, ...], optional: Any) -> Any:
    """A schema without these words, and each type that may be null written as `optional` writes it."""
    if isinstance(schema, list):
        return [_without(one, words, optional) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    held = dict[str, Any]()
    for word, value in cast("dict[str, Any]", schema).items():
        if word in NAMES:
            held[word] = {name: _without(one, words, optional) for name, one in value.items()}
        elif word not in words and (word, value) != ("additionalProperties", True):
            held[word] = _without(value, words, optional)
    either: list[dict[str, Any]] = held.get("anyOf", [])
    others = [one for one in either if one != NULL]
    return optional(held, others[0]) if len(either) == 2 and len(others) == 1 else held


def _given(held: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The type alone, for an argument that is left out in place of null."""
    return {**{word: value for word, value in held.items() if word not in ("anyOf", "default")}, **other}


def _nullable(held: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The type or null in one word, where it is a plain one."""
    if "type" not in other or "enum" in other:
        return held
    return {
        **{word: value for word, value in held.items() if word != "anyOf"},
        **other,
        "type": [other["type"], "null"],
    }
