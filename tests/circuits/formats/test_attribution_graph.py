import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.circuits.formats._graph_nodes import unpair
from clew.circuits.formats.attribution_graph import (
    pair,
    read_attribution_graph,
    to_attribution_graph,
    write,
)
from clew.circuits.supernode import Supernode
from clew.labels import Labels
from clew.sites import Site

SCHEMA = json.loads((Path(__file__).parents[2] / "reference" / "attribution_graph.schema.json").read_text())


def small_circuit(**changes) -> Circuit:
    """Four nodes of a two-layer model and three edges, one of them to the metric."""
    sites = tuple(map(Site.parse, ("embed", "mlp.0", "resid.1")))
    columns = {
        "site": np.array([0, 1, 2, 2]),
        "unit": np.array([5, 7, 3, ERROR]),
        "position": np.array([0, 1, 2, 2]),
        "score": np.array([0.1, -0.2, 0.6, 0.1]),
        "patch_mean": np.array([0.0, 1.0, 2.0, np.nan]),
        "source": np.array([0, 1, 2]),
        "target": np.array([2, 2, OUTPUT]),
        "weight": np.array([0.5, -0.25, 0.6]),
    }
    return Circuit(
        sites, dict.fromkeys(sites, 16), **columns | changes, labels=Labels.of({"resid.1/3": 'plural "s" </script>'})
    )


def exported(circuit: Circuit, **options) -> dict:
    options = {"prompt": "The keys are", "tokens": ["The", " keys", " are"], "model": "tiny"} | options
    return to_attribution_graph(circuit, **options)


@pytest.mark.parametrize(("layer", "unit", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 2), (2, 0, 3), (3, 4, 32)])
def test_pair_is_cantors(layer, unit, code):
    assert pair(layer, unit) == code
    assert unpair(code) == (layer, unit)


def test_unpair_inverts_pair_for_wide_dictionaries():
    for layer, unit in ((25, 2**20 - 1), (0, 2**31), (79, 10**12)):
        assert unpair(pair(layer, unit)) == (layer, unit)


def test_ids_features_and_labels_follow_the_format():
    by_address = {n.get("clew_address"): n for n in exported(small_circuit())["nodes"]}
    feature = by_address["resid.1/3@2"]
    assert (feature["node_id"], feature["layer"], feature["ctx_idx"]) == ("1_3_2", "1", 2)
    assert unpair(feature["feature"]) == (1, 3)
    assert feature["clerp"] == 'plural "s" </script>'
    error = by_address["resid.1/error@2"]
    assert (error["node_id"], error["feature"]) == ("0_1_2", -1)
    assert by_address[None]["clerp"] == 'Output "metric" (p=1.000)'


def test_influence_is_the_share_held_by_a_node_and_all_stronger_ones():
    nodes = exported(small_circuit())["nodes"]
    assert [n["influence"] for n in nodes] == pytest.approx([0.9, 0.8, 0.6, 1.0, None])


def test_the_graph_obeys_the_schema():
    graph = exported(small_circuit(), token_ids=[10, 11, 12], output=" is", output_id=318, probability=0.25)
    jsonschema.Draft7Validator(SCHEMA).validate(graph)
    assert sum(n["feature_type"] == "embedding" for n in graph["nodes"]) == 3


def test_the_schema_refuses_what_viewers_refuse():
    graph = exported(small_circuit())
    for spoil in (lambda g: g.pop("links"), lambda g: g["nodes"][0].pop("clerp"), lambda g: g["metadata"].pop("scan")):
        spoilt = json.loads(json.dumps(graph))
        spoil(spoilt)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft7Validator(SCHEMA).validate(spoilt)


def test_ids_stay_unique_where_the_convention_collides():
    # An error of layer 7 and feature 7 of layer 0 are both "0_7_1"; two parts of one layer share "7_3_1".
    sites = tuple(map(Site.parse, ("mlp.0", "mlp.7", "resid.7")))
    columns = {"site": np.array([0, 2, 1, 2]), "unit": np.array([7, ERROR, 3, 3]), "position": np.array([1, 1, 1, 1])}
    numbers = {"score": np.ones(4), "patch_mean": np.zeros(4)}
    nodes = exported(Circuit(sites, dict.fromkeys(sites, 16), **columns, **numbers))["nodes"]
    assert [n["node_id"] for n in nodes[:4]] == ["0_7_1_mlp", "0_7_1_resid", "7_3_1_mlp", "7_3_1_resid"]


def test_a_node_summed_over_positions_stands_at_the_last_token():
    graph = exported(small_circuit(position=np.full(4, ANYWHERE)))
    assert {n["ctx_idx"] for n in graph["nodes"]} == {2}


