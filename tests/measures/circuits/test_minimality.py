"""What a part carries, where one run more says it."""

import numpy as np
import pytest

from clew.measures.circuits.faithfulness import faithfulness
from clew.measures.circuits.minimality import minimality
from tests.measures.idle_model import LIVE, all_edges, idle_model, live_edges, nodes
from tests.planted import random_behaviour


def test_the_only_node_carries_all() -> None:
    model, behaviour = idle_model(), random_behaviour(n=6)
    report = minimality(model, behaviour, nodes(model, "mlp.1/0"), held_out=False)
    assert report["drop"].of == "mlp.1/0"
    assert report["drop"].value == pytest.approx(report["faithfulness"].value)


def test_a_drop_is_faithfulness_with_less_faithfulness_without() -> None:
    model, behaviour = idle_model(), random_behaviour(n=6)
    circuit = nodes(model, *LIVE)
    drops = {r.of: r for r in minimality(model, behaviour, circuit, held_out=False).rows if r.measure == "drop"}
    rest = nodes(model, *(a for a in LIVE if a != "head.1/0"))
    with_it, without_it = (
        faithfulness(model, behaviour, c, held_out=False)["faithfulness"].value for c in (circuit, rest)
    )
    assert drops["head.1/0"].value == pytest.approx(with_it - without_it)
    assert drops["head.1/0"].low < drops["head.1/0"].value < drops["head.1/0"].high
    sizes = [abs(r.value) for r in drops.values()]
    assert set(drops) == set(LIVE) and sizes == sorted(sizes, reverse=True)


def test_idle_nodes_are_superfluous() -> None:
    model = idle_model()
    circuit = nodes(model, *LIVE, "head.0/1", "head.1/3")
    report = minimality(model, random_behaviour(n=6), circuit, tolerance=1e-6, top=2, held_out=False)
    assert report["superfluous"].value == pytest.approx(2 / 5) and report["superfluous"].nodes == 5
    assert "head.0/1" in report.notes[-1] and "head.1/3" in report.notes[-1]
    assert sum(r.measure == "drop" for r in report.rows) == 2


def test_a_site_takes_all_its_nodes_along() -> None:
    model, behaviour = idle_model(), random_behaviour(n=6)
    circuit = nodes(model, *LIVE, "head.1/1", "head.1/2")
    by_site = {r.of: r.value for r in minimality(model, behaviour, circuit, per="site", held_out=False).rows[2:]}
    by_node = {r.of: r.value for r in minimality(model, behaviour, circuit, held_out=False).rows[2:]}
    assert set(by_site) == {"head.0", "head.1", "mlp.1"}
    assert by_site["head.1"] == pytest.approx(by_node["head.1/0"])  # the two others there are idle


def test_a_node_of_an_edge_circuit_takes_its_edges_along() -> None:
    model, behaviour, circuit = idle_model(), random_behaviour(n=4), live_edges(idle_model())
    by_node = {r.of: r.value for r in minimality(model, behaviour, circuit, top=100, held_out=False).rows[2:]}
    i = [node.address for node in circuit].index("mlp.1/0")
    rest = circuit.keep_edges((circuit.source != i) & (circuit.target != i))
    values = [faithfulness(model, behaviour, c, held_out=False)["faithfulness"].value for c in (circuit, rest)]
    assert by_node["mlp.1/0"] == pytest.approx(values[0] - values[1])
    assert by_node["mlp_in.1/0"] == pytest.approx(
        by_node["mlp.1/0"]
    )  # it writes what it wrote on the patch, either way


def test_a_limit_draws_parts_by_seed() -> None:
    model, behaviour, circuit = idle_model(), random_behaviour(n=3), all_edges(idle_model()).strongest_edges(60)
    options = {"per": "edge", "limit": 5, "top": 10, "held_out": False}
    one, same, other = (minimality(model, behaviour, circuit, seed=s, **options) for s in (0, 0, 1))
    chosen = [{r.of for r in report.rows if r.measure == "drop"} for report in (one, same, other)]
    assert len(chosen[0]) == 5 and chosen[0] == chosen[1] != chosen[2]
    assert "5 of 60 edges" in one.notes[-2] + one.notes[-1]


def test_what_cannot_be_taken_out_is_refused() -> None:
    model, behaviour = idle_model(), random_behaviour(n=3)
    circuit = nodes(model, *LIVE)
    with pytest.raises(ValueError, match="judged by its nodes"):
        minimality(model, behaviour, circuit, per="edge", held_out=False)
    with pytest.raises(ValueError, match="has no node that could be taken out"):
        minimality(model, behaviour, circuit.keep(np.zeros(3, bool)), held_out=False)
    with pytest.raises(ValueError, match="limit=0"):
        minimality(model, behaviour, circuit, limit=0, held_out=False)
