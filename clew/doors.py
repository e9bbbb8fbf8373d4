"""Doors: where a user's arguments come in. Their kinds are looked at there, so that a wrong one is named by its name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from types import EllipsisType, NoneType
from typing import Any, ParamSpec, SupportsFloat, TypeVar, get_type_hints

from clew.signatures import kinds_of, named

P = ParamSpec("P")
R = TypeVar("R")
LOOSE: dict[Any, Any] = {int: SupportsFloat, float: SupportsFloat, bool: SupportsFloat, Path: os.PathLike}
"""Kinds of which others will do as well: any number, any path."""
SAID = {
    "SupportsFloat": "a number",
    "PathLike": "a path",
    "Iterable": "a list",
    "Sequence": "a list",
    "Tensor": "a tensor",
}
UNSAID = (NoneType, EllipsisType)
"""Kinds of what may be left out."""
NEXT = {
    "Model": "clew.open(name) opens one",
    "Dictionary": "clew.Dictionary.load(path) opens those of a file or a folder",
    "Evidence": "clew.Behaviour.load(name) gives evidence of one kind",
    "Windows": "clew.cut(texts, model.tokenizer) makes them",
    "Asks": "clew.Asks.open(address, model=name) asks an endpoint, clew.Asks.open(name) a model in this process",
    "Circuit": "clew.find(model, behaviour) and clew.Circuit.load(path) give one",
}
"""How to come by what is wanted, by its kind."""


def door(**instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that refuses arguments of another kind than its type hints say; what is in a container is not looked at.

    Args: instead: by parameter, a sentence to end its refusal with.

    >>> @door()
    ... def half(of: float) -> float:
    ...     return of / 2
    >>> half([4])
    Traceback (most recent call last):
    ValueError: half takes a number as of=; a list was given
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def entered(*args: P.args, **kwargs: P.kwargs) -> R:
            _check(function, args, kwargs, instead)
            return function(*args, **kwargs)

        return entered

    return mark


@cache
def _kinds(function: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    """By parameter, what it may be."""
    hints = get_type_hints(function)
    return {name: tuple(map(_loose, kinds_of(hints[name]))) for name in _parameters(function) if name in hints}


@cache
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _loose(kind: Any) -> Any:
    return LOOSE.get(kind, getattr(kind, "array_type", kind))  # an array is one, of whatever shape


def _given(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(parameter, argument) of a call."""
    placed = [name for name, p in _parameters(function).items() if p.kind is not p.KEYWORD_ONLY]
    rest = [name for name in placed if _parameters(function)[name].kind is inspect.Parameter.VAR_POSITIONAL]
    more = [(name, value) for name in rest for value in args[len(placed) :]]
    return [*zip(placed, args, strict=False), *more, *kwargs.items()]


def _check(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], instead: Mapping[str, str]
) -> None:
    """Raises: ValueError naming the first argument that is of another kind, and what to do about it."""
    kinds, given = _kinds(function), _given(function, args, kwargs)
    for name, value in given:
        if name in kinds and not _is_one(value, kinds[name]):
            said = " or ".join(dict.fromkeys(SAID.get(k.__name__, named(k)) for k in kinds[name] if k not in UNSAID))
            step = instead.get(name) or _next_step(kinds, name, value, dict(given))
            raise ValueError(
                f"{function.__name__} takes {said} as {name}=; {_shown(value)} was given{step and f'; {step}'}"
            )


def _is_one(value: object, kinds: tuple[Any, ...]) -> bool:
    """A text is none where a list is due, though it is one of letters."""
    letters = isinstance(value, str) and str not in kinds and object not in kinds
    return isinstance(value, kinds) and not letters


def _next_step(kinds: Mapping[str, tuple[Any, ...]], name: str, value: object, given: Mapping[str, Any]) -> str:
    if isinstance(value, str) and isinstance(value, kinds[name]):
        return f"give a list, {name}=[{value!r}]"
    for other, held in given.items():
        if other != name and other in kinds and _is_one(value, kinds[other]) and _is_one(held, kinds[name]):
            return f"{name} and {other} stand in each other's place"
    return next((NEXT[kind.__name__] for kind in kinds[name] if kind.__name__ in NEXT), "")


def _shown(value: object) -> str:
    return f"{value!r:.60}" if value is None or isinstance(value, str | int | float) else named(type(value))
