"""Wide dictionaries by what fires in them: the same numbers as by all units at once, whatever stands in for "otherwise"."""

from dataclasses import replace

import numpy as np
import pytest

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Pair
from clew.dictionaries import AbsTopK, Gated, JumpReLU, Learned, ReLU, TopK, sparse
from clew.methods.edges.edges import edges
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.integrated_gradients import integrated_gradients
from clew.methods.nodes.integrated_gradients_inputs import integrated_gradients_inputs
from clew.models import Model
from tests.planted import random_behaviour, random_dictionary, tiny_model

KINDS = {"resid.0": ReLU, "attn.1": JumpReLU, "mlp.1": TopK, "resid.1": ReLU}


def view() -> Model:
    return tiny_model("gpt_neox").through(*(random_dictionary(site, 32, kind) for site, kind in KINDS.items()))


@pytest.fixture
def both(monkeypatch):
    """What work gives with dense codes, and with codes by what fires, encoded and multiplied a few at a time."""

    def run(work) -> tuple[Circuit, Circuit]:
        dense = work()
        for name, value in {"WIDE": 1, "NUMBERS": 80, "GATHERED": 40}.items():
            monkeypatch.setattr(sparse, name, value)
        return dense, work()

    return run


def same_edges(dense: Circuit, wide: Circuit) -> None:
    same(dense, wide)
    assert np.array_equal(dense.source, wide.source) and np.array_equal(dense.target, wide.target)
    assert np.allclose(dense.weight, wide.weight, rtol=0, atol=1e-9) and len(dense.weight)


def same(dense: Circuit, wide: Circuit) -> None:
    assert dense.keys() == wide.keys() and dense.provenance == wide.provenance
    for name in ("score", "patch_mean", "score_error"):
        assert np.allclose(getattr(dense, name), getattr(wide, name), rtol=0, atol=1e-9, equal_nan=True), name


@pytest.mark.parametrize("baseline", ["patch", "zero", "mean", "resample"])
@pytest.mark.parametrize("positions", [False, True])
def test_effects_of_wide_dictionaries_are_those_of_all_units(both, baseline, positions):
    behaviour = random_behaviour(n=5)
    same(*both(lambda: attribution_patching(view(), behaviour, baseline=baseline, positions=positions, skip=1)))


METHODS = {
    "steps": lambda view, b, **how: integrated_gradients(view, b, steps=2, tokens=8, **how),
    "path": lambda view, b, **how: integrated_gradients_inputs(view, b, steps=2, **how),
}


@pytest.mark.parametrize(("method", "baseline"), [("steps", "mean"), ("steps", "zero"), ("path", "mean")])
def test_so_are_integrated_gradients(both, method, baseline):
    behaviour = random_behaviour(n=3)
    same(*both(lambda: METHODS[method](view(), behaviour, baseline=baseline)))


@pytest.mark.parametrize("positions", [False, True])
def test_a_mean_of_kinds_of_tokens_is_taken_by_kind(both, positions):
    """Of special tokens there are none here, so that one place is empty."""
    behaviour = replace(random_behaviour(n=3, length=5), aligned=False)
    same(*both(lambda: attribution_patching(view(), behaviour, baseline="mean", positions=positions)))


def test_prompts_of_several_lengths_and_batches_add_up(both, monkeypatch):
    monkeypatch.setattr("clew.readings.contrast.batch_tokens", lambda model: 8)
    pairs = tuple(Pair(clean, (9, *clean[1:]), (5,), (20,)) for clean in ((1, 2, 3), (4, 2, 6), (7, 8), (1, 2, 3)))
    for baseline in ("patch", "mean"):
        same(*both(lambda baseline=baseline: attribution_patching(view(), Behaviour("x", pairs), baseline=baseline)))


def test_a_transcoder_and_units_of_two_signs_go_by_what_fires_too(both):
    def seen() -> Model:
        signed = random_dictionary("resid.1", 32, AbsTopK)
        return tiny_model("gpt_neox").through(random_dictionary("mlp_in.0", 32, writes="mlp.0"), signed)

    same(*both(lambda: attribution_patching(seen(), random_behaviour())))


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("baseline", ["patch", "zero", "mean"])
def test_edges_among_units_that_were_picked_are_those_among_all(both, baseline, positions):
    """Errors are among the nodes; the gated units' codes grow faster than their pre-activations."""
    sites = [("mlp.0", ReLU), ("attn.1", TopK), ("mlp.1", Gated), ("resid.1", JumpReLU)]
    behaviour = random_behaviour(n=3)

    def wired() -> Circuit:
        view = tiny_model("gpt_neox").through(*(random_dictionary(site, 32, kind) for site, kind in sites))
        found = attribution_patching(view, behaviour, baseline=baseline, positions=positions)
        return edges(view, behaviour, found.top(40))

    same_edges(*both(wired))


def test_edges_through_transcoders_are_the_same(both):
    behaviour = random_behaviour(n=3)

    def wired() -> Circuit:
        parts = [random_dictionary(f"mlp_in.{i}", 32, TopK, writes=f"mlp.{i}") for i in (0, 1)]
        view = tiny_model("gpt_neox").through(*parts, random_dictionary("resid.1", 32))
        return edges(view, behaviour, attribution_patching(view, behaviour).top(30), threshold=1e-3)

    same_edges(*both(wired))


def test_all_units_at_once_meet_a_few_tokens_while_they_are_encoded_and_never_else(both, monkeypatch):
    behaviour, rows = random_behaviour(n=6, length=5), []

    def wired() -> Circuit:
        return edges(view(), behaviour, attribution_patching(view(), behaviour).top(30))

    def work() -> Circuit:
        if sparse.WIDE == 1:
            for name in ("decode", "write", "pull"):
                monkeypatch.setattr(Learned, name, lambda *_: pytest.fail("a product with all units"))
            encode = Learned.preactivation
            monkeypatch.setattr(Learned, "preactivation", lambda self, x: rows.append(len(x)) or encode(self, x))
        return wired()

    same_edges(*both(work))
    assert max(rows) == sparse.NUMBERS // 20 < 30
