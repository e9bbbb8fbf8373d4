"""The record of a graph's supernodes: what is written is read back, in the ids of the graph beside it."""

import json

import pytest

from clew.circuits.formats.attribution_graph import read_attribution_graph
from clew.circuits.formats.subgraph import with_subgraph
from tests.circuits.formats.test_attribution_graph import grouped, small_circuit


def test_groups_come_back(tmp_path):
    path = grouped().save(tmp_path / "view.json", format="subgraph", model="tiny", slug="keys")
    record = json.loads(path.read_text())
    assert record["supernodes"] == [["plural", "0_7_1", "1_3_2"]] and record["pinnedIds"] == ["0_7_1", "1_3_2"]
    assert (record["modelId"], record["slug"], record["displayName"]) == ("tiny", "keys", "view")
    assert record["pruningThreshold"] is None and record["clerps"] == []
    (node,) = with_subgraph(small_circuit(), path).supernodes
    assert node.name == "plural" and node.members == ("mlp.0/7@1", "resid.1/3@2")


def test_it_speaks_of_the_ids_of_the_graph(tmp_path):
    graph = read_attribution_graph(
        grouped().save(tmp_path / "graph.json", format="attribution_graph", tokens=["a", "b", "c"])
    )
    record = json.loads(grouped().save(tmp_path / "view.json", format="subgraph").read_text())
    assert graph["qParams"]["supernodes"] == record["supernodes"]
    assert set(record["pinnedIds"]) <= {node["node_id"] for node in graph["nodes"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"supernodes": [["plural", "9_9_9"]]}, "supernodes.0. has the node '9_9_9', which the graph does not list"),
        ({"slug": 3}, "slug is 3; text is due"),
        ({"supernode": []}, None),
    ],
)
def test_a_record_of_another_graph_is_refused(tmp_path, change, words):
    path = grouped().save(tmp_path / "view.json", format="subgraph")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if words is None:  # a name that others may add
        assert with_subgraph(small_circuit(), path).supernodes
        return
    with pytest.raises(ValueError, match=words):
        with_subgraph(small_circuit(), path)
