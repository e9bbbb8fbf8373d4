import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clew.circuits.circuit import EDGE_COLUMNS, NODE_COLUMNS, Circuit
from clew.circuits.formats.mib import from_mib, to_mib, write
from clew.circuits.selection.connected import connected
from clew.circuits.selection.top import top
from clew.models.graph.components import Components
from tests.circuits.selection.graphs import component_circuit, edges
from tests.planted import tiny_model

CFG = {"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 3}


def file(edges=None, nodes=None, **cfg) -> dict:
    """A file in which one edge or node has a score; what is not named is not listed."""
    return {"cfg": CFG | cfg, "nodes": nodes or {"input": {"in_graph": True}}, "edges": edges or {}}


def same(one: Circuit, two: Circuit, *columns: str) -> bool:
    """Equal nodes, edges and numbers, to the last bit."""
    names = columns or (*NODE_COLUMNS, *EDGE_COLUMNS)
    return one.keys() == two.keys() and all(
        np.array_equal(getattr(one, name), getattr(two, name), equal_nan=name != "score") for name in names
    )


def test_names_are_read_as_addresses():
    names = {"input->a0.h1<q>": 0.5, "a0.h1->m0": -1.0, "m0->a1.h0<v>": 0.25, "a1.h0->logits": 2.0, "m0->m1": 0.125}
    found = from_mib(file({name: {"score": s, "in_graph": s > 0} for name, s in names.items()}))
    assert edges(found) == {
        ("embed/0", "q.0/1"), ("head.0/1", "mlp_in.0/0"), ("mlp.0/0", "v.1/0"), ("head.1/0", "metric"),
        ("mlp.0/0", "mlp_in.1/0"),
    }  # fmt: skip
    assert found["mlp.0/0"].score.tolist() == [0.375] and found["mlp_in.0/0"].score.tolist() == [-1.0]


def test_what_is_scored_but_not_in_the_graph_is_kept_unless_asked():
    listed = {"input->m0": {"score": 0.5, "in_graph": True}, "input->m1": {"score": -3.0, "in_graph": False},
              "m0->m1": {"score": 0.0, "in_graph": False}, "m1->logits": {"score": 0.0, "in_graph": True}}  # fmt: skip
    assert from_mib(file(listed)).weight.tolist() == [0.5, -3.0, 0.0]
    assert from_mib(file(listed), only_in_graph=True).weight.tolist() == [0.5, 0.0]


@pytest.mark.parametrize("family", ["gpt2", "gptj"])
def test_the_graph_is_ours_and_comes_back_to_the_bit(tmp_path, family):
    graph = Components(tiny_model(family).body, ungrouped=True)
    whole = graph.circuit(torch.randn(graph.legal.shape).double())
    written = to_mib(whole)
    assert len(written["edges"]) == len(whole.weight) and all(e["in_graph"] for e in written["edges"].values())
    back = Circuit.load(write(whole, tmp_path / "mib.json"))
    assert back.kind == whole.kind and back.units == whole.units and back.sites == whole.sites
    assert same(back, whole, "source", "target", "weight", "weight_error", "site", "unit", "position")
    assert back.score == pytest.approx(whole.score, abs=1e-12)
    assert (graph.keep(back) == graph.legal).all()


def test_a_selection_comes_back_and_the_rest_is_listed_as_out_of_the_graph():
    chosen = connected(top(component_circuit(3, 2), 40))
    written = to_mib(chosen)
    assert len(written["edges"]) == len(component_circuit(3, 2).weight)
    assert sum(e["in_graph"] for e in written["edges"].values()) == len(chosen.weight)
    assert edges(from_mib(written)) == edges(chosen)
    assert from_mib(written).weight.sum() == pytest.approx(chosen.weight.sum(), abs=1e-12)
    writers = [n.address for n in chosen if n.site.part in ("embed", "head", "mlp")]
    assert sum(n["in_graph"] for n in written["nodes"].values()) == len(writers) + 1  # and the logits


def test_a_file_of_theirs_comes_back_whole():
    theirs = to_mib(component_circuit(2, 3))
    off = list(theirs["edges"])[::3]
    theirs["edges"] |= {name: {"score": 0.0, "in_graph": False} for name in off}
    back = to_mib(from_mib(json.loads(json.dumps(theirs))))
    assert back["edges"] == theirs["edges"] and back["cfg"] == theirs["cfg"]


@pytest.mark.parametrize(("heads", "kv"), [(4, 2), (6, 2), (8, 2)])
def test_a_shared_key_value_head_goes_out_in_parts_and_comes_back(heads, kv):
    circuit = component_circuit(2, heads, kv)
    circuit = replace(circuit, weight=circuit.weight.astype(np.float32).astype(float))  # their thirds add up again
    written = to_mib(circuit)
    first = written["edges"]["input->a0.h0<k>"]["score"]
    assert first * heads / kv == pytest.approx(circuit.weight[heads], abs=1e-15)  # after the query heads' edges
    assert len({written["edges"][f"input->a0.h{h}<k>"]["score"] for h in range(heads // kv)}) == 1
    back = from_mib(written)
    assert same(back, circuit, *EDGE_COLUMNS) and back.kind == circuit.kind


def test_the_query_heads_of_an_ungrouped_file_are_put_together_on_demand():
    listed = {"input->a1.h0<k>": {"score": 0.5, "in_graph": True}, "input->a1.h1<k>": {"score": -2.0, "in_graph": False},
              "input->a1.h1<q>": {"score": 1.0, "in_graph": True}}  # fmt: skip
    assert len(from_mib(file(listed)).weight) == 3
    grouped = from_mib(file(listed), n_kv_heads=1)
    assert edges(grouped) == {("embed/0", "k.1/0"), ("embed/0", "q.1/1")} and grouped.weight.tolist() == [1.0, -1.5]


def test_node_files_come_back_to_the_bit(tmp_path):
    nodes = {name: {"in_graph": s > 0.15, "score": s} for name, s in {"input": 0.3, "a0.h1": 0.1, "m1": 0.2}.items()}
    unscored = {"m0": {"in_graph": True, "score": float("nan")}, "logits": {"in_graph": True}}
    found = from_mib(file({"input->m0": {"score": 0.0, "in_graph": False}}, nodes | unscored))
    assert [(n.address, n.score) for n in found] == [("embed/0", 0.3), ("head.0/1", 0.1), ("mlp.1/0", 0.2)]
    assert len(from_mib(file({}, nodes), only_in_graph=True)) == 2
    assert same(Circuit.load(write(found, tmp_path / "n.json")), found)
    on = {name for name, edge in to_mib(found)["edges"].items() if edge["in_graph"]}
    assert on == {
        *(f"input->a0.h1<{p}>" for p in "qkv"),
        "input->m1",
        "input->logits",
        "a0.h1->m1",
        "a0.h1->logits",
        "m1->logits",
    }


def test_nodes_that_a_lens_scored_are_written_with_the_card_of_their_graph():
    model = tiny_model("gpt2")
    units = {site: d.n_units for site, d in model.components().dictionaries.items()}
    found = Circuit(tuple(units), units, site=np.array([1]), unit=np.array([2]),
                    position=np.array([-1]), score=np.array([0.7]), patch_mean=np.array([np.nan]))  # fmt: skip
    with pytest.raises(ValueError, match=r"give components=Components\(model\.body\)\.card"):
        to_mib(found)
    written = to_mib(found, components=Components(model.body).card)
    assert written["nodes"]["a0.h2"] == {"in_graph": True, "score": 0.7} and same(from_mib(written), found)


def test_neurons_are_units_of_the_stream():
    nodes = {"a1.h1": {"in_graph": True, "neurons": [True, False, False], "neurons_scores": [0.5, 0.0, -0.25]},
             "m0": {"in_graph": True, "neurons": [False, True, False], "neurons_scores": [0, 0, np.nan]}}  # fmt: skip
    found = from_mib(file({}, nodes))
    assert [(n.address, n.score) for n in found] == [("mlp.0/1", 0.0), ("head.1/3", 0.5), ("head.1/5", -0.25)]
    assert len(from_mib(file({}, nodes), only_in_graph=True)) == 2
    back = to_mib(found)
    assert back["nodes"]["a1.h1"]["neurons_scores"] == [0.5, 0.0, -0.25] and same(from_mib(back), found)


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        (file({"m1->m0": {"score": 1.0, "in_graph": True}}), "'m1->m0' is no edge of a model of 2 layers"),
        (file({"m0->a1.h2<q>": {"score": 1.0, "in_graph": True}}), "'m0->a1.h2<q>' is no edge"),
        (file({"m0->m1": {"score": "1", "in_graph": True}}), "edges.m0->m1.score is '1'; a finite number is due"),
        (file({"m0->m1": {"in_graph": 1}}), "edges.m0->m1.in_graph is 1; true or false is due"),
        (file({"m0->m1": {"in_graph": True}, "input->m0": {"in_graph": True, "score": 1.0}}), "m0->m1 has no 'score'"),
        (file({}, {"m0": {"in_graph": True, "score": 1.0}, "m1": {"in_graph": True}}), "'m1' has others or none"),
        (file({}, {"m0": {"in_graph": "no"}}), "nodes.m0.in_graph is 'no'; true or false is due"),
        (file(n_layers=10**12), "larger than any"),
        (file(n_heads=2.0), "cfg.n_heads is 2.0; a whole number is due"),
        (file({"m0->m1": {"score": 1.0}}), "edges.m0->m1 has no 'in_graph'"),
        (file({}, {"m7": {"in_graph": True, "score": 1.0}}), "'m7' is no node"),
        (file({}, {"m0": {"in_graph": True, "neurons": [True]}}), "'m0' has 3 scores for 1 neurons where d_model is 3"),
        (file(n_kv_heads=3), "2 query heads cannot share 3"),
        ({"cfg": {}, "nodes": {}, "edges": {}}, "cfg has no 'n_heads'"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, spoilt, complaint):
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(spoilt))
    with pytest.raises(ValueError, match=f"theirs.json.*{complaint}"):
        Circuit.load(path)


@pytest.mark.parametrize(
    ("lost", "complaint"),
    [
        (lambda v: v["cfg"].pop("n_kv_heads"), "cfg has no 'n_kv_heads'"),
        (lambda v: v["nodes"].pop("a1.h0"), "nodes has no 'a1.h0'"),
        (lambda v: v["edges"].pop("m0->m1"), "names 45 edges; a model of 2 layers and 2 heads has 46"),
    ],
)
def test_what_clew_wrote_is_whole(tmp_path, lost, complaint):
    value = to_mib(component_circuit(2, 2, 1))
    lost(value)
    (tmp_path / "ours.json").write_text(json.dumps(value))
    with pytest.raises(ValueError, match=f"ours.json.*{complaint}"):
        Circuit.load(tmp_path / "ours.json")


def test_another_circuit_is_no_circuit_of_components():
    circuit = component_circuit(2, 2)
    backward = replace(circuit, source=circuit.source[::-1], target=circuit.target.copy())
    with pytest.raises(ValueError, match="edges that are none of MIB's graph"):
        to_mib(backward)


@given(st.integers(1, 2), st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2)]), st.integers(0, 99), st.floats(0, 0.9))
def test_any_wired_circuit_of_components_comes_back(tmp_path, layers, heads, seed, sparse):
    circuit = component_circuit(layers, *heads, seed=seed, sparse=sparse)
    circuit = circuit.keep_edges(circuit.weight != 0).wired()
    found = Circuit.load(circuit.save(tmp_path / "graph.json", format="mib")) if len(circuit.weight) else circuit
    assert edges(found) == edges(circuit) and found.kind == circuit.kind
    held, known = ({(k[a], k[b]): w for a, b, w in c.edges} for c in (found, circuit) for k in [[*c.keys(), "metric"]])
    if heads[0] == heads[1]:
        assert held == known
    else:  # an edge into a shared head is written in parts, and summed again
        assert held == pytest.approx(known)
