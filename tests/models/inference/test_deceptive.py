"""Models that look alike and are not: what they do otherwise is found, and what rests on it is refused."""

import copy
from functools import partial
from types import MethodType

import pytest
import torch
from torch import nn

import clew
from clew.models import Model
from clew.models.body import Body
from clew.models.graph.components import Components
from clew.models.inference.infer import infer
from clew.models.selfcheck import known_refusals
from tests.models.kinds import kind, kind_of

TOKENS = torch.randint(3, 90, (2, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))


def granite(change=None, factor=1.0, **more):
    """A tiny Granite, each attention of which is changed."""
    module = kind_of("factors", residual_multiplier=factor, **more)
    for layer in module.model.layers:
        if change is not None:
            change(layer)
    return module


def opened(module):
    model = Model(Body(module, None, "deceptive"))
    model.body.refused = known_refusals(model.body)
    return model


def around(attention, forward):
    """Another forward of an attention, which is handed its own."""

    def changed(self, hidden_states, **rest):
        return forward(self, hidden_states, partial(type(self).forward, self), **rest)

    attention.forward = MethodType(changed, attention)


def with_norm_inside(norm):
    """The attention puts its output through a norm before it hands it on."""

    def forward(self, hidden_states, own, **rest):
        out, weights = own(hidden_states, **rest)
        return self.last(out), weights

    def change(layer):
        layer.self_attn.last = norm(layer)
        around(layer.self_attn, forward)

    return change


def with_norm_in_block(norm):
    """What the attention gives goes through a norm, and then times the factor."""

    def forward(self, h, **rest):
        h = h + self.last(self.self_attn(hidden_states=self.input_layernorm(h), **rest)[0]) * self.residual_multiplier
        return h + self.mlp(self.post_attention_layernorm(h)) * self.residual_multiplier

    def change(layer):
        layer.last = norm(layer)
        layer.forward = MethodType(forward, layer)

    return change


def rms(layer):
    return copy.deepcopy(layer.input_layernorm)


def layer_norm(layer):
    return nn.LayerNorm(32).double()


def writes_off_the_stream(model):
    """How far the difference of what is written on two prompts is from that of the stream."""
    graph, end = Components(model.body), f"resid.{model.n_layers - 1}"
    here, there = (model.run(t, read=[*graph.source_sites, end], logits=0) for t in (TOKENS, TOKENS + 1))
    moved = (graph.writes(here) - graph.writes(there)).sum(1)
    return float((moved - (here[end] - there[end])).abs().max() / here[end].abs().max())


@pytest.mark.parametrize("factor", [1.0, 0.22])
def test_a_norm_and_a_factor_after_the_attention_scale_each_heads_share(factor):
    assert writes_off_the_stream(opened(granite(with_norm_in_block(rms), factor))) < 1e-6


@pytest.mark.parametrize(
    "change",
    [with_norm_in_block(layer_norm), with_norm_in_block(lambda layer: nn.Tanh()), with_norm_inside(layer_norm)],
)
def test_shares_of_heads_are_refused_behind_what_is_no_plain_norm(change):
    with pytest.raises(ValueError, match="Something else stands between the output projection and the stream"):
        writes_off_the_stream(opened(granite(change)))


def test_a_norm_inside_the_attention_is_a_norm_after_its_projection():
    model = opened(granite(with_norm_inside(rms)))
    norm, factor = model.body.after("out", 1)
    assert norm is model.body.blocks[1].self_attn.last and factor == 1
    assert writes_off_the_stream(model) < 1e-6


class Gated(nn.Module):
    """An output projection of what a gate lets through."""

    def __init__(self, projection):
        super().__init__()
        self.projection, self.gate = projection, nn.Linear(32, 32).double()

    def forward(self, x):
        return self.projection(x * torch.sigmoid(self.read))


def with_gate(layer):
    def forward(self, hidden_states, own, **rest):
        self.o_proj.read = self.o_proj.gate(hidden_states)
        return own(hidden_states, **rest)

    layer.self_attn.o_proj = Gated(layer.self_attn.o_proj)
    around(layer.self_attn, forward)


def test_an_attention_with_a_gate_is_one_source_and_one_reader_and_no_frozen_run_takes_it():
    model = opened(granite(with_gate))
    assert model.body.part("attn", 1).gated
    graph = Components(model.body)
    assert graph.card.blocks == ("attn mlp",) * 3 and writes_off_the_stream(model) < 1e-12
    with pytest.raises(ValueError, match=r"cannot be run frozen: attn\.0"):
        model.run(TOKENS, read=["resid.0"], frozen=True, grad=True)
    with pytest.raises(ValueError, match=r"cannot be run frozen: mixer\.0"):
        kind("both at once").run(TOKENS, read=["resid.0"], frozen=True, grad=True)


