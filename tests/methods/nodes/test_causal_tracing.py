import numpy as np
import pytest
import torch

import clew
from clew.circuits.circuit import Circuit
from clew.methods.nodes.causal_tracing import causal_tracing
from clew.readings.tracing import trace_facts
from clew.sites import Site
from tests.models.tiny import model_of
from tests.readings.test_tracing import FACTS


def test_nodes_hold_the_mean_effect_at_the_subject_and_its_error(tmp_path):
    model = model_of(dtype=torch.float64)
    circuit, traced = (trace(model, FACTS, samples=2, window=1) for trace in (causal_tracing, trace_facts))
    effect = traced.effect[:, 0, 0, 1].double()
    node = circuit.sites.index(Site("mlp", 1))
    assert circuit.score[node] == pytest.approx(float(effect.mean()))
    assert circuit.score_error[node] == pytest.approx(float(effect.std() / 2**0.5))
    assert len(circuit) == 2 * model.n_layers and circuit.details["tracing"]["layers"] == traced.ranked(model.n_layers)
    again = Circuit.load(circuit.save(tmp_path / "circuit.json"))
    assert again.details["tracing"] == circuit.details["tracing"]


def test_it_is_found_by_name_on_facts():
    circuit = clew.find(model_of(), FACTS, by="causal_tracing", samples=1)
    assert circuit.provenance["method"] == "causal_tracing"


def test_one_fact_has_no_error():
    assert np.isnan(causal_tracing(model_of(), FACTS.first(1), samples=1).score_error).all()
