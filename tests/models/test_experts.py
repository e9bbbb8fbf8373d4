"""Experts one by one: by hand from their matrices, against the same weights taken out, and chosen by an edit."""

import pytest
import torch
from torch.nn.functional import silu

from clew.changes import Scale, Set
from clew.explain.top_tokens import moved
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.exact_patching import exact_patching
from clew.models import Model
from clew.models.body import Body
from clew.models.experts import Chosen, count
from clew.sites import Site
from tests.models.kinds import kind, kind_of
from tests.models.tiny import word_tokenizer
from tests.planted import random_behaviour

TOKENS = torch.randint(3, 90, (2, 7), generator=torch.Generator().manual_seed(0))


def by_hand(model, layer, trace):
    """[batch, seq, expert, d_model] of every expert, and the weights of those that are chosen."""
    held, x = model.body.module.model.layers[layer].mlp, trace[f"mlp_in.{layer}"]
    gate, up = torch.einsum("bpd,efd->bpef", x, held.experts.gate_up_proj).chunk(2, -1)
    given = torch.einsum("bpef,edf->bped", silu(gate) * up, held.experts.down_proj)
    share = torch.nn.functional.linear(x, held.gate.weight).softmax(-1)
    best = share.topk(2).indices
    weights = torch.zeros_like(share).scatter(-1, best, share.gather(-1, best))
    return given, weights / weights.sum(-1, keepdim=True)


def test_what_each_expert_gives_and_its_weight_are_those_of_the_formula():
    model = kind("experts")
    trace = model.run(TOKENS, read=["mlp_in.1", "router.1", "expert.1", "mlp.1"])
    given, weights = by_hand(model, 1, trace)
    torch.testing.assert_close(trace["router.1"].double(), weights, rtol=1e-6, atol=1e-6)  # it is computed in float32
    found = trace["expert.1"].unflatten(-1, (4, -1))
    torch.testing.assert_close(found, trace["router.1"][..., None] * given, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.sum(-2), trace["mlp.1"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "width"), [("experts", 48), ("sinks", 48)])
