"""Our own JSON of facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from clew.data.facts.facts import FORMAT, VERSION, Fact
from clew.files import check_whole, entries, entry


def matches(value: Any) -> bool:
    return isinstance(value, dict) and value.get("format") == FORMAT


def read(value: Mapping[str, Any], *, name: str, seed: int, template: int) -> tuple[str, list[Fact], str]:
    version = entry(value, "version", int, origin=name, at_least=1)
    if version > VERSION:
        raise ValueError(f"the facts are of version {version}, newer than {VERSION}, which this clew reads")
    check_whole(value, ("format", "version", "name", "note", "facts"), name)
    title, note = (entry(value, key, str, origin=name) for key in ("name", "note"))
    rows = entries(value, "facts", dict, origin=name)
    return title, [_fact(row, f"{name}: facts[{i}]") for i, row in enumerate(rows)], note


def _fact(row: Mapping[str, Any], origin: str) -> Fact:
    check_whole(row, [f.name for f in fields(Fact)], origin)
    said = {key: entry(row, key, str, origin=origin) for key in ("prompt", "subject", "target", "old")}
    neighbours = entries(row, "neighbours", list, origin=origin)
    for i, pair in enumerate(neighbours):
        if [type(text) for text in pair] != [str, str]:
            raise ValueError(f"{origin}.neighbours[{i}] is {pair!r:.80}; a prompt and its answer are due there")
    paraphrases = tuple(entries(row, "paraphrases", str, origin=origin))
    return Fact(**said, paraphrases=paraphrases, neighbours=tuple((a, b) for a, b in neighbours))
