from dataclasses import replace

import numpy as np
import pytest
import torch

from clew.data.planted import induction, ioi
from clew.data.planted._compile import known_circuit
from clew.measures.circuits.recovery import auroc, average_precision, hits_among, recovery
from clew.methods.edges.eap import eap
from clew.methods.edges.eap_ig_inputs import eap_ig_inputs
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models.graph.components import Components
from tests.models.kinds import kind
from tests.planted import random_behaviour

IND, IOI = induction(n=4), ioi(n=4)


def judged(planted, circuit, truth=None):
    report = recovery(planted.model, planted.behaviour, circuit, truth=planted.circuit if truth is None else truth)
    return {(r.measure, r.of): r.value for r in report.rows}


def test_the_truth_recovers_itself():
    for planted in (IND, IOI):
        got = judged(planted, planted.circuit)
        assert len(got) == 8 and set(got.values()) == {1.0}


def test_half_of_the_edges_and_some_wrong_ones_by_hand():
    truth = known_circuit(IND.model, ["embed -> q.1/1", "embed -> v.1/1", "head.1/1 -> logits", "embed -> logits"])
    graph = Components(IND.model.body)
    weight = torch.zeros(graph.legal.shape)
    found = {"embed -> q.1/1": 9, "embed -> q.1/0": -8, "head.1/1 -> logits": -7, "embed -> v.1/0": 6}
    for edge, value in found.items():
        weight += value * graph.keep(known_circuit(IND.model, [edge]))
    got = judged(IND, graph.circuit(weight), truth)
    assert got["precision", "edges"] == got["recall", "edges"] == 0.5
    others = graph.n_edges - 4  # a true edge of score 0 ties with all others but two
    assert got["AUROC", "edges"] == pytest.approx((others + others - 1 + 2 * (others - 2) / 2) / 4 / others)
    assert got["average precision", "edges"] == pytest.approx((1 + 2 / 3 + 2 * 4 / graph.n_edges) / 4)


def test_a_part_of_the_truth_is_precise_and_does_not_recall_all():
    part = IND.circuit.keep_edges(np.arange(3))
    got = judged(IND, part)
    assert got["precision", "edges"] == 1 and got["recall", "edges"] == pytest.approx(3 / 9)
    assert got["recall", "nodes"] == 1  # the nodes are all there


def test_node_circuits_are_judged_by_nodes_alone_and_positions_do_not_matter():
    found = attribution_patching(IND.model.components(), IND.behaviour, positions=True)
    assert found.position.max() == 7
    got = judged(IND, found)
    assert len(got) == 4 and set(got.values()) == {1.0}
    assert got == judged(IND, attribution_patching(IND.model.components(), IND.behaviour, positions=False))
    assert got == judged(IND, found, IND.nodes)


def test_ungrouped_readers_count_for_the_head_that_they_share():
    graph, view = Components(IOI.model.body), Components(IOI.model.body, ungrouped=True)
    grouped, weight = graph.keep(IOI.circuit), torch.zeros(view.legal.shape)
    for i, (site, unit) in enumerate(view.readers):
        kv = unit // 2 if site.part in ("k", "v") else unit
        weight[:, i] = grouped[:, graph.readers.index((site, kv))].float()
    assert set(judged(IOI, view.circuit(weight)).values()) == {1.0}


def test_a_model_without_attention_has_edges_that_are_judged():
    model = kind("state spaces")
    truth = known_circuit(model, ["embed -> mixer_in.0", "mixer.0 -> logits"])
    rows = recovery(model, random_behaviour(), eap(model, random_behaviour()), truth=truth).rows
    assert {row.of for row in rows} == {"nodes", "edges"}


def test_the_numbers_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    score, true = random.integers(0, 6, 200).astype(float), random.random(200) < 0.3
    assert auroc(score, true) == pytest.approx(metrics.roc_auc_score(true, score))
    assert average_precision(score, true) == pytest.approx(metrics.average_precision_score(true, score))


def test_equal_scores_share_their_places():
    score, true = np.array([3.0, 1, 1, 1, 0]), np.array([True, True, False, False, True])
    assert hits_among(score, true, 3) == (pytest.approx(1 + 2 / 3), 3)
    assert hits_among(score, true, 5) == (2, 4)
    assert hits_among(0 * score, true, 3) == (0, 0)


def test_scores_that_tell_nothing_are_worth_what_chance_gives():
    flat = replace(IND.circuit.keep(np.zeros(0, int)), details=IND.circuit.details)
    got = judged(IND, flat)
    assert got["AUROC", "nodes"] == 0.5 and got["recall", "nodes"] == 0 and np.isnan(got["precision", "nodes"])
    assert got["average precision", "nodes"] == pytest.approx(4 / 16)


def test_errors_say_what_does_not_fit():
    neurons = attribution_patching(IND.model, IND.behaviour, positions=False)
    with pytest.raises(ValueError, match=r"the node neuron.* is one of embed, head.0.*model.components\(\)"):
        judged(IND, neurons)
    with pytest.raises(ValueError, match="the true circuit has no nodes"):
        judged(IND, IND.circuit, IND.circuit.keep(np.zeros(0, int)))


def test_a_gradient_falls_into_the_trap_and_a_path_of_gradients_does_not():
    first_order, path = (judged(IOI, method(IOI.model, IOI.behaviour)) for method in (eap, eap_ig_inputs))
    assert first_order["precision", "edges"] == pytest.approx(11 / 12)
    assert path["precision", "edges"] == path["average precision", "edges"] == 1
