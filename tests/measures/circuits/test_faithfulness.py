"""Faithfulness and completeness: their ends by hand, their parts against edits made one by one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import clew
from clew import Behaviour, Circuit, Model
from clew.changes import Set
from clew.circuits.circuit import ERROR
from clew.measures.circuits import _nodes
from clew.measures.circuits._nodes import NodeTrial
from clew.measures.circuits.curve import curve
from clew.measures.circuits.faithfulness import faithfulness
from clew.methods.graphs.attribution_graph import attribution_graph
from clew.methods.nodes.integrated_gradients import integrated_gradients
from clew.readings.ablation import Ablation
from clew.readings.contrast import mean_states
from clew.sites import Site
from tests.planted import random_behaviour, random_dictionary, tiny_model

SITES = ("resid.0", "attn.1", "mlp.1", "resid.1")


def view() -> Model:
    return tiny_model("gpt_neox").through(*[random_dictionary(s, 32) for s in SITES])


def all_nodes(model: Model, length: int) -> Circuit:
    """Every unit and every error at every position."""
    rows = [
        (i, unit, position)
        for i, dictionary in enumerate(model.dictionaries.values())
        for position in range(length)
        for unit in (*range(dictionary.n_units), ERROR)
    ]
    site, unit, position = np.array(rows).T
    ones = np.ones(len(rows))
    units = {s: d.n_units for s, d in model.dictionaries.items()}
    return Circuit(tuple(model.dictionaries), units, site, unit, position, score=ones, patch_mean=ones)


def trial(model: Model, behaviour: Behaviour, **options: Any) -> NodeTrial:
    return NodeTrial(model, behaviour, Ablation(**options), seed=0)


@pytest.mark.parametrize("ablation", ["mean", "zero", "resample"])
def test_everything_is_faithful_and_nothing_is_not(ablation: str) -> None:
    model, behaviour = view(), random_behaviour()
    whole = all_nodes(model, 4)
    full = faithfulness(model, behaviour, whole, ablation=ablation, held_out=False)
    none = faithfulness(model, behaviour, whole.top(0), ablation=ablation, held_out=False)
    assert full["faithfulness"].value == pytest.approx(1, abs=1e-9)
    assert full["completeness"].value == pytest.approx(0, abs=1e-9)
    assert none["faithfulness"].value == pytest.approx(0, abs=1e-9)
    assert none["completeness"].value == pytest.approx(1, abs=1e-9)


def test_the_whole_model_is_the_untouched_model() -> None:
    model, behaviour = view(), random_behaviour()
    (batch,) = behaviour.batches(model)
    wanted = behaviour.metric(model.run(batch.clean), batch)
    assert np.allclose(trial(model, behaviour).whole, wanted.numpy(), rtol=0, atol=1e-12)


def test_an_empty_circuit_is_every_site_at_its_patch_mean() -> None:
    model, behaviour = view(), random_behaviour()
    (batch,) = behaviour.batches(model)
    mean = mean_states(model, behaviour, of="patch")
    at_mean = [Set(s, value=mean(s, batch.clean).value(d).expand(3, -1, -1)) for s, d in model.dictionaries.items()]
    wanted = behaviour.metric(model.run(batch.clean, edits=at_mean), batch)
    assert np.allclose(trial(model, behaviour).empty, wanted.numpy(), atol=1e-10)


def test_units_are_encoded_anew_after_ablations_below() -> None:
    """Keep one unit of resid.1 whole: its value is what the ablated stream gives it, not its clean value."""
    model, behaviour = view(), random_behaviour()
    (batch,) = behaviour.batches(model)
    found = integrated_gradients(model, behaviour)
    node = found.keep((found.site == 3) & (found.unit != ERROR)).top(1)
    states = mean_states(model, behaviour, of="patch")
    mean = {site: states(site, batch.clean) for site in model.dictionaries}
    below = [Set(s, value=mean[s].value(d).expand(3, -1, -1)) for s, d in list(model.dictionaries.items())[:3]]
    ablated = model.run(batch.clean, edits=below, read=["resid.1"])
    code = mean[Site("resid", 1)].code.expand(3, -1, -1).clone()
    at = (slice(None), int(node.position[0]), int(node.unit[0]))
    code[at] = ablated.code("resid.1")[at]
    dictionary = model.dictionaries[Site("resid", 1)]
    value = dictionary.decode(code) + mean[Site("resid", 1)].error
    wanted = behaviour.metric(model.run(batch.clean, edits=[*below, Set(Site("resid", 1), value=value)]), batch)
    assert np.allclose(trial(model, behaviour).circuit_metric(node), wanted.numpy(), atol=1e-10)


def test_errors_kept_and_removed_bracket_errors_as_nodes() -> None:
    model, behaviour = view(), random_behaviour()
    circuit = integrated_gradients(model, behaviour).top(40)
    units = circuit.keep(circuit.unit != ERROR)
    all_errors = all_nodes(model, 4)
    all_errors = all_errors.keep(all_errors.unit == ERROR)
    joined = clew.Circuit(
        circuit.sites, circuit.units,
        *(np.concatenate([getattr(c, n) for c in (units, all_errors)]) for n in
          ("site", "unit", "position", "score", "patch_mean")),
    )  # fmt: skip
    kept, removed = (trial(model, behaviour, errors=e).circuit_metric(circuit) for e in ("keep", "remove"))
    assert np.allclose(kept, trial(model, behaviour).circuit_metric(joined), atol=1e-10)
    assert np.allclose(removed, trial(model, behaviour).circuit_metric(units), atol=1e-10)
    assert not np.allclose(kept, removed)


def test_layers_below_the_start_are_left_alone() -> None:
    model, behaviour = view(), random_behaviour()
    assert [str(s) for s in trial(model, behaviour, start=1).sites] == ["attn.1", "mlp.1", "resid.1"]
    with pytest.raises(ValueError, match="no site of the view is left"):
        trial(model, behaviour, start=2)


def test_what_an_unaligned_behaviour_becomes_is_each_pairs_own_patch() -> None:
    model, behaviour = view(), random_behaviour()
    loose, alone = replace(behaviour, aligned=False), replace(behaviour.without_patches(), aligned=False)
    assert [trial(model, b).kind for b in (behaviour, loose, alone)] == ["mean", "patch", "mean"]
    assert np.array_equal(trial(model, loose).empty, trial(model, behaviour, kind="patch").empty)
    assert "patch ablation" in trial(model, loose).notes[0]


def test_what_replaces_far_longer_than_what_flows_is_said() -> None:
    model, behaviour = tiny_model("llama").neurons("mlp.0", "mlp.1"), random_behaviour()
    (batch,) = behaviour.batches(model)
    flows = model.run(batch.clean, read=["mlp.1"])["mlp.1"].norm(dim=-1).median()
    far = torch.zeros(model.body.widths[Site("mlp", 1)], dtype=torch.float64)
    far[0] = 52 * flows
    constants = {Site("mlp", 0): torch.zeros_like(far), Site("mlp", 1): far}
    with pytest.warns(UserWarning, match="what replaces mlp.1 is [45]. times as long as what flows there"):
        notes = trial(model, behaviour, constants=constants).notes
    assert any("what replaces mlp.1" in note for note in notes)
    assert not any(
        "what replaces" in note for kind in ("mean", "patch") for note in trial(model, behaviour, kind=kind).notes
    )


def ends(whole: list[float], empty: list[float]) -> tuple[str, ...]:
    """What is noted where the metric has these values at the ends."""
    judged = trial(view(), random_behaviour(n=len(whole)))
    judged.whole, judged.empty = np.array(whole), np.array(empty)
    return judged.notes[1:]


def test_shares_of_a_gap_that_means_nothing_say_so() -> None:
    spread = [1.0, 2.0, 3.0, 4.0]
    assert not ends(spread, [0.0, 0.1, 0.0, 0.1])
    (noise,) = ends(spread, [4.0, 3.1, 2.0, 1.0])
    assert "is inside its own noise, so shares of it mean nothing" in noise
    (below,) = ends([0.0, 0.1, 0.0, 0.1], spread)
    assert "is negative: the metric is higher with every node ablated" in below
    doubtful = random_behaviour(n=4)
    with pytest.warns(UserWarning, match="mean nothing|is negative"):
        for scale in (1, 2, 3, 4):  # of as many random models at least one does no better than nothing
            model = tiny_model("gpt_neox", scale=0.1 * scale).neurons("mlp.1")
            NodeTrial(model, doubtful, Ablation(), seed=0)


def test_intervals_hold_the_value_and_one_example_has_none() -> None:
    model, circuit = view(), integrated_gradients(view(), random_behaviour()).top(20)
    row = faithfulness(model, random_behaviour(n=12), circuit, held_out=False)["faithfulness"]
    assert row.low < row.value < row.high and row.examples == 12
    alone = faithfulness(model, random_behaviour(n=1), circuit, held_out=False)["faithfulness"]
    assert alone.interval() == "" and alone.examples == 1


def test_verify_judges_on_the_half_that_found_nothing() -> None:
    model, behaviour = view(), random_behaviour(n=10)
    circuit = clew.find(model, behaviour, by="attribution_patching")
    assert circuit.keys() == clew.find(model, behaviour.train, by="attribution_patching", held_out=False).keys()
    assert clew.verify(model, behaviour, circuit)["faithfulness"].examples == 5


def test_a_curve_has_every_size_and_random_circuits_beside_it() -> None:
    model, behaviour = view(), random_behaviour()
    circuit = integrated_gradients(model, behaviour)
    report = curve(model, behaviour, circuit, sizes=(5, 50, 10**6), random=2, held_out=False)
    assert {(r.measure, r.of, r.nodes) for r in report.rows} == {
        (m, of, n) for m in ("faithfulness", "completeness") for of in ("features", "random features") for n in (5, 50)
    }
    one = faithfulness(model, behaviour, circuit.top(50), held_out=False)["faithfulness"]
    assert next(r for r in report.rows if r.nodes == 50 and r.of == "features").value == pytest.approx(one.value)


def test_components_without_edges_are_refused_and_an_empty_circuit_is_not() -> None:
    model, behaviour = tiny_model("gpt2"), random_behaviour()
    circuit = clew.find(model, behaviour, by="eap")
    for measure in (faithfulness, curve):
        with pytest.raises(ValueError, match=f"has {len(circuit)} nodes but no edges"):
            measure(model, behaviour, circuit.strongest_edges(0))
    assert faithfulness(model, behaviour, circuit.top(0), held_out=False)["faithfulness"].value == pytest.approx(0)


def test_of_an_attribution_graph_only_what_the_lens_holds_is_judged() -> None:
    model, behaviour = tiny_model("llama", scale=0.15), random_behaviour()
    view = model.through(*(random_dictionary(f"mlp_in.{i}", 32, writes=f"mlp.{i}") for i in range(3)))
    graph = attribution_graph(view, behaviour)
    with pytest.raises(ValueError, match=r"tokens and logits too \(here at embed, final\).*predicted_effects"):
        faithfulness(view, behaviour, graph, held_out=False)
    kept = graph.keep(np.array([node.site in view.dictionaries for node in graph]))
    assert faithfulness(view, behaviour, kept, held_out=False)["faithfulness"].nodes == len(kept) < len(graph)


def test_ablating_to_constants_is_every_site_held_at_them() -> None:
    model, behaviour = tiny_model("llama"), random_behaviour()
    view = model.components()
    constants = {site: torch.full((view.body.widths[site],), 0.25, dtype=torch.float64) for site in view.dictionaries}
    trial = NodeTrial(view, behaviour, Ablation(constants=constants), seed=0)
    batch = next(behaviour.batches(model))
    edits = [Set(site, value=value) for site, value in constants.items() if site.part != "embed"]
    expected = behaviour.metric(model.run(batch.clean, edits=edits, logits=1), batch)
    torch.testing.assert_close(torch.from_numpy(trial.empty), expected)
    assert "constant ablation" in trial.notes[0]


@pytest.mark.parametrize("ablation", ["mean", "resample"])
def test_circuits_side_by_side_measure_as_each_alone(ablation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, behaviour = view(), random_behaviour(n=5)
    found = integrated_gradients(model, behaviour)
    asked = [(found.top(n), complement) for n in (0, 3, 40) for complement in (False, True)]
    together = np.stack(list(trial(model, behaviour, kind=ablation).circuit_metrics(asked)))
    monkeypatch.setattr(_nodes, "TOKENS", 1)
    alone = trial(model, behaviour, kind=ablation)
    assert alone._copies == 1
    assert np.allclose(together, np.stack(list(alone.circuit_metrics(asked))), rtol=1e-9, atol=1e-12)


def test_blocks_below_the_first_site_run_once() -> None:
    model, behaviour, ran = view(), random_behaviour(), list[int]()
    later = model.through(*[random_dictionary(s, 32) for s in SITES[1:]])
    hook = model.body.blocks[0].mlp.register_forward_hook(lambda *_: ran.append(1))
    judged = NodeTrial(later, behaviour, Ablation("zero"), seed=0)
    list(judged.circuit_metrics([(all_nodes(later, 4).top(3), c) for c in (False, True)]))
    hook.remove()
    assert len(ran) == 1 and not np.allclose(judged.empty, judged.whole)
    judged._first, judged._bases = 0, [None]
    assert np.allclose(judged.metrics([_nodes.Keep(None)])[0], judged.empty, atol=1e-12)


@pytest.mark.parametrize("ablation", ["mean", "resample"])
def test_trials_share_their_ends(ablation: str) -> None:
    plain, behaviour, ran = view(), random_behaviour(n=5), list[int]()
    circuit, shared = integrated_gradients(plain, behaviour).top(20), plain.sharing()
    wanted = faithfulness(plain, behaviour, circuit, ablation=ablation, held_out=False)
    first = faithfulness(shared, behaviour, circuit, ablation=ablation, held_out=False)
    hook = plain.body.blocks[-1].mlp.register_forward_hook(lambda *_: ran.append(1))
    again = faithfulness(shared, behaviour, circuit, ablation=ablation, held_out=False)
    hook.remove()
    assert wanted == first == again and len(ran) == 1  # the circuit and its complement, side by side
    assert faithfulness(shared, behaviour, circuit, ablation=Ablation(ablation, errors="keep"), held_out=False) != again
