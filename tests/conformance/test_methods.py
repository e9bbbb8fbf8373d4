"""Every method, whoever wrote it: the room's shape, the same twice, nothing left behind, and the planted truth on top."""

import inspect
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

import numpy as np
import pytest

from clew import finder
from clew.circuits.circuit import Circuit
from clew.circuits.ranked import EDGES, ranked
from clew.data.behaviours.behaviour import Behaviour
from clew.data.planted import induction
from clew.data.planted._compile import Planted
from clew.measures.circuits.recovery import recovery
from tests.conformance.shape import Told, bits, check_signature, check_source, check_untouched, check_words

METHODS = finder.names("methods")
ELSEWHERE = ("transfer_by_depth",)
"""Not published: a control of ours for one that is."""
SHORT = {"steps": 3, "keep": 9, "positions": False, "objective": None, "threshold": 0.001}
"""Options under which what learns or sweeps is quick on a planted model; each is given to those that have it."""


def takes(name: str) -> set[str]:
    return set(inspect.signature(finder.load("methods", name)).parameters)


def usual(name: str) -> bool:
    """Whether it can be run on a model and a behaviour alone."""
    method = finder.load("methods", name)
    parameters = list(inspect.signature(method).parameters.values())
    evidence = get_type_hints(method)[parameters[1].name]
    return evidence is Behaviour and not any(p.default is p.empty for p in parameters[2:])


RUN = [name for name in METHODS if usual(name) and name != "attribution_graph"]  # that one explains one prompt


@cache
def planted() -> Planted:
    return induction(n=6)


def found(name: str, **more: Any) -> tuple[Any, Circuit]:
    """The view it was run on, and what it found."""
    method = finder.load("methods", name)
    known = inspect.signature(method).parameters
    given = {option: value for option, value in SHORT.items() if option in known}
    given |= {"steps": 30} if "lr" in known else {}
    units = ranked(method)
    view = planted().model if EDGES in units else planted().model.heads() if "components" not in units else None
    view = view or planted().model.components()
    return view, method(view, planted().behaviour, **given, **more)


@pytest.mark.parametrize("name", METHODS)
def test_its_signature_has_the_shape_of_the_room(name):
    method = finder.load("methods", name)
    check_signature(method, "model", "*", returns=Circuit, others=["circuit"])
    check_words(method, "methods", "seed")


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ELSEWHERE])
def test_it_says_where_it_was_published(name):
    check_source(finder.load("methods", name))


@pytest.mark.parametrize("name", RUN)
def test_the_same_twice_nothing_left_behind_and_the_truth_on_top(name):
    module = planted().model.body.module
    before = bits(module)
    (view, first), (_, second) = found(name), found(name)
    check_untouched(module, before)
    for column in fields(first):
        one, two = getattr(first, column.name), getattr(second, column.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two, err_msg=column.name)
    wanted = "edges" if len(first.weight) else "nodes"
    rows = recovery(view, planted().behaviour, first, truth=planted().circuit).rows
    assert next(r.value for r in rows if r.measure == "AUROC" and r.of == wanted) > 0.5


@pytest.mark.parametrize("name", [name for name in RUN if "progress" in takes(name)])
def test_it_tells_how_far_it_is(name):
    told = Told()
    found(name, progress=told)
    told.check()


def test_what_takes_a_run_for_every_part_tells_how_far_it_is():
    assert {"integrated_gradients", "exact_patching", "edges", "exact_edge_patching", "acdc"} <= {
        name for name in METHODS if "progress" in takes(name)
    }
