"""Random circuits have the size and depth asked for; p is a rank."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from clew import Circuit
from clew.circuits.circuit import ERROR, OUTPUT
from clew.measures.circuits import _nodes
from clew.measures.circuits._controls import pool_of, random_like, random_path, shared_by_chance
from clew.measures.circuits._trials import trial_of
from clew.measures.circuits.controls import controls
from clew.progress import Stopped
from clew.sites import Site
from clew.statistics.intervals import wilson
from tests.conformance.shape import Interrupts
from tests.measures.idle_model import LIVE, all_edges, all_nodes, idle_model, nodes
from tests.planted import random_behaviour, random_dictionary, tiny_model


def scored(n: int = 400) -> Circuit:
    """Nodes and errors at three sites."""
    sites = tuple(Site("resid", i) for i in range(3))
    random = np.random.default_rng(0)
    numbers = np.arange(n)
    unit = np.where(numbers % 20 == 0, ERROR, numbers)
    return Circuit(sites, dict.fromkeys(sites, n), numbers % 3, unit, numbers // 3, random.normal(size=n), np.zeros(n))


def kinds(circuit: Circuit) -> Counter:
    """How many nodes and error nodes there are at every site."""
    return Counter(zip(circuit.site.tolist(), (circuit.unit == ERROR).tolist(), strict=True))


def depths(circuit: Circuit) -> Counter:
    """How many edges there are between every two layers."""
    layer = [*(circuit.sites[s].layer for s in circuit.site), "output"]
    return Counter((layer[s], layer[t]) for s, t in zip(circuit.source, circuit.target, strict=True))


def test_random_nodes_have_the_sites_and_errors_of_the_circuit() -> None:
    pool = scored()
    circuit, random = pool.top(60), np.random.default_rng(0)
    for _ in range(20):
        drawn = random_like(circuit, pool, random)
        assert kinds(drawn) == kinds(circuit)
        assert len(set(drawn.keys())) == 60 and set(drawn.keys()) <= set(pool.keys())


def test_random_edges_have_the_layers_of_the_circuit() -> None:
    pool = all_edges(idle_model())
    circuit, random = pool.strongest_edges(40), np.random.default_rng(0)
    drawn = [random_like(circuit, pool, random) for _ in range(5)]
    assert all(depths(c) == depths(circuit) and sum(depths(c).values()) == 40 for c in drawn)
    assert len({tuple(c.weight) for c in drawn}) == 5
    free = random_like(circuit, pool, random, depth_matched=False)
    assert len(free.weight) == 40 and depths(free) != depths(circuit)


def test_every_part_of_a_kind_is_drawn_equally_often() -> None:
    pool, random = scored(30), np.random.default_rng(0)
    circuit = pool.keep((pool.site == 1) & (pool.unit < 15) & (pool.unit != ERROR))
    drawn = Counter(key for _ in range(1000) for key in random_like(circuit, pool, random).keys())  # noqa: SIM118
    expected = 1000 * len(circuit) / ((pool.site == 1) & (pool.unit != ERROR)).sum()
    assert all(abs(count - expected) < 80 for count in drawn.values()) and len(drawn) == 10


def test_what_draws_share_with_the_circuit_is_what_chance_says() -> None:
    pool, random = scored(), np.random.default_rng(0)
    circuit = pool.top(60)
    mine = set(circuit.keys())
    shared = np.mean([len(mine & set(random_like(circuit, pool, random).keys())) / 60 for _ in range(400)])
    assert shared == pytest.approx(shared_by_chance(circuit, pool), abs=0.01)
    assert shared_by_chance(pool, pool) == 1


def test_a_random_path_leads_from_the_embedding_to_the_output() -> None:
    pool, random = all_edges(idle_model()), np.random.default_rng(0)
    address = [node.address for node in pool]
    through = {"q": 4, "k": 2, "v": 2}
    for _ in range(50):
        path = random_path(pool, random)
        assert pool.target[path[0]] == OUTPUT and address[pool.source[path[-1]]] == "embed/0"
        for upper, lower in pairwise(path):
            writer, reader = pool.sites[pool.site[pool.source[upper]]], pool.sites[pool.site[pool.target[lower]]]
            unit = pool.unit[pool.source[upper]] * through.get(reader.part, 1) // (4 if writer.part == "head" else 1)
            assert writer.layer == reader.layer and unit == pool.unit[pool.target[lower]]


def test_a_path_through_no_edges_is_a_path_of_no_edges() -> None:
    nothing = all_edges(idle_model()).strongest_edges(0)
    path = random_path(nothing, np.random.default_rng(0))
    assert nothing.weight[path].tolist() == []  # indices, though there are none


def test_the_default_pool_is_every_unit_of_the_lens() -> None:
    view = tiny_model("llama").through(random_dictionary("resid.0", 32), random_dictionary("resid.1", 32))
    whole = scored(6)
    circuit = Circuit(tuple(view.dictionaries), dict.fromkeys(view.dictionaries, 20), whole.site % 2,
                      np.array([ERROR, 1, 2, 3, 4, 5]), np.array([0, 0, 0, 2, 2, 2]), whole.score, whole.score)  # fmt: skip
    trial = trial_of(view, random_behaviour(), circuit)
    assert len(pool_of(trial, circuit, None)) == 2 * 21 * 2
    assert len(pool_of(trial, circuit.keep(circuit.unit >= 0), None)) == 2 * 20 * 2


def test_no_random_circuit_does_as_well_as_the_planted_one() -> None:
    model, behaviour = idle_model(), random_behaviour(n=6)
    report = controls(model, behaviour, nodes(model, *LIVE), draws=19, depth_matched=False, held_out=False)
    assert report["faithfulness"].value == pytest.approx(1) and report["completeness"].value == pytest.approx(0)
    assert report["faithfulness p"].value == 1 / 20
    assert [r.of for r in report.rows if r.measure == "faithfulness"] == ["", "random"]


def test_idle_nodes_do_no_better_than_any_others() -> None:
    model, behaviour = idle_model(), random_behaviour(n=6)
    idle = nodes(model, "head.0/1", "head.0/2", "head.1/3")
    report = controls(model, behaviour, idle, pool=all_nodes(model), draws=19, held_out=False)
    assert report["faithfulness"].value == pytest.approx(0, abs=1e-9)
    assert report["completeness p"].value > 0.2
    assert "carry nothing at all" in "".join(report.notes)


def test_edges_have_controls_too() -> None:
    model = idle_model()
    report = controls(model, random_behaviour(n=4), all_edges(model).strongest_edges(80), draws=3, held_out=False)
    assert {r.unit for r in report.rows} == {"edge"} and {r.nodes for r in report.rows} == {80}


def test_what_cannot_be_drawn_is_refused() -> None:
    model, behaviour, pool = idle_model(), random_behaviour(n=4), scored()
    with pytest.raises(ValueError, match="is the circuit itself"):
        controls(model, behaviour, nodes(model, "mlp.0/0", "mlp.1/0"), held_out=False)
    with pytest.raises(ValueError, match="are not in the pool"):
        controls(model, behaviour, nodes(model, *LIVE), pool=nodes(model, "head.0/0"), held_out=False)
    with pytest.raises(ValueError, match="at one depth where the pool has"):
        random_like(pool, pool.top(60), np.random.default_rng(0))
    with pytest.raises(ValueError, match="draws=0"):
        controls(model, behaviour, nodes(model, *LIVE), draws=0, held_out=False)


def test_an_interrupt_keeps_the_draws_that_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ends, the circuit and its complement, then two runs for each draw: the tenth is the second of the third draw."""
    monkeypatch.setattr(_nodes, "TOKENS", 1)
    model, behaviour = idle_model(), random_behaviour(n=6)
    given = {"draws": 19, "depth_matched": False, "held_out": False}
    with pytest.raises(Stopped, match="stopped after 2 of 19 random circuits") as stopped:
        controls(model, behaviour, nodes(model, *LIVE), progress=Interrupts(10), **given)
    report = stopped.value.result
    two = controls(model, behaviour, nodes(model, *LIVE), **{**given, "draws": 2})
    assert report.rows == two.rows and report["faithfulness p"].examples == 2
    assert report.notes[-1] == "stopped after 2 of 19 random circuits"


def test_an_interrupt_before_the_first_draw_leaves_nothing_to_report() -> None:
    model = idle_model()
    with pytest.raises(KeyboardInterrupt) as stopped:
        controls(model, random_behaviour(n=6), nodes(model, *LIVE), held_out=False, progress=Interrupts(3))
    assert not isinstance(stopped.value, Stopped)


def test_the_report_says_how_well_p_is_known() -> None:
    model = idle_model()
    report = controls(model, random_behaviour(n=6), nodes(model, *LIVE), depth_matched=False, held_out=False)
    p = report["faithfulness p"]
    assert (p.examples, p.value) == (20, 1 / 21) and (p.low, p.high) == wilson(0.0, 20)
    assert "20 draws give no p below 0.048" in "".join(report.notes)
