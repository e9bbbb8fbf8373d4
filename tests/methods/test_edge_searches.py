"""Searches over the component graph, each held to another that theory says is equal."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

import clew
from clew import Behaviour, Pair
from clew.changes import Set
from clew.circuits.circuit import Circuit
from clew.data.planted import induction, ioi
from clew.measures.circuits.predicted_effects import with_predicted_effects
from clew.measures.circuits.recovery import recovery
from clew.methods.edges.acdc import acdc
from clew.methods.edges.clean_corrupted import clean_corrupted
from clew.methods.edges.eap import eap
from clew.methods.edges.eap_ig_activations import eap_ig_activations
from clew.methods.edges.eap_ig_inputs import eap_ig_inputs
from clew.methods.edges.exact_edge_patching import exact_edge_patching
from clew.methods.edges.information_flow_routes import information_flow_routes
from clew.methods.edges.path_patching import path_patching
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models.graph.components import Components
from clew.models.graph.paths import Paths
from clew.sites import Site
from tests.models.tiny import FAMILIES
from tests.planted import REFERENCE, random_behaviour, tiny_model

LLAMA = tiny_model("llama")
PAIRS = random_behaviour()


def close(one: Circuit, other: Circuit, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(one.weight, other.weight, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_eap_is_the_derivative_of_the_metric_by_the_edges(family):
    model = tiny_model(family)
    graph, batch = Components(model.body), next(PAIRS.batches(model))
    other = graph.writes(model.run(batch.patch, read=graph.source_sites, logits=0))
    keep = torch.ones(graph.legal.shape, dtype=torch.float64, requires_grad=True)
    run = Paths(graph, model, other).run(batch.clean, keep, grad=True)
    (expected,) = torch.autograd.grad(PAIRS.metric(run, batch).mean(), keep)
    found = graph.table(eap(model, PAIRS))
    torch.testing.assert_close(found, expected * graph.legal, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("search", [eap, clean_corrupted, eap_ig_inputs, eap_ig_activations])
def test_a_query_heads_shares_add_up_to_what_its_key_value_head_gets(search):
    split, whole = search(LLAMA, PAIRS, ungrouped=True), search(LLAMA, PAIRS)
    wide, narrow = Components(LLAMA.body, ungrouped=True), Components(LLAMA.body)
    shares, expected = wide.table(split), narrow.table(whole)
    for site, at in narrow.reader_at.items():
        mine = shares[:, wide.reader_at[site]]
        torch.testing.assert_close(
            mine.unflatten(1, (at.stop - at.start, -1)).sum(-1), expected[:, at], rtol=1e-5, atol=1e-6
        )


def test_eap_is_the_first_term_of_eap_ig():
    close(eap_ig_inputs(LLAMA, PAIRS, steps=1, start="clean"), eap(LLAMA, PAIRS))
    close(eap_ig_activations(LLAMA, PAIRS, steps=1), eap(LLAMA, PAIRS))


def test_clean_corrupted_is_the_mean_of_the_two_ends():
    ends = [eap_ig_inputs(LLAMA, PAIRS, steps=1, start=start) for start in ("clean", "other")]
    mean = (ends[0].weight + ends[1].weight) / 2
    np.testing.assert_allclose(clean_corrupted(LLAMA, PAIRS).weight, mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_a_sources_edges_add_up_to_its_node_score(family):
    model = tiny_model(family)
    nodes = attribution_patching(model.components(), PAIRS, positions=False)
    expected = {key[:2]: score for key, score in zip(nodes.keys(), nodes.score, strict=True)}
    edges = eap(model, PAIRS)
    for node in list(edges)[: len(Components(model.body).sources)]:
        if node.site.part != "head" or family != "gemma2":  # there the norm after the heads bends a head's own effect
            assert node.score == pytest.approx(expected.get((str(node.site), node.unit), 0), abs=1e-5)


def test_averaging_along_its_own_path_comes_near_the_exact_effect_of_a_direct_edge():
    graph = Components(LLAMA.body)  # the last MLP reaches the logits by one edge, so its path is the edge's own
    exact, fine, rough = (
        graph.table(find(LLAMA, PAIRS))[-1, -1]
        for find in (exact_edge_patching, lambda m, b: eap_ig_activations(m, b, steps=16), eap)
    )
    assert abs(fine - exact) < 0.1 * abs(rough - exact)


def test_standard_errors_are_those_of_the_examples():
    each = [eap(LLAMA, replace(PAIRS, pairs=(pair,), split=None)).weight for pair in PAIRS.pairs]
    whole = eap(LLAMA, PAIRS)
    np.testing.assert_allclose(
        whole.weight_error, np.std(each, axis=0, ddof=1) / len(each) ** 0.5, rtol=1e-4, atol=1e-9
    )


@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_other_baselines_move_every_source_to_another_state(baseline):
    graph, batch = Components(LLAMA.body), next(PAIRS.batches(LLAMA))
    found = graph.table(eap(LLAMA, PAIRS, baseline=baseline))
    assert found.abs().sum() > 0
    if baseline == "zero":
        run = LLAMA.run(batch.clean, read=[Site("resid", 2), Site("mlp", 2)], grad=True, logits=1)
        grad = run.gradients(-PAIRS.metric(run, batch).sum())[Site("resid", 2)]
        assert found[-1, -1] == pytest.approx(float(-(grad * run["mlp.2"].detach()).sum() / len(batch)), rel=1e-5)


def test_exact_patching_of_an_edge_is_the_run_without_it():
    graph, batch = Components(LLAMA.body), next(PAIRS.batches(LLAMA))
    paths = Paths(graph, LLAMA, graph.writes(LLAMA.run(batch.patch, read=graph.source_sites, logits=0)))
    exact = exact_edge_patching(LLAMA, PAIRS, tokens=64)
    whole = PAIRS.metric(LLAMA.run(batch.clean, logits=1), batch)
    for source, reader in ((0, 0), (3, 12), (15, 27)):
        keep = torch.ones(graph.legal.shape, dtype=torch.float64)
        keep[source, reader] = 0
        drop = (whole - PAIRS.metric(paths.run(batch.clean, keep), batch)).mean()
        assert graph.table(exact)[source, reader] == pytest.approx(float(drop), abs=1e-9)


def test_paths_into_all_receivers_are_the_source_patched():
    graph, batch = Components(LLAMA.body), next(PAIRS.batches(LLAMA))
    everything = [str(site) for site in graph.reader_at if site.part != "final"]
    found = path_patching(LLAMA, PAIRS, receivers=[*everything, "logits"])
    other = LLAMA.run(batch.patch, read=graph.source_sites, logits=0)
    whole = PAIRS.metric(LLAMA.run(batch.clean, logits=1), batch)
    for site in (Site("mlp", 0), Site("mlp", 1), Site("embed")):
        run = LLAMA.run(batch.clean, edits=[Set(site, value=other[site])], logits=1)
        assert found[f"{site}/0"].score[0] == pytest.approx(float((whole - PAIRS.metric(run, batch)).mean()), abs=1e-6)


def test_no_receiver_means_no_effect_and_a_wrong_one_is_named():
    assert not path_patching(LLAMA, PAIRS, receivers=()).score.any()
    with pytest.raises(ValueError, match=r"'q.9/3' is no receiver; .*q.\d/3"):
        path_patching(LLAMA, PAIRS, receivers=["q.9/3"])


def test_acdc_on_a_graph_of_two_edges_is_exact_patching():
    graph = Components(LLAMA.body)
    keep = torch.zeros(graph.legal.shape)
    keep[graph.source_at[Site("mlp", 2)].start, -1] = keep[graph.source_at[Site("mlp", 1)].start, -1] = 1
    two = graph.circuit(keep).strongest_edges(2)
    batch = next(PAIRS.batches(LLAMA))
    paths = Paths(graph, LLAMA, graph.writes(LLAMA.run(batch.patch, read=graph.source_sites, logits=0)))
    value = lambda k: float(PAIRS.metric(paths.run(batch.clean, k.double()), batch).mean())  # noqa: E731
    found = acdc(LLAMA, PAIRS, two, threshold=1e-9, objective=None)
    kept, value_now = keep.clone(), value(keep)
    for source in (graph.source_at[Site("mlp", 2)].start, graph.source_at[Site("mlp", 1)].start):
        less = kept.clone()
        less[source, -1] = 0
        drop = value_now - value(less)
        if drop >= 1e-9:
            assert graph.table(found)[source, -1] == pytest.approx(drop, abs=1e-6)
        else:
            kept, value_now = less, value(less)
    assert torch.equal(graph.keep(found), kept > 0)


def test_guessing_ahead_does_not_change_what_acdc_finds():
    start = eap(LLAMA, PAIRS).strongest_edges(15)
    one, many = (acdc(LLAMA, PAIRS, start, threshold=0.01, tokens=tokens) for tokens in (1, 4096))
    assert set(one.keys()) == set(many.keys())
    np.testing.assert_allclose(one.weight, many.weight, atol=1e-7)


def test_information_flow_into_every_reader_adds_up_to_one():
    graph = Components(LLAMA.body)
    table = graph.table(information_flow_routes(LLAMA, PAIRS))
    torch.testing.assert_close(table.sum(0), torch.ones(len(graph.readers), dtype=torch.float64), rtol=1e-5, atol=1e-5)
    assert (table >= 0).all() and table[0, 0] == pytest.approx(1)  # layer 0 reads the embedding alone


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eap_ig_inputs(LLAMA, PAIRS, steps=0), "at least one point"),
        (lambda: eap(LLAMA, PAIRS.without_patches(), baseline="patch"), "without a patch"),
        (lambda: exact_edge_patching(LLAMA, PAIRS.without_patches()), "no patch prompts"),
        (lambda: acdc(LLAMA, PAIRS, threshold=0.0), "positive drop"),
    ],
)
def test_bad_options_say_what_would_do(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.real
def test_eap_on_smollm2_equals_a_published_implementation():
    """The reference has the start token before each prompt, and divides by the number of examples twice."""
    model, known = clew.open("smollm2-135m"), json.loads((REFERENCE / "eap_smollm2.json").read_text())
    start, tokens = model.tokenizer.bos_token_id, model.tokenizer
    pairs = tuple(
        Pair(*((start, *tokens(p[end])["input_ids"]) for end in ("clean", "corrupt")), *((a,) for a in p["answers"]))
        for p in known["prompts"]
    )
    graph = Components(model.body, ungrouped=True)
    found = graph.table(eap(model, Behaviour("ioi", pairs), ungrouped=True)).numpy() / len(pairs)
    expected = np.array(known["score"])
    assert graph.n_edges == 123_211
    assert abs(found[known["source"], known["reader"]] - expected).max() < 1e-3 * abs(expected).max()


@pytest.mark.parametrize(
    ("behaviour", "options"),
    [(PAIRS.without_patches(), {}), (PAIRS, {"ungrouped": True}), (PAIRS, {"baseline": "zero"})],
)
def test_predictions_are_tried_only_where_they_are_of_patched_edges(behaviour, options):
    found = clew.find(LLAMA, behaviour, by="eap", held_out=False, **options)
    assert len(found.weight) and with_predicted_effects(LLAMA, behaviour, found) is found
    patched = clew.find(LLAMA, PAIRS, by="eap", held_out=False)
    assert "predicted_effects" not in patched.details
    assert "predicted_effects" in with_predicted_effects(LLAMA, PAIRS, patched).details


def test_a_ranking_is_not_tried_as_a_prediction():
    ranking = clew.find(LLAMA, PAIRS, by="information_flow_routes", held_out=False)
    assert with_predicted_effects(LLAMA, PAIRS, ranking) is ranking


def test_half_precision_keeps_small_standard_errors():
    half = clew.Model(type(LLAMA.body)(deepcopy(LLAMA.body.module).to(torch.float16), None, "half"))
    found = eap(half, PAIRS)
    assert (found.weight_error[found.weight != 0] > 0).mean() > 0.99


def test_a_circuit_without_edges_is_nothing_to_start_from():
    nodes = attribution_patching(LLAMA.components(), PAIRS, positions=False)
    for search in (exact_edge_patching, acdc):
        with pytest.raises(ValueError, match="no edges between components; find some by eap"):
            search(LLAMA, PAIRS, nodes)


@pytest.mark.parametrize("planted", [induction, ioi])
def test_the_exact_searches_find_a_planted_circuit_whole(planted):
    known = planted(n=8)
    for search in (exact_edge_patching, acdc):
        found = search(known.model, known.behaviour.train)
        report = recovery(known.model, known.behaviour, found, truth=known.circuit)
        edges = {row.measure: row.value for row in report.rows if row.of == "edges"}
        assert edges["precision"] == edges["recall"] == 1