def test_written_graph_reads_back_whole(tmp_path):
    circuit = small_circuit()
    options = {"prompt": "The keys are", "tokens": ["The", " keys", " are"], "model": "tiny"}
    path = write(circuit, tmp_path / "keys.json", **options)
    graph = read_attribution_graph(path)
    assert graph == to_attribution_graph(circuit, slug="keys", **options)
    addresses = {n["node_id"]: n.get("clew_address", "output") for n in graph["nodes"]}
    links = [(addresses[k["source"]], addresses[k["target"]], k["weight"]) for k in graph["links"]]
    names = [*(n.address for n in circuit), "output"]
    assert links == [(names[0], names[2], 0.5), (names[1], names[2], -0.25), (names[2], "output", 0.6)]


def test_view_settings_are_read_in_both_forms(tmp_path):
    graph = exported(small_circuit())
    as_lists = {"pinnedIds": ["1_3_2", "0_7_1"], "supernodes": [["plural", "1_3_2"]], "clerps": [["1_13_2", "plural"]]}
    as_text = {"pinnedIds": "1_3_2,0_7_1", "supernodes": '[["plural","1_3_2"]]', "clerps": '[["1_13_2","plural"]]'}
    for form in (as_lists, as_text):
        path = tmp_path / "graph.json"
        path.write_text(json.dumps(graph | {"qParams": form}))
        assert read_attribution_graph(path)["qParams"] == as_lists


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda g: g.pop("nodes"), "has no 'nodes'"),
        (lambda g: g["nodes"][0].update(feature=None), r"nodes\[0\] has no 'feature'"),
        (lambda g: g["nodes"][0].pop("clerp"), r"nodes\[0\] has no 'clerp'"),
        (lambda g: g["nodes"][0].update(node_id=[1]), r"nodes\[0\].node_id is \[1\]; text is due"),
        (lambda g: g["nodes"][0].update(ctx_idx=3), r"nodes\[0\].ctx_idx is 3; it is at least 0 and at most 2"),
        (lambda g: g["links"][0].update(weight=None), r"links\[0\].weight is None; a finite number is due"),
        (lambda g: g["metadata"].pop("scan"), "metadata has no 'scan'"),
        (lambda g: g["nodes"].append(g["nodes"][0]), "for two nodes"),
        (lambda g: g["links"].append({"source": "9_9_9", "target": "1_3_2", "weight": 1}), "among them '9_9_9'"),
        (lambda g: g["qParams"].update(clerps="[["), "qParams.clerps"),
    ],
)
def test_a_broken_graph_is_refused_by_name(tmp_path, spoil, complaint):
    graph = exported(small_circuit())
    spoil(graph)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(graph))
    with pytest.raises(ValueError, match=rf"broken\.json.*{complaint}"):
        read_attribution_graph(path)


def test_a_node_outside_the_prompt_is_an_error():
    with pytest.raises(ValueError, match="position 2, but 2 tokens"):
        exported(small_circuit(), tokens=["The", " keys"])


# What is read of them.


def grouped() -> Circuit:
    return small_circuit().with_supernodes([Supernode("plural", ("mlp.0/7@1", "resid.1/3@2"), 0.8, accepted=True)])


def test_our_graph_comes_back_as_the_circuit(tmp_path):
    path = write(
        grouped(), tmp_path / "keys.json", prompt="The keys are", tokens=["The", " keys", " are"], model="tiny"
    )
    back = Circuit.load(path)
    assert [(n.address, n.score) for n in back] == [(n.address, n.score) for n in small_circuit()]
    assert back.edges == small_circuit().edges and back.labels.name("resid.1/3") == 'plural "s" </script>'
    assert back.supernodes == (Supernode("plural", ("mlp.0/7@1", "resid.1/3@2")),)
    assert back.kind.of == "prompt_graph" and back.kind.prompt.tokens == ("The", " keys", " are")


