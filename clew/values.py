"""Values: options that always travel together, as one frozen record.

In Python such a value is given whole; where words are typed (a command line, a table of searches) each of its fields is
an option of its own, and in a record of what was run it is plain JSON.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_type_hints


class Value:
    """A frozen dataclass whose fields are options. A field named `kind` goes by the name of the whole."""

    def plain(self) -> dict[str, Any]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Option:
    """One option of a function, as it is typed."""

    parameter: str
    """The parameter that takes it, or takes the value it is a field of."""
    hint: Any
    default: Any
    """`inspect.Parameter.empty` where there is none."""
    field: str = ""
    """Of a value, which of its fields."""
    owner: type[Value] | None = None


def options(function: Callable[..., Any]) -> dict[str, Option]:
    """The keyword-only options of a function by name, those of a value field by field, in the order of the signature."""
    hints, found = get_type_hints(function), dict[str, Option]()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        owner = value_of(hints.get(name))
        if owner is None:
            found[name] = Option(name, hints.get(name), parameter.default)
            continue
        inner = get_type_hints(owner)
        for field, default in parameter.default.plain().items():
            found[name if field == "kind" else field] = Option(name, inner[field], default, field, owner)
    return found


def folded(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What to call a function with, from options by the names that `options` gives them; others stay as they are."""
    known, made = options(function), dict[str, Any]()
    parts: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        option = known.get(name)
        if option is None or option.owner is None or isinstance(value, Value):
            made[name] = value
        else:
            parts.setdefault(option.parameter, {})[option.field] = value
    usual = inspect.signature(function).parameters
    return made | {name: replace(usual[name].default, **some) for name, some in parts.items()}


def restored(function: Callable[..., Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a record holds them, with the values that are JSON objects there made values again."""
    hints = get_type_hints(function)
    made = dict(recorded)
    for name, value in recorded.items():
        owner = value_of(hints.get(name))
        if owner is not None and isinstance(value, Mapping):
            made[name] = owner(**value)
    return made


def value_of(hint: Any) -> type[Value] | None:
    """The kind of value that a parameter of this type takes; None for other types."""
    kinds = [part for part in (hint, *get_args(hint)) if isinstance(part, type) and issubclass(part, Value)]
    return kinds[0] if kinds else None
