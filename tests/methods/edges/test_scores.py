"""Edges against finite differences: another way to the same numbers, through edits instead of cut runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from clew import Circuit, Model, find
from clew.changes import Set
from clew.circuits.circuit import OUTPUT
from clew.dictionaries import Identity, JumpReLU, Partition, ReLU, TopK
from clew.methods.edges.edges import Wiring, mixes_positions
from clew.methods.nodes import integrated_gradients as ig
from clew.methods.nodes.integrated_gradients import integrated_gradients
from clew.readings.contrast import Contrast
from clew.sites import Site
from tests.models import kinds
from tests.planted import random_behaviour, random_dictionary, tiny_model

STEP = 1e-5


def lens_of(family: str, *wanted: tuple, **config: object) -> Model:
    model = tiny_model(family, **config)
    made = []
    for site, kind, *writes in wanted:
        width = model.body.widths[Site.parse(site)]
        if kind is Identity:
            made.append(Identity(site, width))
        elif kind is Partition:
            made.append(Partition(site, (width // 4,) * 4))
        else:
            made.append(random_dictionary(site, width, kind, writes=writes[0] if writes else None))
    return model.through(*made)


CONSECUTIVE = ("embed", "attn.0", "mlp.0", "resid.0", "attn.1", "mlp.1", "resid.1")
LENSES = {
    "sequential": lens_of("gpt_neox", *[(s, ReLU) for s in CONSECUTIVE], use_parallel_residual=False),
    "parallel, a missing attention": lens_of("gpt_neox", ("resid.0", TopK), ("mlp.1", TopK), ("mlp.2", ReLU)),
    "far apart": lens_of("gpt_neox", ("resid.0", ReLU), ("resid.2", ReLU), use_parallel_residual=False),
    "jumprelu, rows not of unit norm": lens_of(
        "gpt_neox", *[(s, JumpReLU) for s in ("resid.0", "mlp.1", "resid.1")], use_parallel_residual=False
    ),
    "heads": lens_of(
        "gpt2", ("resid.0", ReLU), ("head.1", Partition), ("mlp.1", ReLU), ("resid.1", TopK), ("attn.2", ReLU)
    ),
    "transcoders": lens_of(
        "gpt2", ("resid.0", ReLU), ("mlp_in.1", ReLU, "mlp.1"), ("resid.1", ReLU), ("mlp_in.2", JumpReLU, "mlp.2")
    ),
    "transcoder on a site of its own": lens_of(
        "gpt2", ("resid.0", ReLU), ("mlp_in.1", ReLU), ("mlp_in.1", ReLU, "mlp.1"), ("resid.1", ReLU)
    ),
    "neurons and queries": lens_of(
        "opt", ("head.1", Partition), *[(s, Identity) for s in ("neuron.0", "neuron.1", "q.2")], ("mlp.2", ReLU)
    ),
}


def row_states(view: Model, wiring: Wiring, site: Site, rows: Tensor, read: Tensor, value: Tensor) -> Tensor:
    """G_d . s_d of every row, from what the dictionary reads and what flows at its site."""
    dictionary, grad = view.dictionaries[site], wiring.grads[site]
    code = dictionary.encode(read)
    error = value - dictionary.decode(code)
    one = torch.eye(dictionary.n_units, dtype=code.dtype)
    return torch.stack([
        (error[e, p] * grad[e, p]).sum() if u == dictionary.n_units
        else (code[e, p] * dictionary.unfold(one[u]) * dictionary.pull(grad[e, p])).sum()
        for e, p, u in rows.tolist()
    ])  # fmt: skip


@pytest.mark.parametrize("name", LENSES)
def test_edges_are_derivatives(name: str) -> None:
    view = LENSES[name]
    contrast = Contrast(view, random_behaviour())
    (batch,) = contrast.batches
    wiring = Wiring(contrast, batch, ig.gradients, tokens=48)
    order = list(view.dictionaries)
    largest = 0.0
    for site in order[1:]:
        effect = wiring.effect(site)
        top = effect.abs().flatten().topk(4).indices
        errors = torch.tensor([[0, 1, effect.shape[2] - 1], [2, 3, effect.shape[2] - 1]])
        rows = torch.cat(
            [
                torch.stack(torch.unravel_index(top, effect.shape), 1),
                *([] if view.dictionaries[site].exact else [errors]),
            ]
        )
        for leaf, table in tables(wiring, site, rows).items():
            for position, unit in probes(contrast, wiring, leaf):
                slope = finite_difference(view, contrast, wiring, site, rows, leaf, position, unit)
                assert torch.allclose(slope, table[:, position, unit], atol=2e-7)
                largest = max(largest, float(slope.abs().max()))
    assert largest > 1e-3


def tables(wiring: Wiring, site: Site, rows: Tensor) -> dict[Site, Tensor]:
    """Weights from every node of every leaf to the rows, [row, seq, unit + 1]; zeros where nothing is read."""
    view, seq = wiring.model, wiring.batch.clean.shape[1]
    found = {
        s: torch.zeros(len(rows), seq, d.n_units + 1, dtype=torch.float64)
        for s, d in view.dictionaries.items()
        if s < site
    }
    wiring.seat({site: rows})
    for chunk, leaf, grad, positions in wiring.pull_back(site, rows):
        weights = wiring.all_weights(leaf, grad, rows[chunk], positions)
        if positions is None:
            found[leaf][chunk] = weights
        else:
            found[leaf][chunk, positions] = weights[:, 0]
    return found


def probes(contrast: Contrast, wiring: Wiring, leaf: Site) -> list[tuple[int, int]]:
    """The error and the most moved units of a leaf, at two positions."""
    here, there = contrast.states(wiring.clean, wiring.other, leaf)
    dictionary = contrast.model.dictionaries[leaf]
    moved = dictionary.fold((there.code - here.code).abs()).sum((0, 1)).topk(1).indices.tolist()
    units = [*moved, *([] if dictionary.exact else [dictionary.n_units])]
    return [(position, unit) for position in (1, 3) for unit in units[-2:]]


def finite_difference(
    view: Model, contrast: Contrast, wiring: Wiring, site: Site, rows: Tensor, leaf: Site, position: int, unit: int
) -> Tensor:
    """Change of G_d . s_d when one node of a leaf moves toward its other state and every other leaf is held."""
    dictionary, reader = view.dictionaries[leaf], view.dictionaries[site]
    here, there = contrast.states(wiring.clean, wiring.other, leaf)
    move = torch.zeros_like(wiring.clean[leaf]).detach()
    if unit == dictionary.n_units:
        move[:, position] = (there.error - here.error)[:, position]
    else:
        one = torch.eye(dictionary.n_units, dtype=move.dtype)[unit]
        move[:, position] = dictionary.write((there.code - here.code)[:, position] * dictionary.unfold(one))
    values = []
    for sign in (STEP, -STEP):
        held = [
            Set(s, value=wiring.clean[s].detach() + (sign * move if s == leaf else 0))
            for s in view.dictionaries
            if s < site
        ]
        run = view.run(wiring.batch.clean, read={reader.reads, site}, edits=held, logits=0)
        values.append(row_states(view, wiring, site, rows, run[reader.reads], run[site]))
    return (values[0] - values[1]) / (2 * STEP)


def test_which_sites_mix_positions() -> None:
    view = LENSES["sequential"]
    assert {str(s) for s in view.dictionaries if mixes_positions(view, s)} == {"attn.0", "attn.1"}
    assert all(mixes_positions(LENSES["far apart"], s) for s in LENSES["far apart"].dictionaries)
    llama, parallel = tiny_model("llama"), tiny_model("gptj")
    for model, mixed in ((llama, {"mlp_out.1", "resid.1"}), (parallel, {"resid.1"})):
        view = model.neurons("resid.0", "mlp_out.1", "resid.1")
        assert {str(s) for s in view.dictionaries if mixes_positions(view, s)} == {"resid.0", *mixed}


def test_a_mixer_mixes_positions_unless_the_view_cuts_it() -> None:
    model = kinds.kind("convolutions")  # convolution, attention, convolution
    view = model.neurons("resid.1", "mlp_in.2", "neuron.2", "resid.2")
    assert {str(s) for s in view.dictionaries if mixes_positions(view, s)} == {
        "resid.1",
        "mlp_in.2",
        "neuron.2",
        "resid.2",
    }
    cut = model.neurons("resid.1", "mixer.2", "neuron.2", "resid.2")
    assert {str(s) for s in cut.dictionaries if mixes_positions(cut, s)} == {"resid.1", "mixer.2"}


def test_what_an_expert_and_a_query_read_is_mixed_before_them() -> None:
    model = kinds.kind("experts")
    view = model.through(*model.components(experts=True).dictionaries.values())
    cut = {str(s) for s in view.dictionaries if mixes_positions(view, s)}
    assert cut == {"head.0", "head.1", "head.2"}
    uncut = model.through(model.components().dictionaries[Site("embed")], *model.experts().dictionaries.values())
    assert all(mixes_positions(uncut, site) for site in model.sites("expert"))
    queries = model.neurons("resid.0", "q.1", "mlp_in.1")
    assert {str(s) for s in queries.dictionaries if mixes_positions(queries, s)} == {"resid.0", "mlp_in.1"}


@pytest.mark.parametrize("positions", [True, False])
def test_edges_into_a_node_add_up_to_its_rows(positions: bool) -> None:
    view, behaviour = LENSES["sequential"], random_behaviour()
    circuit = integrated_gradients(view, behaviour, positions=positions)
    wired = find(view, behaviour, circuit, by="edges", gradient="integrated_gradients", held_out=False, examples=None)
    contrast = Contrast(view, behaviour)
    (batch,) = contrast.batches
    wiring = Wiring(contrast, batch, ig.gradients, tokens=48)
    node = int(np.flatnonzero((wired.site == 3) & (np.abs(wired.score) > 1e-3))[0])
    seats = (wiring.effect(Site("resid", 0))[..., wired.unit[node]] != 0).nonzero()
    if positions:
        seats = seats[seats[:, 1] == wired.position[node]]
    rows = torch.cat([seats, torch.full((len(seats), 1), int(wired.unit[node]))], dim=1)
    whole = sum(float(t.sum()) for t in tables(wiring, Site("resid", 0), rows).values()) / 3
    assert wired.weight[wired.target == node].sum() == pytest.approx(whole, abs=1e-9)


def test_edges_into_the_metric_carry_the_scores_of_the_last_sites() -> None:
    view, behaviour = LENSES["far apart"], random_behaviour()
    found = find(view, behaviour, by="integrated_gradients", held_out=False)
    wired = find(view, behaviour, found.top(30), by="edges", held_out=False)
    into = wired.target == OUTPUT
    assert into.any()
    assert {str(wired.sites[i]) for i in wired.site[wired.source[into]]} == {"resid.2"}
    assert np.allclose(wired.weight[into], wired.score[wired.source[into]], atol=1e-12)


@pytest.mark.parametrize("seen", [("mlp.0", "mlp.1", "mlp.2"), ("attn.1", "mlp.1", "attn.2", "mlp.2")])
def test_edges_into_the_metric_do_not_depend_on_which_other_nodes_there_are(seen) -> None:
    """A stream runs past every site here, so that each reaches the metric directly, and more of it through later ones."""
    view, behaviour = lens_of("llama", *((site, ReLU) for site in seen)), random_behaviour()
    found = find(view, behaviour, by="attribution_patching", held_out=False)
    first = found.keep(found.site == 0)
    alone, whole = (find(view, behaviour, c, by="edges", held_out=False, examples=None) for c in (first, found))
    from_first = whole.keep_edges((whole.site[whole.source] == 0) & (whole.target == OUTPUT))
    assert np.allclose(np.sort(alone.weight), np.sort(from_first.weight), atol=1e-12)
    assert not np.allclose(np.sort(alone.weight), np.sort(first.score[alone.source]))


def test_what_reaches_the_metric_is_told_of_the_examples_that_were_wired() -> None:
    view, behaviour = LENSES["far apart"], random_behaviour(n=6)
    found = find(view, behaviour, by="attribution_patching", held_out=False)
    few = find(view, behaviour.first(2), by="attribution_patching", held_out=False)
    wired = find(view, behaviour, found, by="edges", held_out=False, examples=2)
    into, effect = wired.target == OUTPUT, dict(zip(few.keys(), few.score, strict=True))
    keys = wired.keys()
    assert [effect[keys[i]] for i in wired.source[into]] == pytest.approx(wired.weight[into].tolist(), abs=1e-12)


def test_edges_keep_the_nodes() -> None:
    view, behaviour = LENSES["far apart"], random_behaviour()
    circuit: Circuit = integrated_gradients(view, behaviour).top(10)
    assert find(view, behaviour, circuit, by="edges", held_out=False).keys() == circuit.keys()


def test_what_flows_out_of_a_node_is_its_first_order_effect() -> None:
    """In sequential blocks the attention is read by the MLP and by the metric; its score must not be counted twice."""
    view = lens_of("gpt_neox", ("attn.2", ReLU), ("mlp.2", ReLU), use_parallel_residual=False)
    behaviour = random_behaviour()
    circuit = find(view, behaviour, by="attribution_patching", held_out=False)
    wired = find(view, behaviour, circuit, by="edges", held_out=False, examples=None)
    for site in (0, 1):
        out = sum(wired.weight[(wired.site[wired.source] == site)])
        assert out == pytest.approx(circuit.score[circuit.site == site].sum(), abs=1e-9)


def test_edges_use_the_options_that_found_the_circuit() -> None:
    view, behaviour = LENSES["far apart"], random_behaviour()
    options = {"baseline": "zero", "steps": 3}
    circuit = find(view, behaviour, by="integrated_gradients", held_out=False, **options).top(20)
    by_itself = find(view, behaviour, circuit, by="edges", held_out=False)
    by_hand = find(
        view, behaviour, circuit, by="edges", held_out=False, baseline="zero", gradient="integrated_gradients"
    )
    assert len(by_itself.weight) and by_itself.provenance["wired"]["method"] == "edges"
    assert not np.array_equal(by_itself.weight, by_hand.weight)  # ten steps there
    assert np.corrcoef(by_itself.weight, by_hand.weight)[0, 1] > 0.9


def test_labels_of_units_that_were_cut_away_do_not_stop_the_wiring() -> None:
    view, behaviour = LENSES["far apart"], random_behaviour()
    circuit = find(view, behaviour, by="attribution_patching", held_out=False)
    few = circuit.keep(np.arange(len(circuit)) < 5)
    gone = next(n for n in circuit if n.address.partition("@")[0] not in {k.address.partition("@")[0] for k in few})
    labels = circuit.labelled({gone.address: "gone"}).keep(np.arange(len(circuit)) < 5)
    for by in ("edges", "exact_patching"):
        found = find(view, behaviour, labels, by=by, held_out=False)
        assert found.labels.name(gone.address.partition("@")[0]) == "gone"


@pytest.mark.parametrize("aligned", [True, False])
def test_edges_out_of_a_source_add_up_to_its_node_under_the_mean_too(aligned: bool) -> None:
    model, behaviour = tiny_model("llama"), replace(random_behaviour(n=4), aligned=aligned)
    edges = find(model, behaviour, by="eap", baseline="mean", held_out=False)
    nodes = find(
        model.components(), behaviour, by="attribution_patching", baseline="mean", positions=False, held_out=False
    )
    wanted = dict(zip(nodes.keys(), nodes.score, strict=True))
    sources = set(edges.source.tolist())
    got = {key: edges.weight[edges.source == i].sum() for i, key in enumerate(edges.keys()) if i in sources}
    assert got.keys() >= wanted.keys()
    assert all(got[key] == pytest.approx(value, abs=1e-6) for key, value in wanted.items())
