"""Areas over circuit sizes: their arithmetic by hand and by published curves, their curve circuit by circuit."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch

import clew
from clew import Circuit, Model
from clew.circuits.circuit import OUTPUT
from clew.circuits.selection.ratio import ratio
from clew.measures.circuits._areas import capped_cpr, check_sizes, cmd, cpr, no_signal, weights
from clew.measures.circuits.areas import SIZES, areas
from clew.measures.circuits.faithfulness import faithfulness
from clew.methods.nodes.exact_patching import exact_patching
from clew.models.graph.components import Components
from clew.sites import Site
from tests.planted import random_behaviour, tiny_model

K = np.array(SIZES)
NODE_SIZES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)

# Arithmetic.


def test_each_of_the_ten_sizes_has_its_weight() -> None:
    assert weights(K) == pytest.approx([0.0005, 0.002, 0.004, 0.0075, 0.02, 0.04, 0.075, 0.2, 0.4, 0.25])
    assert weights(np.array([0.01, 0.1, 1.0]), log=True) == pytest.approx([0.25, 0.5, 0.25])


def test_a_circuit_that_is_the_model_has_cmd_0_and_cpr_the_range_of_sizes() -> None:
    for log, whole in ((False, 0.999), (True, 1)):
        assert (
            cpr(weights(K, log=log), np.ones(10)) == pytest.approx(whole) and cmd(weights(K, log=log), np.ones(10)) == 0
        )


def test_no_signal_is_a_quarter_and_three() -> None:
    assert cpr(weights(K), no_signal(K)) == pytest.approx(0.25) and cmd(weights(K), no_signal(K)) == pytest.approx(
        0.749
    )
    assert cpr(weights(K[:-1]), no_signal(K[:-1])) == 0


def test_the_cap_takes_what_exceeds_the_model_away() -> None:
    w, f = weights(np.array([0.5, 1.0])), np.array([3.0, 1.0])
    assert (cpr(w, f), capped_cpr(w, f), cmd(w, f)) == (1.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        ([1.439, 1.795, 1.906, 1.973, 1.948, 1.995, 2.040, 2.074, 2.011], (1.768, 0.769, 0.891)),
        ([0.738, 0.787, 1.002, 0.999, 1.050, 1.046, 0.946, 0.956, 0.982], (0.981, 0.024, 0.062)),
        ([0, -0.001, 0.001, 0.004, -0.004, -0.020, -0.004, 0.010, 0.009], (0.254, 0.745, 0.950)),
        ([0.310, 0.321, 0.407, 0.893, 0.822, 0.908, 0.989, 0.996, 1.019], (0.993, 0.021, 0.229)),
        ([0.517, 0.534, 0.619, 0.617, 0.901, 1.060, 1.174, 1.328, 1.405], (1.234, 0.250, 0.283)),
    ],
    ids=["EAP-IG signed", "EAP-IG absolute", "EAP signed", "EAP absolute", "EAP signed, one edge's sign flipped"],
)
def test_curves_of_edge_circuits_of_smollm2_have_their_areas(f: list[float], wanted: tuple[float, ...]) -> None:
    """Curves of EAP-IG's own code on IOI, with the areas computed from their unrounded values."""
    curve = np.array([*f, 1.0])
    w, over_log = weights(K), weights(K, log=True)
    assert (cpr(w, curve), cmd(w, curve), cmd(over_log, curve)) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("sizes", [(1.0,), (0.5, 0.5), (1.0, 0.5), (0.0, 1.0), (0.5, 2.0)])
def test_sizes_must_rise_within_the_whole(sizes: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"rising, above 0 and at most 1"):
        check_sizes(sizes)


# On models.


@cache
def in_components() -> tuple[Model, Circuit]:
    model = tiny_model("gpt_neox").components()
    return model, exact_patching(model, random_behaviour(), positions=False)


