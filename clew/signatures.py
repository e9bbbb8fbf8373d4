"""What a function says of itself: which options it has, and which kinds of things it is made for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import starmap
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Its keyword-only parameters with their defaults."""
    return {n: p.default for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


def taken(function: Callable[..., Any], **given: Any) -> dict[str, Any]:
    """Of what is given, that which a function takes.

    >>> taken(lambda *, model: model, model=1, asks=2)
    {'model': 1}
    """
    takes = options_of(function)
    return {name: value for name, value in given.items() if value is not None and name in takes}


def name_of(function: Any) -> str:
    """What a function is called: a partial as what it is of, an object that can be called as its class."""
    if isinstance(function, partial):
        return name_of(cast("Any", function).func)
    return getattr(function, "__name__", type(function).__name__)


def check_options(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raises: ValueError naming an option that the function does not have, or one that it needs."""
    known = options_of(function)
    if unknown := [name for name in options if name not in known]:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ValueError(f"{name_of(function)} has no option {unknown[0]!r}; {takes}")
    if missing := [n for n, default in known.items() if default is inspect.Parameter.empty and n not in options]:
        raise ValueError(f"{name_of(function)} needs {missing[0]}=, which was not given")


def check_kinds(
    function: Callable[..., Any], given: Sequence[object], others: Iterable[Callable[..., Any]] = ()
) -> None:
    """Compare what a function is given beside the model with what its signature asks for.

    Args: others: functions that may be named instead of this one.
    Raises: ValueError with what it takes, what was given, and which of the others take that.
    """
    if fits(function, given):
        return
    wanted = " and ".join(filter(None, starmap(_said, _asked(function)))) or "nothing beside the model"
    were = " and ".join(named(type(value)) for value in given) or "nothing"
    rest = sorted(other.__name__ for other in others if fits(other, given))
    verb = "were" if len(given) > 1 else "was"
    instead = f"; what was given goes with {', '.join(rest)}" if rest and given else ""
    raise ValueError(f"{function.__name__} takes {wanted}; {were} {verb} given{instead}")


def fits(function: Callable[..., Any], given: Sequence[object]) -> bool:
    """Whether the function takes these beside the model, as far as its type hints tell."""
    asked = _asked(function)
    if len(given) > len(asked) or any(default is inspect.Parameter.empty for _, default in asked[len(given) :]):
        return False
    return all(is_one(value, hint) for value, (hint, _) in zip(given, asked, strict=False))


def is_one(value: object, hint: Any) -> bool:
    """Whether a value is of a type hint's kind; what is in a container is not looked at."""
    return isinstance(value, tuple(kinds_of(hint)))


def _asked(function: Callable[..., Any]) -> list[tuple[Any, Any]]:
    """(type hint, default) of what it takes by position beside the model."""
    parameters = list(inspect.signature(function).parameters.values())
    hints = get_type_hints(function)
    asked = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][1:]
    return [(hints.get(p.name, Any), p.default) for p in asked]


def kinds_of(hint: Any) -> list[Any]:
    """The classes in a type hint; one of which all is allowed is `object`."""
    if get_origin(hint) in (Union, UnionType):
        return [kind for part in get_args(hint) for kind in kinds_of(part)]
    kind = get_origin(hint) or hint
    return [kind if isinstance(kind, type) and kind is not Any else object]


def _said(hint: Any, default: Any) -> str:
    kinds = [kind for kind in kinds_of(hint) if kind is not NoneType]
    optional = "at most " if kinds and default is not inspect.Parameter.empty else ""
    return optional + " or ".join(dict.fromkeys(map(named, kinds)))


def named(kind: Any) -> str:
    return {"tuple": "lists", "list": "a list", "dict": "a mapping", "object": "anything"}.get(
        kind.__name__, f"{'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}"
    )