def test_units_of_experts_are_those_of_the_formula_and_one_scaled_to_nothing_is_a_zero_in_its_matrix(name, width):
    model, other = kind(name), kind(name)
    trace = model.run(TOKENS, read=["mlp_in.1", "router.1", "expert_neuron.1", "expert.1"])
    held = model.body.module.model.layers[1].mlp.experts
    units = trace["expert_neuron.1"].unflatten(-1, (4, width))
    if name == "experts":
        gate, up = torch.einsum("bpd,efd->bpef", trace["mlp_in.1"], held.gate_up_proj).chunk(2, -1)
        weighted = trace["router.1"][..., None].double() * silu(gate) * up
        torch.testing.assert_close(units, weighted, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        theirs = other.body.module.model.layers[1].mlp.experts.down_proj
        (theirs[2, 7] if held.is_transposed else theirs[2, :, 7]).zero_()
    off = Scale("expert_neuron.1", factor=0.0, units=(2 * width + 7,))
    found = model.run(TOKENS, read=["expert.1", "mlp.1"], edits=[off], logits=7)
    whole = other.run(TOKENS, read=["expert.1", "mlp.1"], logits=7)
    for site in ("expert.1", "mlp.1"):
        torch.testing.assert_close(found[site], whole[site], rtol=1e-9, atol=1e-9)
        assert not torch.equal(found[site], model.run(TOKENS, read=[site])[site])
    torch.testing.assert_close(found.logits, whole.logits, rtol=1e-9, atol=1e-9)
    assert held._parameters["down_proj"] is held.down_proj and float(held.down_proj.detach().abs().max()) < 3


def test_edits_of_units_and_of_experts_add_up():
    model = kind("experts")
    both = [Scale("expert_neuron.1", factor=2.0), Scale("expert.1", factor=0.5)]
    found = model.run(TOKENS, edits=both, logits=7).logits
    torch.testing.assert_close(found, model.run(TOKENS, logits=7).logits, rtol=1e-9, atol=1e-9)


def test_reading_them_changes_no_bit():
    module = kind_of("experts", torch.float32)
    module.config._experts_implementation = "grouped_mm"
    model = Model(Body(module, None, "grouped"))
    with torch.no_grad():
        bare = module(input_ids=TOKENS, use_cache=False).logits
    assert torch.equal(model.run(TOKENS, read=model.sites("router", "expert_neuron", "expert"), logits=7).logits, bare)


def test_an_expert_scaled_to_nothing_is_one_whose_matrix_is_zero():
    model, other = kind("experts"), kind("experts")
    width = model.body.widths[model.body.site("embed")]
    with torch.no_grad():
        other.body.module.model.layers[1].mlp.experts.down_proj[2] = 0
    off = Scale("expert.1", factor=0.0, units=tuple(range(2 * width, 3 * width)))
    found = model.run(TOKENS, edits=[off], logits=7).logits
    torch.testing.assert_close(found, other.run(TOKENS, logits=7).logits, rtol=1e-9, atol=1e-9)


def test_an_edit_of_the_router_may_choose_an_expert_that_was_not():
    model = kind("experts")
    trace = model.run(TOKENS, read=["mlp_in.1", "router.1"])
    given, _ = by_hand(model, 1, trace)
    weights = torch.rand(trace["router.1"].shape, generator=torch.Generator().manual_seed(0))
    weights[..., 3] = 0
    found = model.run(TOKENS, read=["mlp.1", "expert.1"], edits=[Set("router.1", value=weights)])
    torch.testing.assert_close(found["mlp.1"], (weights.double()[..., None] * given).sum(-2), rtol=1e-9, atol=1e-9)
    assert not found["expert.1"].unflatten(-1, (4, -1))[..., 3, :].any()


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("experts", "expert.2"),
        ("experts", "router.2"),
        ("experts", "expert_neuron.2"),
        ("shared experts", "shared.2"),
        ("a gated shared expert", "shared.2"),
    ],
)
def test_gradients_there_are_differences(name, site):
    model = kind(name)
    trace = model.run(TOKENS, read=[site], grad=True)
    (slope,) = trace.gradients(trace.logits[:, -1, 5].sum()).values()
    move = 1e-2 * torch.randn(slope.shape, generator=torch.Generator().manual_seed(0)).double() * (trace[site] != 0)
    ends = [
        model.run(TOKENS, edits=[Set(site, value=trace[site].detach() + sign * move)], logits=1).logits[:, -1, 5].sum()
        for sign in (1, -1)
    ]
    assert float((slope * move).sum()) == pytest.approx(
        float(ends[0] - ends[1]) / 2, rel=1e-3
    )  # norms compute in float32


def test_the_view_of_experts_is_searched_and_its_units_are_experts():
    model, behaviour = kind("experts").experts(), random_behaviour()
    assert model.units == "experts" and [d.n_units for d in model.dictionaries.values()] == [4, 4, 4]
    near, exact = attribution_patching(model, behaviour), exact_patching(model, behaviour)
    assert exact.sites == near.sites and max(abs(node.score) for node in near) > 0


@pytest.mark.parametrize("name", ["experts", "a gated shared expert"])
def test_among_components_each_expert_stands_in_place_of_its_mixture(name):
    model = kind(name)
    whole, each = model.components(), model.components(experts=True)
    assert each.units == whole.units == "components"
    units = [s for s in each.dictionaries if s.part != "shared"]
    assert [str(s).replace("expert", "mlp") for s in units] == [str(s) for s in whole.dictionaries]
    with pytest.raises(ValueError, match="expert"):
        kind("convolutions").components(experts=True)
    of_each, of_whole = (attribution_patching(view, random_behaviour()) for view in (each, whole))
    for site in whole.sites("mlp"):  # experts add up to what their mixture writes, and so do their parts
        experts = sum(n.score for n in of_each if n.site.part in ("expert", "shared") and n.site.layer == site.layer)
        assert experts == pytest.approx(sum(node.score for node in of_whole if node.site == site), rel=1e-6)


