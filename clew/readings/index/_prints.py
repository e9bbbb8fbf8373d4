"""Prints: a short hash of all that something depends on, the same in every process, another where anything differs."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType
from typing import Any

import numpy as np
import torch

from clew.firings import Firings
from clew.models import Model
from clew.readings._recording import made_in
from clew.readings.index.index import Index


def print_of(*what: Any) -> str:
    """The same of the same. What a function reads outside itself, such as a global of its module, is not looked at."""
    return hashlib.sha256(json.dumps(_plain(what, ()), sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any, within: tuple[int, ...]) -> Any:
    """As JSON, what is no plain value by what it is of. Args: within: the ids of what holds it, which it may hold in turn."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if id(value) in within:
        return f"again, {within[::-1].index(id(value))} above"
    inner: Callable[[Any], Any] = partial(_plain, within=(*within, id(value)))
    if isinstance(value, Model):
        return [made_in(value), {str(site): one for site, one in value.fingerprints.items()}]
    if isinstance(value, Firings):
        return inner(_of_firings(value))
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return _of_array(value)
    if isinstance(value, Mapping):
        return {str(name): inner(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [inner(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(inner(one), sort_keys=True) for one in value)
    if isinstance(value, CodeType):
        return [value.co_code.hex(), *map(inner, (value.co_names, value.co_consts))]
    if callable(value):
        return inner(_of_function(value))
    if is_dataclass(value):
        return [repr(type(value)), *(inner(getattr(value, field.name)) for field in fields(value))]
    return repr(value)


def _of_firings(firings: Firings) -> list[Any]:
    """The text, and an index by how it was made, of others where every unit fires."""
    text = [np.asarray(one) for one in (firings.tokens, firings.documents, firings.windows)]
    if isinstance(firings, Index):
        return [text, firings.about]
    rows = {str(site): [firings.row(site, unit) for unit in range(firings.units(site))] for site in firings.sites}
    fired = {site: [part for row in held for part in (row.place, row.value)] for site, held in rows.items()}
    return [text, firings.words, fired]


def _of_array(array: np.ndarray | torch.Tensor) -> list[Any]:
    if isinstance(array, torch.Tensor):
        held = array.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        held = array.tobytes() if array.dtype != object else repr(array.tolist()).encode()
    return [hashlib.sha256(held).hexdigest(), str(array.dtype), list(array.shape)]


def _of_function(function: Any) -> Any:
    """A function of a file of clew by its name, which goes with the version of clew; others by all that they do."""
    if isinstance(function, partial):
        return [function.func, function.args, function.keywords]
    if inspect.ismethod(function):
        return [function.__func__, function.__self__]
    if inspect.isfunction(function):
        name, cells = f"{function.__module__}.{function.__qualname__}", function.__closure__ or ()
        if _stands_in_clew(function):
            return name
        return [name, function.__code__, function.__defaults__, function.__kwdefaults__, [*map(_inside, cells)]]
    if hasattr(function, "__qualname__"):
        return f"{getattr(function, '__module__', '')}.{function.__qualname__}"
    kind: Any = type(function)
    return [repr(kind), kind.__call__, getattr(function, "__dict__", repr(function))]


def _stands_in_clew(function: Any) -> bool:
    """Whether it is what stands under its name in a file of clew."""
    file = sys.modules.get(function.__module__)
    inside = function.__module__.partition(".")[0] == "clew"
    return inside and getattr(file, function.__qualname__, None) is function


def _inside(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "nothing yet"
