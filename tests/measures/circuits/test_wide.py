"""Circuits of wide dictionaries are judged by what fires, to the same numbers as by the codes of all units."""

import numpy as np
import pytest
import torch

from clew.changes import Through
from clew.circuits.circuit import Circuit
from clew.dictionaries import JumpReLU, Learned, ReLU, TopK, sparse
from clew.measures.circuits._nodes import NodeTrial
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models import Model
from clew.readings.ablation import Ablation
from tests.planted import random_behaviour, random_dictionary, tiny_model

BEHAVIOUR = random_behaviour(n=3)


def view() -> Model:
    """A transcoder among them, and an embedding, at which nothing is ablated."""
    sites = {"embed": ReLU, "resid.0": TopK, "resid.1": JumpReLU}
    parts = [random_dictionary(site, 32, kind) for site, kind in sites.items()]
    return tiny_model("gpt_neox").through(*parts, random_dictionary("mlp_in.1", 32, writes="mlp.1"))


def judged(ablation: Ablation, circuits: list[Circuit]) -> list[np.ndarray]:
    trial = NodeTrial(view(), BEHAVIOUR, ablation, seed=0)
    asked = [(circuit, complement) for circuit in circuits for complement in (False, True)]
    return [trial.whole, trial.empty, *trial.circuit_metrics(asked)]


@pytest.mark.parametrize("errors", ["nodes", "keep", "remove"])
@pytest.mark.parametrize("kind", ["patch", "mean", "zero"])
def test_circuits_of_wide_dictionaries_are_judged_as_of_all_units(kind, errors, monkeypatch):
    """With positions and without, side by side, and what is left when they are taken out."""
    found = [attribution_patching(view(), BEHAVIOUR, positions=positions) for positions in (True, False)]
    circuits = [found[0].top(40), found[1].top(15), found[0].top(0)]
    dense = judged(Ablation(kind, errors=errors), circuits)
    monkeypatch.setattr(sparse, "WIDE", 1)
    for name in ("decode", "write"):
        monkeypatch.setattr(Learned, name, lambda *_: pytest.fail("a product with all units"))
    for by_all, by_what_fires in zip(dense, judged(Ablation(kind, errors=errors), circuits), strict=True):
        assert np.allclose(by_all, by_what_fires, rtol=0, atol=1e-9)
    assert not np.allclose(dense[0], dense[1]) and not np.allclose(dense[2], dense[3])


def test_where_nothing_is_kept_nothing_is_encoded(monkeypatch):
    monkeypatch.setattr(sparse, "WIDE", 1)
    trial, nothing = (
        NodeTrial(view(), BEHAVIOUR, Ablation("zero"), seed=0),
        attribution_patching(view(), BEHAVIOUR).top(0),
    )
    monkeypatch.setattr(Learned, "preactivation", lambda *_: pytest.fail("it was encoded"))
    assert np.allclose(trial.circuit_metric(nothing), trial.empty)


def test_a_change_through_a_dictionary_is_made_by_who_knows_it():
    class Silence(Through):
        def rewritten(self, dictionary, read, value):
            return value - dictionary.decode(dictionary.encode(read))

    model = view()
    edit = Silence("mlp.1")
    silent = model.run(torch.tensor([[5, 6, 7]]), read=["mlp.1", "mlp_in.1"], edits=[edit])
    assert torch.allclose(silent["mlp.1"], model.run(silent.tokens, read=["mlp.1", "mlp_in.1"]).error("mlp.1"))
    with pytest.raises(TypeError, match="the silence at mlp.1 is made through a dictionary"):
        edit(silent["mlp.1"])
