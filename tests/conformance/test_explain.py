"""Every way to name units: the room's shape, said in words; the same twice, the model left alone, and a known unit."""

import pytest

from clew import finder
from clew.circuits.circuit import Circuit
from tests.conformance.knowing import CIRCUIT, MANY, ONE, VIEW
from tests.conformance.shape import check_signature, check_source, check_words, untouched

KEYS = "resid.2/17"
"""A unit that is on at a noun in the singular: all that it fires on is "key"."""


@pytest.mark.parametrize("name", finder.names("explain"))
def test_it_takes_a_model_a_circuit_and_texts_and_gives_the_circuit(name):
    explain = finder.load("explain", name)
    check_signature(explain, "model", "circuit", "texts", returns=Circuit)
    check_words(explain, "explain")
    check_source(explain)


@pytest.mark.parametrize("name", finder.names("explain"))
def test_the_same_twice_the_model_left_alone_and_the_known_unit_named(name):
    explain = finder.load("explain", name)
    with untouched(VIEW.body.module):
        one, two = (explain(VIEW, CIRCUIT, [*MANY, *ONE]) for _ in range(2))
    assert one.to_json() == two.to_json() and one.keys() == CIRCUIT.keys()
    assert KEYS in {node.address.partition("@")[0] for node in CIRCUIT}
    assert "key" in str(one.details["top_tokens"][KEYS]) and "keys" not in str(one.details["top_tokens"][KEYS])
