"""One run made again from its record: find, edit or verify, with the options that it had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

import numpy as np

import clew
from clew.circuits.circuit import Circuit
from clew.finder import load, names
from clew.report import Report
from clew.signatures import is_one, options_of
from clew.stack import Stack
from clew.studies.replication._posed import CannotRerun, posed
from clew.studies.replication._sources import Sources
from clew.values import folded, restored

ASKED = ("prompts", "evidence", "evidence_hash", "labelled", "texts", "text")
SAME = ("method", "options", "model", "weights", "dictionaries", "edits", "dtype", *ASKED)
"""What of two records must be equal for what they made to be the same."""
WORDS = ("Site", "Weight", "Path")
"""Kinds of options that are also given as words."""


def found_again(record: Mapping[str, Any], sources: Sources, keys: set[Any] | None = None) -> Circuit:
    """A circuit searched again: all that its method scores; wired between the nodes of `keys`, if it was wired.

    Args: keys: the nodes that were given to a method that takes some, as `Circuit.keys` tells them.
    Raises: CannotRerun saying what is missing.
    """
    wired, given = record.get("wired"), record.get("nodes_of")
    made = {name: value for name, value in record.items() if name not in ("wired", "nodes_of")}
    nodes = None if given is None else _chosen(found_again(given, sources), keys)
    found = _found(made, sources, nodes)
    return found if wired is None else _found(wired, sources, _chosen(found, keys))


def _chosen(found: Circuit, keys: set[Any] | None) -> Circuit:
    if keys is None:
        raise CannotRerun("it was wired between nodes that the record does not hold; give the circuit that was saved")
    every = found.keys()
    return found.keep(np.array([key in keys for key in every], bool))


def _found(record: Mapping[str, Any], sources: Sources, nodes: Circuit | None) -> Circuit:
    method, options = _function("methods", record, sources)
    view = sources.view(record)
    evidence, halved = _posed(record, view, sources)

    def search() -> Circuit:
        return clew.find(view, evidence, nodes, by=method, held_out=halved, **options)

    return search() if nodes is not None else sources.once([record[name] for name in SAME if name in record], search)


def _posed(record: Mapping[str, Any], view: Any, sources: Sources) -> Any:
    asked = [record[name] for name in ("model", "edits", *ASKED) if name in record]
    return sources.once(["evidence", *asked], lambda: posed(record, view, sources.given.evidence, sources.place))


def edited_again(record: Mapping[str, Any], sources: Sources) -> Stack:
    """A stack of edits computed again. Raises: CannotRerun saying what is missing."""
    function, options = _function("edits", record, sources)
    view = sources.view(record)
    evidence, halved = _posed(record, view, sources)
    return clew.edit(view, evidence, by=function, held_out=halved, **options)


def verified_again(
    record: Mapping[str, Any], sources: Sources, claim: Circuit | Stack | None = None
) -> Iterator[Report]:
    """A report measured again, on its claim made again; several where the record does not say which nodes were kept.

    Args: claim: what was measured, where it is at hand.
    Raises: CannotRerun saying what is missing.
    """
    view = sources.view(record)
    for what in _claims(record, sources, view) if claim is None else [claim]:
        measure, options = _function(what.measured_in, record, sources)
        halved = options.pop("held_out", None)
        evidence, part = _posed(record, view, sources)
        yield clew.verify(view, evidence, what, by=measure, held_out=part if halved is None else halved, **options)


def _claims(record: Mapping[str, Any], sources: Sources, view: Any) -> Iterator[Any]:
    """What a report is about, made again: the first is the likeliest."""
    if "circuit" in record:
        yield from _kept(found_again(record["circuit"], sources), record["circuit"].get("kept"), sources)
    elif "edit" in record:
        yield edited_again(record["edit"], sources)
    elif "dictionary" in record:
        yield sources.dictionary(record["dictionary"], view)
    else:
        raise CannotRerun("the record does not say what was measured")


def _kept(found: Circuit, kept: Mapping[str, Any] | None, sources: Sources) -> Iterator[Circuit]:
    """Of what was found, what was kept of it: by the hash in the record, else the ways in which it may have been chosen."""
    bare = found.keep(found.unit >= 0)
    if kept is None:
        sources.note("the record does not say which of the nodes that were found were measured; all were, or all units")
        yield from (found, bare)
        return
    ways = [c.top(kept["nodes"]) for c in (found, bare)] + [c.strongest_edges(kept["edges"]) for c in (found, bare)]
    for one in ways:
        if one.hash == kept["hash"]:
            yield one
            return
    sources.note(f"the {kept['nodes']} nodes that were measured are not those that are strongest now")
    yield ways[0]


def _function(room: str, record: Mapping[str, Any], sources: Sources) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function of a record and its options. Raises: CannotRerun for one that is gone, or an option that JSON lost."""
    name = record.get("method")
    if name not in names(room):
        raise CannotRerun(
            f"there is no file {name} in clew/{room.replace('.', '/')}" if name else "the record names no verb"
        )
    function = load(room, name)
    hints, known = get_type_hints(function), options_of(function)
    made = folded(function, restored(function, record.get("options", {})))
    for option in [option for option in made if option not in known]:
        sources.note(f"{name} has no option {option} any more; it was {made.pop(option)!r:.60}")
    for option, value in made.items():
        if not sources.given.writes and value is not None and "Path" in str(hints[option]):
            raise CannotRerun(f"{name} was given the file {option}={value!s:.60}, which `clew replicate` alone goes to")
        if not is_one(value, hints[option]) and not _in_words(value, hints[option]):
            raise CannotRerun(f"{name} was given {option}={value!s:.60}, which the record names and does not hold")
    return function, made


def _in_words(value: Any, hint: Any) -> bool:
    """Whether a value stands for one of the hint's kind, as JSON tells it: an address as a text, a list, 3 for 3.0."""
    if isinstance(value, str):
        return any(word in str(hint) for word in WORDS)
    if isinstance(value, int) and not isinstance(value, bool):
        return is_one(float(value), hint)
    return isinstance(value, list) and is_one(tuple(value), hint)
