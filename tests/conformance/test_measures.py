"""Every measure: the room's shape; those of circuits say the same twice and leave the model alone."""

import inspect
from functools import cache

import pytest

from clew import finder
from clew.data.planted import induction
from clew.data.planted._compile import Planted
from clew.measures.circuits.hypothesis_tests import Minimality
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.report import Report
from tests.conformance.shape import Told, bits, check_signature, check_untouched, check_words

CLAIMS = {"measures.circuits": "circuit", "measures.dictionaries": "dictionary", "measures.edits": "stack"}
MEASURES = [(room, name) for room in CLAIMS for name in finder.names(room)]
QUICK = {
    "draws": 20,
    "minimality": Minimality(draws=20),
    "repeats": 2,
    "groups": 2,
    "n": 5,
    "search": "attribution_patching",
}
"""Options under which a measure is quick; each is given to those that have it."""
NEED_MORE = (
    "change",
    "reuse",
    "interchangeability",
    "hypothesis_tests",
    "stability",
    "predicted_effects",
    "edge_faithfulness",
)
"""Need another model, circuit or provenance beside them; their own tests bring these."""


@cache
def planted() -> Planted:
    return induction(n=12)


@pytest.mark.parametrize(("room", "name"), MEASURES)
def test_its_signature_has_the_shape_of_the_room(room, name):
    measure = finder.load(room, name)
    check_signature(measure, "model", "*", CLAIMS[room], returns=Report)
    check_words(measure, room, "seed")


def measured(name: str, **more: object) -> Report:
    """A report on the five strongest components of the planted model."""
    measure, view = finder.load("measures.circuits", name), planted().model.components()
    known = inspect.signature(measure).parameters
    given = {option: value for option, value in {**QUICK, "truth": planted().circuit}.items() if option in known}
    circuit = attribution_patching(view, planted().behaviour, positions=False).top(5)
    return measure(view, planted().behaviour, circuit, **given, **more)


QUICKLY = [n for n in finder.names("measures.circuits") if n not in NEED_MORE]


@pytest.mark.parametrize("name", QUICKLY)
def test_the_same_twice_and_nothing_left_behind(name):
    module = planted().model.body.module
    before = bits(module)
    one, two = measured(name), measured(name)
    assert str(one.rows) == str(two.rows) and one.rows and one.title
    check_untouched(module, before)


@pytest.mark.parametrize("name", [n for n in QUICKLY if n != "recovery"])
def test_it_tells_how_far_it_is(name):
    told = Told()
    measured(name, progress=told)
    told.check()