def edges(model: Model) -> Circuit:
    """Every edge of the component graph; those out of the input are strongest, and against the behaviour."""
    graph = Components(model.body)
    weight = torch.rand(graph.legal.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight[:, -1] += 1  # straight to the logits
    weight[0] = -3 - weight[0]
    return graph.circuit(weight)


def test_nodes_are_judged_as_by_faithfulness_at_every_size() -> None:
    model, found = in_components()
    report = areas(model, random_behaviour(), found, sizes=NODE_SIZES, held_out=False)
    ranked = found.keep(found.site > 0)  # without the embedding
    f = {r.nodes: r for r in report.rows if (r.measure, r.of) == ("f", "absolute")}
    assert list(f) == [int(k * len(ranked) + 1e-9) for k in NODE_SIZES]
    for n, row in list(f.items())[1:]:
        one = faithfulness(model, random_behaviour(), ranked.top(n), ablation="patch", held_out=False)
        assert row.value == pytest.approx(one["faithfulness"].value)
    assert f[0].value == f[0].high == 0 and f[len(ranked)].value == pytest.approx(1)


def test_the_areas_are_those_of_the_curve_in_the_rows() -> None:
    model, found = in_components()
    report = areas(model, random_behaviour(), found, sizes=NODE_SIZES, held_out=False)
    k = np.array(NODE_SIZES)
    for of in ("signed", "absolute"):
        f = np.array([r.value for r in report.rows if (r.measure, r.of) == ("f", of)])
        value = {r.measure: r for r in report.rows if r.of == of}
        assert value["CPR"].value == pytest.approx(cpr(weights(k), f))
        assert value["CMD over log k"].value == pytest.approx(cmd(weights(k, log=True), f))
        assert value["CPR"].low <= value["CPR"].value <= value["CPR"].high
    assert (report["CPR"].of, report["CMD"].of) == ("signed", "absolute")


def test_a_ranking_by_sign_overshoots_and_is_told_so() -> None:
    model, found = in_components()
    report = areas(model, random_behaviour(), found, sizes=NODE_SIZES, held_out=False, tolerance=0.03)
    assert report["largest f"].value > 1.03 and any("overshoot" in note and "signed" in note for note in report.notes)
    assert report["CPR of min(f, 1)"].value < report["CPR"].value
    calm = areas(model, random_behaviour(), found, sizes=NODE_SIZES, held_out=False)
    assert not any("overshoot" in note for note in calm.notes)


def test_a_dropped_trunk_edge_is_named() -> None:
    """Without an edge out of the input nothing of the clean prompt gets in, so f is 0 until those are let in."""
    model = tiny_model("gpt_neox")
    found = edges(model)
    report = areas(model, random_behaviour(), found, sizes=(0.1, 0.2, 0.4, 1.0), held_out=False)
    signed = [r.value for r in report.rows if (r.measure, r.of) == ("f", "signed")]
    assert signed == pytest.approx([0, 0, 0, 1], abs=1e-9)
    into = int(found.target[found.weight.argmin()])
    name = f"embed/0 -> {'logits' if into == OUTPUT else found.nodes[into].address}"
    assert report["dropped trunk"].of == name and report["dropped trunk"].value == found.weight.min()
    assert any(name in note and "drops a trunk edge" in note for note in report.notes)


def test_a_dropped_trunk_node_is_named() -> None:
    """Nothing writes but one head, whose score has the wrong sign."""
    model, needed = tiny_model("llama"), "head.0/1"
    found = exact_patching(model.components(), random_behaviour(), positions=False)
    for layer, block in enumerate(model.body.blocks):
        block.mlp.down_proj.weight.data.zero_()
        output = block.self_attn.o_proj.weight.data
        output[:, torch.arange(output.shape[1]) * 4 // output.shape[1] != (1 if layer == 0 else -1)] = 0
    score = np.array([-9.0 if node.address == needed else 1.0 for node in found])
    report = areas(
        model.components(), random_behaviour(), replace(found, score=score), sizes=NODE_SIZES, held_out=False
    )
    f = {of: [r.value for r in report.rows if (r.measure, r.of) == ("f", of)] for of in ("signed", "absolute")}
    assert f["signed"] == pytest.approx([0, 0, 0, 0, 0, 1]) and f["absolute"] == pytest.approx([0, 1, 1, 1, 1, 1])
    assert report["dropped trunk"].of == needed and any("trunk node: head.0/1 (score -9)" in n for n in report.notes)


def test_a_ranking_with_a_signal_is_not_suspected() -> None:
    model = tiny_model("gpt_neox")
    found = replace(edges(model), weight=np.abs(edges(model).weight))
    report = areas(model, random_behaviour(), found, sizes=(0.1, 0.2, 0.4, 1.0), held_out=False)
    assert "dropped trunk" not in {r.measure for r in report.rows}


def test_a_size_costs_one_forward_and_the_whole_circuit_is_run_once() -> None:
    model = tiny_model("gpt_neox")
    report = areas(model, random_behaviour(), edges(model), held_out=False)
    empty = sum(r.nodes == 0 for r in report.rows if r.measure == "f") // 2
    assert report.provenance["forwards"] == 2 + 2 * (9 - empty) + 1


def test_verify_judges_a_ranking_on_the_other_half() -> None:
    model, found = in_components()
    report = clew.verify(model, random_behaviour(n=8), found, by="areas", sizes=NODE_SIZES)
    assert report["CPR"].examples == 4 and report.provenance["forwards"] > 5


def test_a_selection_is_named_or_given() -> None:
    model, found = in_components()
    given, named = (
        areas(model, random_behaviour(), found, sizes=(0.5, 1.0), select=select, held_out=False)
        for select in (partial(ratio, rho=0.0), "top")
    )
    assert [r.value for r in given.rows if r.of == "absolute"] == [r.value for r in named.rows if r.of == "absolute"]
    with pytest.raises(ValueError, match=r"functools\.partial\(ratio, rho"):
        areas(model, random_behaviour(), found, select=lambda circuit, n, share: circuit.top(n), held_out=False)


def test_edges_between_nodes_that_are_judged_do_not_count() -> None:
    model, found = in_components()
    wired = replace(found, source=np.array([1]), target=np.array([2]), weight=np.ones(1), weight_error=np.zeros(1))
    one, two = (areas(model, random_behaviour(), c, sizes=(0.5, 1.0), held_out=False) for c in (found, wired))
    assert [r.value for r in one.rows] == pytest.approx([r.value for r in two.rows], nan_ok=True)


def test_what_cannot_be_ranked_is_refused() -> None:
    model, found = in_components()
    with pytest.raises(ValueError, match="no patch prompts"):
        areas(model, random_behaviour().without_patches(), found)
    with pytest.raises(ValueError, match="no nodes to rank"):
        areas(model, random_behaviour(), found.keep(found.site == found.sites.index(Site("embed"))))


def test_a_cut_circuit_reports_the_sizes_that_it_has_and_still_names_a_dropped_trunk() -> None:
    """The strongest half of all edges: from k = .5 on there is nothing more to choose."""
    model = tiny_model("gpt_neox")
    whole = edges(model)
    cut, total = whole.strongest_edges(len(whole.weight) // 2), len(whole.weight)
    report = areas(model, random_behaviour(), cut, sizes=(0.1, 0.2, 0.4, 0.7, 1.0), held_out=False)
    kept = total // 2
    sizes = [r.nodes for r in report.rows if (r.measure, r.of) == ("f", "absolute")]
    assert sizes == [int(0.1 * total), int(0.2 * total), int(0.4 * total), kept, kept]
    assert report["dropped trunk"].of.startswith("embed/0 -> ")
    assert f"from k = 0.7 on every circuit is that of all {kept} that have a score" in " ".join(report.notes)


def test_a_selection_that_finds_fewer_is_reported_with_what_it_found() -> None:
    model, found = in_components()
    report = areas(
        model, random_behaviour(), found, sizes=(0.5, 1.0), select=lambda c, n, *, signed: c.top(1), held_out=False
    )
    assert [r.nodes for r in report.rows if (r.measure, r.of) == ("f", "signed")] == [
        1,
        len(found.keep(found.site > 0)),
    ]
