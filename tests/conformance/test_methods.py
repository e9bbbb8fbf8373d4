"""Every method, whoever wrote it: the room's shape, the same twice, nothing left behind, and the planted truth on top."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any, get_type_hints

import numpy as np
import pytest

from clew import finder
from clew.circuits.circuit import Circuit
from clew.circuits.ranked import EDGES, ranked
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.metrics import logit_difference, reading
from clew.data.planted import induction
from clew.data.planted._compile import Planted
from clew.measures.circuits.recovery import recovery
from clew.methods import Schedule
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models import Model
from tests.conformance import knowing
from tests.conformance.shape import Told, case_of, check_signature, check_source, check_words, untouched
from tests.methods.weights.test_bigram_subnetwork import planted as bigrams
from tests.planted import random_dictionary

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
MORE: dict[str, Callable[[], Circuit]] = {
    "attribution_graph": lambda: with_more("attribution_graph", seen("mlp_in.1", "mlp.1"), task(), max_nodes=16),
    "head_loadings": lambda: with_more("head_loadings", seen("mlp_in.1", "mlp.1"), task(), MORE["attribution_graph"]()),
    "query_key": lambda: with_more("query_key", seen("resid.0"), task(), layer=1, head=1),
    "edges": lambda: with_more("edges", planted().model.components(), task(), scored().top(5)),
    "transfer_by_depth": lambda: with_more("transfer_by_depth", planted().model, task(), scored()),
    "faithfulness_alignment": lambda: with_more("faithfulness_alignment", planted().model, task(), scored(), epochs=1),
    "causal_tracing": lambda: with_more("causal_tracing", knowing.MODEL, knowing.FACTS, samples=2),
    "bigram_subnetwork": lambda: with_more("bigram_subnetwork", *bigrams(), keep=16, schedule=Schedule(3, lr=0.1)),
}
"""What some take beside a model and a behaviour, or in their place."""


@cache
def planted() -> Planted:
    return induction(n=6)


def found(name: str, **more: Any) -> tuple[Any, Circuit]:
    """The view it was run on, and what it found."""
    method = finder.load("methods", name)
    known = inspect.signature(method).parameters
    given = {option: value for option, value in SHORT.items() if option in known}
    if "schedule" in known:
        given["schedule"] = replace(known["schedule"].default, steps=30)
    units = ranked(method)
    view = planted().model if EDGES in units else planted().model.heads() if "components" not in units else None
    view = view or planted().model.components()
    return view, method(view, planted().behaviour, **given, **more)


def with_more(name: str, model: Model, *given: Any, **options: Any) -> Circuit:
    with untouched(model.body.module):
        return finder.load("methods", name)(model, *given, **options)


def task() -> Behaviour:
    return planted().behaviour


def scored() -> Circuit:
    return attribution_patching(planted().model.components(), task(), positions=False)


def seen(reads: str, writes: str | None = None) -> Model:
    """The planted model through one random dictionary."""
    width = planted().model.body.widths[planted().model.body.site(reads)]
    return planted().model.through(random_dictionary(reads, width, writes=writes))


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
    with untouched(planted().model.body.module):
        (view, first), (_, second) = found(name), found(name)
    for column in fields(first):
        one, two = getattr(first, column.name), getattr(second, column.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two, err_msg=column.name)
    wanted = "edges" if len(first.weight) else "nodes"
    rows = recovery(view, planted().behaviour, first, truth=planted().circuit).rows
    assert next(r.value for r in rows if r.measure == "AUROC" and r.of == wanted) > 0.5


@pytest.mark.parametrize("name", [name for name in METHODS if name not in RUN])
def test_what_takes_more_gives_the_same_twice_and_leaves_nothing_behind(name):
    first, second = case_of(MORE, name)(), MORE[name]()
    assert first.keys() == second.keys() and len(first) and first.score.tolist() == second.score.tolist()
    assert first.weight.tolist() == second.weight.tolist()


@pytest.mark.parametrize("name", [name for name in RUN if "progress" in takes(name)])
def test_it_tells_how_far_it_is(name):
    told = Told()
    found(name, progress=told)
    told.check()


def test_what_takes_a_run_for_every_part_tells_how_far_it_is():
    assert {"integrated_gradients", "exact_patching", "edges", "exact_edge_patching", "acdc"} <= {
        name for name in METHODS if "progress" in takes(name)
    }


@reading(logits=2)
def at_two_positions(trace, batch):
    """The usual metric, of a run that holds what it was told to hold."""
    assert trace.logits.shape[1] == 2
    return logit_difference(trace, batch)


@pytest.mark.parametrize("name", ["acdc", "edge_pruning", "path_patching", "optimal_ablation", "eap", "hard_concrete"])
def test_a_metric_has_the_positions_of_logits_that_it_reads(name, monkeypatch):
    """One method for each kind of run."""
    _, want = found(name)
    one = replace(planted(), behaviour=task().with_metric(at_two_positions))
    monkeypatch.setattr(sys.modules[__name__], "planted", lambda: one)
    _, made = found(name)
    assert np.allclose(made.score, want.score) and np.allclose(made.weight, want.weight)
