"""Every format, of behaviours, facts, circuits, dictionaries and edits: what it must have, and that it knows its own."""

import inspect
from pathlib import Path

import pytest

from clew import finder

OF = {
    "data.formats.behaviours": ({"matches": 1}, [{"unknown": 1}]),
    "data.formats.facts": ({"matches": 1, "read": 1}, {"unknown": 1}),
    "circuits.formats": ({}, {"unknown": 1}),
    "dictionaries.formats": ({"matches": 1, "read": 2}, Path(__file__)),
    "edits.formats": ({"matches": 1, "read": 2}, Path(__file__)),
}
"""For each room, functions and how many arguments each takes by position; and what no format may take for its own."""
FORMATS = [(room, name) for room in OF for name in finder.names(room)]


@pytest.mark.parametrize(("room", "name"), FORMATS)
def test_it_has_what_the_room_asks_for_and_leaves_others_alone(room, name):
    format, (functions, other) = finder.file(room, name), OF[room]
    assert (format.__doc__ or "").strip(), "a format says whose it is"
    for function, positional in functions.items():
        parameters = inspect.signature(getattr(format, function)).parameters.values()
        assert sum(p.kind is not p.KEYWORD_ONLY for p in parameters) == positional, function
    assert hasattr(format, "matches") == (hasattr(format, "read") or hasattr(format, name))
    assert hasattr(format, "matches") or hasattr(format, "write")
    assert not getattr(format, "matches", lambda _: False)(other)


@pytest.mark.parametrize("name", finder.names("data.formats.behaviours"))
def test_a_layout_of_behaviours_is_a_function_of_its_name(name):
    parameters = list(inspect.signature(finder.load("data.formats.behaviours", name)).parameters.values())
    assert [p.name for p in parameters][:4] == ["rows", "name", "model", "seed"]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[1:])
