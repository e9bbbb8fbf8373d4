"""Attribution graphs: direct effects add up exactly, and are those of a frozen model written out by hand."""

import jsonschema
import numpy as np
import pytest
import torch

import clew
from clew import Behaviour, Pair
from clew.circuits.circuit import ERROR, Circuit
from clew.circuits.formats.attribution_graph import to_attribution_graph
from clew.data.behaviours.metrics import kl_divergence
from clew.dictionaries import JumpReLU, ReLU, sparse
from clew.methods.graphs.attribution_graph import attribution_graph
from clew.models import Model
from clew.sites import Site
from tests.circuits.formats.test_attribution_graph import SCHEMA
from tests.models.gpt2_by_hand import frozen_gpt2
from tests.models.tiny import chatting, relu_dictionary
from tests.planted import random_behaviour, random_dictionary, tiny_model

TASK = random_behaviour(n=2, length=7)
WHOLE = {"node_threshold": 1.0, "edge_threshold": 1.0}


def view(family: str = "llama", *, bias: bool = False, layers: tuple[int, ...] = (0, 1, 2), kind: type = ReLU) -> Model:
    """A tiny model seen through random transcoders; without biases unless asked for."""
    model = tiny_model(family)
    for name, p in model.body.module.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p, std=0.3) if bias else torch.nn.init.zeros_(p)
    made = [random_dictionary(f"mlp_in.{i}", 32, kind, writes=f"mlp.{i}") for i in layers]
    for dictionary in made:
        if not bias:
            dictionary.b_enc.zero_(), dictionary.b_dec.zero_()
    return model.through(*made)


def into(graph: Circuit) -> dict[str, float]:
    """Sum of the weights into every node that edges enter."""
    names = [n.address for n in graph]
    return {names[t]: float(graph.weight[graph.target == t].sum()) for t in np.unique(graph.target) if t >= 0}


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2", "gpt_neo"])
def test_what_the_sources_put_into_a_node_adds_up_to_its_activation(family):
    graph = attribution_graph(view(family), TASK, **WHOLE)
    sums, activation = into(graph), graph.details["activation"]
    assert len(sums) > 30 and {n.site.part for n in graph} == {"embed", "mlp", "final"}
    assert sums == pytest.approx({name: activation[name] for name in sums}, abs=1e-9)


@pytest.mark.parametrize("kind", [ReLU, JumpReLU])
def test_the_bias_of_a_target_is_what_is_left_when_nothing_is_written(kind):
    model = view("gpt2", bias=True, kind=kind)
    graph = attribution_graph(model, TASK, **WHOLE)
    clean = model.run(torch.tensor([TASK.pairs[0].clean]), read=model.body.taps)
    transcoders = [model.dictionaries[Site("mlp", i)] for i in range(3)]
    silent = frozen_gpt2(model, clean, 0 * clean["embed"], lambda i, x: transcoders[i].b_dec.expand_as(x))
    sums, activation = into(graph), graph.details["activation"]
    for node in [n for n in graph if n.site.part == "mlp" and n.unit != ERROR]:
        code = transcoders[node.site.layer].preactivation(silent[f"mlp_in.{node.site.layer}"])
        assert graph.details["bias"][node.address] == pytest.approx(code[0, node.position, node.unit].item(), abs=1e-9)
        total = sums.get(node.address, 0.0) + graph.details["bias"][node.address]
        assert total == pytest.approx(activation[node.address], abs=1e-9)


@pytest.mark.parametrize("family", ["gptj", "codegen", "phi"])
def test_a_logit_is_that_of_the_model_also_where_its_unembedding_has_a_bias(family):
    model = view(family, bias=True)
    graph = attribution_graph(model, TASK, max_logits=3, **WHOLE)
    logits = model.run(torch.tensor([TASK.pairs[0].clean])).logits[0, -1]
    sums, outputs = into(graph), [n for n in graph if n.site.part == "final"]
    assert len(outputs) == 3 and model.body.unembed.bias.abs().max() > 0.3
    for node in outputs:
        expected = (logits[node.unit] - logits.mean()).item()
        assert graph.details["activation"][node.address] == pytest.approx(expected, abs=1e-6)
        assert sums[node.address] + graph.details["bias"][node.address] == pytest.approx(expected, abs=1e-6)


def test_an_edge_is_the_change_of_the_frozen_model_when_the_source_is_taken_out():
    model = view("gpt2", bias=True)
    graph = attribution_graph(model, TASK, **WHOLE)
    clean = model.run(torch.tensor([TASK.pairs[0].clean]), read=model.body.taps)
    transcoders = [model.dictionaries[Site("mlp", i)] for i in range(3)]
    source = next(i for i, n in enumerate(graph) if n.site == Site("mlp", 0) and n.unit != ERROR and n.position == 2)
    at = graph.nodes[source]
    out = torch.zeros_like(clean["mlp.0"])
    out[0, 2] = graph.details["activation"][at.address] * transcoders[0].W_dec[at.unit]
    moved = frozen_gpt2(model, clean, clean["embed"], lambda i, x: clean[f"mlp.{i}"] - (out if i == 0 else 0))
    targets = np.flatnonzero(graph.source == source)
    assert len(targets) > 5
    for edge in targets:
        node = graph.nodes[graph.target[edge]]
        if node.site.part == "mlp":
            before, after = (
                transcoders[node.site.layer].preactivation(x)[0, node.position, node.unit]
                for x in (clean[f"mlp_in.{node.site.layer}"], moved[f"mlp_in.{node.site.layer}"])
            )
        else:
            table = model.body.unembed.weight
            before, after = (x[0, -1] @ (table[node.unit] - table.mean(0)) for x in (clean["final"], moved["final"]))
        assert graph.weight[edge] == pytest.approx((before - after).item(), abs=1e-9)