def foreign() -> dict:
    """A graph as the format's first writers make it: three tokens, two features, an error, two logits."""

    def node(id, feature, layer, position, kind, clerp="", **more):
        own = {"node_id": id, "feature": feature, "layer": layer, "ctx_idx": position, "feature_type": kind}
        return own | {"clerp": clerp, "jsNodeId": f"{id}-0"} | more

    nodes = [node(f"E_{7 + p}_{p}", p, "E", p, "embedding", f'Emb: "{w}"') for p, w in enumerate(("a", "b", "c"))]
    nodes += [
        node("0_12_1", pair(0, 12), "0", 1, "cross layer transcoder", "letters", influence=0.5, activation=2.0),
        node("1_3_2", pair(1, 3), "1", 2, "cross layer transcoder", influence=0.8, activation=4.0),
        node("0_1_2", -1, "1", 2, "mlp reconstruction error", influence=0.9),
        node("3_40_2", 40, "2", 2, "logit", 'Output "d" (p=0.600)', token_prob=0.6),
        node("3_41_2", 41, "2", 2, "logit", 'Output "e" (p=0.300)', token_prob=0.3),
    ]
    links = [
        {"source": "E_8_1", "target": "0_12_1", "weight": 1.5},
        {"source": "0_12_1", "target": "1_3_2", "weight": -0.5},
        {"source": "1_3_2", "target": "3_40_2", "weight": 2.0},
    ]
    view = {"supernodes": [["early", "0_12_1"], ["early", "1_3_2"]], "clerps": [[f"1_{pair(1, 3)}_2", "mine"]]}
    meta = {"slug": "abc", "scan": "tiny", "prompt": "abc", "prompt_tokens": ["a", "b", "c"], "schema_version": 1}
    return {"metadata": meta, "qParams": view, "nodes": nodes, "links": links}


def load(tmp_path, graph: dict) -> Circuit:
    path = tmp_path / "foreign.json"
    path.write_text(json.dumps(graph))
    return Circuit.load(path)


def test_a_foreign_graph_is_a_circuit(tmp_path):
    jsonschema.Draft7Validator(SCHEMA).validate(foreign())
    circuit = load(tmp_path, foreign())
    assert [n.address for n in circuit] == [
        "embed/7@0", "embed/8@1", "embed/9@2", "mlp.0/12@1", "mlp.1/3@2", "mlp.1/error@2", "final/40@2", "final/41@2",
    ]  # fmt: skip
    assert circuit.edges == [(1, 3, 1.5), (3, 4, -0.5), (4, 6, 2.0)]
    assert circuit.score.tolist() == pytest.approx([0, 0, 0, 0.5, 0.3, 0.1, 0, 0])
    assert [(n.label, n.address) for n in circuit if n.label] == [
        ("a", "embed/7@0"), ("b", "embed/8@1"), ("c", "embed/9@2"), ("letters", "mlp.0/12@1"), ("mine", "mlp.1/3@2"),
        ("d", "final/40@2"), ("e", "final/41@2"),
    ]  # fmt: skip
    assert circuit.details["activation"] == {"mlp.0/12@1": 2.0, "mlp.1/3@2": 4.0}
    assert [(s.name, s.members) for s in circuit.supernodes] == [
        ("early", ("mlp.0/12@1",)),
        ("early (2)", ("mlp.1/3@2",)),
    ]
    prompt = circuit.kind.prompt
    assert prompt.token_ids == (7, 8, 9) and next((x.id, x.token, x.probability) for x in prompt.logits) == (
        40,
        "d",
        0.6,
    )
    jsonschema.Draft7Validator(SCHEMA).validate(to_attribution_graph(circuit))


def test_an_id_that_says_nothing_is_read_from_the_paired_number(tmp_path):
    graph = json.loads(json.dumps(foreign()).replace('"0_12_1"', '"some name"'))
    assert "mlp.0/12@1" in [n.address for n in load(tmp_path, graph)]
    del graph["metadata"]["schema_version"]
    with pytest.raises(ValueError, match=r"nodes\[3\] does not say which unit it is: its id 'some name'"):
        load(tmp_path, graph)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g["nodes"][3].update(feature_type="bias"), r"nodes\[3\] is of the type 'bias'"),
        (lambda g: g["nodes"][3].update(layer="E"), r"nodes\[3\].layer is 'E'"),
        (lambda g: g["nodes"][7].update(feature=40), "has the unit 40 of final at position 2 twice"),
        (lambda g: g["nodes"][6].update(token_prob=1.5), r"nodes\[6\].token_prob is 1.5"),
        (lambda g: g["nodes"][0].update(node_id="E_x_0"), r"nodes\[0\], a embedding, does not say which token"),
        (lambda g: g["qParams"].update(supernodes=[["early"]]), r"supernodes\[0\] is \['early'\]"),
        (lambda g: g["qParams"].update(supernodes=[["early", "9_9_9"]]), "has the node '9_9_9'"),
        (lambda g: g["qParams"].update(supernodes=[["a", "0_12_1"], ["b", "0_12_1"]]), "is in two supernodes"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, change, words):
    graph = foreign()
    change(graph)
    with pytest.raises(ValueError, match=words):
        load(tmp_path, graph)
