"""Head loadings: the parts of an edge add up to it, and are those of a model in which one head alone is left."""

import numpy as np
import pytest
import torch

import clew
from clew.circuits.circuit import Circuit
from clew.circuits.formats.attribution_graph import to_attribution_graph
from clew.methods.graphs.attribution_graph import attribution_graph
from clew.methods.graphs.head_loadings import head_loadings
from tests.methods.graphs.test_attribution_graph import TASK, WHOLE, view

FAMILIES = ["llama", "gpt2", "gemma3_text", "gptj", "gpt_neox", "qwen3"]


def weights(graph: Circuit) -> dict[str, float]:
    names = [node.address for node in graph]
    return {f"{names[s]} -> {names[t]}": w for s, t, w in graph.edges if t >= 0}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_of_every_edge_add_up_to_its_weight(family: str) -> None:
    model = view(family)
    graph = attribution_graph(model, TASK, **WHOLE)
    some = graph.strongest_edges(150)
    said = head_loadings(model, TASK, some, edges=150, rows=7).details["heads"]
    assert len(said) == 150 and said.keys() <= weights(some).keys()
    sums = {edge: sum(part[-1] for part in parts) for edge, parts in said.items()}
    assert sums == pytest.approx({edge: weights(some)[edge] for edge in said}, abs=1e-9)
    assert any(len(parts) > 3 for parts in said.values())


def test_a_part_is_what_is_left_when_every_other_head_writes_nothing() -> None:
    """In a model of one block the last head is the only one, so that heads can be told apart by taking them out."""
    model = view("gpt2", layers=(0, 1, 2))
    graph = attribution_graph(model, TASK, **WHOLE)
    names = [node.address for node in graph]
    into_first = [e for e in range(len(graph.weight)) if names[graph.target[e]].startswith("mlp.0/")]
    some = graph.keep_edges(np.array(into_first))
    said = head_loadings(model, TASK, some, edges=len(into_first)).details["heads"]
    trace = model.run(
        torch.tensor([TASK.pairs[0].clean]), read=["embed", "head.0", "mlp_in.0", "pattern.0"], frozen=True, grad=True
    )
    edge = max((e for e in said if e.startswith("embed")), key=lambda e: sum(abs(p[-1]) for p in said[e][:-1]))
    source, target = (some[name][0] for name in edge.split(" -> "))
    reads = model.dictionaries[target.site].W_enc[:, target.unit]
    value = trace["mlp_in.0"][0, target.position] @ reads
    (mix,) = torch.autograd.grad(value, trace["head.0"], retain_graph=True)
    width = mix.shape[-1] // model.body.n_heads
    for layer, head, part in said[edge][:-1]:
        alone = torch.zeros_like(mix)
        alone[..., head * width : (head + 1) * width] = mix[..., head * width : (head + 1) * width]
        (on_embedding,) = torch.autograd.grad(trace["head.0"], trace["embed"], alone, retain_graph=True)
        here = (on_embedding * trace["embed"])[0, source.position].sum()
        assert layer == 0 and part == pytest.approx(float(here), abs=1e-9)


def test_what_stands_elsewhere_has_no_bypass() -> None:
    model = view()
    graph = attribution_graph(model, TASK, **WHOLE).strongest_edges(60)
    for edge, parts in head_loadings(model, TASK, graph, edges=60).details["heads"].items():
        source, target = (name.split("@")[1] for name in edge.split(" -> "))
        assert parts[-1][0] == "bypass" and (source == target or parts[-1][1] == 0)
        sizes = [abs(part) for _, _, part in parts[:-1]]
        assert sizes == sorted(sizes, reverse=True)


def test_only_the_strongest_that_end_in_a_node_are_split() -> None:
    model = view()
    graph = clew.find(model, TASK, by="attribution_graph", of="metric", held_out=False, **WHOLE)
    said = clew.find(model, TASK, graph, by="head_loadings", edges=5, held_out=False).details["heads"]
    sizes = weights(graph)
    order = sorted(sizes, key=lambda edge: -abs(sizes[edge]))
    assert set(said) == set(order[:5])
    assert head_loadings(model, TASK, graph, edges=0).details["heads"] == {}


def test_what_is_no_graph_of_this_view_is_refused() -> None:
    model = view()
    graph = attribution_graph(model, TASK)
    with pytest.raises(ValueError, match="find one with by='attribution_graph'"):
        head_loadings(model, TASK, clew.find(model, TASK, by="attribution_patching"))
    with pytest.raises(ValueError, match="edges=-1 and rows=64"):
        head_loadings(model, TASK, graph, edges=-1)
    other = view(layers=(0, 1, 2), kind=type(model.dictionaries[graph.sites[1]]))
    for dictionary in other.dictionaries.values():
        dictionary.b_enc.sub_(1e3)
    with pytest.raises(ValueError, match="does not fire on the graph's prompt"):
        head_loadings(other, TASK, graph)


def test_the_graph_that_is_written_says_them() -> None:
    model = view()
    graph = head_loadings(model, TASK, attribution_graph(model, TASK), edges=4)
    links = [link for link in to_attribution_graph(graph)["links"] if "clew_heads" in link]
    assert len(links) == 4
    for link in links:
        assert sum(part[-1] for part in link["clew_heads"]) == pytest.approx(link["weight"], abs=1e-9)
