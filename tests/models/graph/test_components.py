"""The component graph: its counts by hand, and that sources and readers are the model's, in every family."""

from dataclasses import asdict

import pytest
import torch

from clew.circuits.formats.mib import to_mib
from clew.circuits.kind import Kind
from clew.files import jsonable
from clew.models.graph.components import Components
from clew.sites import Site
from tests.models.graph.runs import graph_and_runs
from tests.models.kinds import ADDING_UP, kind
from tests.models.tiny import FAMILIES
from tests.planted import tiny_model


def test_counts_of_a_grouped_model_by_hand():
    model = tiny_model("llama")  # 3 layers, 4 heads, 2 key-value heads
    graph = Components(model.body)
    assert len(graph.sources) == 1 + 3 * 5 and len(graph.readers) == 3 * (4 + 2 + 2 + 1) + 1
    assert graph.n_edges == sum(8 * (1 + 5 * layer) + (5 + 5 * layer) for layer in range(3)) + 16
    assert Components(model.body, ungrouped=True).n_edges == sum(12 * (1 + 5 * i) + 5 + 5 * i for i in range(3)) + 16


def test_parallel_mlps_do_not_read_their_own_layers_heads():
    graph = Components(tiny_model("gptj").body)
    head, mlp = graph.source_at[Site("head", 1)].start, graph.reader_at[Site("mlp_in", 1)].start
    assert not graph.legal[head, mlp] and graph.legal[head, mlp + 1]


@pytest.mark.parametrize("family", [*FAMILIES, *ADDING_UP])
def test_sources_add_up_to_the_stream(family):
    _, graph, _, clean, _ = graph_and_runs(family)
    written = graph.writes(clean)
    bias = clean[Site("resid", 2)] - written.sum(1)  # of the output projections: the same at every position
    assert (bias - bias.mean((0, 1))).abs().max() < 1e-6 * clean[Site("resid", 2)].abs().max()


@pytest.mark.parametrize("family", [*FAMILIES, *ADDING_UP])
def test_readers_read_the_stream_through_their_norm_and_matrix(family):
    _, graph, _, clean, _ = graph_and_runs(family)
    for site in list(graph.reader_at)[:-1]:
        normed = graph.norm(site)(sum(clean[s] for s in graph.stream_sites(site)))
        if site.part in "qkv":
            matrix, bias = graph.projection(site)
            normed = (torch.einsum("bpd,hde->bphe", normed, matrix) + bias).flatten(-2)
        torch.testing.assert_close(normed, clean[site], rtol=1e-9, atol=1e-9)


def test_a_stream_that_goes_through_norms_has_no_such_graph_but_its_nodes():
    model = kind("norms in the stream")
    with pytest.raises(
        ValueError, match="goes through a norm in every block, so what is written there does not add up"
    ):
        Components(model.body)
    assert {site.part for site in model.components().dictionaries} == {"embed", "head", "mlp"}


def test_what_has_no_heads_is_one_source_and_one_reader():
    graph = Components(kind("convolutions").body)  # convolution, attention, convolution; 4 heads, 2 for keys
    assert [site.part for site, _ in graph.sources] == ["embed", "mixer", "mlp", *["head"] * 4, "mlp", "mixer", "mlp"]
    assert graph.card.blocks == ("mixer mlp", "head mlp", "mixer mlp")
    assert graph.n_edges == 1 + 2 + 8 * 3 + 7 + 8 + 9 + 10


def test_a_card_of_such_a_graph_is_read_back_and_has_no_place_in_mibs_files():
    graph = Components(kind("convolutions").body)
    circuit = graph.circuit(torch.ones(graph.legal.shape))
    assert Kind.from_json(jsonable(asdict(circuit.kind))) == circuit.kind
    with pytest.raises(ValueError, match="this one has mixer mlp in block 0"):
        to_mib(circuit)


def test_a_circuit_and_its_table_are_the_same():
    graph = Components(tiny_model("llama").body)
    weight = torch.randn(graph.legal.shape, dtype=torch.float64) * graph.legal
    circuit = graph.circuit(weight)
    assert torch.equal(graph.table(circuit), weight)
    half = circuit.strongest_edges(50)
    assert int(graph.keep(half).sum()) == 50 and torch.equal(graph.table(half), weight * graph.keep(half))


def test_a_circuit_of_another_graph_is_refused():
    graph = Components(tiny_model("llama").body)
    deeper = Components(tiny_model("llama", num_hidden_layers=4).body)
    with pytest.raises(ValueError, match=r"is none of llama's component graph"):
        graph.keep(deeper.circuit(torch.ones(deeper.legal.shape)))
    split = Components(tiny_model("llama").body, ungrouped=True)
    with pytest.raises(ValueError, match=r"4 units at k\.0, .* has 2 there"):
        graph.keep(split.circuit(torch.ones(split.legal.shape)).strongest_edges(3))
