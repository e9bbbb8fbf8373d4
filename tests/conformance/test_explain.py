"""Every way to name units: the room's shape, said in words; the same twice, the model left alone, and a known unit."""

import inspect
from collections.abc import Mapping
from typing import get_origin, get_type_hints

import pytest

from clew import finder
from clew.circuits.circuit import Circuit
from clew.explain.explainers.effects import Effects
from clew.explain.scorers.simulation import simulation
from clew.readings.pushed import SaysNext
from clew.readings.unseen import ALL, Explanation
from clew.signatures import options_of
from tests.conformance.knowing import CIRCUIT, MANY, ONE, VIEW
from tests.conformance.shape import MOST, check_signature, check_source, check_words, untouched
from tests.explain import doing
from tests.explain.known import known, truth, unit, unseen
from tests.explain.reader import knowing, perfect

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


EXPLAIN = {
    "explainers": (("firings", "units", "table"), Mapping),
    "scorers": (("explanation", "unseen", "unit"), tuple),
    "floors": (("case", "others", "explain"), object),
}
"""What each room of explanations takes by position, and what it gives."""
FILES = [(room, name) for room in EXPLAIN for name in finder.names(f"explain.{room}")]
SEED = ("seed",)


@pytest.mark.parametrize(("room", "name"), FILES)
def test_the_shape_of_an_explainer_a_scorer_and_a_floor(room, name):
    function, (first, returns) = finder.load(f"explain.{room}", name), EXPLAIN[room]
    parameters = list(inspect.signature(function).parameters.values())
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == list(first)
    assert (len(parameters) <= MOST and returns is object) or issubclass(
        get_origin(get_type_hints(function)["return"]), returns
    )
    check_words(function, f"explain.{room}", *SEED)
    if name != "permuted":  # a way of ours
        check_source(function)


DOING = {"explainers": ("effects",), "scorers": ("intervention",)}
"""What is about the next token and runs a model; the others are about where units fire."""


@pytest.mark.parametrize("name", DOING["explainers"])
def test_an_explainer_of_what_units_do_says_the_same_twice_and_knows_what_was_planted(name):
    explain, (address, *_) = finder.load("explain.explainers", name), doing.UNITS
    with untouched(doing.doing().body.module):
        one, two = (explain(doing.firings(), [address], model=doing.doing())[address] for _ in range(2))
    assert one == two and next(iter(one[0].raises)) == doing.RAISED[0] and isinstance(one[0], SaysNext)


@pytest.mark.parametrize("name", DOING["scorers"])
def test_a_scorer_of_what_units_do_says_the_same_twice_and_prefers_the_truth(name):
    score, (address, *_) = finder.load("explain.scorers", name), doing.UNITS
    right, wrong = (Effects({token: ""}) for token in doing.RAISED[:2])
    with untouched(doing.doing().body.module):
        one, two = (score(right, doing.unseen(), address) for _ in range(2))
    assert one == two and all(row.low <= row.value <= row.high for row in one) and any(row.of == ALL for row in one)
    other = score(wrong, doing.unseen(), address)
    assert all(a.value > b.value + 0.2 for a, b in zip(one, other, strict=True))


def needed(function):
    """What a function cannot do without: a language model that understands, an encoder that knows what is about months."""
    able = {"asks": perfect("months"), "encoder": knowing}
    return {name: able[name] for name in options_of(function) if name in able}


@pytest.mark.parametrize("name", sorted({*finder.names("explain.explainers")} - {*DOING["explainers"]}))
def test_an_explainer_says_the_same_twice_and_knows_what_was_planted(name):
    explain, address = finder.load("explain.explainers", name), unit("months")
    one, two = (explain(known().firings, [address], known().table, **needed(explain))[address] for _ in range(2))
    assert one == two and "months" in str(one[0]) and isinstance(one[0], Explanation)
    assert simulation(one[0], unseen(), address)[0].value > 0.7


APART = ("intruder",)
"""Scorers that look at no explanation."""


@pytest.mark.parametrize("name", sorted({*finder.names("explain.scorers")} - {*DOING["scorers"]}))
def test_a_scorer_says_the_same_twice_and_prefers_the_truth_to_another_meaning(name):
    score, address = finder.load("explain.scorers", name), unit("months")
    one, two = (score(truth(address), unseen(), address, **needed(score)) for _ in range(2))
    assert str(one) == str(two) and all(row.low <= row.value <= row.high for row in one if row.examples)
    other = score(truth(unit("modal verbs")), unseen(), address, **needed(score))
    assert name in APART or all(a.value > b.value + 0.2 for a, b in zip(one, other, strict=True) if a.of == ALL)
    assert any(row.of == ALL for row in one) or name in APART