def test_a_score_is_the_slope_of_the_metric_in_the_model_of_transcoders_with_the_rest_held():
    model, small = view("gpt2", bias=True), 1e-6
    graph = attribution_graph(model, TASK, of="metric", **WHOLE)
    clean = model.run(torch.tensor([TASK.pairs[0].clean]), read=model.body.taps)
    transcoders = [model.dictionaries[Site("mlp", i)] for i in range(3)]
    error = [clean[f"mlp.{i}"] - t.reconstruct(clean[f"mlp_in.{i}"]) for i, t in enumerate(transcoders)]
    nodes = [n for n in graph if n.site == Site("mlp", 0) and n.unit != ERROR]

    def metric(node=None):
        def write(i, x):
            code = transcoders[i].encode(x)
            if node is not None and i == 0:
                code[0, node.position, node.unit] *= 1 - small
            return transcoders[i].decode(code) + error[i]

        logits = frozen_gpt2(model, clean, clean["embed"], write)["final"][0, -1] @ model.body.unembed.weight.T
        pair = TASK.pairs[0]
        return (logits[pair.answers[0]] - logits[pair.patch_answers[0]]).item()

    assert len(nodes) > 3
    for node in nodes:
        assert node.score == pytest.approx((metric() - metric(node)) / small, rel=1e-4, abs=1e-6)


def test_the_metric_is_the_difference_of_its_two_logits():
    model = view()
    graph = attribution_graph(model, TASK, of="metric", **WHOLE)
    pair = TASK.pairs[0]
    value = model.run(torch.tensor([pair.clean])).logits[0, -1]
    direct = graph.weight[graph.target == -1].sum()
    assert direct == pytest.approx(float(value[pair.answers[0]] - value[pair.patch_answers[0]]), abs=1e-9)


def test_tokens_that_are_named_are_explained_instead_of_the_likeliest():
    """Their direct effects are those that the same tokens have in a graph of all tokens, whatever they are beside."""
    model = view()
    logits = model.run(torch.tensor([TASK.pairs[0].clean])).logits[0, -1]
    rare = logits.argsort()[:2].tolist()
    graph = attribution_graph(model, TASK, tokens=rare, **WHOLE)
    assert [n.unit for n in graph if n.site.part == "final"] == rare and into(graph).keys() >= {f"final/{rare[0]}@6"}
    probabilities = logits.softmax(-1)
    said = {x.id: x.probability for x in graph.kind.prompt.logits}
    assert said == pytest.approx({i: float(probabilities[i]) for i in rare})
    every = attribution_graph(model, TASK, logit_mass=1.0, max_logits=97, **WHOLE)
    for name in (f"final/{i}@6" for i in rare):
        assert into(graph)[name] == pytest.approx(into(every)[name], abs=1e-9)
        assert graph[name].nodes[0].score == pytest.approx(every[name].nodes[0].score, abs=1e-9)


def test_tokens_may_be_words():
    model = chatting().through(*[relu_dictionary(chatting(), f"mlp_in.{i}", f"mlp.{i}") for i in range(3)])
    task = Behaviour("b", (Pair("the old king said that", "the old queen said that", " he", " she"),))
    graph = clew.find(model, task, by="attribution_graph", tokens=["he", " she"], held_out=False)
    ends = [graph.labels[n.address.partition("@")[0]] for n in graph if n.site.part == "final"]
    assert {(label.text, label.kind) for (label,) in ends} == {("he", "token"), ("she", "token")}


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["he said"], "'he said' is 2 tokens; name tokens one by one"),
        ([], "name at least one, each once"),
        ([5, 5], "name at least one, each once"),
        ([97], "1 of 1 token ids are not among those of tiny chat"),
    ],
)
def test_what_is_no_token_is_refused(tokens, words):
    model = chatting().through(*[relu_dictionary(chatting(), f"mlp_in.{i}", f"mlp.{i}") for i in range(3)])
    with pytest.raises(ValueError, match=words):
        attribution_graph(model, TASK, tokens=tokens)
    with pytest.raises(ValueError, match="give one of them"):
        attribution_graph(model, TASK, tokens=[5], of="metric")


