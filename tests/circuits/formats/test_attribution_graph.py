import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.circuits.formats.attribution_graph import (
    pair,
    read_attribution_graph,
    to_attribution_graph,
    unpair,
    write,
)
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
    return Circuit(sites, dict.fromkeys(sites, 16), **columns | changes, labels={"resid.1/3": 'plural "s" </script>'})


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
