import sys

import pytest

from clew.circuits.formats.graphml import to_networkx
from tests.circuits.formats.test_attribution_graph import small_circuit


def test_networkx_has_addresses_weights_and_the_metric():
    graph = to_networkx(small_circuit())
    assert set(graph) == {"embed/5@0", "mlp.0/7@1", "resid.1/3@2", "resid.1/error@2", "output"}
    assert graph["mlp.0/7@1"]["resid.1/3@2"]["weight"] == -0.25
    assert graph.nodes["resid.1/3@2"]["score"] == 0.6


def test_graphml_round_trips(tmp_path):
    import networkx

    graph, back = (
        to_networkx(small_circuit()),
        networkx.read_graphml(small_circuit().save(tmp_path / "c.graphml", format="graphml")),
    )
    assert dict(back.nodes(data=True)) == dict(graph.nodes(data=True))
    assert dict(back.edges) == dict(graph.edges)


def test_without_networkx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match=r"clew\[graphs\]"):
        to_networkx(small_circuit())