def test_a_gate_that_reads_more_than_one_map_gives_is_no_site():
    def change(layer):
        def forward(self, hidden_states, own, **rest):
            self.o_proj.read = self.o_proj.gate(hidden_states) + hidden_states.mean(-1, keepdim=True)
            return own(hidden_states, **rest)

        layer.self_attn.o_proj = Gated(layer.self_attn.o_proj)
        around(layer.self_attn, forward)

    attention = infer(granite(change)).parts[1][0]
    assert "gate" not in attention.maps and attention.gate == "" and attention.pattern == ""


def test_values_from_another_block_are_no_matter_of_what_is_read():
    kept = {}

    def change(layer):
        def forward(self, x):
            own = nn.Linear.forward(self, x)
            return own if self is kept.setdefault("first", self) and not kept.update(value=own) else own + kept["value"]

        layer.self_attn.v_proj.forward = MethodType(forward, layer.self_attn.v_proj)

    attentions = [parts[0] for parts in infer(granite(change)).parts]
    assert all("does not follow" in part.missing["attn_in"] for part in attentions[1:])


def test_two_that_give_the_same_are_refused():
    def forward(self, h, **rest):
        h = h + self.self_attn(hidden_states=self.input_layernorm(h), **rest)[0]
        x = self.post_attention_layernorm(h)
        return h + (self.mlp(x) + self.twin(x))

    def change(layer):
        layer.twin = copy.deepcopy(layer.mlp)
        layer.forward = MethodType(forward, layer)

    with pytest.raises(ValueError, match="give the same, so which of them writes cannot be told"):
        infer(granite(change))


def with_two_mlps(layer):
    """A second MLP beside the first."""

    def forward(self, h, **rest):
        h = h + self.self_attn(hidden_states=self.input_layernorm(h), **rest)[0]
        x = self.post_attention_layernorm(h)
        return h + (self.mlp(x) + self.second(x))

    layer.second = copy.deepcopy(layer.mlp)
    layer.second.down_proj.weight.data.mul_(torch.linspace(-1, 2, 32)[:, None])
    layer.forward = MethodType(forward, layer)


def test_of_two_mlps_neither_of_which_is_a_mixture_none_is_that_of_shared_experts():
    with pytest.raises(
        ValueError, match=r"has two parts of one kind \(mlp and second, each a mlp\), which have no address"
    ):
        infer(granite(with_two_mlps))


@pytest.mark.parametrize(
    "joined",
    [
        lambda experts, shared, x: experts + torch.tanh(shared(x)),
        lambda experts, shared, x: experts + shared(x) * x.norm(dim=-1, keepdim=True),
        lambda experts, shared, x: experts * torch.sigmoid(shared(x)),
    ],
)
def test_what_does_not_just_join_its_mixture_is_no_shared_expert_of_it(joined):
    module = kind_of("a gated shared expert")
    for layer in module.model.layers:

        def forward(self, x):
            flat = x.view(-1, x.shape[-1])
            _, weights, index = self.gate(flat)
            return joined(self.experts(flat, index, weights), self.shared_expert, flat).view(x.shape)

        layer.mlp.forward = MethodType(forward, layer.mlp)
    parts = [parts[1] for parts in infer(module).parts]
    assert all(part.mixture == "mlp" and part.shared == "" for part in parts)


@pytest.mark.parametrize("shared", [1, 2])
def test_a_norm_over_all_heads_leaves_none_however_many_share_a_key(shared):
    def change(layer):
        layer.self_attn.o_proj = nn.Sequential(nn.RMSNorm(32).double(), layer.self_attn.o_proj)

    attention = infer(granite(change, num_key_value_heads=shared)).parts[0][0]
    assert attention.projection == "" and "is not one head beside the other" in attention.missing["head"]


def test_logits_that_read_more_than_the_stream_have_no_graph():
    module, kept = granite(), {}
    module.model.embed_tokens.register_forward_hook(lambda m, args, out: kept.update(x=out))
    module.model.norm.register_forward_pre_hook(lambda m, args: (args[0] + kept["x"] / 2,))
    model = opened(module)
    with pytest.raises(ValueError, match="is not one norm of the stream"):
        Components(model.body)


def test_a_residual_inside_the_attention_is_not_what_it_reads():
    attention = infer(kind_of("norms in the stream")).parts[1][0]
    assert attention.reads == "attention.self"


def test_another_forward_is_looked_at_anew():
    module = granite()
    clew.open(module)
    for layer in module.model.layers:
        with_norm_in_block(rms)(layer)
    assert clew.open(module).body.part("attn", 1).norm_out == "last"
