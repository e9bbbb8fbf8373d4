"""Every measure of circuits on the planted one: the same twice, the model left alone, and the truth told from chance."""

import inspect
from collections.abc import Callable
from functools import cache

import pytest

from clew import finder
from clew.changes import Scale
from clew.circuits.circuit import Circuit
from clew.circuits.supernode import Supernode
from clew.data.planted import induction
from clew.data.planted._compile import Planted
from clew.measures.circuits.hypothesis_tests import Minimality
from clew.methods.edges.eap import eap
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models import Model
from clew.report import Report
from tests.conformance.shape import Told, case_of, check_row, untouched

NAMES = finder.names("measures.circuits")
QUICK = {
    "draws": 20,
    "minimality": Minimality(draws=20),
    "permutations": 50,
    "repeats": 2,
    "groups": 2,
    "n": 5,
    "seeds": (0, 1),
    "search": "attribution_patching",
}
"""Options under which a measure is quick; each is given to those that have it."""
MORE: dict[str, Callable[[], dict[str, object]]] = {
    "recovery": lambda: {"truth": planted().circuit},
    "reuse": lambda: {"other": found().top(3)},
    "change": lambda: {"child": planted().model.edited(Scale("head.2", factor=0.0)), "sizes": (3, 5)},
    "drift": lambda: {"child": planted().model.edited(Scale("head.2", factor=0.0)), "sizes": (3, 5)},
    "hypothesis_tests": lambda: {"pool": found()},
    "interchangeability": lambda: {"groups": [["head.0/2", "head.0/3"]]},
    "stability": lambda: {"sizes": (3, 5), "draws": 2},
    "edge_faithfulness": lambda: {"sizes": (3, 9)},
}
"""What some take beside the model, the prompts and the circuit, and sizes that fit the planted one."""
ONE, NOTHING = (0.99, 1.01), (-0.01, 0.01)
TRUE: dict[str, list[tuple[str, str, float, float]]] = {
    "areas": [("largest f", "signed", *ONE), ("CPR", "signed", 0.2, 0.3)],
    "change": [
        ("metric change", "child", -9, -1),
        ("overlap", "child", 0.5, 0.5),
    ],  # one of three heads is silent there
    "controls": [("faithfulness", "", *ONE), ("faithfulness", "random", -0.1, 0.5)],
    "curve": [("faithfulness", "components", *ONE), ("completeness", "components", *NOTHING)],
    "drift": [
        ("drift", "child resid.0", *NOTHING),
        ("own drift", "child attn.2", *ONE),
        ("metric change", "child", -9, -1),
    ],
    "edge_faithfulness": [("faithfulness", "edges", *NOTHING), ("faithfulness", "random edges", *NOTHING)],
    "faithfulness": [("faithfulness", "", *ONE), ("completeness", "", *NOTHING)],
    "hypothesis_tests": [("equivalence", "p", 0.5, 1)],
    "interchangeability": [("kept", "head.0/2 head.0/3", -1, 0.5)],  # one does it all, the other nothing
    "minimality": [("drop", "head.0/2", *ONE), ("superfluous", "share of nodes", 0.25, 0.25)],
    "predicted_effects": [("r", "nodes", 0.5, 1)],
    "recovery": [("precision", "nodes", *ONE), ("recall", "nodes", *ONE)],
    "reuse": [("shared", "nodes", 3, 3), ("overlap", "nodes", 0.6, 0.6)],
    "stability": [("overlap", "halves", 1, 1), ("stable share", "halves", 1, 1)],
    "supernodes": [("joint", "two", 8.4, 8.6), ("accepted", "1 groups", 0, 0)],  # all is lost, and scores say it twice
    "worst_case": [("discrepancy", "max", *NOTHING)],
}
"""What is known of five nodes that hold the planted three, and of the planted edges: rows, and where their values lie."""


@cache
def planted() -> Planted:
    return induction(n=12)


@cache
def found() -> Circuit:
    """Every component, scored; three heads and the embedding are the planted ones."""
    return attribution_patching(planted().model.components(), planted().behaviour, positions=False)


def claimed(name: str) -> Circuit:
    """Five components; scored edges where edges are judged, and all where parts take each other's place."""
    if name == "edge_faithfulness":
        return eap(planted().model, planted().behaviour)
    if name == "supernodes":
        nodes = found().top(5)
        return nodes.with_supernodes([Supernode("two", tuple(node.address for node in nodes[:2]))])
    return found() if name == "interchangeability" else found().top(5)


def view() -> Model:
    return planted().model.components()


def takes(name: str) -> set[str]:
    return set(inspect.signature(finder.load("measures.circuits", name)).parameters)


def measured(name: str, **more: object) -> Report:
    measure, circuit = finder.load("measures.circuits", name), claimed(name)
    given = {option: value for option, value in QUICK.items() if option in takes(name)}
    return measure(view(), planted().behaviour, circuit, **(given | MORE.get(name, dict)()), **more)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice_the_model_left_alone_and_the_truth_told(name):
    with untouched(planted().model.body.module):
        one, two = measured(name), measured(name)
    assert str(one.rows) == str(two.rows) and one.rows and one.title
    for row in case_of(TRUE, name):
        check_row(one, *row)


@pytest.mark.parametrize("name", [name for name in NAMES if "progress" in takes(name)])
def test_it_tells_how_far_it_is(name):
    told = Told()
    measured(name, progress=told)
    told.check()
