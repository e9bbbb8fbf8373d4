"""Every selection: the room's shape, and of a scored circuit a part."""

import inspect

import pytest

from clew import finder
from clew.data.planted import induction
from clew.methods.edges.eap import eap
from tests.conformance.shape import check_words


@pytest.mark.parametrize("name", finder.names("circuits.selection"))
def test_it_gives_a_part_of_the_circuit_the_same_twice(name):
    select = finder.load("circuits.selection", name)
    parameters = inspect.signature(select).parameters
    check_words(select, "circuits.selection")
    planted = induction(n=6)
    whole = eap(planted.model, planted.behaviour)
    given = {"n": 5} if "n" in parameters else {}
    one, two = select(whole, **given), select(whole, **given)
    assert one.keys() == two.keys() and set(one.keys()) <= set(whole.keys())
    assert one.weight.tolist() == two.weight.tolist() and len(one.weight) <= given.get("n", len(whole.weight))
