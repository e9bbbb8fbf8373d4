"""What every format needs: tensors and settings out of files, with errors that say what was expected and what was found."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary, Learned
from clew.files import check_spelling, lines, parse_json, read_text, typed
from clew.near import near
from clew.tensors import check_floats, check_held

Made = TypeVar("Made", bound=Dictionary)

# Settings.


def read_config(path: Path, known: Collection[str] = ()) -> dict[str, Any]:
    """A JSON object. Raises: ValueError naming the file when it is not one, or has one of those known with a misprint."""
    config = typed(parse_json(read_text(path, "JSON"), path.name), path.name, dict)
    check_spelling(config, known, path.name)
    return config


def read_flat_yaml(path: Path, known: Collection[str] = ()) -> dict[str, Any]:
    """The `key: value` lines of a YAML file that start at its left margin; what is nested below a key is left out.

    Raises: ValueError naming the file and a line that is no such thing, or a key given twice or with a misprint.
    """
    held, seen = dict[str, Any](), set[str]()
    for number, line in lines(read_text(path)):
        text = re.sub(r"(^|\s)#.*", "", line).rstrip()
        found = re.fullmatch(r"([\w-]+):(?:\s+(\S.*))?", text)
        if found is None and not re.match(r"[\s-]|$", text):
            raise ValueError(f"{path.name}, line {number} is {text!r:.60}; 'key: value' is due there")
        if found and found[1] in seen:
            raise ValueError(f"{path.name}, line {number} gives {found[1]!r} a second time")
        if found:
            seen.add(found[1])
            held |= {found[1]: _yaml_value(found[2])} if found[2] else {}
    check_spelling(dict.fromkeys(seen), known, path.name)
    return held


def _yaml_value(text: str) -> str | int | float | bool | None:
    words = {"null": None, "~": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return int(text)
    if re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text):
        return float(text)
    return text.strip("'\"")


def need(values: Mapping[str, Any], *names: str, file: str) -> list[Any]:
    """The entries of these names. Raises: ValueError that lists what is missing and what is there."""
    if missing := [name for name in names if name not in values]:
        there = ", ".join(map(str, sorted(values))) or "nothing"
        raise ValueError(f"{file} has no {' and no '.join(map(repr, missing))}; it holds {there}")
    return [values[name] for name in names]


def whole_number(value: Any, place: str, *, at_least: int = 1) -> int:
    """A count that a file holds, as a number or as a tensor of one."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_floating_point():
        value = value.item()
    return typed(value, place, int, at_least=at_least)


def check_sizes(dictionary: Dictionary, said: Mapping[str, Any], file: str, **names: str) -> None:
    """Raises: ValueError where a config says other sizes than the tensors have.

    Args: names: what the config calls `d_in`, `d_out` and `n_units`; what it does not say is not checked.
    """
    for ours, theirs in names.items():
        if said.get(theirs) is not None and typed(said[theirs], f"{file}: {theirs}", int) != getattr(dictionary, ours):
            raise ValueError(f"{file} says {theirs} = {said[theirs]}, and the tensors {getattr(dictionary, ours)}")


def refuse(what: str, given: Any, allowed: Mapping[str, Any] | list[str]) -> ValueError:
    """An error for a setting that we do not read."""
    return ValueError(f"{what} {given!r} cannot be read; {near(str(given), list(allowed))}")


# Tensors.


def pick(
    held: Mapping[str, Any], names: Mapping[str, str], file: str, *, turned: str = "", also: Collection[str] = ()
) -> dict[str, Tensor]:
    """Weights under our names, all in float32, or all in float64 where a matrix is.

    Args: names: {our name: theirs}. turned: those of ours that are stored transposed. also: what else may be there.
    Raises: ValueError for a tensor that is missing or that we do not know, and for what are no finite floats.
    """
    check_held([name for name in held if name not in also], names.values(), file)
    found = {ours: held[theirs] for ours, theirs in names.items()}
    for ours, theirs in names.items():
        check_floats({theirs: typed_tensor(found[ours], f"{theirs} in {file}")}, file)
    dtype = torch.float64 if any(t.dtype == torch.float64 for t in found.values() if t.ndim > 1) else torch.float32
    return {
        name: (t.T if name in turned.split() and t.ndim == 2 else t).to(dtype).contiguous() for name, t in found.items()
    }


def typed_tensor(value: Any, place: str) -> Tensor:
    """The value, if it is a tensor."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{place} is a {type(value).__name__}; a tensor is due there")
    return value


def made(file: str, cls: type[Made], *given: Any, **more: Any) -> Made:
    """A dictionary of what a file holds. Raises: ValueError naming the file where that does not go together."""
    try:
        return cls(*given, **more)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} holds no {cls.__name__} dictionary: {error}") from error


def bias(dictionary: Learned, *, centred: bool) -> Tensor:
    """The b_enc that gives the same code when b_dec is taken off x first (`centred`), or is not."""
    b_enc = torch.zeros_like(dictionary.W_enc[0]) if dictionary.b_enc is None else dictionary.b_enc
    shift = dictionary.b_dec @ dictionary.W_enc if centred != dictionary.centred else torch.zeros_like(b_enc)
    return b_enc + shift if centred else b_enc - shift