def test_an_expert_promotes_what_it_writes_where_it_writes_most():
    model = Model(Body(kind_of("experts"), word_tokenizer(), "experts"))
    rows = torch.zeros(1, 4, 32).double()
    rows[0, 2] = torch.randn(32, generator=torch.Generator().manual_seed(0)).double()
    written = moved(model, Site("expert", 1), rows.flatten(1), 3)
    assert written == moved(model, Site("mlp", 1), rows[:, 2], 3) and len(written[0][0]) == 3


@pytest.mark.parametrize(
    ("name", "path", "all_of_it"),
    [
        ("shared experts", "shared_mlp.output_linear", ["mlp"]),
        ("a gated shared expert", "mlp.shared_expert.down_proj", ["mlp", "expert"]),
        ("low-rank keys", "mlp.shared_experts.down_proj", ["mlp", "expert"]),
    ],
)
def test_shared_experts_scaled_to_nothing_are_those_whose_matrix_is_zero(name, path, all_of_it):
    model, other = kind(name), kind(name)
    with torch.no_grad():
        other.body.module.model.layers[1].get_submodule(path).weight.zero_()
    whole = other.run(TOKENS, read=["resid.1", "mlp.1", "shared.1"], logits=7)
    found = model.run(TOKENS, read=["resid.1", "mlp.1"], edits=[Scale("shared.1", factor=0.0)], logits=7)
    for site in ("resid.1", "mlp.1"):
        torch.testing.assert_close(found[site], whole[site], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.logits, whole.logits, rtol=1e-9, atol=1e-9)
    assert not whole["shared.1"].any() and float((found.logits - model.run(TOKENS, logits=7).logits).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["a gated shared expert", "low-rank keys"])
def test_within_a_mixture_the_experts_and_the_shared_ones_add_up_to_it(name):
    model = kind(name)
    trace = model.run(TOKENS, read=["expert.1", "shared.1", "mlp.1", "mlp_out.1"])
    total = trace["expert.1"].unflatten(-1, (4, -1)).sum(-2) + trace["shared.1"]
    torch.testing.assert_close(total, trace["mlp.1"], rtol=1e-9, atol=1e-9)
    assert torch.equal(trace["mlp_out.1"], trace["mlp.1"])


def test_a_gate_multiplies_what_the_shared_expert_gives():
    model = kind("a gated shared expert")
    trace = model.run(TOKENS, read=["mlp_in.1", "shared.1", "shared_out.1", "shared_neuron.1"])
    mlp = model.body.module.model.layers[1].mlp
    gate = mlp.shared_expert_gate(trace["mlp_in.1"]).sigmoid()
    torch.testing.assert_close(trace["shared.1"], gate * trace["shared_out.1"], rtol=1e-12, atol=1e-12)
    down = mlp.shared_expert.down_proj.weight
    torch.testing.assert_close(trace["shared_neuron.1"] @ down.T, trace["shared_out.1"], rtol=1e-9, atol=1e-9)


def test_shared_experts_beside_a_mixture_are_one_component_more():
    view = kind("shared experts").components()
    near, exact = attribution_patching(view, random_behaviour()), exact_patching(view, random_behaviour())
    assert {site.part for site in exact.sites} == {"embed", "head", "shared", "mlp"} and exact.sites == near.sites
    assert kind("a gated shared expert").components().dictionaries.keys().isdisjoint({Site("shared", 1)})
    with pytest.raises(ValueError, match=r"cannot be run frozen: shared\.0"):
        view.run(TOKENS, read=["resid.0"], frozen=True, grad=True)


def test_what_is_called_in_another_way_holds_no_experts_that_are_known():
    x, index, weights = torch.zeros(3, 4), torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, 2)
    chosen = Chosen.of((x,), {"top_k_index": index, "top_k_weights": weights})
    assert chosen is not None and chosen.replaced((x,), {"top_k_index": index, "top_k_weights": weights})[0] == (x,)
    assert Chosen.of((x, index), {}) is None and Chosen.of((x, weights, weights), {}) is None
    assert Chosen.of((x[None], index, weights), {}) is None
    assert count(torch.nn.Linear(3, 4)) == 0