def test_a_graph_of_few_features_is_part_of_the_graph_of_all():
    model = view()
    whole, part = (attribution_graph(model, TASK, max_nodes=n, rows=3, **WHOLE) for n in (10_000, 25))
    assert part.details["features"]["traced"] == 25 < whole.details["features"]["traced"]
    names = [[n.address for n in g] for g in (whole, part)]
    edges = [{(n[s], n[t]): w for s, t, w in zip(g.source, g.target, g.weight, strict=True)}
             for g, n in zip((whole, part), names, strict=True)]  # fmt: skip
    assert edges[1] == pytest.approx({e: edges[0][e] for e in edges[1]}, abs=1e-12)
    best = max((n for n in whole if n.site == Site("mlp", 2) and n.unit != ERROR), key=lambda n: abs(n.score))
    assert best.address in names[1]


def test_the_mlp_of_a_layer_without_a_transcoder_is_its_error():
    graph = attribution_graph(view(layers=(0, 2)), TASK, **WHOLE)
    units = {n.unit for n in graph if n.site == Site("mlp", 1)}
    sums, activation = into(graph), graph.details["activation"]
    assert units == {ERROR}
    assert sums == pytest.approx({name: activation[name] for name in sums}, abs=1e-9)


def test_skipped_positions_are_no_sources():
    graph = attribution_graph(view(), TASK, skip=2, **WHOLE)
    assert graph.position[graph.site != 0].min() == 2
    assert set(graph.position[graph.site == 0]) == set(range(7))


def test_pruning_leaves_tokens_and_logits_and_fewer_features():
    graph = attribution_graph(view(), TASK)
    parts = [n.site.part for n in graph]
    assert parts.count("embed") == 7 and parts.count("final") == len(graph.kind.prompt.logits) == 10
    assert 0 < graph.details["features"]["kept"] < graph.details["features"]["active"]
    assert 0 < graph.details["replacement"] < 1 and 0 < graph.details["completeness"] < 1


def test_a_graph_is_saved_and_loaded(tmp_path):
    graph = attribution_graph(view(), TASK)
    again = Circuit.load(graph.save(tmp_path / "graph.json"))
    assert again.to_json() == graph.to_json()


def test_what_cannot_be_attributed_is_refused():
    model = view()
    with pytest.raises(ValueError, match="needs transcoders"):
        attribution_graph(tiny_model("llama"), TASK)
    with pytest.raises(ValueError, match="needs transcoders"):
        attribution_graph(tiny_model("llama").through(random_dictionary("mlp.0", 32)), TASK)
    with pytest.raises(ValueError, match="examples 0 to 1"):
        attribution_graph(model, TASK, example=2)
    with pytest.raises(ValueError, match="compares with the clean run"):
        attribution_graph(model, TASK.with_metric(kl_divergence))


@pytest.mark.parametrize("of", ["logits", "metric"])
def test_a_graph_goes_out_in_the_schema_of_the_viewers(of):
    graph = attribution_graph(view(), TASK, of=of)
    out = to_attribution_graph(graph)
    jsonschema.validate(out, SCHEMA)
    ids = [n["node_id"] for n in out["nodes"]]
    kinds = [n["feature_type"] for n in out["nodes"]]
    assert len(set(ids)) == len(ids) and len(out["links"]) == len(graph.weight)
    assert {link[end] for link in out["links"] for end in ("source", "target")} <= set(ids)
    assert kinds.count("embedding") == 7 and kinds.count("logit") == (10 if of == "logits" else 1)
    token = next(n for n in out["nodes"] if n["feature_type"] == "embedding" and n["ctx_idx"] == 1)
    assert token["node_id"] == f"E_{TASK.pairs[0].clean[1]}_1"
    feature = next(n for n in out["nodes"] if n.get("clew_address") in graph.details["activation"])
    assert feature["activation"] == graph.details["activation"][feature["clew_address"]]


def test_features_of_wide_transcoders_are_what_fires_and_the_graph_is_the_same(monkeypatch):
    dense = attribution_graph(view(kind=JumpReLU, bias=True), TASK, skip=1)
    for name, value in {"WIDE": 1, "NUMBERS": 45, "GATHERED": 40}.items():
        monkeypatch.setattr(sparse, name, value)
    same(dense, attribution_graph(view(kind=JumpReLU, bias=True), TASK, skip=1))


def test_a_long_prompt_keeps_no_vector_for_each_feature_and_gives_rows_to_as_many_as_fit(monkeypatch):
    whole = attribution_graph(view(), TASK)
    monkeypatch.setattr("clew.methods.graphs._direct.VALUES", 0)
    same(whole, attribution_graph(view(), TASK, rows=3))
    active = whole.details["features"]["active"]
    sources = active + 4 * 7
    monkeypatch.setattr("clew.methods.graphs.attribution_graph.VALUES", 40 * sources)
    few = attribution_graph(view(), TASK).details["features"]
    assert few["active"] == active and 10 < few["traced"] < 40 < whole.details["features"]["traced"]


def same(graph: Circuit, other: Circuit) -> None:
    assert graph.keys() == other.keys() and np.array_equal(graph.source, other.source)
    assert np.allclose(graph.weight, other.weight, atol=1e-9) and np.allclose(graph.score, other.score, atol=1e-9)
    for name in ("activation", "influence", "bias"):
        assert graph.details[name] == pytest.approx(other.details[name], abs=1e-9)
